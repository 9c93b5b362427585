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
    getrandom::u64().expect("every supported system gives random bytes once it has booted")
}
