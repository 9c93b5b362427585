//! The rows of the query tables, made from the state for everything that a commit touches.

use std::collections::BTreeSet;

use sweep_lifecycle::event::Event;
use sweep_lifecycle::inits;
use sweep_lifecycle::observe;
use sweep_lifecycle::repeats;
use sweep_lifecycle::spec::Constraint;
use sweep_lifecycle::state::{
    Agent, AgentId, Attempt, Health, Revision, Run, RunNumber, RunState, State, Sweep, SweepId,
};
use sweep_lifecycle::versions;
use sweep_search::observation::Goal;

use super::group::Touched;
use crate::store::{
    AgentRow, AttemptRow, Batch, MetricRow, RepeatsRow, RevisionRow, RunRow, SweepRow,
};

/// Fills in the rows of what was touched.
pub(super) fn project(batch: &mut Batch, touched: &Touched, state: &State) {
    batch.deleted.extend(touched.deleted.iter().cloned());
    batch.pruned.extend(
        touched
            .pruned
            .iter()
            .filter(|attempt| state.sweeps.contains_key(&attempt.sweep))
            .cloned(),
    );
    batch.stale.clone_from(&touched.stale);
    for id in &touched.sweeps {
        batch
            .sweeps
            .extend(state.sweeps.get(id).map(|sweep| sweep_row(id, sweep)));
    }
    // What a point has come to is in the row of its first run.
    let first = |(id, number): &(SweepId, RunNumber)| {
        let first = state
            .sweeps
            .get(id)
            .and_then(|sweep| sweep.runs.first_of(*number))?;
        Some((id.clone(), first))
    };
    let runs: BTreeSet<_> = touched
        .runs
        .iter()
        .cloned()
        .chain(touched.runs.iter().filter_map(first))
        .collect();
    for (id, number) in &runs {
        let Some(sweep) = state.sweeps.get(id) else {
            continue;
        };
        batch.runs.extend(
            sweep
                .runs
                .get(*number)
                .map(|run| run_row(id, sweep, *number, &run, state)),
        );
    }
    for (id, digest) in &touched.environments {
        let found = state.sweeps.get(id).and_then(|sweep| {
            sweep
                .environments
                .iter()
                .find(|known| known.digest == *digest)
        });
        batch
            .environments
            .extend(found.map(|known| (id.clone(), known.clone())));
    }
    for id in &touched.agents {
        batch.agents.extend(
            state
                .agents
                .get(id)
                .map(|agent| agent_row(id, agent, state)),
        );
    }
}

/// Returns the keys of a sweep's environments.
pub(super) fn environments_of((id, sweep): (&SweepId, &Sweep)) -> Vec<(SweepId, String)> {
    let known = sweep.environments.iter();
    known
        .map(|known| (id.clone(), known.digest.clone()))
        .collect()
}

/// Returns all rows of the query tables as they follow from a state.
pub fn rows(state: &State) -> Batch {
    let runs = |(id, sweep): (&SweepId, &Sweep)| {
        sweep
            .runs
            .numbers()
            .map(|number| (id.clone(), number))
            .collect::<Vec<_>>()
    };
    let touched = Touched {
        sweeps: state.sweeps.keys().cloned().collect(),
        runs: state.sweeps.iter().flat_map(runs).collect(),
        agents: state.agents.keys().cloned().collect(),
        environments: state.sweeps.iter().flat_map(environments_of).collect(),
        ..Touched::default()
    };
    let mut batch = Batch::default();
    project(&mut batch, &touched, state);
    batch
}

/// Returns the rows of the metric points that an event reports.
pub fn metric_rows(event: &Event) -> impl Iterator<Item = MetricRow> {
    let reported = match event {
        Event::MetricsReported {
            attempt,
            first_seq,
            points,
            ..
        } => Some((attempt, *first_seq, points)),
        _ => None,
    };
    reported
        .into_iter()
        .flat_map(|(attempt, first_seq, points)| {
            (first_seq..)
                .zip(points)
                .map(|(number, point)| (attempt.clone(), number, point.clone()))
        })
}

fn sweep_row(id: &SweepId, sweep: &Sweep) -> SweepRow {
    let spec = &sweep.spec;
    let objective = spec.objective.as_ref();
    SweepRow {
        id: id.0.clone(),
        name: spec.name.clone().unwrap_or_default(),
        state: sweep.state,
        reason: sweep.reason.clone(),
        method: spec.method,
        metric: objective
            .map(|objective| objective.metric.clone())
            .unwrap_or_default(),
        goal: objective
            .map(|objective| objective.goal)
            .unwrap_or_default(),
        planned: observe::planned(sweep).unwrap_or(0),
        created_ms: sweep.created.0,
        updated_ms: sweep.updated.0,
        yaml: sweep.source.to_string(),
        stalled: sweep.stalled,
        revisions: if sweep.revisions.len() > 1 {
            sweep.revisions.iter().map(revision_row).collect()
        } else {
            Vec::new()
        },
        codes: sweep.code.versions.clone(),
        code_steps: sweep.code.steps.clone(),
        pinned: sweep.code.pinned.clone().unwrap_or_default(),
        archived: sweep.archived,
    }
}

fn run_row(id: &SweepId, sweep: &Sweep, number: RunNumber, run: &Run, state: &State) -> RunRow {
    let (best, last) = best_and_last(sweep, run);
    RunRow {
        sweep: id.0.clone(),
        run: number,
        state: run.state,
        reason: run.reason.clone(),
        params_json: run.config.to_nested().to_json().to_string(),
        value: run.value,
        best,
        last,
        ranked: if run.point.first == number {
            versions::ranked(sweep, number)
        } else {
            None
        },
        repeats: (sweep.spec.repeats > 1).then(|| repeats_row(sweep, number, run)),
        violates: if run.state.is_terminal() {
            violates(run, &sweep.spec.constraints)
        } else {
            Vec::new()
        },
        why: run.why.reason.clone(),
        suggestion: run.why.clone(),
        history: run.history,
        created_ms: run.created.0,
        ended_ms: run.ended.map_or(0, |ended| ended.0),
        attempts: (1..)
            .zip(&run.attempts)
            .map(|(number, attempt)| attempt_row(number, attempt, sweep, state))
            .collect(),
        code: run.code_version.clone(),
        revision: run.point.revision,
        aside: aside(sweep, run),
        annotation: run.annotation.clone(),
        pruned: run.pruned,
    }
}

fn revision_row(revision: &Revision) -> RevisionRow {
    RevisionRow {
        space: revision.space,
        restores: revision.restores,
        changes: revision.changes.clone(),
        effect: revision.effect,
        since_ms: revision.since.0,
        yaml: revision.source.to_string(),
    }
}

/// Says why a run does not count among those of the newest revision.
fn aside(sweep: &Sweep, run: &Run) -> String {
    if run.point.withdrawn || sweep.revisions.len() < 2 {
        return String::new();
    }
    let version = sweep.space_version();
    let place = match sweep.placed(run) {
        Some(placed) if placed.outside => format!("outside of space version {version}"),
        Some(_) => String::new(),
        None => format!("not known where in space version {version}"),
    };
    let ended_well = matches!(run.state, RunState::Finished | RunState::Stopped);
    match &sweep.spec.objective {
        Some(objective) if ended_well && run.value.is_none() && place.is_empty() => {
            format!("never reported {}", objective.metric)
        }
        _ => place,
    }
}

/// Returns the best and the last finite value of the objective in the newest attempt that has one.
fn best_and_last(sweep: &Sweep, run: &Run) -> (Option<f64>, Option<f64>) {
    let Some(objective) = &sweep.spec.objective else {
        return (None, None);
    };
    let newest = run
        .attempts
        .iter()
        .rev()
        .find_map(|attempt| Some((attempt, attempt.extremes.get(&objective.metric)?)));
    let Some((attempt, (min, max))) = newest else {
        return (None, None);
    };
    if let Some(combined) = inits::best_and_last(objective, attempt) {
        return combined;
    }
    // One iteration is one value, also where the program has reported several.
    let finite = || {
        attempt
            .series
            .iter()
            .copied()
            .filter(|value| value.is_finite())
    };
    let best = match objective.goal {
        Goal::Minimize => finite().reduce(f64::min).unwrap_or(*min),
        Goal::Maximize => finite().reduce(f64::max).unwrap_or(*max),
    };
    (Some(best), finite().next_back())
}

fn repeats_row(sweep: &Sweep, number: RunNumber, run: &Run) -> RepeatsRow {
    let point: Vec<_> = repeats::of(sweep, run.point.first)
        .map(|(_, run)| run)
        .collect();
    let mean = repeats::mean(point.iter().map(AsRef::as_ref)).filter(|_| run.point.first == number);
    RepeatsRow {
        first: run.point.first,
        number: u32::try_from(number - run.point.first + 1).unwrap_or(u32::MAX),
        of: u32::try_from(point.len()).unwrap_or(u32::MAX),
        values: mean.map_or(0, |mean| mean.count),
        mean: mean.map(|mean| mean.value),
        deviation: mean.map(|mean| mean.deviation),
    }
}

fn violates(run: &Run, constraints: &[Constraint]) -> Vec<String> {
    let judged = constraints.iter().zip(run.violations(constraints));
    let words = judged.filter_map(|(constraint, violation)| match violation {
        Some(violation) if violation <= 0.0 => None,
        Some(violation) => Some(format!("{constraint}, by {}", rounded(violation))),
        None => Some(format!("{constraint}: not reported")),
    });
    words.collect()
}

/// To six significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn attempt_row(number: u32, attempt: &Attempt, sweep: &Sweep, state: &State) -> AttemptRow {
    AttemptRow {
        attempt: number,
        agent: attempt.agent.0.clone(),
        host: state
            .agents
            .get(&attempt.agent)
            .map(|agent| agent.info.host.clone())
            .unwrap_or_default(),
        state: attempt.state,
        failure: attempt.failure.clone(),
        assigned_ms: attempt.assigned.0,
        started_ms: attempt.started.map_or(0, |started| started.0),
        ended_ms: attempt.ended.map_or(0, |ended| ended.0),
        metrics: attempt
            .metrics
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(name, value)| (name.clone(), *value))
            .collect(),
        command: attempt.command.clone(),
        orphan: attempt.orphan.clone(),
        code: sweep.code.version(attempt.code).to_owned(),
        revision: attempt.revision,
        environment: environment(sweep, attempt.environment),
    }
}

/// Returns the digest of the environment that has a number; empty where it is 0.
fn environment(sweep: &Sweep, number: u32) -> String {
    let found = usize::try_from(number)
        .ok()
        .and_then(|number| sweep.environments.get(number.checked_sub(1)?));
    found.map(|known| known.digest.clone()).unwrap_or_default()
}

fn agent_row(id: &AgentId, agent: &Agent, state: &State) -> AgentRow {
    let leaving = agent.leaving.as_ref().filter(|_| agent.alive);
    let (health, reason) = match (leaving, &agent.health) {
        (Some(reason), _) => ("leaving", reason.clone()),
        (None, Health::Ok) => ("ok", String::new()),
        (None, Health::Quarantined { reason, .. }) => ("quarantined", reason.clone()),
        (None, Health::Probing { reason, .. }) => ("probing", reason.clone()),
    };
    AgentRow {
        id: id.0.clone(),
        sweep: agent.sweep.0.clone(),
        host: agent.info.host.clone(),
        slots: agent.info.slots,
        running: u32::try_from(agent.holds.len()).unwrap_or(u32::MAX),
        alive: agent.alive,
        version: agent.info.version.clone(),
        seen_ms: agent.left.unwrap_or(agent.registered).0,
        health: health.to_owned(),
        reason,
        stays: agent
            .stays
            .iter()
            .map(|stay| (stay.from.0, stay.until.map_or(0, |until| until.0)))
            .collect(),
        succeeded: agent.succeeded,
        failed: agent.failed,
        code: state
            .sweeps
            .get(&agent.sweep)
            .map(|sweep| sweep.code.version(agent.code).to_owned())
            .unwrap_or_default(),
    }
}
