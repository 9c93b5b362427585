//! Reruns points with other code when the user asks for it. Each gets a new run; results of the old code stay.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use sweep_search::space::{Config, PointKey};
use sweep_search::why::{Kind, Why};

use super::draft::Draft;
use super::sweep::standing;
use crate::command::{Decision, Refusal, Reply, Rerun};
use crate::repeats;
use crate::state::{RunNumber, RunState, State, Sweep, SweepId, SweepState};
use crate::versions;

/// Points that can be rerun at once.
const POINTS_MAX: usize = 10_000;

/// The points to rerun.
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
/// Where all results are of that very code already, the points are tried with the code that comes next: an agent tells what it has only when it
/// asks for a run, and a sweep that is done has none to give.
pub(super) fn points(
    draft: &mut Draft<'_>,
    which: Rerun,
    version: Option<&str>,
) -> Result<Again, Refusal> {
    if which == Rerun::None {
        return Ok(Again::default());
    }
    refuse_cancelled(draft)?;
    let sweep = draft.sweep;
    let target = match version.or(sweep.code.pinned.as_deref()) {
        Some(version) => versions::canonical(&sweep.code.versions, version).to_owned(),
        None => versions::target(sweep).unwrap_or_default(),
    };
    let points = tried(sweep, &target);
    let all_new = version.is_none()
        && points
            .values()
            .all(|point| point.results.iter().all(|(_, is_new)| *is_new));
    if all_new && sweep.code.pinned.is_some() && !points.is_empty() {
        let hint = format!(
            "`sweep code push {0}` moves it to other code, `sweep retry {0} RUN` executes a run once more",
            draft.id
        );
        return Err(Refusal::WrongState(format!(
            "all results of sweep {} are of the code that it is pinned to: {hint}",
            draft.id
        )));
    }
    let newest = sweep
        .code
        .versions
        .last()
        .map(|code| code.version.as_str())
        .unwrap_or_default();
    let tag = match target.as_str() {
        "" => format!("after {newest}"),
        target if all_new => format!("after {target}"),
        target => target.to_owned(),
    };
    let chosen = chosen(sweep, points, which, all_new);
    if chosen.len() > POINTS_MAX {
        return Err(Refusal::WrongState(format!(
            "{} points would be tried again, and at most {POINTS_MAX} are at once: name the best {POINTS_MAX}",
            chosen.len()
        )));
    }
    let (fresh, skipped) = sift(sweep, chosen, &tag, all_new);
    if draft.sweep.state.is_terminal() && !fresh.is_empty() {
        let count = if fresh.len() == 1 {
            "a point is".to_owned()
        } else {
            format!("{} points are", fresh.len())
        };
        draft.change_sweep(
            SweepState::Running,
            format!("{count} tried again with other code"),
        );
    }
    let mut again = Vec::new();
    for (shown, config) in fresh {
        let why = Why::new(Kind::External, format!("run {shown} again with other code"));
        again.push(draft.create_runs(&config, sweep.history, &why, &tag));
    }
    Ok(Again { again, skipped })
}

/// Tells the points that are tried again from those that are not, and why they are not.
fn sift(
    sweep: &Sweep,
    chosen: Vec<(RunNumber, TriedPoint)>,
    tag: &str,
    all_new: bool,
) -> (Vec<(RunNumber, Config)>, Vec<String>) {
    let (mut fresh, mut skipped) = (Vec::new(), Vec::new());
    for (shown, point) in chosen {
        let key = point.config.key_again(tag);
        if sweep.index.points.keys.contains(&key) {
            skipped.push(format!(
                "the point of run {shown} has been asked for with that code already"
            ));
        } else if !all_new && point.results.iter().any(|(_, is_new)| *is_new) {
            skipped.push(format!(
                "the point of run {shown} has a result of that code already"
            ));
        } else if let Some(open) = point.open {
            skipped.push(format!(
                "the point of run {shown} is being tried: run {open} has not ended"
            ));
        } else {
            fresh.push((shown, point.config));
        }
    }
    (fresh, skipped)
}

fn refuse_cancelled(draft: &Draft<'_>) -> Result<(), Refusal> {
    if draft.sweep.state == SweepState::Cancelled {
        let rule = format!("`sweep resume {}` first, then try points again", draft.id);
        return Err(Refusal::WrongState(format!(
            "{}: {rule}",
            standing(draft.id, draft.sweep)
        )));
    }
    Ok(())
}

/// A configuration that was tried, with all its results.
struct TriedPoint {
    config: Config,
    /// The first runs of what has come to something, and whether with the code that is asked for.
    results: Vec<(RunNumber, bool)>,
    /// A run that has not ended.
    open: Option<RunNumber>,
}

/// Returns all configurations of the newest space of which something has come, by their identity. What a person has cancelled is none.
fn tried(sweep: &Sweep, target: &str) -> BTreeMap<PointKey, TriedPoint> {
    let mut points: BTreeMap<PointKey, TriedPoint> = BTreeMap::new();
    for first in sweep
        .runs
        .numbers()
        .filter(|number| sweep.runs.first_of(*number) == Some(*number))
    {
        for (number, run) in repeats::of(sweep, first) {
            let Some(config) = sweep
                .placed(&run)
                .filter(|placed| !placed.outside)
                .map(|placed| placed.config.into_owned())
            else {
                continue;
            };
            let point = points.entry(config.key()).or_insert_with(|| TriedPoint {
                config,
                results: Vec::new(),
                open: None,
            });
            if !run.state.is_terminal() {
                point.open = Some(number);
            } else if run.state != RunState::Cancelled {
                point.results.push((
                    first,
                    versions::canonical(&sweep.code.versions, &run.code_version) == target,
                ));
            }
        }
    }
    points.retain(|_, point| !point.results.is_empty());
    points
}

/// Returns those that are asked for, each by its representative run: the newest of its old results. The best come first, or the oldest.
fn chosen(
    sweep: &Sweep,
    points: BTreeMap<PointKey, TriedPoint>,
    which: Rerun,
    all_new: bool,
) -> Vec<(RunNumber, TriedPoint)> {
    let goal = sweep.spec.goal();
    let stands = |point: &TriedPoint| {
        point
            .results
            .iter()
            .rev()
            .find(|(_, is_new)| all_new || !is_new)
            .map(|(first, _)| *first)
    };
    let mut points: Vec<_> = points
        .into_values()
        .filter_map(|point| Some((stands(&point)?, point)))
        .collect();
    points.sort_by_key(|(first, _)| *first);
    let Rerun::Best(count) = which else {
        return points;
    };
    let ranked = points.into_iter().filter_map(|(first, point)| {
        Some((
            goal.minimized(versions::ranked(sweep, first)?),
            first,
            point,
        ))
    });
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by(|(a, ..), (b, ..)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    ranked.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    ranked
        .into_iter()
        .map(|(_, first, point)| (first, point))
        .collect()
}
