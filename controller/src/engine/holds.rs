//! How long requests hold the writer: while it serves one, all others wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in milliseconds.
pub const HOLD_BUCKETS_MS: [u64; 9] = [1, 2, 5, 10, 25, 50, 100, 250, 1000];

/// No request should hold the writer for longer.
const HOLD_MAX: Duration = Duration::from_millis(100);

/// The counts of [`WriterHolds`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HoldCounts {
    /// Holds by the bounds of [`HOLD_BUCKETS_MS`], each without those of the buckets below; the last one has no bound.
    pub buckets: [u64; HOLD_BUCKETS_MS.len() + 1],
    /// The sum of all holds, in seconds.
    pub seconds: f64,
}

/// A histogram of how long the writer was held.
#[derive(Debug, Default)]
pub struct WriterHolds {
    /// By the bounds of [`HOLD_BUCKETS_MS`], each without those of the buckets below; the last one has no bound.
    buckets: [AtomicU64; HOLD_BUCKETS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl WriterHolds {
    /// Counts a hold, and logs one that is too long. `cause`: the command that took longest of it.
    pub(super) fn record(&self, held: Duration, cause: &str) {
        let ms = held.as_micros().div_ceil(1000);
        let bucket = HOLD_BUCKETS_MS.partition_point(|bound| u128::from(*bound) < ms);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(
            u64::try_from(held.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        if held > HOLD_MAX {
            let held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
            let cause = if cause.is_empty() {
                "the commit"
            } else {
                cause
            };
            tracing::warn!(
                held_ms,
                cause,
                "the writer was held for longer than {} ms: all other requests waited",
                HOLD_MAX.as_millis()
            );
        }
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> HoldCounts {
        HoldCounts {
            buckets: self
                .buckets
                .each_ref()
                .map(|bucket| bucket.load(Ordering::Relaxed)),
            seconds: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_counted_by_their_bounds() {
        let holds = WriterHolds::default();
        for ms in [0, 1, 3, 100, 101, 5000] {
            holds.record(Duration::from_millis(ms), "");
        }
        let HoldCounts { buckets, seconds } = holds.counts();
        assert_eq!(buckets, [2, 0, 1, 0, 0, 0, 1, 1, 0, 1]);
        assert!((seconds - 5.205).abs() < 1e-9, "{seconds}");
    }
}
