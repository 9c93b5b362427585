//! Probes: configurations that were good with older code, tried again with the newest.

use super::Suggestion;
use super::history::History;
use crate::observation::{Observation, Outcome};
use crate::space::unit_cube::UnitCube;
use crate::tuning::TRANSFER;
use crate::why::{Kind, Why};

/// Returns what good runs of older code have tried, as far as the newest code has not had its
/// probes: the best one, and then the one among the best that is farthest from those before, which
/// says more than another one beside the best.
pub(super) fn probes(cube: &UnitCube<'_>, history: &History<'_>) -> Vec<Suggestion> {
    let History {
        goal,
        observations,
        code,
        ..
    } = *history;
    let had = history.newest();
    let value = |seen: &Observation| match seen.outcome {
        Outcome::Value(value) => Some(goal.minimized(value)).filter(|value| value.is_finite()),
        Outcome::Stopped(_) | Outcome::Failed => None,
    };
    let older = observations
        .iter()
        .filter(|seen| !history.is_newest(&seen.code_version) && !seen.outside)
        .filter(|seen| seen.keeps_known_constraints());
    let mut older: Vec<(f64, &Observation)> = older
        .filter_map(|seen| Some((value(seen)?, seen)))
        .collect();
    // Where every run has its own code, nothing would be tried but probes.
    if code.newest() == 0
        || had >= code.probes
        || older.len() < TRANSFER.values_per_probe * code.probes * code.newest()
    {
        return Vec::new();
    }
    older.sort_by(|a, b| a.0.total_cmp(&b.0));
    older.truncate((older.len() / TRANSFER.probed_share).max(code.probes));
    let suggestion = |(place, seen): (usize, &Observation)| {
        let reason = format!(
            "probe {} of {}: run {} was good with older code",
            place + 1,
            code.probes,
            seen.index
        );
        Suggestion {
            config: seen.config.clone(),
            why: Why::new(Kind::Probe, reason),
        }
    };
    farthest_first(cube, &older, code.probes)
        .into_iter()
        .enumerate()
        .skip(had)
        .map(suggestion)
        .collect()
}

/// Returns at most `count` observations: the first one, and then always the one that is farthest
/// from those before it. Of several as far, the first.
fn farthest_first<'a>(
    cube: &UnitCube<'_>,
    observations: &[(f64, &'a Observation)],
    count: usize,
) -> Vec<&'a Observation> {
    let mut chosen: Vec<(Vec<f64>, &'a Observation)> = Vec::new();
    while chosen.len() < count {
        let point = |seen: &Observation| cube.point_of(&seen.config);
        let apart = |seen: &Observation| {
            let own = point(seen);
            let square = |other: &Vec<f64>| {
                own.iter()
                    .zip(other)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum::<f64>()
            };
            chosen
                .iter()
                .map(|(other, _)| square(other))
                .fold(f64::INFINITY, f64::min)
        };
        let Some((_, next)) = observations
            .iter()
            .rev()
            .max_by(|a, b| apart(a.1).total_cmp(&apart(b.1)))
        else {
            break;
        };
        chosen.push((point(next), next));
    }
    chosen.into_iter().map(|(_, seen)| seen).collect()
}
