//! The model of failures and of violations.

use std::sync::Arc;

use super::ended::{EndedRuns, ended, groups};
use super::line::Groups;
use crate::acquisition::feasibility::Feasibility;
use crate::gp::kernel::Geometry;
use crate::gp::posterior::ObservedPoints;
use crate::observation::{CodeLine, Goal, Observation};
use crate::space::unit_cube::UnitCube;

/// Returns whether at least two results differ. Until then the effect of the parameters is unknown.
pub(crate) fn has_contrast(
    cube: &UnitCube<'_>,
    goal: Goal,
    observations: &[Observation],
    line: CodeLine<'_>,
) -> bool {
    let ended = ended(cube, goal, observations, &groups(line, observations));
    let mut values = ended.iter().filter_map(|ended| ended.value);
    values
        .next()
        .is_some_and(|first| values.any(|value| value != first))
}

/// Learns where runs fail or violate constraints, and nothing else. `None` where none did, or all:
/// then there is no boundary to learn.
pub(crate) fn feasibility(
    cube: &UnitCube<'_>,
    goal: Goal,
    observations: &[Observation],
    line: CodeLine<'_>,
) -> Option<Feasibility> {
    let groups = groups(line, observations);
    let ended = ended(cube, goal, observations, &groups);
    if ended.iter().all(|ended| ended.value.is_none()) {
        return None;
    }
    hazards(&Arc::new(Geometry::of(cube)), &ended, &groups)
}

pub(super) fn hazards(
    geometry: &Arc<Geometry>,
    ended: &[EndedRuns<'_>],
    groups: &Groups<'_>,
) -> Option<Feasibility> {
    let everywhere = ObservedPoints {
        versions: ended.iter().map(|ended| ended.group).collect(),
        changes: groups.changes(),
        ..ObservedPoints::once(
            ended.iter().map(|ended| ended.point.clone()).collect(),
            Vec::new(),
        )
    };
    // A violation without measure is no distance to learn from, only something that went wrong.
    let beyond = |ended: &EndedRuns<'_>| {
        ended
            .observation
            .violations
            .iter()
            .flatten()
            .any(|violation| !violation.is_finite())
    };
    let failed: Vec<bool> = ended
        .iter()
        .map(|ended| ended.value.is_none() || beyond(ended))
        .collect();
    let violations: Vec<_> = ended
        .iter()
        .map(|ended| ended.observation.violations.clone())
        .collect();
    Feasibility::new(geometry, &everywhere, &failed, &violations)
}
