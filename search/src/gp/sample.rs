//! Draws from the posterior of the hyperparameters.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::likelihood::Evidence;
use crate::tuning::EFFORT;

/// How often a bracket shrinks at most: by then it is far smaller than any scale of θ.
const SHRINKS_MAX: usize = 30;

/// Several transformations of the same values, of which one is right.
pub(crate) struct Views {
    /// The transformed values of each.
    pub(crate) zs: Vec<Vec<f64>>,
    /// The variances of predicted values in each; empty where all were measured.
    pub(crate) variances: Vec<Vec<f64>>,
    /// The log Jacobian of each, so that likelihoods compare.
    pub(crate) log_jacobians: Vec<f64>,
}

/// Returns `count` draws of θ, each with the place of a view. The chain starts at `theta` and
/// alternates between the view given θ, and θ given the view by elliptical slice sampling, which
/// needs no step size where the prior is normal.
///
/// Murray, Adams, MacKay (2010), Elliptical slice sampling, figure 2.
pub(crate) fn sample(
    evidence: &Evidence,
    views: &Views,
    theta: &[f64],
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<(Vec<f64>, usize)> {
    let prior = &evidence.prior.0;
    let theta_of = |offset: &[f64]| -> Vec<f64> {
        offset
            .iter()
            .zip(prior)
            .map(|(offset, (mean, _))| offset + mean)
            .collect()
    };
    let mut offset: Vec<f64> = theta
        .iter()
        .zip(prior)
        .map(|(value, (mean, _))| value - mean)
        .collect();
    let mut likelihoods = evidence.log_likelihoods(theta, &views.zs, &views.variances);
    let mut draws = Vec::with_capacity(count);
    for round in 1..=EFFORT.burn_in + count * EFFORT.thinning {
        let view = choose(&likelihoods, &views.log_jacobians, rng.random());
        let aside: Vec<f64> = prior
            .iter()
            .map(|(_, deviation)| deviation * rng.sample::<f64, _>(StandardNormal))
            .collect();
        let threshold = likelihoods[view] + rng.random::<f64>().max(f64::MIN_POSITIVE).ln();
        let mut angle = rng.random::<f64>() * TAU;
        let (mut low, mut high) = (angle - TAU, angle);
        // The bracket shrinks towards the present θ, which always qualifies.
        for _ in 0..SHRINKS_MAX {
            let turned: Vec<f64> = offset
                .iter()
                .zip(&aside)
                .map(|(offset, aside)| offset * angle.cos() + aside * angle.sin())
                .collect();
            let theta = theta_of(&turned);
            // With predicted values each view has its own matrix to factor: the others are looked
            // at once this one qualifies.
            let is_cheap = views.variances.is_empty();
            let own = (
                &views.zs[view..=view],
                views.variances.get(view..=view).unwrap_or_default(),
            );
            if is_cheap || evidence.log_likelihoods(&theta, own.0, own.1)[0] > threshold {
                let reached = evidence.log_likelihoods(&theta, &views.zs, &views.variances);
                if reached[view] > threshold {
                    (offset, likelihoods) = (turned, reached);
                    break;
                }
            }
            if angle < 0.0 {
                low = angle;
            } else {
                high = angle;
            }
            angle = low + rng.random::<f64>() * (high - low);
        }
        if round > EFFORT.burn_in && (round - EFFORT.burn_in).is_multiple_of(EFFORT.thinning) {
            draws.push((theta_of(&offset), view));
        }
    }
    draws
}

/// Chooses a view with the probability that it is right; `u` is uniform.
fn choose(likelihoods: &[f64], log_jacobians: &[f64], u: f64) -> usize {
    let logs: Vec<f64> = likelihoods
        .iter()
        .zip(log_jacobians)
        .map(|(likelihood, jacobian)| likelihood + jacobian)
        .collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return logs.len() / 2;
    }
    let weights: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
    let mut left = u * weights.iter().sum::<f64>();
    let chosen = weights.iter().position(|weight| {
        left -= weight;
        left <= 0.0
    });
    chosen.unwrap_or(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::kernel::{Coordinate, Geometry};
    use super::super::posterior::ObservedPoints;
    use super::*;

    #[test]
    fn draws_know_which_coordinate_matters_and_which_view_is_right() {
        let x: Vec<Vec<f64>> = (0..40)
            .map(|i| {
                vec![
                    (f64::from(i) * 0.377).fract(),
                    (f64::from(i) * 0.618).fract(),
                ]
            })
            .collect();
        let smooth: Vec<f64> = x.iter().map(|x| (6.0 * x[0]).sin()).collect();
        let jagged: Vec<f64> = smooth.iter().map(|z| z.signum()).collect();
        let evidence = Evidence::new(
            &Geometry(vec![Coordinate::Ordered; 2]),
            &ObservedPoints::once(x, Vec::new()),
        );
        let views = Views {
            zs: vec![jagged, smooth],
            variances: Vec::new(),
            log_jacobians: vec![0.0, 0.0],
        };
        let start = vec![0.0, 0.0, -6.0, 0.0, -2.0, -2.0];
        let draws = sample(
            &evidence,
            &views,
            &start,
            8,
            &mut ChaCha8Rng::seed_from_u64(1),
        );
        assert!(
            draws
                .iter()
                .all(|(theta, view)| *view == 1 && theta[0] + 0.5 < theta[1]),
            "{draws:?}"
        );
    }
}
