//! Output for CI systems: the gate (`--fail-if`), JUnit, a Markdown report, an exit code.
//!
//! Pure functions over the messages of `sweep.v1`; files and the terminal are the caller's.

pub(crate) mod compare;
pub(crate) mod gate;
pub(crate) mod junit;
mod outcome;
pub(crate) mod report;

pub(crate) use self::outcome::{CiVerdict, SweepOutcome, SweepRunEnd};
