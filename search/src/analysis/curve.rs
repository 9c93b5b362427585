//! The curve of the objective along a parameter, and its direction.

use crate::observation::Goal;
use crate::space::Value;

/// The least change of an informative curve, in its standard deviations.
const CLEAR: f64 = 2.0;
/// The best place belongs to an end where it is in this share of the curve.
const END: f64 = 0.2;
/// An end is clearly worse than the best place where it is so by this share of the whole movement.
const WORSE: f64 = 0.1;

/// A point of a curve of partial dependence.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// The parameter's value.
    pub value: Value,
    /// The expected value of the objective.
    pub mean: f64,
    /// How far the models are from agreeing on it: one standard deviation.
    pub deviation: f64,
}

/// Which way to go along a parameter whose values have an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The largest values are the best.
    Higher,
    /// The smallest values are the best.
    Lower,
    /// The best values lie between worse ones.
    Between,
    /// The worst values lie between better ones.
    Outside,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Higher => "higher is better",
            Self::Lower => "lower is better",
            Self::Between => "best in between",
            Self::Outside => "worst in between",
        })
    }
}

impl Direction {
    /// Reads it from a curve of partial dependence; `None` where the curve is flat, short or
    /// unclear.
    pub(super) fn of(curve: &[CurvePoint], goal: Goal) -> Option<Self> {
        let bad: Vec<f64> = curve
            .iter()
            .map(|point| goal.minimized(point.mean))
            .collect();
        let unsure =
            curve.iter().map(|point| point.deviation).sum::<f64>() / curve.len().max(1) as f64;
        let place_of = |better: fn(&f64, &f64) -> std::cmp::Ordering| {
            (0..bad.len()).min_by(|a, b| better(&bad[*a], &bad[*b]))
        };
        let (best, worst) = (place_of(f64::total_cmp)?, place_of(|a, b| b.total_cmp(a))?);
        let span = bad[worst] - bad[best];
        if bad.len() < 3 || span.is_nan() || span <= CLEAR * unsure {
            return None;
        }
        let last = bad.len() - 1;
        let is_inside = |place: usize| (END..=1.0 - END).contains(&(place as f64 / last as f64));
        let [first_worse, last_worse] = [0, last].map(|end| bad[end] - bad[best] > WORSE * span);
        let ends_are_better = [0, last]
            .iter()
            .all(|end| bad[worst] - bad[*end] > WORSE * span);
        match (first_worse, last_worse) {
            _ if is_inside(worst) && ends_are_better => Some(Self::Outside),
            (true, true) => Some(Self::Between),
            (true, false) => Some(Self::Higher),
            (false, true) => Some(Self::Lower),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(means: &[f64], deviation: f64, goal: Goal) -> Option<Direction> {
        let point = |(place, mean): (usize, &f64)| CurvePoint {
            value: Value::Int(place as i64),
            mean: *mean,
            deviation,
        };
        Direction::of(
            &means.iter().enumerate().map(point).collect::<Vec<_>>(),
            goal,
        )
    }

    #[test]
    fn the_shape_of_a_curve_says_which_way_to_go() {
        let minimized = |means: &[f64]| direction(means, 0.05, Goal::Minimize);
        assert_eq!(
            minimized(&[3.0, 2.0, 1.5, 1.0, 0.5]),
            Some(Direction::Higher)
        );
        assert_eq!(
            minimized(&[0.5, 1.0, 1.5, 2.0, 3.0]),
            Some(Direction::Lower)
        );
        assert_eq!(
            minimized(&[2.0, 1.0, 0.5, 1.0, 2.0]),
            Some(Direction::Between)
        );
        assert_eq!(
            minimized(&[0.5, 1.0, 2.0, 1.0, 0.5]),
            Some(Direction::Outside)
        );
        assert_eq!(
            direction(&[0.5, 1.0, 1.5, 2.0, 3.0], 0.05, Goal::Maximize),
            Some(Direction::Higher)
        );
    }

    #[test]
    fn what_is_flat_or_unsure_says_nothing() {
        assert_eq!(direction(&[1.0, 1.0, 1.0], 0.0, Goal::Minimize), None);
        assert_eq!(direction(&[3.0, 2.0, 1.0], 1.5, Goal::Minimize), None);
        assert_eq!(direction(&[3.0, 1.0], 0.0, Goal::Minimize), None);
        assert_eq!(direction(&[], 0.0, Goal::Minimize), None);
    }
}
