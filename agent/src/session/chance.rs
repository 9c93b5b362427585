//! Ids and jitter.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns a new id of 32 hexadecimal digits.
pub(super) fn id() -> String {
    format!("{:016x}{:016x}", bits(), bits())
}

/// Returns a new id for a request, which begins with the time as a UUID of version 7 does (RFC
/// 9562). Replies are kept by these ids, so those that are recorded together are close to each
/// other on the controller's disk.
pub(super) fn request_id() -> String {
    format!(
        "{:012x}{:016x}{:04x}",
        milliseconds() & 0xffff_ffff_ffff,
        bits(),
        bits() & 0xffff
    )
}

fn milliseconds() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(bits) = seeded::bits() {
        return bits;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// Returns a number from 0 to 1.
pub(super) fn fraction() -> f64 {
    (bits() >> 11) as f64 / (1u64 << 53) as f64
}

fn bits() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(bits) = seeded::bits() {
        return bits;
    }
    getrandom::u64().expect("every supported system gives random bytes once it has booted")
}

/// The same chance each time, for simulations: all their agents share a thread.
#[cfg(feature = "simulation")]
pub(crate) mod seeded {
    use std::cell::Cell;

    std::thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Makes everything that this thread draws from now on follow from a seed.
    pub(crate) fn seed(seed: u64) {
        STATE.set(Some(seed));
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    pub(super) fn bits() -> Option<u64> {
        let state = STATE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests_are_ordered_by_their_time_and_differ() {
        let first: Vec<String> = (0..100).map(|_| request_id()).collect();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let later = request_id();
        assert!(first.iter().all(|id| id.len() == 32 && *id < later));
        assert_eq!(
            first
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            first.len()
        );
    }
}
