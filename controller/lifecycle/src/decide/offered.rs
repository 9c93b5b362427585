//! Runs that a person or their program has chosen: they wait for an agent like any others.

use std::collections::{BTreeMap, BTreeSet};

use sweep_search::space::PointKey;
use sweep_search::suggest::Method;
use sweep_search::why::{Kind, Why};

use super::draft::Draft;
use super::skipped::Skipped;
use super::sweep::standing;
use crate::command::{Decision, Offered, Refusal, Reply};
use crate::event::Event;
use crate::state::{RunNumber, State, SweepId, SweepState};

// All or none: a caller that has to offer fewer should not have to find out which ones were taken.
pub(super) fn offer(
    state: &State,
    sweep: &SweepId,
    runs: &[Offered],
    end: bool,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    refuse_method(&draft, end)?;
    if draft.sweep.state.is_terminal() {
        // To say at the end that this was all is right, whichever way the sweep has ended.
        if end && runs.is_empty() {
            return Ok(draft.reply(Reply::Offered {
                runs: Vec::new(),
                skipped: Vec::new(),
            }));
        }
        let hint = match draft.sweep.state {
            SweepState::Stopped | SweepState::Cancelled => {
                format!("; `sweep resume {sweep}` makes it run again")
            }
            _ => String::new(),
        };
        return Err(Refusal::WrongState(format!(
            "{}: it takes no more runs{hint}",
            standing(sweep, draft.sweep)
        )));
    }
    if let Some(index) = runs
        .iter()
        .position(|offered| !draft.holds(&offered.config))
    {
        let version = draft.sweep.space_version();
        return Err(Refusal::WrongState(format!(
            "entry {}: it is not in space version {version}, which the sweep has now",
            index + 1
        )));
    }
    let keys: Vec<PointKey> = runs.iter().map(|offered| offered.config.key()).collect();
    let new: BTreeSet<_> = keys
        .iter()
        .filter(|key| !draft.sweep.index.points.keys.contains(*key))
        .collect();
    refuse_beyond_limit(&draft, new.len() as u64)?;
    let (runs, skipped) = queue(&mut draft, runs, &keys);
    if end && !draft.sweep.exhausted {
        draft.push(Event::SpaceExhausted {
            sweep: sweep.clone(),
        });
    }
    draft.finish_if_done();
    Ok(draft.reply(Reply::Offered { runs, skipped }))
}

fn refuse_method(draft: &Draft<'_>, end: bool) -> Result<(), Refusal> {
    let id = draft.id;
    match draft.sweep.spec.method {
        Method::Grid => {
            let hint = format!("`sweep retry {id} RUN` runs one again");
            Err(Refusal::WrongState(format!(
                "sweep {id} is a grid, and a grid tries each of its points by itself: {hint}"
            )))
        }
        Method::Random | Method::Bayes if end => {
            let hint = format!("`sweep stop {id}` ends it");
            Err(Refusal::WrongState(format!(
                "sweep {id} does not end with the runs that are offered, since it searches by itself: {hint}"
            )))
        }
        Method::Random | Method::Bayes | Method::External => Ok(()),
    }
}

fn refuse_beyond_limit(draft: &Draft<'_>, new: u64) -> Result<(), Refusal> {
    let (id, progress) = (draft.id, draft.progress());
    if new == 0 {
        return Ok(());
    }
    if let Some(limit) = progress.limit(&draft.sweep.spec) {
        return Err(Refusal::WrongState(format!(
            "sweep {id} takes no more runs: {limit}"
        )));
    }
    let Some(cap) = draft.sweep.spec.run_cap else {
        return Ok(());
    };
    let left = cap.saturating_sub(progress.created);
    let repeats = u64::from(draft.sweep.spec.repeats);
    // The last point may have to do with fewer repeats, as it has to where the search suggests it.
    if new > left.div_ceil(repeats) {
        let offered = if repeats == 1 {
            format!("{new} runs")
        } else {
            format!("{new} points of {repeats} runs each")
        };
        let more = if left == 1 {
            "1 more run".to_owned()
        } else {
            format!("{left} more runs")
        };
        return Err(Refusal::WrongState(format!(
            "{offered} were offered, and the run cap of {cap} lets sweep {id} have {more}"
        )));
    }
    Ok(())
}

// A point is tried once (I3): a repeated offer gets the run that it has.
fn queue(
    draft: &mut Draft<'_>,
    runs: &[Offered],
    keys: &[PointKey],
) -> (Vec<RunNumber>, Vec<String>) {
    let (history, taken) = (draft.sweep.history, &draft.sweep.index.points.keys);
    let mut known = BTreeMap::new();
    if keys.iter().any(|key| taken.contains(key)) {
        known.extend(
            draft
                .sweep
                .runs
                .iter()
                .filter_map(|(_, run)| Some((draft.sweep.point_of(&run)?, run.point.first))),
        );
    }
    let mut entries = BTreeMap::new();
    let (mut numbers, mut skipped) = (Vec::new(), Skipped::default());
    for (place, (offered, key)) in (1..).zip(runs.iter().zip(keys)) {
        let number = if let Some(first) = known.get(key) {
            let reason = match entries.get(key) {
                Some(earlier) => format!("the same parameters as entry {earlier}"),
                None => format!("the sweep has a run with these parameters: run {first}"),
            };
            skipped.note(place, &reason);
            *first
        } else {
            let reason = if offered.reason.is_empty() {
                "offered"
            } else {
                &offered.reason
            };
            let first = draft.create_runs(
                &offered.config,
                history,
                &Why::new(Kind::External, reason),
                "",
            );
            known.insert(*key, first);
            entries.insert(key, place);
            first
        };
        numbers.push(number);
    }
    (numbers, skipped.into_lines())
}
