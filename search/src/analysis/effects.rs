//! What each parameter does, by the model.

use crate::sampler::sobol;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube};
use crate::space::{Path, Value};
use crate::surrogate::Surrogate;

/// With fewer values than this the model says more of the prior than of the objective.
const VALUES_MIN: usize = 8;
/// Points that averages are taken over.
const POINTS: u64 = 128;
/// Points of a curve; categories beyond so many are left out.
const CURVE_MAX: usize = 13;
/// Keeps these points apart from those that are tried.
const SPREAD_SEED: u64 = 0x0eff_ec75_a11b_0b0e;

/// What a parameter does to the objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Which parameter.
    pub path: Path,
    /// Its importance: the share of the model's variance that would be gone if it were known, alone and together with others (the total effect
    /// of Homma and Saltelli 1996, by Jansen's estimator), divided by the sum over all parameters.
    pub share: f64,
    /// Partial dependence: values of the parameter, rising where they have an order, and what the model expects of the objective there, all else
    /// being anywhere.
    pub curve: Vec<(Value, f64)>,
}

/// Returns the effects of all parameters that vary, the most important first.
pub(super) fn effects(cube: &UnitCube<'_>, model: &Surrogate, seed: u64) -> Vec<Effect> {
    if model.at_seen().len() < VALUES_MIN {
        return Vec::new();
    }
    let dimensions = cube.scales().len();
    let spread = |scramble: u64| (0..POINTS).map(|place| sobol::point(place, dimensions, scramble)).collect::<Vec<_>>();
    let (here, there) = (spread(seed ^ SPREAD_SEED), spread(!(seed ^ SPREAD_SEED)));
    let snapped = |points: &[Vec<f64>]| {
        let mut points = points.to_vec();
        points.iter_mut().for_each(|point| cube.snap(point));
        points
    };
    let at = |points: &[Vec<f64>]| model.warped_means(&snapped(points));
    let base = at(&here);
    let exchanged = |coordinate: usize| {
        let both = here.iter().zip(&there);
        let moved: Vec<Vec<f64>> = both
            .map(|(here, there)| {
                let mut moved = here.clone();
                moved[coordinate] = there[coordinate];
                moved
            })
            .collect();
        base.iter().zip(at(&moved)).map(|(base, moved)| (base - moved).powi(2)).sum::<f64>()
    };
    let totals: Vec<f64> = (0..dimensions).map(exchanged).collect();
    let sum = totals.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let effect = |(coordinate, (path, scale)): (usize, (&Path, &Scale))| {
        let curve = places(scale).into_iter().filter_map(|place| {
            let moved = here.iter().map(|point| {
                let mut moved = point.clone();
                moved[coordinate] = place;
                moved
            });
            let mut points = snapped(&moved.collect::<Vec<_>>());
            points.retain(|point| point[coordinate] != INACTIVE);
            let value = cube.config_at(points.first()?).0.get(path).cloned()?;
            Some((value, model.goal.minimized(model.typical(&points))))
        });
        let mut curve: Vec<(Value, f64)> = curve.collect();
        curve.dedup_by(|a, b| a.0.identity() == b.0.identity());
        Effect { path: path.clone(), share: totals[coordinate] / sum, curve }
    };
    let mut effects: Vec<Effect> = cube.paths().zip(cube.scales()).enumerate().map(effect).collect();
    effects.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.path.cmp(&b.path)));
    effects
}

/// Where a curve is looked at.
fn places(scale: &Scale) -> Vec<f64> {
    let even = |count: usize| (0..count).map(|place| (place as f64 + 0.5) / count as f64).collect::<Vec<_>>();
    match scale {
        Scale::Nominal(middles) => middles.iter().copied().take(CURVE_MAX).collect(),
        Scale::Cells(count) => even(usize::try_from(*count).unwrap_or(usize::MAX).min(CURVE_MAX)),
        Scale::Ranked(order) => even(order.len().min(CURVE_MAX)),
        Scale::Continuous | Scale::Rounded => even(CURVE_MAX),
    }
}
