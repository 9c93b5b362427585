//! The past of a sweep, as the Bayesian sampler uses it.

use super::Suggestion;
use crate::observation::{CodeLine, Goal, Observation, Pending};
use crate::space::unit_cube::UnitCube;
use crate::tuning::{ACQUISITION, TRANSFER};

/// The past observations that the sampler uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History<'a> {
    pub(crate) goal: Goal,
    pub(crate) observations: &'a [Observation],
    pub(crate) pending: &'a [Pending],
    pub(crate) code: CodeLine<'a>,
}

impl History<'_> {
    pub(super) fn is_newest(&self, code_version: &str) -> bool {
        self.code.place(code_version) == self.code.newest()
    }

    /// Returns whether the n-th suggestion from now ignores older code. Older results lead back to
    /// the old optimum, and the new one may be elsewhere. Since every other suggestion is one that
    /// a new search would make, old results never cost more than twice the runs.
    pub(super) fn looks_alone(&self, made: usize) -> bool {
        let newest = self.newest() + made;
        self.code.newest() > 0 && newest > TRANSFER.alone_from && newest % 2 == 1
    }

    /// Returns the number of results of the newest code.
    pub(super) fn newest_results(&self) -> u64 {
        let newest = self.observations.iter();
        newest
            .filter(|seen| self.is_newest(&seen.code_version))
            .count() as u64
    }

    /// Returns the exploration weight of the n-th suggestion from now. With many results of older
    /// code, a model is certain of much that is no longer true, and refines the old optimum.
    pub(super) fn exploration_weight(&self, made: usize) -> f64 {
        let newest = self.newest() + made;
        let explores_more = self.code.newest() > 0
            && newest > TRANSFER.alone_from
            && newest % TRANSFER.explore_every == 2;
        if explores_more {
            ACQUISITION.exploration_weight_after_change
        } else {
            ACQUISITION.exploration_weight
        }
    }

    /// Returns whether the rules apply that depend on the models. Versions of the code have their
    /// own rules for exploration, and in a space without results an improvement may be impossible.
    pub(super) fn explores(&self) -> bool {
        self.code.newest() == 0
            && self
                .observations
                .iter()
                .any(|seen| !seen.outside && seen.outcome.value().is_some())
    }

    /// Returns the points of all runs: ended, in progress, or only suggested.
    pub(super) fn tried(&self, cube: &UnitCube<'_>, suggested: &[Suggestion]) -> Vec<Vec<f64>> {
        let known = self
            .observations
            .iter()
            .map(|seen| &seen.config)
            .chain(self.pending.iter().map(|pending| &pending.config));
        known
            .chain(suggested.iter().map(|suggestion| &suggestion.config))
            .map(|config| cube.point_of(config))
            .collect()
    }

    /// Returns the number of runs of the newest code.
    pub(super) fn newest(&self) -> usize {
        let seen = self
            .observations
            .iter()
            .filter(|seen| self.is_newest(&seen.code_version))
            .count();
        seen + self
            .pending
            .iter()
            .filter(|pending| self.is_newest(&pending.code_version))
            .count()
    }
}
