//! The effects of the parameters, according to the model.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::curve::{CurvePoint, Direction};
use crate::sampler::random::generator;
use crate::sampler::sobol;
use crate::space::Path;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube};
use crate::surrogate::Surrogate;

/// With fewer values than this the model says more of the prior than of the objective.
const VALUES_MIN: usize = 8;
/// Points that averages are taken over.
const POINTS: u64 = 128;
/// Points that are enough for bounds.
const BOUND_POINTS: usize = 48;
/// Functions that are drawn from each of the models, and the most points that they are drawn at: the
/// cost grows with the cube of these.
const FUNCTIONS: usize = 8;
const FUNCTION_POINTS_MAX: usize = 400;
/// The fewest points that shares are computed from.
const FUNCTION_BASES_MIN: usize = 12;
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
    /// The posterior standard deviation of the share: over functions drawn from the posteriors of
    /// all models (Oakley and O'Hagan 2004), so that unknown parts of the space count.
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

/// Returns the effects of all parameters that have been tried with different values, the most
/// important first: of the others nothing is known.
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
    let drawn = drawn_shares(cube, model, (&here, &there), seed);
    let effect = |(coordinate, (path, scale)): (usize, (&Path, &Scale))| {
        let curve = curve(cube, model, &here, coordinate, path, scale);
        let (share, between) = moments(shares.iter().map(|own| own[coordinate]));
        let (_, within) = moments(drawn.iter().map(|own| own[coordinate]));
        let share_deviation = if drawn.is_empty() { between } else { within };
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
        .filter(|(coordinate, _)| model.has_varied(*coordinate))
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
    for coordinate in (0..dimensions).filter(|coordinate| model.has_varied(*coordinate)) {
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

/// Returns the shares of all coordinates by functions drawn from the posteriors.
fn drawn_shares(
    cube: &UnitCube<'_>,
    model: &Surrogate,
    (here, there): (&[Vec<f64>], &[Vec<f64>]),
    seed: u64,
) -> Vec<Vec<f64>> {
    let dimensions = cube.scales().len();
    let bases = (FUNCTION_POINTS_MAX / (dimensions + 1)).clamp(FUNCTION_BASES_MIN, BOUND_POINTS);
    let bases = bases.min(here.len());
    let mut points = here[..bases].to_vec();
    for coordinate in 0..dimensions {
        let varies = model.has_varied(coordinate);
        let moved = here[..bases].iter().zip(there).map(|(here, there)| {
            let mut moved = here.clone();
            if varies {
                moved[coordinate] = there[coordinate];
            }
            moved
        });
        points.extend(moved);
    }
    let points = snapped(cube, &points);
    let mut rng = generator(seed ^ SPREAD_SEED, 0);
    let normal = |_| {
        (0..points.len())
            .map(|_| rng.sample(StandardNormal))
            .collect()
    };
    let draws: Vec<Vec<f64>> = (0..FUNCTIONS).map(normal).collect();
    let share = |values: Vec<f64>| {
        let (base, moved) = values.split_at(bases);
        let total = |moved: &[f64]| -> f64 {
            base.iter()
                .zip(moved)
                .map(|(base, moved)| (base - moved).powi(2))
                .sum()
        };
        let totals: Vec<f64> = moved.chunks(bases).map(total).collect();
        let sum = totals.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        totals.into_iter().map(|total| total / sum).collect()
    };
    model
        .straight_functions(&points, &draws)
        .into_iter()
        .map(share)
        .collect()
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
