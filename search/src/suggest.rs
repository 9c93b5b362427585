//! The one door: what to try next.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::observation::{Goal, Observation, Pending};
use crate::space::{Config, PointKey, Space};

/// How the search chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Every point once, in W&B's order.
    Grid,
    /// Independent draws.
    Random,
    /// A Gaussian process.
    Bayes,
}

/// All that a suggestion depends on.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Where to search.
    pub space: &'a Space,
    /// How to search.
    pub method: Method,
    /// Which values are good.
    pub goal: Goal,
    /// The sweep's seed.
    pub seed: u64,
    /// Runs that have ended, by index.
    pub observations: &'a [Observation],
    /// Runs that have not ended, by index.
    pub pending: &'a [Pending],
    /// Points that may not be suggested again: every run's, whatever became of it.
    pub taken: &'a BTreeSet<PointKey>,
    /// The number of the next run: run *n* draws the same whatever the timing.
    pub next_index: u64,
    /// How many suggestions are wanted.
    pub count: usize,
}

/// A configuration to try, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// What to try.
    pub config: Config,
    /// Why, in words that a person understands: `grid point 3`, `random draw`, `start-up point 2 of 6 (Sobol)`,
    /// `expected improvement 0.02 over 0.31, predicted 0.30 ± 0.04`.
    pub reason: String,
    /// Predicted mean and standard deviation of the objective, where there is a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<(f64, f64)>,
}

/// What [`suggest`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestions {
    /// At most as many as were asked for, all distinct, none taken.
    pub suggestions: Vec<Suggestion>,
    /// Nothing is left to try once these have been tried.
    pub exhausted: bool,
}

/// Suggests what to try next. A function of its argument alone.
pub fn suggest(request: &Request<'_>) -> Suggestions {
    let _ = request;
    Suggestions::default()
}
