//! Alignment of the values of older code with those of newer code: often the whole objective has
//! only moved, or is measured in another unit.

use std::sync::Arc;

use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::likelihood::Evidence;
use crate::gp::posterior::{ObservedPoints, Posterior};
use crate::gp::warp::Warp;
use crate::tuning::TRANSFER;

/// The floor of the warp in the model of the older values: the middle one of `PRIOR.warp_floors`.
const FLOOR: f64 = 1.0;

/// A value of older code corresponds to `level + scale · value` of newer code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Alignment {
    pub(crate) level: f64,
    pub(crate) scale: f64,
    /// The logarithm of how probable it was before anything was seen, but for a constant.
    pub(crate) log_prior: f64,
}

impl Alignment {
    /// No change.
    pub(crate) const SAME: Self = Self {
        level: 0.0,
        scale: 1.0,
        log_prior: 0.0,
    };

    pub(crate) fn apply(&self, value: f64) -> f64 {
        self.level + self.scale * value
    }
}

/// Points and their values, small is good.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) x: Vec<Vec<f64>>,
    pub(crate) y: Vec<f64>,
    /// The standard deviations of predicted values, 0 for measured ones.
    pub(crate) deviations: Vec<f64>,
}

/// Returns the possible common changes of all values, the most probable first.
pub(crate) fn alignments(
    geometry: &Arc<Geometry>,
    older: &Values,
    newer: &Values,
) -> Vec<Alignment> {
    let Some((model, warp)) = model(geometry, older).filter(|_| !newer.y.is_empty()) else {
        return vec![Alignment::SAME];
    };
    let predicted: Vec<_> = model
        .predict(&newer.x)
        .into_iter()
        .map(|(mean, deviation)| warp.unwarped(mean, deviation))
        .collect();
    ranked(&predicted, newer, deviation(&older.y))
}

/// Returns the alignments of predicted values, each with its deviation, to newer values, the most
/// probable first.
fn ranked(predicted: &[(f64, f64)], values: &Values, spread: f64) -> Vec<Alignment> {
    let blur = TRANSFER.value_blur * spread;
    let mut found: Vec<_> = candidates(predicted, values, blur)
        .into_iter()
        .map(|alignment| {
            (
                log_probability(&alignment, predicted, values, blur),
                alignment,
            )
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, alignment)| alignment).collect()
}

/// Returns four alignments, each fitted by least squares: none, a shift, a factor, and both. One
/// that cannot be fitted, or whose factor is no change of unit, is left out.
fn candidates(predicted: &[(f64, f64)], values: &Values, blur: f64) -> Vec<Alignment> {
    let newer = &values.y;
    let weight = |((_, deviation), own): (&(f64, f64), &f64)| {
        1.0 / (deviation * deviation + own * own + blur * blur)
    };
    let weights: Vec<f64> = predicted
        .iter()
        .zip(&values.deviations)
        .map(weight)
        .collect();
    let total: f64 = weights.iter().sum();
    let pairs = || {
        predicted
            .iter()
            .map(|(mean, _)| *mean)
            .zip(newer.iter().copied())
            .zip(weights.iter().copied())
    };
    let mean = |of: &dyn Fn(f64, f64) -> f64| {
        pairs()
            .map(|((old, new), weight)| weight * of(old, new))
            .sum::<f64>()
            / total
    };
    let mut found = vec![
        Alignment::SAME,
        Alignment {
            level: mean(&|old, new| new - old),
            scale: 1.0,
            log_prior: -TRANSFER.cost_per_number,
        },
    ];
    if pairs().all(|((old, new), _)| old > 0.0 && new > 0.0) {
        found.push(Alignment {
            level: 0.0,
            scale: mean(&|old, new| (new / old).ln()).exp(),
            log_prior: -TRANSFER.cost_per_number,
        });
    }
    if newer.len() >= TRANSFER.line_values_min {
        let (old_mean, new_mean) = (mean(&|old, _| old), mean(&|_, new| new));
        let scale = mean(&|old, new| (old - old_mean) * (new - new_mean))
            / mean(&|old, _| (old - old_mean).powi(2));
        found.push(Alignment {
            level: new_mean - scale * old_mean,
            scale,
            log_prior: -2.0 * TRANSFER.cost_per_number,
        });
    }
    found.retain(|alignment| {
        alignment.level.is_finite()
            && (TRANSFER.scales.0..=TRANSFER.scales.1).contains(&alignment.scale)
    });
    found
}

/// Returns the log posterior probability of an alignment, but for a constant. The residuals are as
/// large as they have to be: of several sizes, the most probable.
fn log_probability(
    alignment: &Alignment,
    predicted: &[(f64, f64)],
    values: &Values,
    blur: f64,
) -> f64 {
    let likelihood = |rest: f64| {
        let each = predicted.iter().zip(&values.y).zip(&values.deviations).map(
            |(((mean, deviation), new), own)| {
                let variance = (alignment.scale * deviation).powi(2) + own * own + rest * rest;
                -0.5 * (variance.ln() + (new - alignment.apply(*mean)).powi(2) / variance)
            },
        );
        each.sum::<f64>()
    };
    let best = TRANSFER
        .residuals
        .map(|rest| likelihood(rest * blur))
        .into_iter()
        .fold(f64::NEG_INFINITY, f64::max);
    alignment.log_prior + best
}

/// Returns a model of the older values. `None` where there are too few.
fn model(geometry: &Arc<Geometry>, older: &Values) -> Option<(Posterior, Warp)> {
    if older.y.len() < TRANSFER.line_values_min {
        return None;
    }
    let places = super::ended::thinned(older.y.len(), TRANSFER.older_values_max);
    let y: Vec<f64> = places.iter().map(|place| older.y[*place]).collect();
    let warp = Warp::new(&y, FLOOR);
    let x = places.iter().map(|place| older.x[*place].clone()).collect();
    let variances = places
        .iter()
        .zip(&y)
        .map(|(place, y)| warp.variance(*y, older.deviations[*place]))
        .collect();
    let seen = ObservedPoints {
        variances,
        ..ObservedPoints::once(x, y.iter().map(|y| warp.warped(*y)).collect())
    };
    let theta = fit(&Evidence::new(geometry, &seen), &seen.z);
    Some((Posterior::new(Arc::clone(geometry), &theta, &seen)?, warp))
}

/// Returns half the way between the quartiles: one terrible value does not move it.
fn deviation(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let half = if sorted.is_empty() {
        0.0
    } else {
        0.5 * (at(0.75) - at(0.25))
    };
    if half > 0.0 { half } else { 1.0 }
}
