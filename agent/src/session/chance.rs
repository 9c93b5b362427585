//! Ids and jitter.

/// Returns a new id of 32 hexadecimal digits.
pub(super) fn id() -> String {
    format!("{:016x}{:016x}", bits(), bits())
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
