//! I2, one owner: at most the newest attempt of a run is live.

use super::violations::Violations;
use crate::state::{Attempt, AttemptState, Run, RunState};

pub(super) fn check(found: &mut Violations, name: &str, run: &Run) {
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
