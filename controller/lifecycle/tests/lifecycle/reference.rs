//! A second, naive account of what commands do to runs, written from the rules of docs/guides/failures.md and from nothing else. It is told what it
//! need not know: which run an agent gets, when a sweep ends, which agents are in quarantine. All else it works out by itself.

mod comparison;
mod endings;

use std::collections::{BTreeMap, BTreeSet};

use sweep_lifecycle::command::{AttemptResult, Command, Refusal, Reply};
use sweep_lifecycle::event::{Event, RetryCause};
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{
    AgentId, AttemptState, FailureKind, Health, RunState, State, StopKind, SweepId, SweepState,
};

type RunId = (SweepId, u64);

#[derive(Clone, Debug)]
struct Attempt {
    agent: AgentId,
    state: AttemptState,
    stop: Option<StopKind>,
    values: u64,
    finite: bool,
}

#[derive(Clone, Debug)]
struct Run {
    state: RunState,
    attempts: Vec<Attempt>,
    used: BTreeMap<&'static str, u32>,
    withdrawn: bool,
}

#[derive(Default)]
pub(crate) struct Reference {
    specs: BTreeMap<SweepId, SweepSpec>,
    runs: BTreeMap<RunId, Run>,
}

impl Reference {
    /// Follows a command that was answered, and compares. `before`: the state when it came.
    pub(crate) fn follow(
        &mut self,
        before: &State,
        command: &Command,
        answer: &Result<(Vec<Event>, Reply), Refusal>,
        state: &State,
    ) {
        if let Ok((events, reply)) = answer {
            let used: BTreeMap<RunId, _> = self
                .runs
                .iter()
                .map(|(id, run)| (id.clone(), run.used.clone()))
                .collect();
            self.take_news(events, state);
            // An agent that fails by itself may cost its run nothing.
            let spared = |run: u64| {
                let free = |event: &Event| matches!(event, Event::RunRequeued { run: requeued, counts: None, .. } if *requeued == run);
                events.iter().any(free)
                    && state
                        .agents
                        .values()
                        .any(|agent| agent.health != Health::Ok)
            };
            self.work_out(before, command, reply, state, &spared);
            self.take_pardons(command, events);
            self.take_withdrawals(command, events, &used);
        }
        self.compare(command, state);
    }

    // What the reference cannot know: new sweeps and runs, assignments, reported values, early stops.
    fn take_news(&mut self, events: &[Event], state: &State) {
        for event in events {
            match event {
                Event::SweepCreated { sweep, spec, .. } => {
                    drop(self.specs.insert(sweep.clone(), (**spec).clone()));
                }
                Event::SweepEdited { sweep, spec, .. } => {
                    self.specs.insert(sweep.clone(), (**spec).clone());
                    self.reevaluate(sweep, state);
                }
                Event::RunCreated { sweep, run, .. } => self.insert(sweep, *run, RunState::Queued),
                Event::RunImported {
                    sweep, run, state, ..
                } => self.insert(sweep, *run, *state),
                Event::MetricsReported {
                    attempt, points, ..
                } => {
                    let objective = self.specs[&attempt.sweep]
                        .objective
                        .as_ref()
                        .map(|objective| objective.metric.clone());
                    let reported = self.attempt(attempt);
                    for point in points
                        .iter()
                        .filter(|point| objective.as_ref() == Some(&point.name))
                    {
                        reported.values += 1;
                        reported.finite |= point.value.is_finite();
                    }
                }
                Event::StopRequested { attempt, request } => {
                    self.attempt(attempt).stop = Some(request.kind);
                }
                _ => {}
            }
        }
    }

    fn insert(&mut self, sweep: &SweepId, run: u64, state: RunState) {
        self.runs.insert(
            (sweep.clone(), run),
            Run {
                state,
                attempts: Vec::new(),
                used: BTreeMap::new(),
                withdrawn: false,
            },
        );
    }

    // Of another objective the last value and the extremes are known: as many values as the state has, of which one is finite or none.
    fn reevaluate(&mut self, sweep: &SweepId, state: &State) {
        for ((of, number), run) in self.runs.iter_mut().filter(|((of, _), _)| of == sweep) {
            let known = state.sweeps[of].runs.get(*number).expect("it is there");
            for (attempt, known) in run.attempts.iter_mut().zip(&known.attempts) {
                attempt.values = known.series.len() as u64;
                attempt.finite = known.series.iter().any(|value| value.is_finite());
            }
        }
    }

    // Queued runs that an edit took out of the space, and runs that would have been queued again and are not in it any more.
    fn take_withdrawals(
        &mut self,
        command: &Command,
        events: &[Event],
        used: &BTreeMap<RunId, BTreeMap<&'static str, u32>>,
    ) {
        for event in events {
            let (sweep, runs) = match event {
                Event::RunEnded {
                    sweep,
                    run,
                    withdrawn: true,
                    ..
                } => (sweep, vec![*run]),
                Event::QueuedRunsCancelled {
                    sweep,
                    runs,
                    withdrawn: true,
                    ..
                } => (sweep, runs.numbers().collect()),
                _ => continue,
            };
            for run in &runs {
                let id = (sweep.clone(), *run);
                let withdrawn = self.run(sweep, *run);
                // A failed one would have been pardoned.
                assert!(
                    matches!(withdrawn.state, RunState::Queued | RunState::Failed),
                    "{command:?} withdraws run {run}"
                );
                (withdrawn.state, withdrawn.withdrawn) = (RunState::Cancelled, true);
                withdrawn.used = used.get(&id).cloned().unwrap_or_default();
            }
        }
    }

    // Runs that get another chance since their agent was at fault.
    fn take_pardons(&mut self, command: &Command, events: &[Event]) {
        for event in events {
            match event {
                Event::RunRequeued {
                    sweep,
                    run,
                    counts: Some(RetryCause::Absolved),
                    ..
                } => {
                    let pardoned = self.run(sweep, *run);
                    assert_eq!(
                        pardoned.state,
                        RunState::Failed,
                        "{command:?} pardons run {run}"
                    );
                    (pardoned.state, pardoned.used) = (RunState::Queued, BTreeMap::new());
                }
                Event::RunAbsolved { sweep, run, .. } => self.run(sweep, *run).used.clear(),
                _ => {}
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of command")]
    fn work_out(
        &mut self,
        before: &State,
        command: &Command,
        reply: &Reply,
        state: &State,
        spared: &dyn Fn(u64) -> bool,
    ) {
        match command {
            Command::Acquire { agent, sweep, .. } => {
                let Reply::Assigned(attempt) = reply else {
                    return;
                };
                assert_eq!(
                    before.sweeps[sweep].state,
                    SweepState::Running,
                    "runs are handed out by running sweeps alone"
                );
                let asks = state.agents[agent].info.asks;
                let run = self.run(sweep, attempt.run);
                assert_eq!(
                    (run.state, run.attempts.len() + 1),
                    (RunState::Queued, attempt.attempt as usize),
                    "{attempt:?}"
                );
                run.state = if asks {
                    RunState::Running
                } else {
                    RunState::Assigned
                };
                let state = if asks {
                    AttemptState::Running
                } else {
                    AttemptState::Assigned
                };
                run.attempts.push(Attempt {
                    agent: agent.clone(),
                    state,
                    stop: None,
                    values: 0,
                    finite: false,
                });
            }
            Command::StartAttempt { agent, attempt, .. } => {
                self.resume(agent, attempt, before);
                self.attempt(attempt).state = AttemptState::Running;
                self.run(&attempt.sweep, attempt.run).state = RunState::Running;
            }
            Command::ReportMetrics { agent, attempt, .. } => self.resume(agent, attempt, before),
            Command::FinishAttempt {
                attempt, result, ..
            } => self.finish(before, attempt, result, spared(attempt.run)),
            Command::Tell { attempt, told, .. } => {
                self.finish(before, attempt, &AttemptResult::Told(told.clone()), false);
            }
            Command::RereadRun { attempt, .. } => {
                let Reply::Run(state) = reply else { return };
                let run = self.run(&attempt.sweep, attempt.run);
                assert!(
                    run.state == *state
                        || (run.state, *state) == (RunState::Failed, RunState::Finished),
                    "{attempt:?} is {state}"
                );
                run.state = *state;
            }
            Command::LoseAttempt { attempt } => {
                let owner = self.attempt(attempt).agent.clone();
                self.lose(before, attempt, silent(before, &owner));
            }
            Command::RemoveAgent { agent, lost, .. } => {
                for attempt in self.held(agent) {
                    self.lose(
                        before,
                        &attempt,
                        if *lost {
                            silent(before, agent)
                        } else {
                            FailureKind::Preempted
                        },
                    );
                }
            }
            Command::RegisterAgent {
                agent,
                sweep,
                info,
                attempts,
            } => {
                if before
                    .agents
                    .get(agent)
                    .is_some_and(|known| known.alive && known.info.process != info.process)
                {
                    for attempt in self
                        .held(agent)
                        .into_iter()
                        .filter(|held| !attempts.contains(held))
                    {
                        match self.attempt(&attempt).state {
                            AttemptState::Assigned => {
                                self.finish(before, &attempt, &AttemptResult::Returned, false);
                            }
                            _ => self.lose(before, &attempt, silent(before, agent)),
                        }
                    }
                }
                let resumed: BTreeSet<_> = attempts
                    .iter()
                    .filter(|attempt| attempt.sweep == *sweep)
                    .collect();
                for attempt in resumed {
                    self.resume(agent, attempt, before);
                }
            }
            Command::RetryRuns { .. } => {
                let Reply::Retried { requeued, .. } = reply else {
                    return;
                };
                let Command::RetryRuns { sweep, .. } = command else {
                    return;
                };
                for run in requeued {
                    let run = self.run(sweep, *run);
                    (run.state, run.used) = (RunState::Queued, BTreeMap::new());
                }
            }
            Command::CancelRun { sweep, run } => {
                let run = self.run(sweep, *run);
                if run.state == RunState::Queued {
                    run.state = RunState::Cancelled;
                }
            }
            Command::SetSweep { sweep, .. }
                if matches!(
                    reply,
                    Reply::Sweep(SweepState::Stopped | SweepState::Cancelled)
                ) =>
            {
                let queued = self
                    .runs
                    .iter_mut()
                    .filter(|((of, _), run)| of == sweep && run.state == RunState::Queued);
                queued.for_each(|(_, run)| run.state = RunState::Cancelled);
            }
            _ => {}
        }
    }
}

/// The expected state of an attempt whose agent stops reporting.
fn silent(before: &State, agent: &AgentId) -> FailureKind {
    let leaves = before
        .agents
        .get(agent)
        .is_some_and(|agent| agent.leaving.is_some());
    if leaves {
        FailureKind::Preempted
    } else {
        FailureKind::Lost
    }
}
