//! When to stop a run early.

mod hyperband;

pub use hyperband::{Bands, Hyperband};
