//! The input of the search, and its results.

use std::sync::Arc;

use sweep_lifecycle::observe;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{Sweep, SweepId};
use sweep_search::observation::{Observation, Pending};
use sweep_search::space::Taken;
use sweep_search::suggest::{Method, Suggestion};

/// A snapshot of a sweep that needs suggestions.
#[derive(Clone, Debug)]
pub struct Need {
    /// The sweep.
    pub sweep: SweepId,
    /// The spec of its file.
    pub spec: Arc<SweepSpec>,
    /// The seed of its search.
    pub seed: u64,
    /// Runs that have ended, where the search learns from them.
    pub observations: Vec<Observation>,
    /// Runs that have not, likewise.
    pub pending: Vec<Pending>,
    /// The points of all runs.
    pub taken: Taken,
    /// The versions of the code, the oldest first.
    pub code: Vec<String>,
    /// The number of the next point.
    pub next_index: u64,
    /// How many suggestions are wanted.
    pub count: usize,
    /// The sweep's `history`.
    pub history: u64,
    /// How many observations the engine had seen of this sweep since it started.
    pub observed: u64,
}

/// The facts that all runs of a sweep share.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepContext {
    /// The spec of its file.
    pub spec: Arc<SweepSpec>,
    /// The seed of its search.
    pub seed: u64,
    /// Whether they execute code that it names.
    pub pinned: bool,
}

impl SweepContext {
    /// Returns what the runs of a revision have in common.
    pub(super) fn of(sweep: &Sweep, revision: u32) -> Self {
        Self {
            spec: Arc::clone(sweep.spec_of(revision)),
            seed: sweep.seed,
            pinned: sweep.code.pinned.is_some(),
        }
    }
}

/// The results of a sweep so far, for queries.
#[derive(Clone, Debug)]
pub struct Results {
    /// The spec of its file.
    pub spec: Arc<SweepSpec>,
    /// The seed of its search.
    pub seed: u64,
    /// Runs that have ended.
    pub observations: Vec<Observation>,
    /// The versions of the code, the oldest first.
    pub code: Vec<String>,
    /// The run with the best value.
    pub best: Option<Best>,
    /// How many runs have ended, and how many of them the search learns from.
    pub ended: u64,
    /// See [`Results::ended`].
    pub learnt: u64,
}

/// The run with the best value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Its number; of repeats the first.
    pub run: u64,
    /// Its value.
    pub value: f64,
    /// Whether it was stopped early.
    pub is_stopped: bool,
}

/// The result of the search for a [`Need`].
#[derive(Clone, Debug)]
pub struct Computed {
    /// The sweep.
    pub sweep: SweepId,
    /// From the need.
    pub next_index: u64,
    /// From the need.
    pub history: u64,
    /// From the need.
    pub observed: u64,
    /// The suggestions, in the order of the points' numbers from `next_index` on.
    pub suggestions: Vec<Suggestion>,
    /// Nothing is left to try once these have been tried.
    pub exhausted: bool,
}

impl Need {
    /// Grid points and random draws rest on no results, so none are copied.
    pub(super) fn of(id: &SweepId, sweep: &Sweep, count: usize, observed: u64) -> Self {
        let is_bayes = sweep.spec.method == Method::Bayes;
        Self {
            sweep: id.clone(),
            spec: Arc::clone(&sweep.spec),
            seed: sweep.seed,
            observations: if is_bayes {
                observe::observations_to_suggest_from(sweep)
            } else {
                Vec::new()
            },
            pending: if is_bayes {
                observe::pending(sweep)
            } else {
                Vec::new()
            },
            taken: sweep.index.points.keys.clone(),
            code: if is_bayes {
                observe::code_line(sweep)
            } else {
                Vec::new()
            },
            next_index: next_point(sweep),
            count,
            history: sweep.history,
            observed,
        }
    }
}

/// Returns the number that the next point of a sweep will have; where nothing is repeated, it is that of the next run.
pub(super) fn next_point(sweep: &Sweep) -> u64 {
    sweep.index.points.keys.len() as u64 + 1
}
