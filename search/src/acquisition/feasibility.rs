//! The probability that a point gives a value that counts: the run does not fail, and violates no
//! constraint.

use std::sync::Arc;

use super::log_ei::{log_normal_cdf, log_normal_density};
use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::likelihood::Evidence;
use crate::gp::posterior::{ObservedPoints, Posterior};
use crate::tuning::ACQUISITION;

/// The labels of failed and of successful runs in the model of failures. Its threshold is zero.
const FAILED: f64 = 1.0;
const ENDED: f64 = -1.0;
/// Below this log probability all points count as equally bad.
const LOG_MIN: f64 = -27.6;

/// Models of failures and of constraints, separate from that of the values. A failure that counted
/// as a bad value would distort the model of the values all around, and the best values are often
/// close to failures.
#[derive(Clone, Debug)]
pub(crate) struct Feasibility(Vec<Hazard>);

/// A failure or the violation of a constraint: it happens where a function is above zero.
#[derive(Clone, Debug)]
struct Hazard {
    model: Posterior,
    /// The prior mean of the function.
    believed: f64,
    /// The standard deviation of the blurred threshold.
    blur: f64,
}

impl Feasibility {
    /// Learns from the points, from whether the run failed at each, and from the violation of each
    /// constraint where it is known. Returns `None` where nothing failed. Points that failed with
    /// older code may succeed now; this is learnt as for values.
    pub(crate) fn new(
        geometry: &Arc<Geometry>,
        seen: &ObservedPoints,
        failed: &[bool],
        violations: &[Vec<Option<f64>>],
    ) -> Option<Self> {
        let mut hazards = Vec::new();
        if failed.contains(&true) {
            let labels = failed
                .iter()
                .map(|failed| if *failed { FAILED } else { ENDED });
            let seen = ObservedPoints {
                z: labels
                    .map(|label| label - ACQUISITION.failure_mean)
                    .collect(),
                ..seen.clone()
            };
            hazards.extend(Hazard::new(
                geometry,
                seen,
                ACQUISITION.failure_mean,
                ACQUISITION.failure_blur,
            ));
        }
        let constraints = violations.iter().map(Vec::len).max().unwrap_or(0);
        for constraint in 0..constraints {
            let finite = |violations: &Vec<Option<f64>>| {
                violations
                    .get(constraint)
                    .copied()
                    .flatten()
                    .filter(|violation| violation.is_finite())
            };
            let known: Vec<(usize, f64)> = violations
                .iter()
                .enumerate()
                .filter_map(|(place, own)| Some((place, finite(own)?)))
                .collect();
            if known.iter().any(|(_, violation)| *violation > 0.0) {
                let z = standardised(known.iter().map(|(_, violation)| *violation).collect());
                let x = known
                    .iter()
                    .map(|(place, _)| seen.x[*place].clone())
                    .collect();
                let versions = known
                    .iter()
                    .map(|(place, _)| seen.versions[*place])
                    .collect();
                let seen = ObservedPoints {
                    versions,
                    changes: seen.changes,
                    ..ObservedPoints::once(x, z)
                };
                hazards.extend(Hazard::new(geometry, seen, 0.0, ACQUISITION.violation_blur));
            }
        }
        (!hazards.is_empty()).then_some(Self(hazards))
    }

    /// Returns the logarithm of the probability that nothing goes wrong at each point.
    pub(crate) fn log_probabilities(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let mut logs = vec![0.0; points.len()];
        for hazard in &self.0 {
            for (log, (mean, deviation)) in logs.iter_mut().zip(hazard.model.predict(points)) {
                *log += hazard.log_probability(mean, deviation);
            }
        }
        logs
    }

    /// Returns that logarithm at one point, and its gradient.
    pub(crate) fn slope(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let mut log = 0.0;
        let mut gradient = vec![0.0; point.len()];
        for hazard in &self.0 {
            let slope = hazard.model.slope(point);
            let deviation = slope.deviation.hypot(hazard.blur);
            let z = -(slope.mean + hazard.believed) / deviation;
            let own = hazard.log_probability(slope.mean, slope.deviation);
            log += own;
            if own <= LOG_MIN {
                continue;
            }
            let rate = (log_normal_density(z) - own).exp() / deviation;
            for (j, gradient) in gradient.iter_mut().enumerate() {
                let widening = slope.deviation_slope[j] * slope.deviation / deviation;
                *gradient += rate * (-slope.mean_slope[j] - z * widening);
            }
        }
        (log, gradient)
    }
}

impl Hazard {
    fn new(
        geometry: &Arc<Geometry>,
        seen: ObservedPoints,
        believed: f64,
        blur: f64,
    ) -> Option<Self> {
        let theta = fit(&Evidence::new(geometry, &seen), &seen.z);
        let model = Posterior::new(Arc::clone(geometry), &theta, &seen)?;
        Some(Self {
            model,
            believed,
            blur,
        })
    }

    fn log_probability(&self, mean: f64, deviation: f64) -> f64 {
        log_normal_cdf(-(mean + self.believed) / deviation.hypot(self.blur)).max(LOG_MIN)
    }
}

/// Divides violations by their root mean square and compresses those far from the threshold. Zero
/// stays zero.
fn standardised(violations: Vec<f64>) -> Vec<f64> {
    let largest = violations
        .iter()
        .fold(0.0f64, |largest, violation| largest.max(violation.abs()))
        .max(f64::MIN_POSITIVE);
    let square = violations
        .iter()
        .map(|violation| (violation / largest).powi(2))
        .sum::<f64>()
        / violations.len() as f64;
    let scale = square.sqrt().max(f64::MIN_POSITIVE);
    violations
        .into_iter()
        .map(|violation| (violation / largest / scale).asinh())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gp::kernel::Coordinate;

    fn line() -> (Arc<Geometry>, ObservedPoints) {
        let x = (0..20).map(|place| vec![f64::from(place) / 20.0]).collect();
        (
            Arc::new(Geometry(vec![Coordinate::Ordered])),
            ObservedPoints::once(x, Vec::new()),
        )
    }

    #[test]
    fn points_among_failures_are_likely_to_fail() {
        let (geometry, seen) = line();
        let failed: Vec<bool> = seen.x.iter().map(|x| x[0] > 0.6).collect();
        let model = Feasibility::new(&geometry, &seen, &failed, &[]).unwrap();
        let log = model.log_probabilities(&[vec![0.2], vec![0.58], vec![0.9]]);
        assert!(
            log[0] > -0.1 && log[2] < -2.0 && log[2] < log[1] && log[1] < log[0],
            "{log:?}"
        );
        assert!(Feasibility::new(&geometry, &seen, &[false; 20], &[]).is_none());
    }

    #[test]
    fn a_constraint_is_learnt_from_by_how_much_it_was_violated() {
        let (geometry, seen) = line();
        let violations: Vec<_> = seen
            .x
            .iter()
            .map(|x| vec![Some(-1.0), (x[0] < 0.5).then_some(40.0 * x[0] - 10.0)])
            .collect();
        let model = Feasibility::new(&geometry, &seen, &[false; 20], &violations).unwrap();
        let log = model.log_probabilities(&[vec![0.22], vec![0.28]]);
        assert!(
            log[0] > -0.1 && log[1] < -1.0,
            "the edge is at 0.25: {log:?}"
        );
        let (at, slope) = model.slope(&[0.252]);
        let around = model.log_probabilities(&[vec![0.252], vec![0.252 + 1e-6]]);
        assert!(
            (at - around[0]).abs() < 1e-9
                && (slope[0] - (around[1] - around[0]) / 1e-6).abs() < 1e-2 * slope[0].abs(),
            "{slope:?}"
        );
    }
}
