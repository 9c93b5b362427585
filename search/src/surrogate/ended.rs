//! The runs that have ended, as the models use them.

use super::divergence::divergence_limit;
use super::line::Groups;
use crate::observation::{CodeLine, Goal, Observation, Outcome};
use crate::space::unit_cube::UnitCube;

/// The most observations that the models use, since their cost grows with the cube of the number:
/// the best half and an even choice of the rest.
pub const OBSERVATIONS_MAX: usize = 400;

/// A run that has ended, as the models use it.
#[derive(Clone, Debug)]
pub(super) struct EndedRuns<'a> {
    pub(super) observation: &'a Observation,
    pub(super) point: Vec<f64>,
    /// Turned so that small is good; `None` for failures, values that are no numbers and those of
    /// runs that diverged.
    pub(super) value: Option<f64>,
    /// The standard deviation of a value that was predicted and not measured.
    pub(super) deviation: f64,
    /// Whether it violates no constraint, as far as is known, and is of the newest code that has
    /// values.
    pub(super) counts: bool,
    /// Which version of the code it is of.
    pub(super) group: usize,
}

impl EndedRuns<'_> {
    /// Returns whether its value was measured, or is as certain.
    pub(super) fn is_result(&self) -> bool {
        matches!(self.observation.outcome, Outcome::Value(_))
            || (self.value.is_some() && self.deviation == 0.0)
    }
}

/// Returns `max` of `count` places, all if they are no more: the first half of `max`, and an even
/// choice of the rest.
pub(super) fn thinned(count: usize, max: usize) -> Vec<usize> {
    if count <= max {
        return (0..count).collect();
    }
    let (first, rest) = (max / 2, max - max / 2);
    (0..first)
        .chain((0..rest).map(|place| first + place * (count - first) / rest))
        .collect()
}

/// Returns the versions of the code that the models tell apart.
pub(super) fn groups<'a>(line: CodeLine<'a>, observations: &[Observation]) -> Groups<'a> {
    let valued = observations
        .iter()
        .filter(|seen| !matches!(seen.outcome, Outcome::Failed));
    Groups::new(line, valued.map(|seen| seen.code_version.as_str()))
}

/// Returns the runs that have ended: the best of the newest code first, then those that violate a
/// constraint, failures, and the same of older code. Of more than `OBSERVATIONS_MAX`, the better
/// half and an even choice of the rest.
pub(super) fn ended<'a>(
    cube: &UnitCube<'_>,
    goal: Goal,
    observations: &'a [Observation],
    groups: &Groups<'_>,
) -> Vec<EndedRuns<'a>> {
    let value = |outcome: &Outcome| {
        outcome
            .value()
            .map(|value| goal.minimized(value))
            .filter(|value| value.is_finite())
    };
    let of = |seen: &'a Observation| EndedRuns {
        observation: seen,
        point: Vec::new(),
        value: value(&seen.outcome),
        deviation: seen.outcome.deviation().min(f64::MAX),
        counts: seen.keeps_known_constraints() && !seen.outside,
        group: groups.of(&seen.code_version),
    };
    let mut order: Vec<EndedRuns<'_>> = observations.iter().map(of).collect();
    for group in 0..=groups.changes() {
        let values: Vec<f64> = order
            .iter()
            .filter(|ended| ended.group == group)
            .filter_map(|ended| ended.value)
            .collect();
        let limit = divergence_limit(&values);
        order
            .iter_mut()
            .filter(|ended| ended.group == group)
            .for_each(|ended| ended.value = ended.value.filter(|value| *value <= limit));
    }
    // In a space that was moved to an untried region, the runs beside it are the only evidence.
    if !order
        .iter()
        .any(|ended| ended.value.is_some() && ended.counts)
    {
        order
            .iter_mut()
            .for_each(|ended| ended.counts = ended.observation.keeps_known_constraints());
    }
    let newest = order
        .iter()
        .filter(|ended| ended.value.is_some())
        .map(|ended| ended.group)
        .max()
        .unwrap_or(0);
    order.sort_by(|a, b| {
        // A prediction ranks by the value that it is likely not to exceed.
        let value = |ended: &EndedRuns<'_>| {
            ended
                .value
                .map_or(f64::INFINITY, |value| value + ended.deviation)
        };
        (a.group < newest)
            .cmp(&(b.group < newest))
            .then((!a.counts).cmp(&!b.counts))
            .then(value(a).total_cmp(&value(b)))
    });
    let chosen = thinned(order.len(), OBSERVATIONS_MAX)
        .into_iter()
        .map(|place| order[place].clone());
    chosen
        .map(|ended| EndedRuns {
            point: cube.point_of(&ended.observation.config),
            counts: ended.counts && ended.group >= newest,
            ..ended
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_the_best_half_and_some_of_the_rest_are_chosen() {
        assert_eq!(thinned(3, 5), [0, 1, 2]);
        assert_eq!(thinned(10, 4), [0, 1, 2, 6]);
        assert_eq!(thinned(1000, 10).len(), 10);
    }
}
