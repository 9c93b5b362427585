//! The state that the engine publishes without a request.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicU64;

use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::ControllerIdentity;
use tokio::sync::watch;

use super::changes::RowChanges;
use super::holds::WriterHolds;

/// Counters and records of the writer.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Calls that wait for a run, for tests that wait for them.
    #[cfg(test)]
    pub(super) waiting_calls: AtomicU64,
    pub(super) holds: Arc<WriterHolds>,
    pub(super) changes: Arc<RowChanges>,
}

/// The sending ends of what the engine shows without being asked.
#[derive(Debug)]
pub(super) struct Signals {
    /// Grows with every commit.
    pub(super) commits: watch::Sender<u64>,
    /// When the reaper is to call next.
    pub(super) wake: watch::Sender<Option<Mono>>,
    /// Grows when a sweep needs suggestions.
    pub(super) needs_suggestions: watch::Sender<u64>,
    /// Changes with the epoch.
    pub(super) identity: watch::Sender<ControllerIdentity>,
    pub(super) figures: Arc<Figures>,
}

impl Signals {
    pub(super) fn new() -> (
        Self,
        watch::Receiver<u64>,
        watch::Receiver<Option<Mono>>,
        watch::Receiver<u64>,
    ) {
        let (commits, commits_seen) = watch::channel(0);
        let (wake, wake_seen) = watch::channel(None);
        let (needs_suggestions, needs_seen) = watch::channel(0);
        let identity = watch::Sender::default();
        (
            Self {
                commits,
                wake,
                needs_suggestions,
                identity,
                figures: Arc::default(),
            },
            commits_seen,
            wake_seen,
            needs_seen,
        )
    }
}
