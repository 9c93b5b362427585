//! A call that waits for a run.

use sweep_lifecycle::lease::Mono;

use super::assignment::{AcquireRequest, Acquired};
use super::request::Answer;

/// A call that wants a run.
pub(super) struct WaitingCall {
    pub(super) request_id: String,
    pub(super) wish: AcquireRequest,
    pub(super) until: Mono,
    /// How many observations a suggestion has to rest on, and until when one that rests on fewer is not good enough.
    pub(super) fresh: (u64, Mono),
    /// Why there is no run for it yet.
    pub(super) reason: String,
    pub(super) reply: Answer<Acquired>,
}
