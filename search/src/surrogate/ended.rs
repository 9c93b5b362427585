//! What has ended, as the models see it.

use crate::observation::{Observation, Outcome};

/// What has ended, as the models see it.
#[derive(Clone, Debug)]
pub(super) struct EndedRuns<'a> {
    pub(super) observation: &'a Observation,
    pub(super) point: Vec<f64>,
    /// Turned so that small is good; `None` for failures, values that are no numbers and those of runs that diverged.
    pub(super) value: Option<f64>,
    /// The standard deviation of a value that was predicted and not measured.
    pub(super) deviation: f64,
    /// Whether it violates no constraint, as far as is known, and is of the newest code that has values.
    pub(super) counts: bool,
    /// Which version of the code it is of.
    pub(super) group: usize,
}

impl EndedRuns<'_> {
    /// Whether it was measured, or counts as if it were.
    pub(super) fn is_result(&self) -> bool {
        matches!(self.observation.outcome, Outcome::Value(_))
            || (self.value.is_some() && self.deviation == 0.0)
    }
}

/// Returns `max` of `count` places, all if they are no more: the first half of `max`, and an even choice of the rest.
pub(super) fn thinned(count: usize, max: usize) -> Vec<usize> {
    if count <= max {
        return (0..count).collect();
    }
    let (first, rest) = (max / 2, max - max / 2);
    (0..first)
        .chain((0..rest).map(|place| first + place * (count - first) / rest))
        .collect()
}
