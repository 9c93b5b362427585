//! Points spread over the space before there is a model to follow.

use super::random::Free;
use super::{Ask, Suggestion, sobol};
use crate::acquisition::feasibility::Feasibility;
use crate::space::unit_cube::UnitCube;
use crate::tuning::STARTUP;
use crate::why::{Kind, Why};

/// Returns the number of start-up points of a space.
pub(super) fn count(cube: &UnitCube<'_>) -> usize {
    (cube.scales().len() / STARTUP.dimensions_per_point)
        .clamp(STARTUP.points_min, STARTUP.points_max)
}

/// Suggests the middle of the space first, since people choose ranges around what they believe in,
/// and then spread points. `known` is the number of runs that have ended or are being executed.
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
        return Some(Suggestion {
            config,
            why: Why::new(Kind::StartUp, format!("{reason}, {place}")),
        });
    }
    let config = free.draw(index)?;
    Some(Suggestion {
        config,
        why: Why::new(
            Kind::Random,
            "random draw, since the start-up point is taken",
        ),
    })
}

/// Returns a point of the Sobol sequence that `seed` scrambles; once some runs have failed and
/// others not, the first of several points that is likely enough to succeed. While nothing has
/// succeeded, the sequence is what finds a tenth of any parameter's range in 16 points.
pub(super) fn spread_point(
    cube: &UnitCube<'_>,
    feasibility: Option<&Feasibility>,
    seed: u64,
    place: u64,
) -> (Vec<f64>, &'static str) {
    let dimensions = cube.scales().len();
    let mut points = vec![sobol::point(place, dimensions, seed)];
    if let Some(feasibility) = feasibility {
        let scramble = sobol::scramble_of_run(seed, place);
        points.extend(
            (0..STARTUP.feasibility_candidates)
                .map(|place| sobol::point(place, dimensions, scramble)),
        );
        points.iter_mut().for_each(|point| cube.snap(point));
        let logs = feasibility.log_probabilities(&points);
        let likeliest = (0..points.len())
            .max_by(|a, b| logs[*a].total_cmp(&logs[*b]))
            .unwrap_or(0);
        let chosen = (0..points.len())
            .find(|place| logs[*place] >= STARTUP.feasible_min.ln())
            .unwrap_or(likeliest);
        if chosen != 0 {
            return (
                points.swap_remove(chosen),
                "spread over what is likely to succeed",
            );
        }
    }
    (points.swap_remove(0), "spread over the space")
}
