//! The score of a point: the expected improvement, averaged over the draws of the hyperparameters.

use super::feasibility::Feasibility;
use super::log_ei::{log_expected_improvement, log_h, log_h_slope};
use crate::gp::posterior::Posterior;
use crate::tuning::{ACQUISITION, EFFORT};

/// One model of several, equally likely ones.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) posterior: Posterior,
    /// The lowest expected value at an observation that counts.
    pub(crate) incumbent: f64,
    /// The logarithm of the slope of the inverse warp at the best value. It makes improvements of
    /// different members comparable.
    pub(crate) log_scale: f64,
}

/// Several models of the objective, equally likely, and one of failures.
#[derive(Debug)]
pub(crate) struct Ensemble {
    /// Empty where no observation counts. The score is then the probability of success alone.
    pub(crate) members: Vec<Member>,
    pub(crate) feasibility: Option<Feasibility>,
    /// The weight of a member's deviation in a score.
    pub(crate) exploration_weight: f64,
}

impl Ensemble {
    /// Returns the score of each point: the logarithms of the expected improvement in the
    /// objective's unit and of the probability of success, added.
    pub(crate) fn scores(&self, points: &[Vec<f64>]) -> Vec<f64> {
        self.scores_by(points, 1)
    }

    /// Returns approximate scores, from some of the members only. They are enough to choose the
    /// points that are scored in full.
    pub(crate) fn rough_scores(&self, points: &[Vec<f64>]) -> Vec<f64> {
        self.scores_by(
            points,
            self.members
                .len()
                .div_ceil(EFFORT.members_per_rough_one)
                .max(1),
        )
    }

    fn scores_by(&self, points: &[Vec<f64>], step: usize) -> Vec<f64> {
        let mut scores = self.log_improvements_by(points, step, self.exploration_weight);
        if let Some(feasibility) = &self.feasibility {
            for (score, log) in scores.iter_mut().zip(feasibility.log_probabilities(points)) {
                *score += ACQUISITION.feasibility_power * log;
            }
        }
        scores
    }

    /// Returns the logarithm of the expected improvement at each point, failures ignored.
    pub(crate) fn log_improvements(&self, points: &[Vec<f64>]) -> Vec<f64> {
        self.log_improvements_by(points, 1, 1.0)
    }

    fn log_improvements_by(
        &self,
        points: &[Vec<f64>],
        step: usize,
        exploration_weight: f64,
    ) -> Vec<f64> {
        let each = |member: &Member| -> Vec<f64> {
            let predictions = member.posterior.predict(points).into_iter();
            predictions
                .map(|(mean, deviation)| {
                    log_expected_improvement(mean, exploration_weight * deviation, member.incumbent)
                        + member.log_scale
                })
                .collect()
        };
        let all: Vec<Vec<f64>> = self.members.iter().step_by(step).map(each).collect();
        (0..points.len())
            .map(|point| log_mean(all.iter().map(|scores| scores[point])))
            .collect()
    }

    /// Returns the score at one point and its gradient.
    pub(crate) fn slope(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let each: Vec<(f64, Vec<f64>)> = self
            .members
            .iter()
            .map(|member| member.slope(point, self.exploration_weight))
            .collect();
        let mut score = log_mean(each.iter().map(|(score, _)| *score));
        let mut gradient = vec![0.0; point.len()];
        for (own, slope) in &each {
            let weight = (own - score).exp() / each.len() as f64;
            for (sum, slope) in gradient.iter_mut().zip(slope) {
                *sum += weight * slope;
            }
        }
        if let Some(feasibility) = &self.feasibility {
            let (log, slope) = feasibility.slope(point);
            score += ACQUISITION.feasibility_power * log;
            for (sum, slope) in gradient.iter_mut().zip(slope) {
                *sum += ACQUISITION.feasibility_power * slope;
            }
        }
        (score, gradient)
    }
}

impl Member {
    fn slope(&self, point: &[f64], exploration_weight: f64) -> (f64, Vec<f64>) {
        let mut slope = self.posterior.slope(point);
        slope.deviation *= exploration_weight;
        slope
            .deviation_slope
            .iter_mut()
            .for_each(|slope| *slope *= exploration_weight);
        let z = (self.incumbent - slope.mean) / slope.deviation;
        let rate = log_h_slope(z);
        let both = slope.mean_slope.iter().zip(&slope.deviation_slope);
        let gradient = both.map(|(mean, deviation)| {
            (rate * (-mean - z * deviation) + deviation) / slope.deviation
        });
        (
            log_h(z) + slope.deviation.ln() + self.log_scale,
            gradient.collect(),
        )
    }
}

/// Returns the logarithm of the mean of what these are the logarithms of; of none, 0.
fn log_mean(logs: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let (count, largest) = (
        logs.len() as f64,
        logs.clone().fold(f64::NEG_INFINITY, f64::max),
    );
    if count == 0.0 {
        return 0.0;
    }
    if !largest.is_finite() {
        return largest;
    }
    largest + (logs.map(|log| (log - largest).exp()).sum::<f64>() / count).ln()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gp::kernel::{Coordinate, Geometry};
    use crate::gp::posterior::ObservedPoints;

    #[test]
    fn the_gradient_is_that_of_the_score() {
        let geometry = Arc::new(Geometry(vec![Coordinate::Ordered; 2]));
        let x: Vec<Vec<f64>> = (0..12)
            .map(|i| {
                vec![
                    (f64::from(i) * 0.377).fract(),
                    (f64::from(i) * 0.618).fract(),
                ]
            })
            .collect();
        let z: Vec<f64> = x.iter().map(|x| (6.0 * x[0]).sin() + x[1]).collect();
        let failed: Vec<bool> = x.iter().map(|x| x[0] + x[1] > 1.4).collect();
        let member = |log_scale: f64, theta: Vec<f64>| {
            let seen = ObservedPoints::once(x.clone(), z.clone());
            let posterior = Posterior::new(Arc::clone(&geometry), &theta, &seen).unwrap();
            Member {
                posterior,
                incumbent: -0.5,
                log_scale,
            }
        };
        let members = vec![
            member(0.0, vec![-0.5, 0.0, -8.0, 0.0, -2.0, -2.0]),
            member(0.7, vec![-1.0, 0.5, -6.0, 0.3, -1.0, -1.5]),
        ];
        let feasibility = Feasibility::new(
            &geometry,
            &ObservedPoints::once(x, Vec::new()),
            &failed,
            &[],
        );
        let ensemble = Ensemble {
            members,
            feasibility,
            exploration_weight: ACQUISITION.exploration_weight,
        };
        let point = vec![0.42, 0.61];
        let (score, gradient) = ensemble.slope(&point);
        assert!((score - ensemble.scores(std::slice::from_ref(&point))[0]).abs() < 1e-9);
        for j in 0..2 {
            let at = |step: f64| {
                let mut moved = point.clone();
                moved[j] += step;
                ensemble.scores(&[moved])[0]
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (gradient[j] - difference).abs() < 1e-4 * (1.0 + difference.abs()),
                "{gradient:?} {difference}"
            );
        }
    }
}
