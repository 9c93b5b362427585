//! Programs that ask for runs and execute them themselves: what they tell, and what they have from elsewhere.

use std::collections::BTreeMap;

use super::attempt;
use super::code::see;
use super::draft::Draft;
use super::skipped::Skipped;
use crate::command::{AttemptResult, Decision, Import, Refusal, Reply, TellOutcome};
use crate::event::{Event, MetricPoint};
use crate::state::{AttemptRef, AttemptState, RunNumber, RunState, State, SweepId, Timestamp};

// The value told is the objective's one value, and it stands above a metric of that name.
pub(super) fn tell(
    state: &State,
    attempt: &AttemptRef,
    told: &TellOutcome,
    metrics: &BTreeMap<String, f64>,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, &attempt.sweep)?;
    let run = draft.run(attempt.run)?;
    let Some(asked) = run.attempt(attempt.attempt) else {
        return Err(attempt::stale(
            attempt,
            format!(
                "there is no such attempt; the newest of run {} is {}",
                attempt.run,
                run.newest()
            ),
        ));
    };
    if !state
        .agents
        .get(&asked.agent)
        .is_some_and(|agent| agent.info.asks)
    {
        let reason = format!(
            "run {} is executed by agent {}, which reports the outcome",
            attempt.run, asked.agent
        );
        return Err(Refusal::WrongState(reason));
    }
    if matches!(
        asked.state,
        AttemptState::Finished | AttemptState::Failed | AttemptState::Cancelled
    ) {
        let value = run
            .value
            .map(|value| format!(" with the value {value}"))
            .unwrap_or_default();
        return Err(attempt::stale(
            attempt,
            format!("it was told before: the run is {}{value}", run.state),
        ));
    }
    let objective = draft
        .sweep
        .spec
        .objective
        .as_ref()
        .map_or("value", |objective| objective.metric.as_str());
    let points = told_points(objective, told, metrics);
    if !points.is_empty() {
        let stale = !asked.state.is_live();
        draft.push(Event::MetricsReported {
            attempt: attempt.clone(),
            first_seq: asked.points,
            points,
            stale,
        });
    }
    attempt::finish_in(
        draft,
        &asked.agent,
        attempt,
        &AttemptResult::Told(told.clone()),
    )
}

fn told_points(
    objective: &str,
    told: &TellOutcome,
    metrics: &BTreeMap<String, f64>,
) -> Vec<MetricPoint> {
    let point = |name: &str, value: f64| MetricPoint {
        name: name.to_owned(),
        step: None,
        wall: Timestamp::default(),
        value,
    };
    let mut points: Vec<_> = metrics
        .iter()
        .filter(|(name, _)| *name != objective)
        .map(|(name, value)| point(name, *value))
        .collect();
    if let TellOutcome::Value(value) = told {
        points.push(point(objective, *value));
    }
    points
}

// A point is tried once (I3): its earlier result stays.
pub(super) fn import(
    state: &State,
    sweep: &SweepId,
    imports: &[Import],
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let mut next: RunNumber = draft.sweep.runs.last() + 1;
    let mut new = BTreeMap::new();
    let (mut imported, mut skipped) = (0, Skipped::default());
    for import in imports {
        let key = import.config.key();
        let known = if draft.sweep.index.points.keys.contains(&key) {
            Some("the sweep has a run with these parameters".to_owned())
        } else {
            None
        };
        let known = known.or_else(|| {
            new.get(&key)
                .map(|earlier| format!("the same parameters as entry {earlier}"))
        });
        let outside = (!draft.holds(&import.config)).then(|| {
            format!(
                "it is not in space version {}, which the sweep has now",
                draft.sweep.space_version()
            )
        });
        if let Some(reason) = known.or(outside) {
            skipped.note(import.place, &reason);
            continue;
        }
        new.insert(key, import.place);
        let (state, value, reason) = match &import.told {
            TellOutcome::Value(value) if value.is_finite() => {
                (RunState::Finished, Some(*value), String::new())
            }
            TellOutcome::Value(value) => (
                RunState::Failed,
                None,
                format!("the imported value was {value}"),
            ),
            TellOutcome::Failed(reason) if reason.is_empty() => {
                (RunState::Failed, None, "imported as failed".to_owned())
            }
            TellOutcome::Failed(reason) => (RunState::Failed, None, reason.clone()),
        };
        let value = value.filter(|_| draft.sweep.spec.objective.is_some());
        see(&mut draft, None, &import.code_version);
        let (config, code_version) = (import.config.clone(), import.code_version.clone());
        draft.push(Event::RunImported {
            sweep: sweep.clone(),
            run: next,
            config,
            state,
            value,
            reason,
            code_version,
        });
        next += 1;
        imported += 1;
    }
    draft.finish_if_done();
    Ok(draft.reply(Reply::Imported {
        imported,
        skipped: skipped.into_lines(),
    }))
}
