//! I5 to I7 for one run: its end, its value and its retries fit its state.

use super::violations::Violations;
use crate::inits;
use crate::spec::RetryPolicy;
use crate::state::{Retries, Run, RunState, Sweep};

pub(super) fn check(found: &mut Violations, name: &str, sweep: &Sweep, run: &Run) {
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
    let gone = !run.point.withdrawn || run.state == RunState::Cancelled;
    found.must(gone, "I3", || {
        format!(
            "{name} is {} although it was withdrawn: its point may be tried by another run",
            run.state
        )
    });
    check_retries(found, name, sweep, run);
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

fn check_retries(found: &mut Violations, name: &str, sweep: &Sweep, run: &Run) {
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
    } = run.retries.counts;
    let bounded = lost <= policy.lost && machine <= policy.machine && crashed <= policy.crashed;
    found.must(bounded, "I7", || {
        format!(
            "{name} was tried again more often than the policy says: {:?}",
            run.retries.counts
        )
    });
}
