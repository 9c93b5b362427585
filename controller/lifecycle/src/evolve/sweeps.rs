//! Events of a sweep as a whole: its file and its state.

use std::sync::Arc;

use sweep_search::suggest::Method;

use super::index::reach;
use crate::revise;
use crate::spec::SweepSpec;
use crate::state::{
    CodeHistory, Revision, RevisionEffect, Run, Runs, Sweep, SweepIndex, SweepState, Timestamp,
};
use crate::versions;

/// A revision of a sweep's file as its event has it.
pub(super) struct EditedFile<'a> {
    pub(super) spec: &'a SweepSpec,
    pub(super) source: &'a str,
    pub(super) restores: Option<u32>,
    pub(super) changes: &'a [String],
    pub(super) effect: RevisionEffect,
}

pub(super) fn new_sweep(spec: &SweepSpec, source: &str, seed: u64, at: Timestamp) -> Sweep {
    let (spec, source): (_, Arc<str>) = (Arc::new(spec.clone()), source.into());
    let first = Revision {
        spec: Arc::clone(&spec),
        source: Arc::clone(&source),
        space: 1,
        restores: None,
        changes: Vec::new(),
        effect: RevisionEffect::default(),
        changes_rows: false,
        since: at,
    };
    Sweep {
        seed,
        grid_size: grid_size(&spec),
        state: SweepState::Running,
        reason: String::new(),
        stalled: false,
        assignments: 0,
        is_objective_read: false,
        unread: Vec::new(),
        exhausted: false,
        runs: Runs::new(seals(&spec)),
        spec,
        source,
        revisions: vec![first],
        edited: 0,
        index: SweepIndex::default(),
        code: CodeHistory::default(),
        environments: Vec::new(),
        archived: false,
        history: 0,
        created: at,
        updated: at,
    }
}

pub(super) fn enter(sweep: &mut Sweep, to: SweepState, reason: &str) {
    if to == SweepState::Running {
        sweep.unread.clear();
    }
    sweep.state = to;
    sweep.stalled = false;
    reason.clone_into(&mut sweep.reason);
}

pub(super) fn stall(sweep: &mut Sweep, reason: &str) {
    sweep.state = SweepState::Paused;
    sweep.stalled = true;
    reason.clone_into(&mut sweep.reason);
}

// What was suggested, and what the search had found out about the end of the space, was of the space before.
pub(super) fn edit(sweep: &mut Sweep, edited: EditedFile<'_>, since: Timestamp) {
    let spec = Arc::new(edited.spec.clone());
    let has_new_space = sweep.spec.space != spec.space;
    let revision = Revision {
        source: edited.source.into(),
        space: sweep.space_version() + u32::from(has_new_space),
        restores: edited.restores,
        changes: edited.changes.to_vec(),
        effect: edited.effect,
        changes_rows: has_new_space || revise::changes_evaluation(&sweep.spec, &spec),
        spec: Arc::clone(&spec),
        since,
    };
    let before = std::mem::replace(&mut sweep.spec, Arc::clone(&spec));
    sweep.source = Arc::clone(&revision.source);
    sweep.revisions.push(revision);
    sweep.runs.set_seals(seals(&spec));
    sweep.grid_size = grid_size(&spec);
    if revise::revalues(&before, &spec) {
        for number in sweep.runs.numbers().collect::<Vec<_>>() {
            sweep
                .runs
                .change(number, |run| revise::revalue(run, &before, &spec));
        }
    }
    let metric = |spec: &SweepSpec| {
        spec.objective
            .as_ref()
            .map(|objective| objective.metric.clone())
    };
    if let Some(metric) = metric(&spec).filter(|now| metric(&before).as_ref() != Some(now)) {
        let has_it = |run: &Run| {
            run.attempts
                .iter()
                .any(|attempt| attempt.metrics.contains_key(&metric))
        };
        sweep.is_objective_read = sweep.runs.iter().any(|(_, run)| has_it(&run));
    }
    sweep.unread.clear();
    sweep.exhausted = false;
    sweep.rebuild_points();
    sweep.index.best = versions::best(sweep, &sweep.code.versions);
    let live: Vec<_> = sweep.index.live.iter().copied().collect();
    live.into_iter().for_each(|number| reach(sweep, number));
    sweep.history += 1;
    sweep.edited = sweep.history;
}

// Early termination and the models look at all runs again and again.
fn seals(spec: &SweepSpec) -> bool {
    spec.early_terminate.is_none() && spec.method != Method::Bayes
}

pub(crate) fn grid_size(spec: &SweepSpec) -> Option<u64> {
    (spec.method == Method::Grid)
        .then(|| spec.space.size())
        .flatten()
        .map(|size| u64::try_from(size).unwrap_or(u64::MAX))
}
