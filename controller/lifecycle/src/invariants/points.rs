//! I3, a grid is a set: points are tried once, and repeats have the configuration of their first run.

use std::collections::BTreeSet;

use super::violations::Violations;
use crate::state::{Run, Sweep, SweepId};

pub(super) fn check(found: &mut Violations, id: &SweepId, sweep: &Sweep) {
    check_distinct(found, id, sweep);
    check_repeats(found, id, sweep);
    check_taken(found, id, sweep);
}

fn check_distinct(found: &mut Violations, id: &SweepId, sweep: &Sweep) {
    // An edit may bring points together that were apart, and what was withdrawn may come again.
    let apart = |run: &Run| (run.point.revision, run.own_point());
    let firsts: Vec<_> = sweep
        .runs
        .iter()
        .filter(|(number, run)| run.point.first == *number && !run.point.withdrawn)
        .map(|(_, run)| apart(&run))
        .collect();
    let keys: BTreeSet<_> = firsts.iter().copied().collect();
    found.must(keys.len() == firsts.len(), "I3", || {
        format!("sweep {id}: two runs have one point and are no repeats")
    });
    let created = sweep.runs.iter().filter(|(_, run)| {
        run.point.revision == sweep.revision() && !run.point.withdrawn && !run.imported
    });
    let held = created
        .filter(|(_, run)| !run.point.is_again())
        .all(|(_, run)| sweep.spec.space.holds(&run.config));
    found.must(held || sweep.revisions.len() < 2, "I3", || {
        format!("sweep {id}: a run was suggested that its newest space does not hold")
    });
}

fn check_repeats(found: &mut Violations, id: &SweepId, sweep: &Sweep) {
    let most = sweep
        .revisions
        .iter()
        .map(|revision| u64::from(revision.spec.repeats))
        .max()
        .unwrap_or(1);
    for (number, run) in sweep
        .runs
        .iter()
        .filter(|(number, run)| run.point.first != *number)
    {
        let repeats = number
            .checked_sub(run.point.first)
            .is_some_and(|place| place < most);
        let same = sweep.runs.get(run.point.first).is_some_and(|first| {
            first.point.first == run.point.first && first.config == run.config
        });
        found.must(repeats && same, "I3", || {
            format!("run {id}/{number} is no repeat of run {}", run.point.first)
        });
    }
}

fn check_taken(found: &mut Violations, id: &SweepId, sweep: &Sweep) {
    let taken = &sweep.index.points;
    let points: BTreeSet<_> = sweep
        .runs
        .iter()
        .filter_map(|(_, run)| sweep.point_of(&run))
        .collect();
    found.must(points.iter().eq(taken.keys.iter()), "I3", || {
        format!("sweep {id}: `points.keys` is not what its runs say")
    });
    let runs = sweep
        .runs
        .iter()
        .filter_map(|(_, run)| sweep.point_of(&run))
        .count() as u64;
    let others: u64 = taken.shared.values().map(|others| u64::from(*others)).sum();
    let counted = taken.keys.len() as u64 + others;
    found.must(
        runs == counted && !taken.shared.values().any(|others| *others == 0),
        "I5",
        || format!("sweep {id}: `points.shared` is not what its runs say"),
    );
    let again = sweep
        .runs
        .iter()
        .filter(|(_, run)| run.point.is_again())
        .filter_map(|(_, run)| sweep.point_of(&run));
    let again = again.collect::<BTreeSet<_>>().len() as u64;
    found.must(again == taken.again, "I5", || {
        format!("sweep {id}: `points.again` is not what its runs say")
    });
}
