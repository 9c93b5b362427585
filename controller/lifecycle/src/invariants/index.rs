//! The index of a sweep says what its runs say.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::violations::Violations;
use crate::observe::reached;
use crate::repeats::ranked;
use crate::state::{Run, RunNumber, RunState, Sweep, SweepId};
use crate::versions::counts;

pub(super) fn check(found: &mut Violations, id: &SweepId, sweep: &Sweep) {
    let index = &sweep.index;
    let in_state = |states: &[RunState]| -> BTreeSet<RunNumber> {
        sweep
            .runs
            .iter()
            .filter(|(_, run)| states.contains(&run.state))
            .map(|(number, _)| number)
            .collect()
    };
    found.must(index.queued == in_state(&[RunState::Queued]), "I5", || {
        format!("sweep {id}: `queued` is not what its runs say")
    });
    let live = in_state(&[RunState::Assigned, RunState::Running]);
    found.must(index.live == live, "I5", || {
        format!("sweep {id}: `live` is not what its runs say")
    });
    found.must(index.best == best(sweep), "I5", || {
        format!("sweep {id}: `best` is not what its runs say")
    });
    let live = index
        .live
        .iter()
        .filter_map(|number| Some((*number, sweep.runs.get(*number)?)));
    let reaching: BTreeMap<_, _> = live
        .filter_map(|(number, run)| Some((number, reached(&sweep.spec, &run)?)))
        .collect();
    found.must(index.reached == reaching, "I5", || {
        format!("sweep {id}: `reached` is not what its runs say")
    });
    let imported = sweep.runs.iter().filter(|(_, run)| run.imported).count() as u64;
    found.must(imported == index.imported, "I5", || {
        format!("sweep {id}: `imported` is not what its runs say")
    });
    let reruns = sweep.runs.iter().filter(|(_, run)| run.is_rerun()).count() as u64;
    found.must(reruns == index.reruns, "I5", || {
        format!("sweep {id}: `reruns` is not what its runs say")
    });
}

// Told apart from the index by how it is found: over all points, by the lower number first.
fn best(sweep: &Sweep) -> Option<(RunNumber, f64)> {
    let goal = sweep.spec.goal();
    let mut points: BTreeMap<RunNumber, Vec<Cow<'_, Run>>> = BTreeMap::new();
    for (_, run) in sweep
        .runs
        .iter()
        .filter(|(_, run)| counts(&sweep.code.versions, run))
    {
        points.entry(run.point.first).or_default().push(run);
    }
    let values = points
        .into_iter()
        .filter_map(|(first, runs)| Some((first, ranked(sweep, &runs)?)));
    values.reduce(|best, other| {
        if goal.is_better(other.1, best.1) {
            other
        } else {
            best
        }
    })
}
