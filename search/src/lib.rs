//! What to try next.
//!
//! A pure crate: numbers and a seed in, suggestions out. It knows no clock, no file, no environment and no thread, and its
//! results depend on nothing but its arguments. [`suggest`] is the one door for sampling, [`early_stop`] for stopping.
//!
//! Modules import leftwards only: `suggest → sampler, early_stop, analysis → acquisition → gp → why, observation → space`.

mod acquisition;
pub mod analysis;
pub mod early_stop;
mod gp;
pub mod observation;
mod sampler;
pub mod space;
pub mod suggest;
pub mod why;
