//! Attempts that agents hold and a restored log does not: recognised by their incarnation, recorded as events of the controller.
//!
//! | the attempt's point in the restored state | outcome |
//! |---|---|
//! | no run of it | a new run, executed by the agent |
//! | its run is queued, or has earlier attempts only | a new attempt of that run, executed by the agent |
//! | another agent has started it since, or it has ended, or it was cancelled since | stale: the agent ends its program |

use sweep_search::space::PointKey;

use super::attempt::stale;
use super::code::see;
use super::draft::Draft;
use super::ending::{AttemptEnding, end};
use super::epoch;
use crate::command::{AttemptFence, Decision, Refusal, Reply};
use crate::event::{Event, RetryCause};
use crate::observe::SweepProgress;
use crate::state::{
    AgentId, Attempt, AttemptRecord, AttemptRef, Blame, Failure, FailureKind, HeldAttempt, Run,
    RunNumber, RunState, State,
};

/// Returns the numbers of an attempt that an agent holds, if the log has it: under its own numbers, or under those that an adoption gave it.
pub fn recognize(
    state: &State,
    agent: &AgentId,
    attempt: &AttemptRef,
    incarnation: &str,
) -> Option<AttemptRef> {
    let is_same = |known: &AttemptRef| {
        let known = state.sweeps.get(&known.sweep)?.attempt(known)?;
        (known.agent == *agent
            && (incarnation.is_empty() || state.identity.incarnation(&known) == incarnation))
            .then_some(())
    };
    if is_same(attempt).is_some() {
        return Some(attempt.clone());
    }
    let mut held = state
        .agents
        .get(agent)?
        .holds
        .iter()
        .filter(|held| held.sweep == attempt.sweep && !incarnation.is_empty());
    held.find(|held| is_same(held).is_some()).cloned()
}

/// Checks that the log is as far as a call about an attempt takes it to be.
///
/// # Errors
/// [`Refusal::UnknownAttempt`]: another attempt has these numbers, or none. [`Refusal::MissingPoints`]: the log has fewer points.
pub fn fence(state: &State, attempt: &AttemptRef, fence: &AttemptFence) -> Result<(), Refusal> {
    let unknown = Refusal::UnknownAttempt {
        run: attempt.run,
        attempt: attempt.attempt,
    };
    let sweep = state
        .sweeps
        .get(&attempt.sweep)
        .ok_or_else(|| Refusal::UnknownSweep(attempt.sweep.0.clone()))?;
    let known = sweep.attempt(attempt).ok_or_else(|| unknown.clone())?;
    if !fence.incarnation.is_empty() && state.identity.incarnation(&known) != fence.incarnation {
        return Err(unknown);
    }
    if known.points < fence.points {
        let (known, last) = (known.points, fence.points - 1);
        return Err(Refusal::MissingPoints {
            run: attempt.run,
            attempt: attempt.attempt,
            known,
            last,
        });
    }
    Ok(())
}

pub(super) fn adopt(
    state: &State,
    agent: &AgentId,
    held: &HeldAttempt,
) -> Result<Decision, Refusal> {
    let HeldAttempt {
        attempt,
        incarnation,
        record,
    } = held;
    let mut draft = Draft::of(state, &attempt.sweep)?;
    let registered = state
        .agents
        .get(agent)
        .filter(|known| known.alive && known.sweep == attempt.sweep);
    let registered = registered.ok_or_else(|| Refusal::UnknownAgent(agent.0.clone()))?;
    let Some(record) = record.as_deref().filter(|_| !incarnation.is_empty()) else {
        return Err(stale(
            attempt,
            "this controller does not know it, and its agent does not say what it executes"
                .to_owned(),
        ));
    };
    // An attempt of the present epoch that the log lacks: the database was replaced without `sweep controller restore`.
    if state.identity.has_assigned(incarnation) {
        draft.push(epoch::next(state, "", true));
        draft.push(Event::AgentRegistered {
            agent: agent.clone(),
            sweep: attempt.sweep.clone(),
            info: registered.info.clone(),
        });
    }
    let point = if record.again.is_empty() {
        record.config.key()
    } else {
        record.config.key_again(&record.again)
    };
    let run = match run_of(&draft, attempt.run, point, record.repeat) {
        Some((number, run)) => {
            let same = |known: &Attempt| {
                known.agent == *agent && known.origin.as_ref() == Some(incarnation)
            };
            if let Some(place) = run.attempts.iter().position(same) {
                let known = AttemptRef {
                    sweep: attempt.sweep.clone(),
                    run: number,
                    attempt: place as u32 + 1,
                };
                return Ok(draft.reply(Reply::Adopted(known)));
            }
            clear(&mut draft, attempt, number, &run)?;
            number
        }
        None => create(&mut draft, attempt, record)?,
    };
    let newest = draft.sweep.runs.get(run).map_or(0, |run| run.newest());
    let adopted = AttemptRef {
        sweep: attempt.sweep.clone(),
        run,
        attempt: newest + 1,
    };
    see(&mut draft, Some(agent), &record.code_version);
    draft.push(Event::AttemptAssigned {
        attempt: adopted.clone(),
        agent: agent.clone(),
        code_version: record.code_version.clone(),
        pinned: record.pinned,
        origin: Some(incarnation.clone()),
    });
    Ok(draft.reply(Reply::Adopted(adopted)))
}

/// Returns the run of a point, the same repeat of it: mostly the one with the number that the agent knows.
fn run_of(
    draft: &Draft<'_>,
    number: RunNumber,
    point: PointKey,
    repeat: u32,
) -> Option<(RunNumber, Run)> {
    let is_it = |number: RunNumber, run: &Run| {
        run.own_point() == point
            && !run.point.withdrawn
            && number - run.point.first + 1 == u64::from(repeat)
    };
    if let Some(run) = draft
        .sweep
        .runs
        .get(number)
        .filter(|run| is_it(number, run))
    {
        return Some((number, run.into_owned()));
    }
    if !draft.sweep.index.points.keys.contains(&point) {
        return None;
    }
    let mut runs = draft.sweep.runs.iter();
    runs.find(|(number, run)| is_it(*number, run))
        .map(|(number, run)| (number, run.into_owned()))
}

/// Makes a run ready for an attempt that was assigned after what the log holds of the run.
fn clear(
    draft: &mut Draft<'_>,
    attempt: &AttemptRef,
    number: RunNumber,
    run: &Run,
) -> Result<(), Refusal> {
    let is_later =
        attempt.run == number && attempt.attempt > run.newest() && !draft.sweep.state.is_terminal();
    match run.state {
        RunState::Queued => {}
        RunState::Assigned | RunState::Running if is_later => {
            let before = AttemptRef {
                attempt: run.newest(),
                ..attempt.clone()
            };
            let message = format!(
                "its agent had ended it before attempt {} was assigned, after the backup",
                attempt.attempt
            );
            end(
                draft,
                &before,
                AttemptEnding::Failed(Failure::new(
                    FailureKind::Preempted,
                    Blame::External,
                    message,
                )),
            )?;
            // A user may have cancelled it since the restore: that holds for the later attempt too.
            if let Some((state, reason)) = draft.end_of(number) {
                return Err(stale(attempt, format!("its run is {state}: {reason}")));
            }
        }
        RunState::Cancelled if run.ended_epoch == draft.state.identity.epoch => {
            return Err(stale(
                attempt,
                format!("its run was cancelled after the restore: {}", run.reason),
            ));
        }
        state if state.is_terminal() && is_later => {
            let reason = format!("attempt {} was assigned after the backup", attempt.attempt);
            if draft.requeue(number, reason, Some(RetryCause::Asked), None) != RunState::Queued {
                return Err(stale(
                    attempt,
                    "the restored sweep's space does not hold its configuration".to_owned(),
                ));
            }
        }
        state => {
            return Err(stale(
                attempt,
                format!("after a restore its point is run {number}, which is {state}"),
            ));
        }
    }
    Ok(())
}

/// Creates the run of an attempt, and those of the other repeats of its point.
fn create(
    draft: &mut Draft<'_>,
    attempt: &AttemptRef,
    record: &AttemptRecord,
) -> Result<RunNumber, Refusal> {
    if draft.sweep.state.is_terminal() {
        return Err(stale(
            attempt,
            format!(
                "the restored sweep is {}, and its log does not hold this run",
                draft.sweep.state
            ),
        ));
    }
    if !draft.sweep.spec.space.holds(&record.config) {
        return Err(stale(
            attempt,
            "the restored sweep's space does not hold its configuration".to_owned(),
        ));
    }
    let created = SweepProgress::of(draft.sweep).created;
    if draft.sweep.spec.run_cap.is_some_and(|cap| created >= cap) {
        return Err(stale(
            attempt,
            "the restored sweep has as many runs as its run cap allows".to_owned(),
        ));
    }
    let first = draft.create_runs(
        &record.config,
        record.history.min(draft.sweep.history),
        &record.why,
        &record.again,
    );
    Ok((first + u64::from(record.repeat.max(1) - 1)).min(draft.last_run()))
}
