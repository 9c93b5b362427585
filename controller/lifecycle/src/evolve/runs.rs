//! Events of runs.

use std::collections::BTreeMap;

use sweep_search::space::Config;
use sweep_search::why::{Kind, Why};

use super::attempts;
use super::index::{list, rank, withdraw};
use crate::event::RetryCause;
use crate::state::{
    AgentId, Annotation, AttemptSummary, Retries, RetryHistory, Run, RunNumber, RunPoint,
    RunRanges, RunState, State, Sweep, SweepId, Timestamp, known_point,
};

/// The outcome of a run that was executed elsewhere.
pub(super) struct ImportedOutcome<'a> {
    pub(super) state: RunState,
    pub(super) value: Option<f64>,
    pub(super) reason: &'a str,
    pub(super) code_version: &'a str,
}

/// The end of a run as its event has it.
pub(super) struct RunEnd<'a> {
    pub(super) state: RunState,
    pub(super) value: Option<f64>,
    pub(super) reason: &'a str,
    pub(super) blamed: bool,
    pub(super) withdrawn: bool,
}

pub(super) fn change_in(
    state: &mut State,
    sweep: &SweepId,
    run: RunNumber,
    change: impl FnOnce(&mut Run),
) {
    if let Some(sweep) = state.sweeps.get_mut(sweep) {
        sweep.runs.change(run, change);
    }
}

/// Returns a queued run of the newest revision.
pub(super) fn new_run(
    sweep: &Sweep,
    first: RunNumber,
    config: &Config,
    why: &Why,
    history: u64,
    at: Timestamp,
) -> Run {
    Run {
        config: config.clone(),
        why: why.clone(),
        history,
        state: RunState::Queued,
        reason: String::new(),
        attempts: Vec::new(),
        value: None,
        blamed: false,
        point: RunPoint {
            first,
            again: String::new(),
            revision: sweep.revision(),
            withdrawn: false,
        },
        imported: false,
        code_version: String::new(),
        retries: RetryHistory::default(),
        pruned: false,
        annotation: Annotation::default(),
        created: at,
        ended: None,
        ended_epoch: 0,
    }
}

pub(super) fn create(sweep: &mut Sweep, number: RunNumber, mut run: Run, again: &str) {
    again.clone_into(&mut run.point.again);
    sweep.index.reruns += u64::from(run.is_rerun());
    sweep
        .index
        .points
        .add(run.own_point(), run.point.is_again());
    sweep.runs.insert(number, run);
    sweep.index.queued.insert(number);
    sweep.history += 1;
}

pub(super) fn import(
    sweep: &mut Sweep,
    number: RunNumber,
    config: &Config,
    imported: &ImportedOutcome<'_>,
    at: Timestamp,
) {
    let why = Why::new(Kind::External, "imported");
    let run = Run {
        state: imported.state,
        reason: imported.reason.to_owned(),
        value: imported.value,
        blamed: imported.state == RunState::Failed,
        imported: true,
        code_version: imported.code_version.to_owned(),
        ended: Some(at),
        ..new_run(sweep, number, config, &why, sweep.history, at)
    };
    sweep.index.points.add(config.key(), false);
    sweep.runs.insert(number, run);
    sweep.index.imported += 1;
    sweep.history += 1;
    rank(sweep, number);
}

pub(super) fn end(
    sweep: &mut Sweep,
    number: RunNumber,
    ended: &RunEnd<'_>,
    (at, epoch): (Timestamp, u32),
) {
    let changed = sweep.runs.change(number, |run| {
        ended.reason.clone_into(&mut run.reason);
        run.value = ended.value;
        run.blamed = ended.blamed;
        (run.ended, run.ended_epoch) = (Some(at), epoch);
        run.state = ended.state;
    });
    if changed.is_none() {
        return;
    }
    list(sweep, number, ended.state);
    sweep.history += 1;
    withdraw(sweep, number, ended.withdrawn);
    rank(sweep, number);
}

pub(super) fn cancel_queued(
    sweep: &mut Sweep,
    runs: &RunRanges,
    (reason, withdrawn): (&str, bool),
    (at, epoch): (Timestamp, u32),
) {
    for number in runs.numbers() {
        let placed = sweep
            .runs
            .get(number)
            .zip(sweep.runs.point_of(number))
            .filter(|_| withdrawn);
        let point = placed.and_then(|(run, own)| {
            Some((
                known_point(&sweep.revisions, &run, own)?,
                run.point.is_again(),
            ))
        });
        let cancelled = sweep.runs.change(number, |run| {
            reason.clone_into(&mut run.reason);
            (run.state, run.value, run.blamed) = (RunState::Cancelled, None, false);
            (run.point.withdrawn, run.ended, run.ended_epoch) = (withdrawn, Some(at), epoch);
            run.point.first != number
        });
        let Some(is_repeat) = cancelled else { continue };
        sweep.index.queued.remove(&number);
        sweep.history += 1;
        if let Some((point, is_again)) = point {
            sweep.index.points.remove(point, is_again);
        }
        // A point without repeats has no value now, and had none before.
        if is_repeat || sweep.runs.first_of(number + 1) == Some(number) {
            rank(sweep, number);
        }
    }
}

// The same state follows from a log from which the reports of these runs have been deleted.
pub(super) fn prune(
    sweep: &mut Sweep,
    runs: &RunRanges,
    values: &[(RunNumber, f64)],
    attempts: &[AttemptSummary],
) {
    let values: BTreeMap<_, _> = values.iter().copied().collect();
    for number in runs.numbers() {
        sweep.runs.change(number, |run| {
            run.pruned = true;
            run.value = values.get(&number).copied();
        });
    }
    let metric = sweep
        .spec
        .objective
        .as_ref()
        .map(|objective| objective.metric.clone())
        .unwrap_or_default();
    for summary in attempts {
        attempts::change(sweep, &summary.attempt, |pruned| {
            pruned.keep_summary(summary);
        });
        // A replay may have seen no report of it.
        if summary.metrics.contains_key(&metric) {
            sweep.is_objective_read = true;
            sweep.unread.clear();
        }
    }
    for number in runs.numbers() {
        rank(sweep, number);
    }
}

pub(super) fn requeue(
    sweep: &mut Sweep,
    number: RunNumber,
    reason: &str,
    counts: Option<RetryCause>,
    avoid: Option<&AgentId>,
) {
    let requeued = sweep.runs.change(number, |run| {
        let had_ended = run.state.is_terminal();
        run.state = RunState::Queued;
        run.pruned = false;
        run.reason = reason.to_owned();
        run.value = None;
        run.blamed = false;
        run.ended = None;
        count(&mut run.retries, counts);
        run.retries.avoid.extend(avoid.cloned());
        had_ended
    });
    let Some(had_ended) = requeued else { return };
    sweep.history += u64::from(had_ended);
    list(sweep, number, RunState::Queued);
    // One that an edit had withdrawn, and another has brought back.
    withdraw(sweep, number, false);
    rank(sweep, number);
}

fn count(retries: &mut RetryHistory, cause: Option<RetryCause>) {
    match cause {
        Some(RetryCause::Lost) => retries.counts.lost += 1,
        Some(RetryCause::Machine) => retries.counts.machine += 1,
        Some(RetryCause::Crashed) => retries.counts.crashed += 1,
        Some(RetryCause::Asked) => *retries = RetryHistory::default(),
        Some(RetryCause::Absolved) => retries.counts = Retries::default(),
        None => {}
    }
}
