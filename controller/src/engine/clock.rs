//! Where the engine's time comes from, so that tests can drive it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::Timestamp;

/// The engine's two clocks.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the time since the clock started: never goes back, and every decision about leases rests on it.
    fn now(&self) -> Mono;
    /// Returns what a clock on the wall shows: for people, never for a decision.
    fn wall(&self) -> Timestamp;
}

/// The clocks of this machine.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the clock.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Mono {
        self.started.elapsed()
    }

    fn wall(&self) -> Timestamp {
        // A clock before 1970 is shown as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is told to go on.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct ManualClock(std::sync::Mutex<Mono>);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn advance(&self, by: std::time::Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Mono {
        *self.0.lock().unwrap()
    }

    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + i64::try_from(self.now().as_millis()).unwrap())
    }
}
