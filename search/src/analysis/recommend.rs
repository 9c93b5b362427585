//! The recommended run.

use super::best::best;
use crate::observation::{CodeLine, Goal, Observation, Outcome};
use crate::surrogate::Surrogate;
use crate::why::Prediction;

/// Fewer values than this are ranked as they are.
const VALUES_MIN: usize = 4;

/// Expected values that differ by less than this share of their deviation are alike.
const ALIKE: f64 = 0.25;

/// The recommended run.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// The run's number.
    pub index: u64,
    /// The model's prediction for its configuration, in the objective's unit and sense. Without a
    /// model, its measured value.
    pub predicted: Prediction,
    /// Whether a model says so: otherwise it is the best value.
    pub by_model: bool,
}

/// Recommends the run with the best expected value, not the one with the luckiest draw; of several
/// that are alike in that, the best one seen. Runs that were stopped early or violate a constraint
/// are not recommended while others have values, nor those of older code while newer code has some.
pub(super) fn recommend(
    goal: Goal,
    observations: &[Observation],
    code: CodeLine<'_>,
    model: Option<&Surrogate>,
) -> Option<Recommendation> {
    let valued =
        |seen: &&Observation| seen.is_feasible() && !matches!(seen.outcome, Outcome::Failed);
    let newest = observations
        .iter()
        .filter(valued)
        .map(|seen| code.place(&seen.code_version))
        .max()
        .unwrap_or(0);
    let counts =
        |seen: &&Observation| seen.is_feasible() && code.place(&seen.code_version) == newest;
    let feasible: Vec<_> = observations.iter().filter(counts).cloned().collect();
    let luckiest = best(goal, &feasible)?;
    let ended = |index: u64| {
        feasible
            .iter()
            .any(|seen| seen.index == index && matches!(seen.outcome, Outcome::Value(_)))
    };
    let value = |index: u64| {
        let value = feasible
            .iter()
            .find(|seen| seen.index == index)
            .and_then(|seen| seen.outcome.value());
        value.map_or(f64::INFINITY, |value| goal.minimized(value))
    };
    let known = model.map(Surrogate::at_seen).unwrap_or_default();
    let candidates = || known.iter().filter(|(index, ..)| ended(*index));
    let expected = candidates()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|_| known.len() >= VALUES_MIN);
    // Among runs that the model cannot tell apart, the measured values decide.
    let as_good = |(_, mean, _): &&(u64, f64, f64)| {
        expected.is_some_and(|(_, best, deviation)| *mean <= best + ALIKE * deviation)
    };
    let chosen = candidates()
        .filter(as_good)
        .min_by(|a, b| value(a.0).total_cmp(&value(b.0)));
    match chosen {
        Some((index, mean, deviation)) => {
            let predicted = Prediction {
                mean: goal.minimized(*mean),
                deviation: *deviation,
            };
            Some(Recommendation {
                index: *index,
                predicted,
                by_model: true,
            })
        }
        None => {
            let predicted = Prediction {
                mean: luckiest.outcome.value()?,
                deviation: luckiest.outcome.deviation(),
            };
            Some(Recommendation {
                index: luckiest.index,
                predicted,
                by_model: false,
            })
        }
    }
}
