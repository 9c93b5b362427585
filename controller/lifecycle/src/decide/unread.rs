//! Sweeps whose objective nothing has reported: one run that ends without it may be an accident, two are not, and further trainings would be wasted.
//!
//! | runs that ended without the objective, while no run has reported it | new runs |
//! |---|---|
//! | none | are handed out |
//! | one | wait while another run is executed; otherwise one is handed out |
//! | two | the sweep is paused |

use super::draft::Draft;
use crate::command::{Decision, Refusal, Reply};
use crate::event::{Event, MetricPoint};
use crate::inits;
use crate::state::{AttemptRef, AttemptState, FailureKind, RunState, State};

/// Returns why an agent has to wait for its next run, if it has to.
pub(super) fn hold(draft: &Draft<'_>) -> Option<String> {
    let sweep = draft.sweep;
    let metric = &sweep.spec.objective.as_ref()?.metric;
    let [missed] = sweep.unread.as_slice() else {
        return None;
    };
    (!sweep.index.live.is_empty()).then(|| {
        format!(
            "run {missed} ended without reporting `{metric}`, which no run has reported yet; new runs wait until a running one shows whether \
             it is read"
        )
    })
}

/// Returns why the sweep must be paused, now that a run ends without the objective.
pub(super) fn stall(draft: &Draft<'_>, ending: u64, message: &str) -> Option<String> {
    let sweep = draft.sweep;
    let metric = &sweep.spec.objective.as_ref()?.metric;
    let missed = sweep.unread.iter().find(|missed| **missed != ending)?;
    let (first, second, id) = (missed.min(&ending), missed.max(&ending), draft.id);
    Some(format!(
        "runs {first} and {second} ended without reporting `{metric}`, and no run has reported it: {message}; what a run has printed is \
         not lost: after `sweep edit {id}` with `metric_patterns` that read it, `sweep reread {id}` adds the values, and `sweep resume {id}` \
         continues"
    ))
}

/// Adds metrics that were read afterwards from the output of an attempt that has ended. Metrics that the attempt has reported stay as they are. A run
/// that failed because it had not reported the objective finishes if it has a value now.
pub(super) fn reread(
    state: &State,
    attempt: &AttemptRef,
    points: &[MetricPoint],
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, &attempt.sweep)?;
    let run = draft.run(attempt.run)?;
    let unknown = Refusal::UnknownAttempt {
        run: attempt.run,
        attempt: attempt.attempt,
    };
    let known = run.attempt(attempt.attempt).ok_or(unknown)?;
    if known.state.is_live() {
        let reason = format!(
            "run {} attempt {} has not ended; only the output of ended runs is read again",
            attempt.run, attempt.attempt
        );
        return Err(Refusal::WrongState(reason));
    }
    let points: Vec<_> = points
        .iter()
        .filter(|point| !known.metrics.contains_key(&point.name))
        .cloned()
        .collect();
    if points.is_empty() {
        return Ok(draft.reply(Reply::Run(run.state)));
    }
    let objective = draft.sweep.spec.objective.as_ref();
    let mut after = known.clone();
    let metric = objective.map(|objective| objective.metric.as_str());
    points
        .iter()
        .filter(|point| metric == Some(&point.name))
        .for_each(|point| after.add_objective(point.step, point.value));
    draft.push(Event::MetricsReported {
        attempt: attempt.clone(),
        first_seq: known.points,
        points,
        stale: true,
    });
    let had_none = known
        .failure
        .as_ref()
        .is_some_and(|failure| failure.kind == FailureKind::NoMetric);
    let is_newest = run.state == RunState::Failed
        && attempt.attempt == run.newest()
        && known.state == AttemptState::Failed;
    let value = objective
        .and_then(|objective| inits::value(objective, &after))
        .filter(|_| had_none && is_newest);
    let state = match value {
        Some(value) => {
            draft.end_attempt(attempt, AttemptState::Finished, None);
            draft.end_run(
                attempt.run,
                RunState::Finished,
                Some(value),
                String::new(),
                false,
            );
            RunState::Finished
        }
        None => run.state,
    };
    Ok(draft.reply(Reply::Run(state)))
}
