//! I1 to I9 of the design, as far as they can be seen in one state.
//!
//! I1 (acknowledged facts are on disk), I4 (a repeated request), I8 (processes) and I9 (history only grows) show in no single
//! state: the store, the engine, the agent and replays are tested for them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::inits;
use crate::observe::{SweepProgress, reached};
use crate::repeats::ranked;
use crate::spec::RetryPolicy;
use crate::state::{
    Agent, AgentId, Attempt, AttemptRef, AttemptState, Crew, Health, Retries, Run, RunNumber,
    RunState, State, Sweep, SweepId, SweepState,
};
use crate::versions::counts;

/// Returns every broken invariant, in words. Empty: all hold.
pub fn broken(state: &State) -> Vec<String> {
    let mut found = Violations::default();
    let mut held = BTreeMap::new();
    for (id, sweep) in &state.sweeps {
        check_sweep(&mut found, id, sweep, state.identity.is_settling);
        check_points(&mut found, id, sweep);
        for (number, run) in sweep.runs.iter() {
            check_run(&mut found, &format!("run {id}/{number}"), sweep, &run);
            check_attempts(&mut found, &format!("run {id}/{number}"), &run);
            if let Some(owner) = run.attempts.last().filter(|owner| owner.state.is_live()) {
                held.insert(
                    AttemptRef {
                        sweep: id.clone(),
                        run: number,
                        attempt: run.newest(),
                    },
                    owner.agent.clone(),
                );
            }
        }
    }
    check_agents(&mut found, state, &held);
    found.0
}

#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn must(&mut self, holds: bool, invariant: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{invariant}: {}", what()));
        }
    }
}

fn check_sweep(found: &mut Violations, id: &SweepId, sweep: &Sweep, is_settling: bool) {
    let in_state = |states: &[RunState]| -> BTreeSet<RunNumber> {
        sweep
            .runs
            .iter()
            .filter(|(_, run)| states.contains(&run.state))
            .map(|(number, _)| number)
            .collect()
    };
    found.must(sweep.queued == in_state(&[RunState::Queued]), "I5", || {
        format!("sweep {id}: `queued` is not what its runs say")
    });
    let live = in_state(&[RunState::Assigned, RunState::Running]);
    found.must(sweep.live == live, "I5", || {
        format!("sweep {id}: `live` is not what its runs say")
    });
    found.must(sweep.best == best(sweep), "I5", || {
        format!("sweep {id}: `best` is not what its runs say")
    });
    let live = sweep
        .live
        .iter()
        .filter_map(|number| Some((*number, sweep.runs.get(*number)?)));
    let reaching: BTreeMap<_, _> = live
        .filter_map(|(number, run)| Some((number, reached(&sweep.spec, &run)?)))
        .collect();
    found.must(sweep.reached == reaching, "I5", || {
        format!("sweep {id}: `reached` is not what its runs say")
    });
    let idle = sweep.queued.is_empty() && sweep.live.is_empty();
    let limit = SweepProgress::of(sweep).limit(&sweep.spec);
    match sweep.state {
        SweepState::Running => {
            found.must(!idle || limit.is_none() || is_settling, "I6", || {
                format!("sweep {id} runs, but nothing is left to do: {limit:?}")
            });
        }
        SweepState::Paused => {
            found.must(!sweep.stalled || !sweep.reason.is_empty(), "I6", || {
                format!("sweep {id} is stalled for no reason")
            });
        }
        SweepState::Finished => found.must(idle, "I6", || {
            format!("sweep {id} is finished, but has runs that have not ended")
        }),
        SweepState::Stopped => found.must(sweep.queued.is_empty(), "I6", || {
            format!("sweep {id} is stopped, but has queued runs")
        }),
        SweepState::Cancelled => {
            found.must(sweep.queued.is_empty(), "I6", || {
                format!("sweep {id} is cancelled, but has queued runs")
            });
            let asked = |number: &RunNumber| {
                sweep.runs.get(*number).is_some_and(|run| {
                    run.attempts
                        .last()
                        .is_some_and(|owner| owner.stop.is_some())
                })
            };
            found.must(sweep.live.iter().all(asked), "I6", || {
                format!("sweep {id} is cancelled, but nobody asked a live attempt to end")
            });
        }
    }
    found.must(
        !sweep.state.is_terminal() || !sweep.reason.is_empty(),
        "I6",
        || format!("sweep {id} is {} for no reason", sweep.state),
    );
}

// Told apart from the index by how it is found: over all points, by the lower number first.
fn best(sweep: &Sweep) -> Option<(RunNumber, f64)> {
    let goal = sweep
        .spec
        .objective
        .as_ref()
        .map(|objective| objective.goal)
        .unwrap_or_default();
    let mut points: BTreeMap<RunNumber, Vec<Cow<'_, Run>>> = BTreeMap::new();
    for (_, run) in sweep
        .runs
        .iter()
        .filter(|(_, run)| counts(&sweep.codes, run))
    {
        points.entry(run.first).or_default().push(run);
    }
    let values = points
        .into_iter()
        .filter_map(|(first, runs)| Some((first, ranked(sweep, &runs)?)));
    values.reduce(|best, other| {
        if goal.is_better(other.1, best.1) {
            other
        } else {
            best
        }
    })
}

fn check_points(found: &mut Violations, id: &SweepId, sweep: &Sweep) {
    // An edit may bring points together that were apart, and what was withdrawn may come again.
    let apart = |run: &Run| (run.revision, run.point());
    let firsts: Vec<_> = sweep
        .runs
        .iter()
        .filter(|(number, run)| run.first == *number && !run.withdrawn)
        .map(|(_, run)| apart(&run))
        .collect();
    let keys: BTreeSet<_> = firsts.iter().copied().collect();
    found.must(keys.len() == firsts.len(), "I3", || {
        format!("sweep {id}: two runs have one point and are no repeats")
    });
    let points: BTreeSet<_> = sweep
        .runs
        .iter()
        .filter_map(|(_, run)| sweep.point_of(&run))
        .collect();
    let created = sweep
        .runs
        .iter()
        .filter(|(_, run)| run.revision == sweep.revision() && !run.withdrawn && !run.imported);
    let held = created
        .filter(|(_, run)| run.again.is_empty())
        .all(|(_, run)| sweep.spec.space.holds(&run.config));
    found.must(held || sweep.revisions.len() < 2, "I3", || {
        format!("sweep {id}: a run was suggested that its newest space does not hold")
    });
    for (number, run) in sweep
        .runs
        .iter()
        .filter(|(number, run)| run.first != *number)
    {
        let repeats = number.checked_sub(run.first).is_some_and(|place| {
            place
                < sweep
                    .revisions
                    .iter()
                    .map(|revision| u64::from(revision.spec.repeats))
                    .max()
                    .unwrap_or(1)
        });
        let same = sweep
            .runs
            .get(run.first)
            .is_some_and(|first| first.first == run.first && first.config == run.config);
        found.must(repeats && same, "I3", || {
            format!("run {id}/{number} is no repeat of run {}", run.first)
        });
    }
    let runs = sweep
        .runs
        .iter()
        .filter_map(|(_, run)| sweep.point_of(&run))
        .count() as u64;
    let counted = sweep.taken.len() as u64
        + sweep
            .shared
            .values()
            .map(|others| u64::from(*others))
            .sum::<u64>();
    found.must(
        runs == counted && !sweep.shared.values().any(|others| *others == 0),
        "I5",
        || format!("sweep {id}: `shared` is not what its runs say"),
    );
    found.must(points.iter().eq(sweep.taken.iter()), "I3", || {
        format!("sweep {id}: `taken` is not what its runs say")
    });
    let numbered = sweep.runs.numbers().eq(1..=sweep.runs.len() as RunNumber);
    found.must(numbered, "I9", || {
        format!("sweep {id}: its runs are not numbered without a gap from 1")
    });
    let imported = sweep.runs.iter().filter(|(_, run)| run.imported).count() as u64;
    found.must(imported == sweep.imported, "I5", || {
        format!("sweep {id}: `imported` is not what its runs say")
    });
    let reruns = sweep.runs.iter().filter(|(_, run)| run.is_rerun()).count() as u64;
    found.must(reruns == sweep.reruns, "I5", || {
        format!("sweep {id}: `reruns` is not what its runs say")
    });
    let again = sweep
        .runs
        .iter()
        .filter(|(_, run)| !run.again.is_empty())
        .filter_map(|(_, run)| sweep.point_of(&run));
    let again = again.collect::<BTreeSet<_>>().len() as u64;
    found.must(again == sweep.again, "I5", || {
        format!("sweep {id}: `again` is not what its runs say")
    });
    let seen = sweep
        .pinned
        .as_deref()
        .is_none_or(|pinned| sweep.code_number(pinned).is_some());
    found.must(seen, "I5", || {
        format!("sweep {id} is pinned to code that it has not seen")
    });
    let own = sweep.runs.len() as u64 - imported - reruns;
    let capped = sweep
        .revisions
        .iter()
        .any(|revision| revision.spec.run_cap.is_none_or(|cap| own <= cap));
    found.must(capped, "I3", || {
        format!("sweep {id} has more runs than its run cap")
    });
}

fn check_run(found: &mut Violations, name: &str, sweep: &Sweep, run: &Run) {
    found.must(run.ended.is_some() == run.state.is_terminal(), "I6", || {
        format!("{name} is {}, but its end is {:?}", run.state, run.ended)
    });
    let has_objective = sweep.spec.objective.is_some();
    let valued = match run.state {
        // A new objective may be one that it never reported.
        RunState::Finished | RunState::Stopped if sweep.revisions.len() > 1 => {
            has_objective || run.value.is_none()
        }
        RunState::Finished | RunState::Stopped => run.value.is_some() == has_objective,
        _ => run.value.is_none(),
    };
    found.must(valued, "I5", || {
        format!("{name} is {} with the value {:?}", run.state, run.value)
    });
    found.must(run.value.is_none_or(f64::is_finite), "I5", || {
        format!("{name} has the value {:?}", run.value)
    });
    let blamed = !run.blamed || run.state == RunState::Failed;
    found.must(blamed, "I7", || {
        format!("{name} is {}, and its configuration is blamed", run.state)
    });
    let gone = !run.withdrawn || run.state == RunState::Cancelled;
    found.must(gone, "I3", || {
        format!(
            "{name} is {} although it was withdrawn: its point may be tried by another run",
            run.state
        )
    });
    let most = |count: fn(&RetryPolicy) -> u32| {
        sweep
            .revisions
            .iter()
            .map(|revision| count(&revision.spec.retry))
            .max()
            .unwrap_or_default()
    };
    let policy = RetryPolicy {
        lost: most(|policy| policy.lost),
        machine: most(|policy| policy.machine),
        crashed: most(|policy| policy.crashed),
    };
    let Retries {
        lost,
        machine,
        crashed,
    } = run.retries;
    let bounded = lost <= policy.lost && machine <= policy.machine && crashed <= policy.crashed;
    found.must(bounded, "I7", || {
        format!(
            "{name} was tried again more often than the policy says: {:?}",
            run.retries
        )
    });
    let said = !matches!(
        run.state,
        RunState::Stopped | RunState::Failed | RunState::Cancelled
    ) || !run.reason.is_empty();
    found.must(said, "I5", || {
        format!("{name} is {} for no reason", run.state)
    });
    if let (RunState::Finished, Some(objective), Some(last)) =
        (run.state, &sweep.spec.objective, run.attempts.last())
    {
        let valued = run.value.is_none() || inits::value(objective, last).is_some();
        found.must(valued, "I5", || {
            format!("{name} is finished, but its series has no value")
        });
    }
}

fn check_attempts(found: &mut Violations, name: &str, run: &Run) {
    let live: Vec<usize> = (0..run.attempts.len())
        .filter(|index| run.attempts[*index].state.is_live())
        .collect();
    let only_last = live.iter().all(|index| index + 1 == run.attempts.len());
    found.must(only_last, "I2", || {
        format!("{name}: an attempt other than the newest is live")
    });
    let newest = run.attempts.last().map(|newest| newest.state);
    let agrees = match run.state {
        RunState::Assigned => newest == Some(AttemptState::Assigned),
        RunState::Running => newest == Some(AttemptState::Running),
        RunState::Finished => {
            newest == Some(AttemptState::Finished) || (run.imported && newest.is_none())
        }
        _ => newest.is_none_or(|newest| !newest.is_live()),
    };
    found.must(agrees, "I2", || {
        format!(
            "{name} is {}, but its newest attempt is {newest:?}",
            run.state
        )
    });
    for (index, attempt) in run.attempts.iter().enumerate() {
        check_attempt(found, &format!("attempt {} of {name}", index + 1), attempt);
    }
}

fn check_attempt(found: &mut Violations, name: &str, attempt: &Attempt) {
    let state = attempt.state;
    found.must(attempt.ended.is_none() == state.is_live(), "I6", || {
        format!("{name} is {state}, but its end is {:?}", attempt.ended)
    });
    found.must(
        attempt.started.is_none() || state != AttemptState::Assigned,
        "I2",
        || format!("{name} has started, but is assigned"),
    );
    found.must(
        attempt.started.is_some() || state != AttemptState::Running,
        "I2",
        || format!("{name} runs, but has not started"),
    );
    let explained = !matches!(
        state,
        AttemptState::Failed | AttemptState::Lost | AttemptState::Preempted
    ) || attempt.failure.is_some();
    found.must(explained, "I5", || {
        format!("{name} is {state} for no reason")
    });
    let asked = attempt
        .stop
        .as_ref()
        .is_none_or(|stop| !stop.reason.is_empty());
    found.must(asked, "I5", || format!("{name} is to stop for no reason"));
    found.must(
        attempt.summarised || attempt.series.len() as u64 <= attempt.points,
        "I5",
        || format!("{name} has more values than it reported"),
    );
}

fn check_agents(found: &mut Violations, state: &State, held: &BTreeMap<AttemptRef, AgentId>) {
    for (id, sweep) in &state.sweeps {
        let mut crew = Crew::default();
        state
            .agents
            .values()
            .filter(|agent| agent.sweep == *id)
            .for_each(|agent| crew.add(agent));
        found.must(crew == sweep.crew, "I5", || {
            format!(
                "sweep {id}: `crew` is {:?}, and its agents come to {crew:?}",
                sweep.crew
            )
        });
    }
    for (attempt, owner) in held {
        let agent = state.agents.get(owner);
        let holds = agent.is_some_and(|agent| {
            agent.alive && agent.sweep == attempt.sweep && agent.holds.contains(attempt)
        });
        found.must(holds, "I2", || {
            format!("{attempt:?} is live, but agent {owner} does not hold it")
        });
    }
    for (id, agent) in &state.agents {
        let owns = |attempt: &AttemptRef| held.get(attempt).is_some_and(|owner| owner == id);
        found.must(agent.holds.iter().all(owns), "I2", || {
            format!("agent {id} holds what is not its own: {:?}", agent.holds)
        });
        check_agent(found, &format!("agent {id}"), state, id, agent);
    }
}

fn check_agent(found: &mut Violations, name: &str, state: &State, id: &AgentId, agent: &Agent) {
    found.must(state.sweeps.contains_key(&agent.sweep), "I5", || {
        format!("{name} works for a sweep that does not exist")
    });
    found.must(agent.alive == agent.left.is_none(), "I5", || {
        format!("{name}: alive {}, but left {:?}", agent.alive, agent.left)
    });
    let failed_on_it = |attempt: &AttemptRef| {
        let failed = state
            .sweeps
            .get(&attempt.sweep)
            .and_then(|sweep| sweep.attempt(attempt));
        failed.is_some_and(|failed| failed.state == AttemptState::Failed && failed.agent == *id)
    };
    found.must(agent.streak.iter().all(failed_on_it), "I7", || {
        format!(
            "{name} is blamed for what did not fail on it: {:?}",
            agent.streak
        )
    });
    let said = match &agent.health {
        Health::Ok => true,
        Health::Quarantined { reason, .. } | Health::Probing { reason, .. } => !reason.is_empty(),
    };
    found.must(said, "I7", || {
        format!("{name} is in quarantine for no reason")
    });
    let stays = agent.stays.last().is_some_and(|stay| stay.until.is_none());
    let isolated = agent.alive && agent.health != Health::Ok;
    found.must(stays == isolated, "I7", || {
        format!(
            "{name} is {:?}, but its last stay in quarantine is {:?}",
            agent.health,
            agent.stays.last()
        )
    });
    found.must(agent.alive || agent.holds.is_empty(), "I2", || {
        format!("{name} has left, but holds attempts")
    });
}
