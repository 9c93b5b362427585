//! The entry point of the search.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::observation::{CodeLine, Goal, Observation, Pending};
use crate::sampler::history::History;
use crate::sampler::{Ask, bayes, grid, random};
pub use crate::sampler::{Suggestion, Suggestions};
use crate::space::{Space, Taken};

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
    /// A program of the user chooses: nothing is suggested here.
    External,
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
    /// Points that may not be suggested again: those of all runs, in any state.
    pub taken: &'a Taken,
    /// The versions of the code, of which the last is suggested for.
    pub code: CodeLine<'a>,
    /// The number of the next run. Run *n* gets the same draw whenever it is requested.
    pub next_index: u64,
    /// How many suggestions are wanted.
    pub count: usize,
}

/// Suggests what to try next. A function of its argument alone.
pub fn suggest(request: &Request<'_>) -> Suggestions {
    let ask = Ask {
        space: request.space,
        seed: request.seed,
        taken: request.taken,
        next_index: request.next_index,
        count: request.count,
    };
    let mut found = match request.method {
        Method::Grid => grid::suggest(&ask),
        Method::Random => random::suggest(&ask),
        Method::Bayes => {
            let Request {
                goal,
                observations,
                pending,
                code,
                ..
            } = *request;
            let history = History {
                goal,
                observations,
                pending,
                code,
            };
            bayes::suggest(&ask, &history)
        }
        Method::External => Suggestions::default(),
    };
    for suggestion in &mut found.suggestions {
        suggestion.why.observations = request.observations.len() as u64;
        suggestion.why.pending = request.pending.len() as u64;
    }
    found
}
