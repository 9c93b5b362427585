//! The samplers.

pub(crate) mod bayes;
mod floor;
pub(crate) mod grid;
pub(crate) mod history;
pub(crate) mod model;
mod parzen;
mod probes;
pub(crate) mod random;
pub(crate) mod sobol;
mod start_up;

use serde::{Deserialize, Serialize};

use crate::space::{Config, Space, Taken};
use crate::why::Why;

/// The part of a request that every sampler uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) space: &'a Space,
    pub(crate) seed: u64,
    /// Points that may not be suggested.
    pub(crate) taken: &'a Taken,
    /// The number of the run that the first suggestion is for.
    pub(crate) next_index: u64,
    pub(crate) count: usize,
}

/// A configuration to try, and why. One of kind [`Probe`](crate::why::Kind::Probe) was tried
/// before, with older code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The configuration.
    pub config: Config,
    /// Why.
    pub why: Why,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestions {
    /// At most as many as were asked for, all distinct, none taken.
    pub suggestions: Vec<Suggestion>,
    /// Nothing is left to try once these have been tried.
    pub exhausted: bool,
}
