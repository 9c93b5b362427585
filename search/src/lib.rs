//! The search: suggests configurations, stops runs early, analyses results.
//!
//! A pure crate: numbers and a seed in, suggestions out. It knows no clock, no file, no environment
//! and no thread, and its results depend on nothing but its arguments. [`suggest`] is the one door
//! for sampling, [`early_stop`] for stopping, [`analysis`] for what a sweep has shown.
//!
//! Modules import rightwards only: `bench, suggest, analysis → sampler → surrogate → acquisition,
//! early_stop → gp, observation → space, tuning, why`.

mod acquisition;
pub mod analysis;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
pub mod early_stop;
mod gp;
pub mod observation;
mod sampler;
pub mod space;
pub mod suggest;
mod surrogate;
mod tuning;
pub mod why;
