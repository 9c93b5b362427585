//! The effect of a new revision on existing runs. The decision previews it and the event applies it, by the same functions.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::inits;
use crate::repeats;
use crate::spec::{Objective, Reduce, SweepSpec};
use crate::state::{
    Attempt, PlacedRun, Revision, RevisionEffect, Run, RunNumber, RunRanges, RunState, Sweep,
    placed, point_at,
};
use crate::versions;

/// The effect of a revision on a sweep's runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    pub(crate) effect: RevisionEffect,
    /// Queued runs that the new space does not hold.
    pub(crate) withdrawn: RunRanges,
    /// How many points are in the new space, without those that are tried again.
    pub(crate) tried: u64,
    pub(crate) best: Option<(RunNumber, f64)>,
}

/// Looks at all runs with the eyes of the last of some revisions, of which the sweep has all but that one.
pub(crate) fn outlook(sweep: &Sweep, revisions: &[Revision]) -> Outlook {
    let mut outlook = Outlook::default();
    let Some(newest) = revisions.last() else {
        return outlook;
    };
    let spec = &newest.spec;
    let revalues = revalues(&sweep.spec, spec);
    let mut points: BTreeMap<RunNumber, Vec<Cow<'_, Run>>> = BTreeMap::new();
    let mut inside = BTreeSet::new();
    let (mut withdrawn, mut tried, mut open) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (number, own, mut run) in sweep.runs.with_points() {
        if revalues && (!run.attempts.is_empty() || run.value.is_some()) {
            revalue(run.to_mut(), &sweep.spec, spec);
        }
        let holds = spec.space.holds(&run.config);
        if run.state == RunState::Queued && !holds {
            withdrawn.push(number);
            continue;
        }
        outlook.effect.running +=
            u64::from(matches!(run.state, RunState::Assigned | RunState::Running));
        if run.point.withdrawn {
            continue;
        }
        let place = if holds {
            Some(PlacedRun {
                config: Cow::Borrowed(&run.config),
                outside: false,
            })
        } else {
            placed(revisions, &run)
        };
        count(&mut outlook.effect, spec, &run, place.as_ref());
        if !run.point.is_again() {
            tried.extend(
                place
                    .as_ref()
                    .and_then(|place| point_at(&run, place, || own)),
            );
        }
        // A point has no value before all of its runs have ended.
        if !run.state.is_terminal() {
            open.insert(run.point.first);
            continue;
        }
        if run.point.first == number && place.is_some_and(|place| !place.outside) {
            inside.insert(number);
        }
        if versions::counts(&sweep.code.versions, &run) {
            points.entry(run.point.first).or_default().push(run);
        }
    }
    tried.sort_unstable();
    tried.dedup();
    outlook.tried = tried.len() as u64;
    outlook.withdrawn = withdrawn.into_iter().collect();
    outlook.effect.withdrawn = outlook.withdrawn.count();
    let ended = points
        .into_iter()
        .filter(|(first, _)| inside.contains(first) && !open.contains(first));
    outlook.best = best(spec, ended);
    outlook
}

/// Counts what a revision does to a run that is not withdrawn.
fn count(effect: &mut RevisionEffect, spec: &SweepSpec, run: &Run, place: Option<&PlacedRun<'_>>) {
    match place {
        Some(placed) if placed.outside => effect.outside += 1,
        Some(_) => effect.inside += 1,
        None => effect.nowhere += 1,
    }
    let ended_well = matches!(run.state, RunState::Finished | RunState::Stopped);
    effect.unreported += u64::from(ended_well && spec.objective.is_some() && run.value.is_none());
    let breaks = |violation: &Option<f64>| violation.is_none_or(|violation| violation > 0.0);
    effect.violating +=
        u64::from(ended_well && run.violations(&spec.constraints).iter().any(breaks));
}

/// Returns the best of some points, by their first runs, with its value.
fn best<'a>(
    spec: &SweepSpec,
    points: impl Iterator<Item = (RunNumber, Vec<Cow<'a, Run>>)>,
) -> Option<(RunNumber, f64)> {
    let goal = spec.goal();
    let values =
        points.filter_map(|(first, runs)| Some((first, repeats::value(&runs, &spec.constraints)?)));
    values.reduce(|best, other| {
        if goal.is_better(other.1, best.1) {
            other
        } else {
            best
        }
    })
}

/// Returns whether another objective gives the runs other values.
pub(crate) fn revalues(before: &SweepSpec, after: &SweepSpec) -> bool {
    let judged = |objective: &Objective| {
        (
            objective.metric.clone(),
            objective.goal,
            objective.reduce,
            objective.over_inits,
        )
    };
    before.objective.as_ref().map(judged) != after.objective.as_ref().map(judged)
}

/// Returns whether runs may get another value or rank.
pub(crate) fn changes_evaluation(before: &SweepSpec, after: &SweepSpec) -> bool {
    revalues(before, after) || before.constraints != after.constraints
}

/// Judges a run by another objective, from what it has reported of all metrics.
pub(crate) fn revalue(run: &mut Run, before: &SweepSpec, after: &SweepSpec) {
    let metric = |spec: &SweepSpec| {
        spec.objective
            .as_ref()
            .map(|objective| objective.metric.clone())
    };
    let same_metric = metric(before) == metric(after);
    let Some(objective) = &after.objective else {
        run.value = None;
        return;
    };
    for attempt in &mut run.attempts {
        if !same_metric || attempt.summarised {
            summarise_series(attempt, objective);
        }
        // It was a value of the other objective.
        if let Some(stop) = &mut attempt.stop {
            stop.predicted = stop.predicted.filter(|_| same_metric);
        }
    }
    run.value = match run.state {
        RunState::Finished | RunState::Stopped if run.attempts.is_empty() => {
            run.value.filter(|_| same_metric)
        }
        RunState::Finished | RunState::Stopped => run
            .attempts
            .last()
            .and_then(|last| inits::value(objective, last)),
        RunState::Queued
        | RunState::Assigned
        | RunState::Running
        | RunState::Failed
        | RunState::Cancelled => None,
    };
}

// Of a metric that was not the objective only the last value and the extremes are here: a series that comes to the same best and to the same last value.
fn summarise_series(attempt: &mut Attempt, objective: &Objective) {
    attempt.summarised = true;
    attempt.objective_step = None;
    attempt.series.clear();
    let last = attempt.metrics.get(&objective.metric).copied();
    if objective.reduce == Reduce::Best {
        attempt.series.extend(
            attempt
                .extremes
                .get(&objective.metric)
                .into_iter()
                .flat_map(|(min, max)| [*min, *max]),
        );
    }
    attempt.series.extend(last);
}
