//! Failure × blame × history → verdict.

use crate::event::RetryCause;
use crate::spec::RetryPolicy;
use crate::state::{Blame, Failure, FailureKind, Retries};

/// What becomes of a run after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Back into the queue; `None` uses up no retry.
    Requeue(Option<RetryCause>),
    /// It has failed for good.
    Fail,
}

/// Judges a failed attempt.
///
/// | failure | verdict |
/// |---|---|
/// | preempted | again, as often as it happens |
/// | lost, or the machine is to blame | again, `retry.lost` times |
/// | crashed, killed by a signal | again, `retry.crashed` times |
/// | CUDA out of memory, no or no finite objective, or a start that the configuration prevents | never: it would happen again |
pub fn judge(policy: RetryPolicy, retries: Retries, failure: &Failure) -> Verdict {
    let within = |used: u32, allowed: u32, cause| if used < allowed { Verdict::Requeue(Some(cause)) } else { Verdict::Fail };
    match (failure.kind, failure.blame) {
        (FailureKind::Preempted, _) => Verdict::Requeue(None),
        (FailureKind::Lost, _) | (_, Blame::Machine) => within(retries.lost, policy.lost, RetryCause::Lost),
        (FailureKind::CouldNotStart, Blame::Nobody) => within(retries.lost, policy.lost, RetryCause::Lost),
        (FailureKind::Crashed | FailureKind::Signal, _) => within(retries.crashed, policy.crashed, RetryCause::Crashed),
        (FailureKind::CudaOutOfMemory | FailureKind::NanObjective | FailureKind::NoMetric | FailureKind::CouldNotStart, _) => Verdict::Fail,
    }
}

/// Returns whether the next attempt should be on another agent, if there is one.
pub fn avoids_agent(failure: &Failure) -> bool {
    !matches!(failure.kind, FailureKind::Preempted | FailureKind::Lost)
}
