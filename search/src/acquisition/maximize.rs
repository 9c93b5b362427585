//! Where the acquisition is highest.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::space::unit_cube::{Scale, UnitCube};

/// Candidates around each kind of good point, for each of the widths.
const LOCAL: usize = 150;
const WIDTHS: [f64; 3] = [0.01, 0.05, 0.2];
/// The shrinking search: so many climbers, each trying so many steps in each round.
const CLIMBERS: usize = 6;
const STEPS: usize = 24;
const ROUNDS: usize = 12;
const SHRINK: f64 = 0.7;

/// A canonical point and its acquisition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) score: f64,
    pub(crate) point: Vec<f64>,
}

/// Returns candidates, the best first: the given ones (spread over the cube), others around good points, and where a shrinking local
/// search from the best of both ends. All are canonical, so that a score is that of a configuration which can be tried.
pub(crate) fn maximize(
    cube: &UnitCube<'_>,
    spread: Vec<Vec<f64>>,
    around: &[Vec<f64>],
    score: impl Fn(&[Vec<f64>]) -> Vec<f64>,
    rng: &mut ChaCha8Rng,
) -> Vec<Candidate> {
    let mut points = spread;
    for point in &mut points {
        cube.snap(point);
    }
    if !around.is_empty() {
        for width in WIDTHS {
            points.extend((0..LOCAL).map(|_| step(cube, &around[rng.random_range(0..around.len())], width, 0.3, rng)));
        }
    }
    let mut candidates = scored(points, &score);
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut climbers: Vec<Candidate> = candidates.iter().take(CLIMBERS).cloned().collect();
    let mut width = 0.1;
    for _ in 0..ROUNDS {
        let steps = climbers.iter().flat_map(|climber| std::iter::repeat_n(&climber.point, STEPS));
        let points: Vec<_> = steps.map(|from| step(cube, from, width, 0.4, rng)).collect();
        let reached = scored(points, &score);
        for (climber, reached) in climbers.iter_mut().zip(reached.chunks(STEPS)) {
            let Some(best) = reached.iter().max_by(|a, b| a.score.total_cmp(&b.score)) else { continue };
            if best.score > climber.score {
                *climber = best.clone();
            }
        }
        width *= SHRINK;
    }
    climbers.append(&mut candidates);
    climbers.sort_by(|a, b| b.score.total_cmp(&a.score));
    climbers
}

fn scored(points: Vec<Vec<f64>>, score: impl Fn(&[Vec<f64>]) -> Vec<f64>) -> Vec<Candidate> {
    // A score that is no number must not win.
    let scores = score(&points).into_iter().map(|score| if score.is_nan() { f64::NEG_INFINITY } else { score });
    scores.zip(points).map(|(score, point)| Candidate { score, point }).collect()
}

/// Moves some coordinates: each with probability `share`, or two in all where there are many.
fn step(cube: &UnitCube<'_>, from: &[f64], width: f64, share: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let share = share.max(2.0 / from.len() as f64).min(if from.len() > 20 { 4.0 / from.len() as f64 } else { 1.0 });
    let mut point = from.to_vec();
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
            Scale::Ranked(order) => order.len() as f64,
            Scale::Continuous | Scale::Rounded => f64::INFINITY,
        };
        // A step that is lost to rounding is none.
        let length = (normal.abs() * width).max(1.0 / cells);
        *coordinate = (*coordinate + length.copysign(normal)).clamp(0.0, 1.0);
    }
    cube.snap(&mut point);
    point
}
