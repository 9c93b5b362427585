//! Points spread over the space before there is a model to follow.

use super::random::Free;
use super::{Ask, Suggestion, sobol};
use crate::acquisition::feasibility::Feasibility;
use crate::space::unit_cube::UnitCube;
use crate::why::{Kind, Why};

/// A search begins with one point for two dimensions, within these bounds.
const POINTS: (usize, usize) = (3, 12);
/// Candidates where a point is likely to fail, and the least probability of success.
const FEASIBILITY_CANDIDATES: u64 = 15;
const FEASIBLE_MIN: f64 = 0.8;

/// Returns the number of start-up points of a space.
pub(super) fn count(cube: &UnitCube<'_>) -> usize {
    (cube.scales().len() / 2).clamp(POINTS.0, POINTS.1)
}

/// Suggests the middle of the space first, since people choose ranges around what they believe in, and then spread points. `known` is the number of runs
/// that have ended or are being executed.
pub(super) fn suggest(
    ask: &Ask<'_>,
    cube: &UnitCube<'_>,
    feasibility: impl FnOnce() -> Option<Feasibility>,
    free: &mut Free<'_>,
    index: u64,
    known: usize,
    reason: &str,
) -> Option<Suggestion> {
    let (point, place) = match known {
        0 => (vec![0.5; cube.scales().len()], "the middle of the space"),
        _ => spread_point(cube, feasibility().as_ref(), ask.seed, index),
    };
    let config = cube.config_at(&point);
    let key = config.key();
    if free.holds(&key) {
        free.choose(key);
        return Some(Suggestion { config, why: Why::new(Kind::StartUp, format!("{reason}, {place}")) });
    }
    let config = free.draw(index)?;
    Some(Suggestion { config, why: Why::new(Kind::Random, "random draw, since the start-up point is taken") })
}

/// Returns a point of the Sobol sequence that `seed` scrambles; once some runs have failed and others not, the first of several points that is
/// likely enough to succeed. While nothing has succeeded, the sequence is what finds a tenth of any parameter's range in 16 points.
pub(super) fn spread_point(cube: &UnitCube<'_>, feasibility: Option<&Feasibility>, seed: u64, place: u64) -> (Vec<f64>, &'static str) {
    let dimensions = cube.scales().len();
    let mut points = vec![sobol::point(place, dimensions, seed)];
    if let Some(feasibility) = feasibility {
        let scramble = sobol::scramble_of_run(seed, place);
        points.extend((0..FEASIBILITY_CANDIDATES).map(|place| sobol::point(place, dimensions, scramble)));
        points.iter_mut().for_each(|point| cube.snap(point));
        let logs = feasibility.log_probabilities(&points);
        let likeliest = (0..points.len()).max_by(|a, b| logs[*a].total_cmp(&logs[*b])).unwrap_or(0);
        let chosen = (0..points.len()).find(|place| logs[*place] >= FEASIBLE_MIN.ln()).unwrap_or(likeliest);
        if chosen != 0 {
            return (points.swap_remove(chosen), "spread over what is likely to succeed");
        }
    }
    (points.swap_remove(0), "spread over the space")
}
