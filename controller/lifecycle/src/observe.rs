//! Views of a sweep for the search and for users: observations, pending runs, and progress.

use std::borrow::Cow;

use sweep_search::observation::{Ending, Goal, Observation, Outcome, Pending};
use sweep_search::suggest::Method;

use crate::endings::StoppedEndings;
use crate::repeats;
use crate::spec::{Objective, Reduce, SweepSpec};
use crate::state::{Run, RunNumber, RunState, Sweep, SweepState};
use crate::versions;

/// Returns what the search may learn from, by the number of the first run of each point: finished runs with their value, stopped ones with the
/// ending that the curves known now predict, and failed ones whose configuration is to blame. Failures attributed to the machine or external causes, and
/// cancelled runs, are no evidence about a configuration. Of repeats it is the mean of those that finished, or else of those that were stopped; they have
/// failed where more of them failed than have a value.
pub fn observations(sweep: &Sweep) -> Vec<Observation> {
    let mut endings = StoppedEndings::of(sweep);
    points(sweep)
        .filter_map(|(first, runs)| observation(sweep, first, &runs, &mut endings))
        .collect()
}

/// Returns the same for the next suggestion, where a stopped run counts with what was predicted when it was stopped, or else with what it had
/// reached. Suggestions that were made from present predictions needed more epochs (docs/explanation/experiments.md, predictions for stopped runs).
pub fn observations_to_suggest_from(sweep: &Sweep) -> Vec<Observation> {
    let mut endings = StoppedEndings::at_their_stops();
    points(sweep)
        .filter_map(|(first, runs)| observation(sweep, first, &runs, &mut endings))
        .collect()
}

/// Returns the ids of the versions of the code that are told apart. Suggestions are for the last.
pub fn code_line(sweep: &Sweep) -> Vec<String> {
    versions::line(sweep)
}

/// Returns how many observations there are.
pub(crate) fn results(sweep: &Sweep) -> u64 {
    points(sweep)
        .filter(|(_, runs)| runs.iter().any(|run| has_outcome(run)))
        .count() as u64
}

/// Returns how many runs the search learns from.
pub fn learnt(sweep: &Sweep) -> u64 {
    points(sweep)
        .map(|(_, runs)| runs.iter().filter(|run| has_outcome(run)).count() as u64)
        .sum()
}

fn points(sweep: &Sweep) -> impl Iterator<Item = (RunNumber, Vec<Cow<'_, Run>>)> {
    let firsts = sweep
        .runs
        .numbers()
        .filter(|number| sweep.runs.first_of(*number) == Some(*number));
    firsts.map(|first| {
        (
            first,
            versions::counting(sweep, &sweep.code.versions, first),
        )
    })
}

fn observation(
    sweep: &Sweep,
    first: RunNumber,
    runs: &[Cow<'_, Run>],
    endings: &mut StoppedEndings,
) -> Option<Observation> {
    let ended: Vec<&Run> = runs
        .iter()
        .map(AsRef::as_ref)
        .filter(|run| has_outcome(run))
        .collect();
    let known = *ended.first()?;
    let outcomes: Vec<Outcome> = ended
        .iter()
        .filter_map(|run| outcome(sweep, run, endings))
        .collect();
    let (outcome, repeats) = combined(&outcomes);
    let violations = repeats::violations(ended.iter().copied(), &sweep.spec.constraints);
    let placed = sweep.placed(known)?;
    let (code_version, config) = (
        versions::canonical(&sweep.code.versions, &known.code_version).to_owned(),
        placed.config.into_owned(),
    );
    Some(Observation {
        violations,
        code_version,
        repeats,
        outside: placed.outside,
        ..Observation::new(first, config, outcome)
    })
}

/// Returns the outcome of a point from those of its runs, and how many values it is the mean of.
fn combined(outcomes: &[Outcome]) -> (Outcome, u32) {
    let failed = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Failed)
        .count();
    if outcomes.len() - failed < failed {
        return (Outcome::Failed, 1);
    }
    let by_itself = outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Value(_)));
    let of_kind = |outcome: &&Outcome| {
        matches!(outcome, Outcome::Value(_)) == by_itself && **outcome != Outcome::Failed
    };
    let chosen = || outcomes.iter().filter(of_kind);
    let count = u32::try_from(chosen().count()).unwrap_or(u32::MAX);
    // Divided before it is summed: a sum of large values may overflow where their mean does not.
    let mean = chosen()
        .filter_map(Outcome::value)
        .map(|value| value / f64::from(count))
        .sum();
    let deviation = chosen().fold(0.0_f64, |sum, outcome| {
        sum.hypot(outcome.deviation() / f64::from(count))
    });
    (
        if by_itself {
            Outcome::Value(mean)
        } else {
            Outcome::Stopped(Ending { mean, deviation })
        },
        count,
    )
}

/// Returns whether the search may learn from a run.
fn has_outcome(run: &Run) -> bool {
    match run.state {
        RunState::Finished | RunState::Stopped => run.value.is_some(),
        RunState::Failed => run.blamed,
        RunState::Queued | RunState::Assigned | RunState::Running | RunState::Cancelled => false,
    }
}

fn outcome(sweep: &Sweep, run: &Run, endings: &mut StoppedEndings) -> Option<Outcome> {
    match run.state {
        RunState::Finished => run.value.map(Outcome::Value),
        RunState::Stopped => run
            .value
            .map(|reached| Outcome::Stopped(endings.ending(sweep, run, reached))),
        RunState::Failed => run.blamed.then_some(Outcome::Failed),
        RunState::Queued | RunState::Assigned | RunState::Running | RunState::Cancelled => None,
    }
}

/// Returns the points whose results are pending, by the number of their first run.
pub fn pending(sweep: &Sweep) -> Vec<Pending> {
    let open = sweep
        .index
        .queued
        .union(&sweep.index.live)
        .filter_map(|number| sweep.runs.first_of(*number));
    let firsts: std::collections::BTreeSet<_> = open.collect();
    let unknown = firsts.into_iter().filter_map(|first| {
        let runs = versions::counting(sweep, &sweep.code.versions, first);
        let run = runs.first()?;
        let placed = sweep
            .placed(run)
            .filter(|_| !runs.iter().any(|run| has_outcome(run)))?;
        let code_version = versions::canonical(&sweep.code.versions, &run.code_version).to_owned();
        Some(Pending {
            index: first,
            config: placed.config.into_owned(),
            code_version,
        })
    });
    unknown.collect()
}

/// Returns how many runs the sweep will have when it ends by itself, short of its target: the run cap or the size of the grid, the
/// smaller one; and what a person has asked for again. `None`: it is open-ended, or its grid has more points than can be counted.
pub fn planned(sweep: &Sweep) -> Option<u64> {
    let grid = sweep
        .grid_size
        .map(|size| size.saturating_mul(u64::from(sweep.spec.repeats)));
    [sweep.spec.run_cap, grid]
        .into_iter()
        .flatten()
        .min()
        .map(|planned| planned.saturating_add(sweep.index.reruns))
        .filter(|planned| *planned < u64::MAX)
}

/// Returns how many more points may be tried now, `u64::MAX` where nothing bounds them. `None`: none, because the sweep hands out
/// no runs, or nothing is left to try, or its run cap or target has been reached, or a program of the user chooses them.
pub fn wants_suggestions(sweep: &Sweep) -> Option<u64> {
    let progress = SweepProgress::of(sweep);
    let is_external = sweep.spec.method == Method::External;
    if is_external || sweep.state != SweepState::Running || progress.limit(&sweep.spec).is_some() {
        return None;
    }
    let left = [
        sweep.spec.run_cap.map(|cap| {
            cap.saturating_sub(progress.created)
                .div_ceil(u64::from(sweep.spec.repeats))
        }),
        sweep
            .grid_size
            .map(|size| size.saturating_sub(progress.tried)),
    ];
    Some(left.into_iter().flatten().min().unwrap_or(u64::MAX))
}

/// Returns the number that a series of objective values becomes, never an infinite one or NaN. `None`: no value is finite.
pub fn reduced(objective: &Objective, series: &[f64]) -> Option<f64> {
    let mut finite = series.iter().copied().filter(|value| value.is_finite());
    let value = match objective.reduce {
        Reduce::Best => finite.reduce(|best, value| {
            if objective.goal.is_better(value, best) {
                value
            } else {
                best
            }
        }),
        Reduce::Last => finite.next_back(),
        Reduce::MeanLast(count) => {
            let last: Vec<f64> = finite
                .rev()
                .take(usize::try_from(count.max(1)).unwrap_or(usize::MAX))
                .collect();
            // Divided before it is summed: a sum of large values may overflow where their mean does not.
            (!last.is_empty()).then(|| last.iter().map(|value| value / last.len() as f64).sum())
        }
    };
    value.filter(|value| value.is_finite())
}

/// The counts that say whether a sweep continues.
#[derive(Clone, Debug)]
pub(crate) struct SweepProgress {
    /// Runs of the sweep's own: without imported ones, and those that a person has asked for again.
    pub(crate) created: u64,
    /// Points that were tried, imported ones included; each once, however often it was tried again.
    pub(crate) tried: u64,
    pub(crate) queued: usize,
    pub(crate) live: usize,
    pub(crate) exhausted: bool,
    pub(crate) grid_size: Option<u64>,
    pub(crate) best: Option<(RunNumber, f64)>,
    /// Running runs that have reported the target.
    pub(crate) reached: Vec<(RunNumber, f64)>,
}

impl SweepProgress {
    pub(crate) fn of(sweep: &Sweep) -> Self {
        Self {
            created: (sweep.runs.len() as u64)
                .saturating_sub(sweep.index.imported + sweep.index.reruns),
            tried: (sweep.index.points.keys.len() as u64).saturating_sub(sweep.index.points.again),
            queued: sweep.index.queued.len(),
            live: sweep.index.live.len(),
            exhausted: sweep.exhausted,
            grid_size: sweep.grid_size,
            best: sweep.index.best,
            reached: sweep
                .index
                .reached
                .iter()
                .map(|(run, value)| (*run, *value))
                .collect(),
        }
    }

    /// Returns why no more runs may be created, in words; `None` where they may.
    pub(crate) fn limit(&self, spec: &SweepSpec) -> Option<String> {
        let ended = self.best.filter(|(_, value)| reaches_target(spec, *value));
        if let Some((run, value)) = ended.or_else(|| self.reached.first().copied()) {
            return Some(format!("target reached by run {run}: {}", rounded(value)));
        }
        if let Some(cap) = spec.run_cap.filter(|cap| self.created >= *cap) {
            return Some(format!("run cap of {cap} reached"));
        }
        if spec.method == Method::External {
            return self
                .exhausted
                .then(|| "no more runs will be offered".to_owned());
        }
        let place = if spec.method == Method::Grid {
            "grid"
        } else {
            "space"
        };
        let points = if self.tried == 1 {
            "the only point".to_owned()
        } else {
            format!("all {} points", self.tried)
        };
        let times = match spec.repeats {
            1 => "tried".to_owned(),
            times => format!("tried {times} times"),
        };
        let exhausted = self.exhausted || self.grid_size.is_some_and(|size| self.tried >= size);
        // A grid is meant to end there.
        let hint = match (spec.method, spec.repeats) {
            (Method::Grid, _) => "",
            (_, 1) => "; `repeats: 3` in the sweep file tries each point three times",
            _ => "; with a larger `repeats` each is tried more often",
        };
        exhausted.then(|| format!("{points} of the {place} {times}{hint}"))
    }
}

/// Rounds to six significant digits, as people read numbers.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Returns the value that a running run has reported so far, where it reaches the target and breaks no constraint.
pub(crate) fn reached(spec: &SweepSpec, run: &Run) -> Option<f64> {
    let objective = spec
        .objective
        .as_ref()
        .filter(|objective| objective.target.is_some() && spec.repeats == 1)?;
    let newest = run
        .attempts
        .last()
        .filter(|newest| newest.state.is_live())?;
    let value = match objective.reduce {
        Reduce::Best if !newest.summarised => {
            let (min, max) = newest.extremes.get(&objective.metric)?;
            if objective.goal == Goal::Minimize {
                *min
            } else {
                *max
            }
        }
        _ => reduced(objective, &newest.series)?,
    };
    let keeps = run
        .violations(&spec.constraints)
        .iter()
        .all(|violation| violation.is_some_and(|violation| violation <= 0.0));
    (keeps && reaches_target(spec, value)).then_some(value)
}

/// Returns whether a value is as good as the target; never without one.
pub fn reaches_target(spec: &SweepSpec, value: f64) -> bool {
    let Some(objective) = &spec.objective else {
        return false;
    };
    objective
        .target
        .is_some_and(|target| objective.goal.minimized(value) <= objective.goal.minimized(target))
}
