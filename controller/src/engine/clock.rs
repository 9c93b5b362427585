//! Where the engine's time comes from, so that tests can drive it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::Timestamp;

/// How often the clock is read while a lease runs.
pub(crate) const PULSE: Duration = Duration::from_millis(500);
/// A clock that was not read for this long stood still with its process.
const STANDSTILL: Duration = Duration::from_millis(1500);

/// The engine's two clocks.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the time since the clock started: never goes back, and every decision about leases rests on it.
    fn now(&self) -> Mono;
    /// Returns what a clock on the wall shows: for people, never for a decision.
    fn wall(&self) -> Timestamp;
}

/// The clocks of this machine. While the process stands still (SIGSTOP, a suspended machine, a debugger) no time passes: what agents have said
/// meanwhile lies unread, and their silence is none.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    seen: Mutex<ClockReading>,
}

#[derive(Debug, Default)]
struct ClockReading {
    /// When somebody last looked, by the machine's clock.
    last: Duration,
    /// How long the process has stood still.
    still: Duration,
}

impl ClockReading {
    fn look(&mut self, elapsed: Duration) -> Mono {
        let since = elapsed.saturating_sub(self.last);
        if since > STANDSTILL {
            self.still += since;
        }
        self.last = self.last.max(elapsed);
        elapsed.saturating_sub(self.still)
    }
}

impl SystemClock {
    /// Starts the clock.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            seen: Mutex::default(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Mono {
        // Two numbers cannot be left half-changed by a panic elsewhere.
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .look(self.started.elapsed())
    }

    fn wall(&self) -> Timestamp {
        wall_time()
    }
}

/// Returns what the clock of this machine shows: for people, never for a decision.
pub(crate) fn wall_time() -> Timestamp {
    // A clock before 1970 is shown as 1970.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A clock that stands still until it is told to run.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct ManualClock(Mutex<Mono>);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_passes_while_the_process_stands_still() {
        let at = |ms| Duration::from_millis(ms);
        let mut seen = ClockReading::default();
        let looks = [500, 1000, 2400, 60_000, 60_500].map(|ms| seen.look(at(ms)));
        assert_eq!(looks, [500, 1000, 2400, 2400, 2900].map(at));
    }
}
