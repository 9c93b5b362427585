//! Failure × blame × history → verdict.

use crate::event::RetryCause;
use crate::spec::RetryPolicy;
use crate::state::{Blame, Failure, FailureKind, Retries};

/// The decision on a run after a failed attempt.
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
/// | lost | again, `retry.lost` times |
/// | the attribution is machine, or external, or a party that only a newer version knows | again, `retry.machine` times, elsewhere if there is another agent |
/// | crashed, ended by a signal, out of memory, silent, or a kind that only a newer version knows | again, `retry.crashed` times, elsewhere if there is another agent |
/// | the command line is to blame | never: it would happen again |
/// | CUDA out of memory, no or no finite objective, too long, or a start that the configuration prevents | never: it would happen again |
pub fn judge(policy: RetryPolicy, retries: Retries, failure: &Failure) -> Verdict {
    let within = |used: u32, allowed: u32, cause| {
        if used < allowed {
            Verdict::Requeue(Some(cause))
        } else {
            Verdict::Fail
        }
    };
    match (failure.kind, failure.blame) {
        (FailureKind::Preempted, _) => Verdict::Requeue(None),
        (FailureKind::Lost, _) => within(retries.lost, policy.lost, RetryCause::Lost),
        (_, Blame::Machine | Blame::External | Blame::Other(_)) => {
            within(retries.machine, policy.machine, RetryCause::Machine)
        }
        (_, Blame::CommandLine) => Verdict::Fail,
        (kind, Blame::Configuration) if happens_again(kind) => Verdict::Fail,
        (_, Blame::Configuration) => within(retries.crashed, policy.crashed, RetryCause::Crashed),
    }
}

// As long as it is the configuration's fault.
fn happens_again(kind: FailureKind) -> bool {
    match kind {
        FailureKind::CudaOutOfMemory
        | FailureKind::Usage
        | FailureKind::NanObjective
        | FailureKind::NoMetric
        | FailureKind::CouldNotStart
        | FailureKind::MaxRuntime => true,
        FailureKind::Crashed
        | FailureKind::Signal
        | FailureKind::OutOfMemory
        | FailureKind::Nccl
        | FailureKind::Preflight
        | FailureKind::MaxSilence
        | FailureKind::Lost
        | FailureKind::Preempted
        | FailureKind::Other(_) => false,
    }
}

/// Returns whether the next attempt should be on another agent, if there is one.
pub fn avoids_agent(failure: &Failure) -> bool {
    !matches!(failure.kind, FailureKind::Preempted | FailureKind::Lost)
}
