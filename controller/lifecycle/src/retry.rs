//! Failure × blame × history → verdict.

use crate::event::RetryCause;
use crate::spec::RetryPolicy;
use crate::state::{Failure, Retries};

/// What becomes of a run after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Back into the queue; `None` uses up no retry.
    Requeue(Option<RetryCause>),
    /// It has failed for good.
    Fail,
}

/// Judges a failed attempt.
pub fn judge(policy: RetryPolicy, retries: Retries, failure: &Failure) -> Verdict {
    let _ = (policy, retries, failure);
    Verdict::Fail
}
