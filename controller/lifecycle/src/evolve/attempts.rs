//! Events of attempts and of the agents that execute them.

use std::collections::BTreeMap;

use super::index::{change_agent, move_run, rank, reach, withdraw};
use crate::event::MetricPoint;
use crate::state::{
    AgentId, Attempt, AttemptRef, AttemptState, Failure, FailureKind, RunState, State, Sweep,
    Timestamp,
};

pub(super) fn assign(
    state: &mut State,
    attempt: &AttemptRef,
    agent: &AgentId,
    (code_version, pinned): (&str, bool),
    origin: Option<&String>,
    at: Timestamp,
) {
    let epoch = state.identity.epoch;
    let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
        return;
    };
    if sweep
        .runs
        .get(attempt.run)
        .is_none_or(|run| attempt.attempt != run.newest() + 1)
    {
        return;
    }
    sweep.assignments += 1;
    let code = sweep.code.number(code_version).unwrap_or(0);
    let assigned = Attempt {
        agent: agent.clone(),
        order: sweep.assignments,
        state: AttemptState::Assigned,
        stop: None,
        failure: None,
        series: Vec::new(),
        objective_step: None,
        summarised: false,
        metrics: BTreeMap::new(),
        extremes: BTreeMap::new(),
        points: 0,
        command: Vec::new(),
        code,
        revision: sweep.revision(),
        pinned,
        environment: 0,
        orphan: String::new(),
        epoch,
        origin: origin.cloned(),
        assigned: at,
        started: None,
        ended: None,
    };
    sweep.runs.change(attempt.run, |run| {
        run.attempts.push(assigned);
        run.reason.clear();
        code_version.clone_into(&mut run.code_version);
    });
    move_run(sweep, attempt.run, RunState::Assigned);
    change_agent(state, agent, |agent| {
        agent.code = code;
        agent.holds.insert(attempt.clone());
    });
}

pub(super) fn start(
    state: &mut State,
    attempt: &AttemptRef,
    command: &[String],
    code_version: &str,
    at: Timestamp,
) {
    let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
        return;
    };
    let code = sweep.code.number(code_version);
    let agents = &state.agents;
    let started = change(sweep, attempt, |started| {
        started.environment = agents
            .get(&started.agent)
            .map_or(0, |agent| agent.environment);
        started.state = AttemptState::Running;
        started.started = Some(at);
        started.command = command.to_vec();
        started.code = code.unwrap_or(started.code);
        (started.agent.clone(), started.code)
    });
    let Some((agent, number)) = started else {
        return;
    };
    if code.is_some() {
        sweep.runs.change(attempt.run, |run| {
            code_version.clone_into(&mut run.code_version);
        });
    }
    move_run(sweep, attempt.run, RunState::Running);
    if let Some(agent) = state.agents.get_mut(&agent) {
        agent.code = number;
    }
}

// A stale report stays with its attempt as any other does; that it has no effect on the run is the decisions' business.
pub(super) fn report(
    state: &mut State,
    attempt: &AttemptRef,
    first_seq: u64,
    points: &[MetricPoint],
    stale: bool,
) {
    let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
        return;
    };
    let objective = sweep
        .spec
        .objective
        .as_ref()
        .map(|objective| objective.metric.clone());
    if points
        .iter()
        .any(|point| objective.as_ref() == Some(&point.name))
    {
        sweep.is_objective_read = true;
        sweep.unread.clear();
    }
    change(sweep, attempt, |reported| {
        for point in points {
            if objective.as_ref() == Some(&point.name) {
                reported.add_objective(point.step, point.value);
            }
            reported.summarise(&point.name, point.value);
        }
        reported.points = reported
            .points
            .max(first_seq.saturating_add(points.len() as u64));
    });
    reach(sweep, attempt.run);
    // A run that has ended may keep to a constraint, or break it, by the metrics known now.
    if stale && !sweep.spec.constraints.is_empty() {
        rank(sweep, attempt.run);
    }
}

pub(super) fn end(
    state: &mut State,
    attempt: &AttemptRef,
    to: AttemptState,
    failure: Option<&Failure>,
    at: Timestamp,
) {
    let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
        return;
    };
    let id = change(sweep, attempt, |ended| {
        ended.state = to;
        ended.failure = failure.cloned();
        ended.ended = Some(at);
        ended.agent.clone()
    });
    let Some(id) = id else { return };
    if failure.is_some_and(|failure| failure.kind == FailureKind::NoMetric)
        && !sweep.is_objective_read
    {
        sweep.unread.push(attempt.run);
    }
    change_agent(state, &id, |agent| {
        agent.holds.remove(attempt);
    });
    note_end(state, &id, attempt, to, failure);
}

// What the end of an attempt says of agents.
fn note_end(
    state: &mut State,
    id: &AgentId,
    attempt: &AttemptRef,
    to: AttemptState,
    failure: Option<&Failure>,
) {
    let Some(agent) = state.agents.get_mut(id).filter(|agent| !agent.info.asks) else {
        return;
    };
    match to {
        AttemptState::Finished | AttemptState::Stopped => {
            agent.succeeded += 1;
            agent.streak.clear();
        }
        AttemptState::Failed => {
            agent.failed += 1;
            if failure.is_some_and(Failure::may_be_the_agents) {
                agent.streak.push(attempt.clone());
                // A run that fails here too is no evidence against the agent where it failed before.
                for (_, other) in state.agents.iter_mut().filter(|(other, _)| *other != id) {
                    other.streak.retain(|earlier| {
                        earlier.sweep != attempt.sweep || earlier.run != attempt.run
                    });
                }
            }
        }
        AttemptState::Assigned
        | AttemptState::Running
        | AttemptState::Lost
        | AttemptState::Preempted
        | AttemptState::Returned
        | AttemptState::Cancelled => {}
    }
}

pub(super) fn resume(state: &mut State, attempt: &AttemptRef) {
    let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
        return;
    };
    let resumed = change(sweep, attempt, |resumed| {
        let (to, run_to) = match resumed.started {
            Some(_) => (AttemptState::Running, RunState::Running),
            None => (AttemptState::Assigned, RunState::Assigned),
        };
        let was_lost = resumed.state == AttemptState::Lost;
        (resumed.state, resumed.failure, resumed.ended) = (to, None, None);
        (resumed.agent.clone(), run_to, was_lost)
    });
    let Some((agent, run_to, was_lost)) = resumed else {
        return;
    };
    sweep.runs.change(attempt.run, |run| {
        // What was withdrawn instead of being tried again has used up none.
        run.retries.counts.lost = run
            .retries
            .counts
            .lost
            .saturating_sub(u32::from(was_lost && !run.point.withdrawn));
        run.reason.clear();
    });
    let was_withdrawn = sweep.runs.change(attempt.run, |run| {
        run.ended = None;
        run.point.withdrawn
    });
    move_run(sweep, attempt.run, run_to);
    if was_withdrawn == Some(true) {
        withdraw(sweep, attempt.run, false);
        sweep.history += 1;
    }
    change_agent(state, &agent, |agent| {
        agent.holds.insert(attempt.clone());
    });
}

/// Changes an attempt.
pub(super) fn change_in(state: &mut State, attempt: &AttemptRef, set: impl FnOnce(&mut Attempt)) {
    if let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) {
        change(sweep, attempt, set);
    }
}

/// Changes an attempt of a sweep.
pub(super) fn change<T>(
    sweep: &mut Sweep,
    attempt: &AttemptRef,
    change: impl FnOnce(&mut Attempt) -> T,
) -> Option<T> {
    let index = usize::try_from(attempt.attempt).ok()?.checked_sub(1)?;
    sweep
        .runs
        .change(attempt.run, |run| run.attempts.get_mut(index).map(change))?
}
