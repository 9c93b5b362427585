//! I6, everything ends: the state of a sweep fits its runs. I9, no run is missing.

use super::violations::Violations;
use crate::observe::SweepProgress;
use crate::state::{RunNumber, Sweep, SweepId, SweepState};

pub(super) fn check(found: &mut Violations, id: &SweepId, sweep: &Sweep, is_settling: bool) {
    check_state(found, id, sweep, is_settling);
    let numbered = sweep.runs.numbers().eq(1..=sweep.runs.len() as RunNumber);
    found.must(numbered, "I9", || {
        format!("sweep {id}: its runs are not numbered without a gap from 1")
    });
    let seen = sweep
        .code
        .pinned
        .as_deref()
        .is_none_or(|pinned| sweep.code.number(pinned).is_some());
    found.must(seen, "I5", || {
        format!("sweep {id} is pinned to code that it has not seen")
    });
    let own = sweep.runs.len() as u64 - sweep.index.imported - sweep.index.reruns;
    let capped = sweep
        .revisions
        .iter()
        .any(|revision| revision.spec.run_cap.is_none_or(|cap| own <= cap));
    found.must(capped, "I3", || {
        format!("sweep {id} has more runs than its run cap")
    });
}

fn check_state(found: &mut Violations, id: &SweepId, sweep: &Sweep, is_settling: bool) {
    let idle = sweep.index.queued.is_empty() && sweep.index.live.is_empty();
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
        SweepState::Stopped => found.must(sweep.index.queued.is_empty(), "I6", || {
            format!("sweep {id} is stopped, but has queued runs")
        }),
        SweepState::Cancelled => {
            found.must(sweep.index.queued.is_empty(), "I6", || {
                format!("sweep {id} is cancelled, but has queued runs")
            });
            let asked = |number: &RunNumber| {
                sweep.runs.get(*number).is_some_and(|run| {
                    run.attempts
                        .last()
                        .is_some_and(|owner| owner.stop.is_some())
                })
            };
            found.must(sweep.index.live.iter().all(asked), "I6", || {
                format!("sweep {id} is cancelled, but a live attempt was not asked to end")
            });
        }
    }
    found.must(
        !sweep.state.is_terminal() || !sweep.reason.is_empty(),
        "I6",
        || format!("sweep {id} is {} for no reason", sweep.state),
    );
}
