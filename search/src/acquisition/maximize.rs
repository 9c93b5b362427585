//! Maximises the acquisition function.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::effort::Effort;
use super::ensemble::Ensemble;
use crate::space::unit_cube::{INACTIVE, Scale, UnitCube};
use crate::tuning::EFFORT;

/// A canonical point and its score.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) score: f64,
    pub(crate) point: Vec<f64>,
}

/// Returns candidates, the best first but for those that were never looked at closely: the given
/// ones (spread over the cube), others around good points, and where climbers from the best of both
/// end. All are canonical, so that a score is that of a configuration which can be tried.
pub(crate) fn maximize(
    cube: &UnitCube<'_>,
    spread: Vec<Vec<f64>>,
    around: &[Vec<f64>],
    ensemble: &Ensemble,
    effort: Effort,
    rng: &mut ChaCha8Rng,
) -> Vec<Candidate> {
    let mut points = spread;
    for point in &mut points {
        cube.snap(point);
    }
    if !around.is_empty() {
        for width in EFFORT.widths {
            points.extend(
                (0..effort.local)
                    .map(|_| step(cube, &around[rng.random_range(0..around.len())], width, rng)),
            );
        }
    }
    let rough = ensemble.rough_scores(&points);
    let mut candidates = paired(points, rough);
    sort(&mut candidates);
    let rest = candidates.split_off(candidates.len().min(EFFORT.finalists));
    let mut candidates = scored(
        candidates
            .into_iter()
            .map(|candidate| candidate.point)
            .collect(),
        ensemble,
    );
    sort(&mut candidates);
    let mut starts: Vec<&Candidate> = Vec::new();
    for candidate in &candidates {
        let is_near = |other: &&Candidate| {
            other
                .point
                .iter()
                .zip(&candidate.point)
                .all(|(a, b)| (a - b).abs() < EFFORT.climbers_distance_min)
        };
        if starts.len() < effort.climbers && !starts.iter().any(is_near) {
            starts.push(candidate);
        }
    }
    let mut reached: Vec<Candidate> = starts
        .into_iter()
        .map(|start| climb(cube, ensemble, start.clone(), rng))
        .collect();
    reached.append(&mut candidates);
    sort(&mut reached);
    reached.extend(rest);
    reached
}

fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// Gradient ascent along ordered coordinates, then steps along coordinates with cells, alternating.
fn climb(
    cube: &UnitCube<'_>,
    ensemble: &Ensemble,
    start: Candidate,
    rng: &mut ChaCha8Rng,
) -> Candidate {
    let mut best = start;
    for _ in 0..EFFORT.alternations {
        let before = best.score;
        if let Some(better) = ascend(cube, ensemble, &best) {
            best = better;
        }
        let next = scored(neighbours(cube, &best.point, rng), ensemble)
            .into_iter()
            .max_by(|a, b| a.score.total_cmp(&b.score));
        if let Some(next) = next.filter(|next| next.score > best.score) {
            best = next;
        }
        if best.score - before < 1e-3 {
            break;
        }
    }
    best
}

/// Projected gradient ascent with the step lengths of Barzilai and Borwein, as in Birgin, Martínez,
/// Raydan (2000), Nonmonotone spectral projected gradient methods on convex sets, algorithm 2.1
/// with a memory of one. `None` where it ends no higher on a canonical point.
fn ascend(cube: &UnitCube<'_>, ensemble: &Ensemble, start: &Candidate) -> Option<Candidate> {
    let moves = |(scale, at): (&Scale, &f64)| {
        *at != INACTIVE
            && match scale {
                Scale::Continuous | Scale::Rounded => true,
                Scale::Cells(count) => *count > 2,
                Scale::Ranked(order) => order.len() > 2,
                Scale::Nominal(_) => false,
            }
    };
    let free: Vec<bool> = cube.scales().zip(&start.point).map(moves).collect();
    let slope = |point: &[f64]| {
        let (score, mut gradient) = ensemble.slope(point);
        gradient
            .iter_mut()
            .zip(&free)
            .filter(|(_, free)| !**free)
            .for_each(|(slope, _)| *slope = 0.0);
        (score, gradient)
    };
    let mut x = start.point.clone();
    let (mut score, mut gradient) = slope(&x);
    let steepest = gradient
        .iter()
        .fold(0.0f64, |most, slope| most.max(slope.abs()));
    if !(steepest.is_finite() && steepest > 0.0) {
        return None;
    }
    let mut length = 0.1 / steepest;
    for _ in 0..EFFORT.ascent_steps {
        let Some(step) = line_search(&slope, &free, (&x, score, &gradient), &mut length) else {
            break;
        };
        let (moved, gained) = (step.moved, step.score - score);
        (x, score, gradient) = (step.point, step.score, step.gradient);
        if gained < 1e-6 || moved < 1e-6 {
            break;
        }
    }
    cube.snap(&mut x);
    let score = ensemble.scores(std::slice::from_ref(&x))[0];
    (score > start.score).then_some(Candidate { score, point: x })
}

struct AscentStep {
    point: Vec<f64>,
    score: f64,
    gradient: Vec<f64>,
    moved: f64,
}

/// Shortens the step until it climbs enough; leaves the length for the next one.
fn line_search(
    slope: &impl Fn(&[f64]) -> (f64, Vec<f64>),
    free: &[bool],
    (x, score, gradient): (&[f64], f64, &[f64]),
    length: &mut f64,
) -> Option<AscentStep> {
    for _ in 0..EFFORT.backtracks {
        let to = |((at, slope), free): ((&f64, &f64), &bool)| {
            if *free {
                (at + *length * slope).clamp(0.0, 1.0)
            } else {
                *at
            }
        };
        let point: Vec<f64> = x.iter().zip(gradient).zip(free).map(to).collect();
        let way: Vec<f64> = point.iter().zip(x).map(|(to, from)| to - from).collect();
        let ascent: f64 = way
            .iter()
            .zip(gradient)
            .map(|(way, slope)| way * slope)
            .sum();
        if ascent <= 0.0 {
            return None;
        }
        let (reached, new_gradient) = slope(&point);
        if reached >= score + 1e-4 * ascent {
            let square: f64 = way.iter().map(|way| way * way).sum();
            let turn: f64 = way
                .iter()
                .zip(new_gradient.iter().zip(gradient))
                .map(|(way, (new, old))| way * (new - old))
                .sum();
            *length = if turn < -1e-300 {
                (square / -turn).clamp(1e-10, 1e3)
            } else {
                *length * 4.0
            };
            return Some(AscentStep {
                point,
                score: reached,
                gradient: new_gradient,
                moved: square.sqrt(),
            });
        }
        *length *= 0.25;
    }
    None
}

/// Points that differ in one coordinate by what a gradient does not see: another category, the next
/// cells, a coarse step.
fn neighbours(cube: &UnitCube<'_>, from: &[f64], rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut points = Vec::new();
    for (j, scale) in cube
        .scales()
        .enumerate()
        .filter(|(j, _)| from[*j] != INACTIVE)
    {
        let cells = |count: f64| {
            [-2.0, -1.0, 1.0, 2.0]
                .map(|step| from[j] + step / count)
                .to_vec()
        };
        let targets = match scale {
            Scale::Nominal(middles) => middles.clone(),
            Scale::Cells(count) => cells(*count as f64),
            Scale::Ranked(order) if order.len() <= EFFORT.listed_max => (0..order.len())
                .map(|place| (place as f64 + 0.5) / order.len() as f64)
                .collect(),
            Scale::Ranked(order) => cells(order.len() as f64),
            Scale::Rounded => [-0.1, -0.03, -0.01, 0.01, 0.03, 0.1]
                .map(|step| from[j] + step)
                .to_vec(),
            Scale::Continuous => Vec::new(),
        };
        for target in targets
            .into_iter()
            .filter(|target| (0.0..=1.0).contains(target))
        {
            let mut point = awake(from, rng);
            point[j] = target;
            cube.snap(&mut point);
            points.push(point);
        }
    }
    points
}

/// Gives inactive coordinates a random value, in case that a step activates them.
fn awake(from: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    from.iter()
        .map(|at| if *at == INACTIVE { rng.random() } else { *at })
        .collect()
}

fn scored(points: Vec<Vec<f64>>, ensemble: &Ensemble) -> Vec<Candidate> {
    let scores = ensemble.scores(&points);
    paired(points, scores)
}

fn paired(points: Vec<Vec<f64>>, scores: Vec<f64>) -> Vec<Candidate> {
    // A score that is not a number must not win.
    let scores = scores.into_iter().map(|score| {
        if score.is_nan() {
            f64::NEG_INFINITY
        } else {
            score
        }
    });
    scores
        .zip(points)
        .map(|(score, point)| Candidate { score, point })
        .collect()
}

/// Moves some coordinates: nearly a third of them, of few two, of many four.
fn step(cube: &UnitCube<'_>, from: &[f64], width: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let dimensions = from.len() as f64;
    let share = if dimensions > 20.0 {
        4.0 / dimensions
    } else {
        0.3f64.max(2.0 / dimensions).min(1.0)
    };
    let mut point = awake(from, rng);
    for (coordinate, scale) in point.iter_mut().zip(cube.scales()) {
        let moves = rng.random::<f64>() < share;
        let normal: f64 = rng.sample(StandardNormal);
        let anywhere: f64 = rng.random();
        if !moves {
            continue;
        }
        let cells = match scale {
            Scale::Nominal(_) => {
                *coordinate = anywhere;
                continue;
            }
            Scale::Cells(count) => *count as f64,
            Scale::Ranked(order) => {
                if rng.random::<bool>() {
                    *coordinate = anywhere;
                    continue;
                }
                order.len() as f64
            }
            Scale::Continuous | Scale::Rounded => f64::INFINITY,
        };
        // A step that is lost to rounding is none.
        let length = (normal.abs() * width).max(1.0 / cells);
        *coordinate = (*coordinate + length.copysign(normal)).clamp(0.0, 1.0);
    }
    cube.snap(&mut point);
    point
}
