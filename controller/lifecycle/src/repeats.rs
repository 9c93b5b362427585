//! Runs that share one point: `repeats: n` executes each point n times, and what counts is their mean.

use std::borrow::Cow;

use crate::spec::Constraint;
use crate::state::{Run, RunNumber, Sweep};

/// The results of the repeats of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean of their values.
    pub value: f64,
    /// The standard deviation of a single value (with n − 1), 0 where there is only one.
    pub deviation: f64,
    /// How many values it is the mean of.
    pub count: u32,
}

/// Returns the runs of the point that a run is the first of.
pub fn of(sweep: &Sweep, first: RunNumber) -> impl Iterator<Item = (RunNumber, Cow<'_, Run>)> {
    let numbers = (first..).take_while(move |number| sweep.runs.first_of(*number) == Some(first));
    numbers.filter_map(|number| Some((number, sweep.runs.get(number)?)))
}

/// Returns the mean of the values that there are.
pub fn mean<'a>(runs: impl Iterator<Item = &'a Run>) -> Option<Mean> {
    let values: Vec<f64> = runs.filter_map(|run| run.value).collect();
    let count = u32::try_from(values.len())
        .ok()
        .filter(|count| *count > 0)?;
    // Divided before they are summed: a sum of large values may overflow where their mean does not.
    let value = values
        .iter()
        .map(|value| value / f64::from(count))
        .sum::<f64>();
    let squares = values
        .iter()
        .map(|other| (other - value).powi(2))
        .sum::<f64>();
    let deviation = if count > 1 {
        (squares / f64::from(count - 1)).sqrt()
    } else {
        0.0
    };
    Some(Mean {
        value,
        deviation,
        count,
    })
}

/// Returns by how much a point violates each constraint, as the mean over those of its runs that say so; `None` where none does.
pub fn violations<'a>(
    runs: impl Iterator<Item = &'a Run>,
    constraints: &[Constraint],
) -> Vec<Option<f64>> {
    let each: Vec<_> = runs.map(|run| run.violations(constraints)).collect();
    let one = |constraint: usize| {
        let known: Vec<f64> = each
            .iter()
            .filter_map(|violations| violations[constraint])
            .collect();
        (!known.is_empty()).then(|| {
            known
                .iter()
                .map(|violation| violation / known.len() as f64)
                .sum()
        })
    };
    (0..constraints.len()).map(one).collect()
}

/// Returns the value by which a point is ranked: `value`, if the point is in the newest space.
pub fn ranked(sweep: &Sweep, runs: &[Cow<'_, Run>]) -> Option<f64> {
    let value = value(runs, &sweep.spec.constraints)?;
    let inside = runs
        .first()
        .is_some_and(|first| sweep.placed(first).is_some_and(|placed| !placed.outside));
    inside.then_some(value)
}

/// Returns the mean of the runs of a point, once all of them have ended, more than half of them with a value, and if no constraint is violated.
pub(crate) fn value(runs: &[Cow<'_, Run>], constraints: &[Constraint]) -> Option<f64> {
    if runs.iter().any(|run| !run.state.is_terminal()) {
        return None;
    }
    let mean =
        mean(runs.iter().map(AsRef::as_ref)).filter(|mean| 2 * mean.count as usize > runs.len())?;
    let valued = runs
        .iter()
        .map(AsRef::as_ref)
        .filter(|run| run.value.is_some());
    let keeps = violations(valued, constraints)
        .iter()
        .all(|violation| violation.is_some_and(|violation| violation <= 0.0));
    keeps.then_some(mean.value)
}

/// Returns the seed that a run's program is told: one for each run of a sweep, the same whenever the run is executed. Below 2³², which is what
/// numpy takes.
pub fn seed(sweep: u64, run: RunNumber) -> u32 {
    // The finaliser of SplitMix64: Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators.
    let mut mixed = sweep.wrapping_add(run.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 32) as u32
}
