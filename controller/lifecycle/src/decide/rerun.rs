//! Points that were tried, tried again with other code because a person asks for it. A new run each: what came of the old code stays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use sweep_search::space::{Config, PointKey};
use sweep_search::why::{Kind, Why};

use super::draft::Draft;
use super::sweep::standing;
use crate::command::{Decision, Refusal, Reply, Rerun};
use crate::repeats;
use crate::state::{RunNumber, RunState, State, Sweep, SweepId, SweepState};
use crate::versions;

/// So many points are tried again at once.
const POINTS_MAX: usize = 10_000;

/// What is tried again.
#[derive(Default)]
pub(super) struct Again {
    /// The first run of each point.
    pub(super) again: Vec<RunNumber>,
    /// Why other points are not, in words.
    pub(super) skipped: Vec<String>,
}

pub(super) fn rerun(state: &State, sweep: &SweepId, which: Rerun) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let Again { again, skipped } = points(&mut draft, which, None)?;
    Ok(draft.reply(Reply::Rerun { again, skipped }))
}

/// Creates runs for points that have ended. `version`: the code that is executed from now on; `None`: what the sweep searches for now.
///
/// Where all results are of that very code already, the points are tried with whatever code comes next: an agent tells what it has only when it
/// asks for a run, and a sweep that is done has none to give.
pub(super) fn points(draft: &mut Draft<'_>, which: Rerun, version: Option<&str>) -> Result<Again, Refusal> {
    if which == Rerun::None {
        return Ok(Again::default());
    }
    refuse_cancelled(draft)?;
    let sweep = draft.sweep;
    let target = match version.or(sweep.pinned.as_deref()) {
        Some(version) => versions::canonical(&sweep.codes, version).to_owned(),
        None => versions::target(sweep).unwrap_or_default(),
    };
    let points = tried(sweep);
    let is_new = |version: &str| version == target;
    let all_new = version.is_none() && points.values().all(|point| point.versions.iter().all(|version| is_new(version)));
    if all_new && sweep.pinned.is_some() && !points.is_empty() {
        let hint = format!("`sweep code push {0}` moves it to other code, `sweep retry {0}/RUN` executes a run once more", draft.id);
        return Err(Refusal::WrongState(format!("all results of sweep {} are of the code that it is pinned to: {hint}", draft.id)));
    }
    let newest = sweep.codes.last().map(|code| code.version.as_str()).unwrap_or_default();
    let tag = match target.as_str() {
        "" => format!("after {newest}"),
        target if all_new => format!("after {target}"),
        target => target.to_owned(),
    };
    let chosen = chosen(sweep, points, which, |point| all_new || !point.versions.iter().all(|version| is_new(version)));
    if chosen.len() > POINTS_MAX {
        return Err(Refusal::WrongState(format!(
            "{} points would be tried again, and at most {POINTS_MAX} are at once: name the best {POINTS_MAX}",
            chosen.len()
        )));
    }
    let mut result = Again::default();
    let mut fresh = Vec::new();
    for point in chosen {
        let shown = point.shown;
        if sweep.taken.contains(&point.config.key_again(&tag)) {
            result.skipped.push(format!("the point of run {shown} has been asked for with that code already"));
        } else if !all_new && point.versions.contains(&target) {
            result.skipped.push(format!("the point of run {shown} has a result of that code already"));
        } else if let Some(open) = point.open {
            result.skipped.push(format!("the point of run {shown} is being tried: run {open} has not ended"));
        } else {
            fresh.push(point);
        }
    }
    if draft.sweep.state.is_terminal() && !fresh.is_empty() {
        let count = if fresh.len() == 1 { "a point is".to_owned() } else { format!("{} points are", fresh.len()) };
        draft.change_sweep(SweepState::Running, format!("{count} tried again with other code"));
    }
    for Point { config, shown, .. } in fresh {
        let why = Why::new(Kind::External, format!("run {shown} again with other code"));
        result.again.push(draft.create_runs(&config, sweep.history, &why, &tag));
    }
    Ok(result)
}

fn refuse_cancelled(draft: &Draft<'_>) -> Result<(), Refusal> {
    if draft.sweep.state == SweepState::Cancelled {
        let rule = format!("`sweep resume {}` first, then try points again", draft.id);
        return Err(Refusal::WrongState(format!("{}: {rule}", standing(draft.id, draft.sweep))));
    }
    Ok(())
}

/// A configuration that was tried, with all that came of it.
struct Point {
    config: Config,
    /// The run that stands for it: the first of the newest that has come to something.
    shown: RunNumber,
    /// What that is ranked by.
    value: Option<f64>,
    /// The code of what has come of it.
    versions: BTreeSet<String>,
    /// A run that has not ended.
    open: Option<RunNumber>,
}

/// Returns all configurations of which something has come, by their identity. What a person has cancelled is none.
fn tried(sweep: &Sweep) -> BTreeMap<PointKey, Point> {
    let mut points: BTreeMap<PointKey, Point> = BTreeMap::new();
    for first in sweep.runs.numbers().filter(|number| sweep.runs.first_of(*number) == Some(*number)) {
        for (number, run) in repeats::of(sweep, first) {
            let new = || Point { config: run.config.clone(), shown: 0, value: None, versions: BTreeSet::new(), open: None };
            let point = points.entry(run.config.key()).or_insert_with(new);
            if !run.state.is_terminal() {
                point.open = Some(number);
            } else if run.state != RunState::Cancelled {
                point.versions.insert(versions::canonical(&sweep.codes, &run.code_version).to_owned());
                if point.shown != first {
                    (point.shown, point.value) = (first, versions::ranked(sweep, first));
                }
            }
        }
    }
    points.retain(|_, point| point.shown > 0);
    points
}

/// Returns those that are asked for, the best or the oldest first.
fn chosen(sweep: &Sweep, points: BTreeMap<PointKey, Point>, which: Rerun, is_old: impl Fn(&Point) -> bool) -> Vec<Point> {
    let goal = sweep.spec.objective.as_ref().map(|objective| objective.goal).unwrap_or_default();
    let mut points: Vec<_> = points.into_values().filter(is_old).collect();
    points.sort_by_key(|point| point.shown);
    let Rerun::Best(count) = which else { return points };
    points.retain(|point| point.value.is_some());
    let minimized = |point: &Point| point.value.map_or(f64::INFINITY, |value| goal.minimized(value));
    points.sort_by(|a, b| minimized(a).partial_cmp(&minimized(b)).unwrap_or(Ordering::Equal));
    points.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    points
}
