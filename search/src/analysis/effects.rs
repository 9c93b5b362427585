//! The effects of the parameters, according to the model.

use super::curve::{CurvePoint, Direction};
use crate::sampler::sobol;
use crate::space::Path;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube};
use crate::surrogate::Surrogate;

/// With fewer values than this the model says more of the prior than of the objective.
const VALUES_MIN: usize = 8;
/// Points that averages are taken over.
const POINTS: u64 = 128;
/// Members that are enough for bounds.
const BOUND_POINTS: usize = 48;
/// Points of a curve; further categories are left out.
const CURVE_MAX: usize = 13;
/// Keeps these points apart from those that are tried.
const SPREAD_SEED: u64 = 0x0eff_ec75_a11b_0b0e;

/// The effect of a parameter on the objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Which parameter.
    pub path: Path,
    /// Its importance: the share of the model's variance that would be gone if it were known, alone
    /// and together with others (the total effect of Homma and Saltelli 1996, by Jansen's
    /// estimator), divided by the sum over all parameters. The mean over the models.
    pub share: f64,
    /// How far the models are from agreeing on the share: one standard deviation.
    pub share_deviation: f64,
    /// The upper end of the 95 % credible interval of the share: the models' uncertainty about the
    /// objective counts as well, and the model with the largest one decides.
    pub share_max: f64,
    /// Partial dependence: values of the parameter, rising where they have an order, and the
    /// expected objective at each, averaged over all other parameters.
    pub curve: Vec<CurvePoint>,
    /// Which way to go, where the curve says so clearly.
    pub direction: Option<Direction>,
}

/// Returns the effects of all parameters that vary, the most important first.
pub(super) fn effects(cube: &UnitCube<'_>, model: &Surrogate, seed: u64) -> Vec<Effect> {
    if model.at_seen().len() < VALUES_MIN {
        return Vec::new();
    }
    let dimensions = cube.scales().len();
    let spread = |scramble: u64| {
        (0..POINTS)
            .map(|place| sobol::point(place, dimensions, scramble))
            .collect::<Vec<_>>()
    };
    let (here, there) = (spread(seed ^ SPREAD_SEED), spread(!(seed ^ SPREAD_SEED)));
    let Shares { shares, largest } = shares(cube, model, &here, &there);
    let effect = |(coordinate, (path, scale)): (usize, (&Path, &Scale))| {
        let curve = curve(cube, model, &here, coordinate, path, scale);
        let (share, share_deviation) = moments(shares.iter().map(|own| own[coordinate]));
        let has_order = !matches!(scale, Scale::Nominal(_));
        let direction = has_order
            .then(|| Direction::of(&curve, model.goal))
            .flatten();
        Effect {
            path: path.clone(),
            share,
            share_deviation,
            share_max: largest[coordinate].max(share),
            curve,
            direction,
        }
    };
    let mut effects: Vec<Effect> = cube
        .paths()
        .zip(cube.scales())
        .enumerate()
        .map(effect)
        .collect();
    effects.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then_with(|| a.path.cmp(&b.path))
    });
    effects
}

/// The shares of all coordinates.
struct Shares {
    /// By each of the models.
    shares: Vec<Vec<f64>>,
    /// At most, by any of them.
    largest: Vec<f64>,
}

fn shares(cube: &UnitCube<'_>, model: &Surrogate, here: &[Vec<f64>], there: &[Vec<f64>]) -> Shares {
    let at = |points: &[Vec<f64>]| model.straight_means(&snapped(cube, points));
    let base = at(here);
    let dimensions = cube.scales().len();
    let mut totals = vec![vec![0.0; dimensions]; base.len()];
    let mut bounds = totals.clone();
    let some = snapped(cube, &here[..BOUND_POINTS.min(here.len())]);
    for coordinate in 0..dimensions {
        let mut moved = here.to_vec();
        moved
            .iter_mut()
            .zip(there)
            .for_each(|(moved, there)| moved[coordinate] = there[coordinate]);
        for ((own, base), moved) in totals.iter_mut().zip(&base).zip(at(&moved)) {
            own[coordinate] = base
                .iter()
                .zip(moved)
                .map(|(base, moved)| (base - moved).powi(2))
                .sum();
        }
        let moved = snapped(cube, &moved[..some.len()]);
        for (own, differences) in bounds
            .iter_mut()
            .zip(model.largest_differences(&some, &moved))
        {
            let square: f64 = differences
                .iter()
                .map(|difference| difference * difference)
                .sum();
            own[coordinate] = square * here.len() as f64 / some.len().max(1) as f64;
        }
    }
    let mut largest = vec![0.0f64; dimensions];
    for (own, bounds) in totals.iter_mut().zip(bounds) {
        let sum = own.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        own.iter_mut().for_each(|total| *total /= sum);
        largest
            .iter_mut()
            .zip(bounds)
            .for_each(|(largest, bound)| *largest = largest.max((bound / sum).min(1.0)));
    }
    Shares {
        shares: totals,
        largest,
    }
}

fn curve(
    cube: &UnitCube<'_>,
    model: &Surrogate,
    here: &[Vec<f64>],
    coordinate: usize,
    path: &Path,
    scale: &Scale,
) -> Vec<CurvePoint> {
    let point = |place: f64| {
        let mut moved = here.to_vec();
        moved.iter_mut().for_each(|point| point[coordinate] = place);
        let mut points = snapped(cube, &moved);
        points.retain(|point| point[coordinate] != INACTIVE);
        let value = cube.config_at(points.first()?).0.get(path).cloned()?;
        let (mean, deviation) = moments(model.typical(&points).into_iter());
        Some(CurvePoint {
            value,
            mean: model.goal.minimized(mean),
            deviation,
        })
    };
    let mut curve: Vec<CurvePoint> = places(scale, CURVE_MAX)
        .into_iter()
        .filter_map(point)
        .collect();
    curve.dedup_by(|a, b| a.value.identity() == b.value.identity());
    curve
}

fn snapped(cube: &UnitCube<'_>, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut points = points.to_vec();
    points.iter_mut().for_each(|point| cube.snap(point));
    points
}

/// Returns mean and standard deviation.
fn moments(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    // Squares of large values would overflow.
    let deviation = values.fold(0.0f64, |sum, value| {
        sum.hypot((value - mean) / count.sqrt())
    });
    (mean, deviation)
}

/// The evaluated places along a coordinate: at most `n`, in order where there is one.
pub(super) fn places(scale: &Scale, max: usize) -> Vec<f64> {
    let even = |count: usize| {
        (0..count)
            .map(|place| (place as f64 + 0.5) / count as f64)
            .collect::<Vec<_>>()
    };
    match scale {
        Scale::Nominal(middles) => middles.iter().copied().take(max).collect(),
        Scale::Cells(count) => even(usize::try_from(*count).unwrap_or(usize::MAX).min(max)),
        Scale::Ranked(order) => even(order.len().min(max)),
        Scale::Continuous | Scale::Rounded => even(max),
    }
}
