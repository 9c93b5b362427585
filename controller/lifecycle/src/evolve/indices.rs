//! Keeps lists, counts and points of a sweep in step with its runs and agents.

use crate::observe::reached;
use crate::state::{Agent, AgentId, Run, RunNumber, RunState, State, Sweep};
use crate::versions;

/// Changes an agent, and keeps the counts of its sweep in step.
pub(super) fn change_agent(state: &mut State, id: &AgentId, change: impl FnOnce(&mut Agent)) {
    let Some(agent) = state.agents.get_mut(id) else {
        return;
    };
    let mut sweep = state.sweeps.get_mut(&agent.sweep);
    if let Some(sweep) = &mut sweep {
        sweep.crew.remove(agent);
    }
    change(agent);
    if let Some(sweep) = sweep {
        sweep.crew.add(agent);
    }
}

pub(super) fn move_run(sweep: &mut Sweep, number: RunNumber, to: RunState) {
    if sweep.runs.change(number, |run| run.state = to).is_some() {
        list(sweep, number, to);
    }
}

pub(super) fn list(sweep: &mut Sweep, number: RunNumber, to: RunState) {
    sweep.queued.remove(&number);
    sweep.live.remove(&number);
    sweep.reached.remove(&number);
    match to {
        RunState::Queued => {
            sweep.queued.insert(number);
        }
        RunState::Assigned | RunState::Running => {
            sweep.live.insert(number);
            reach(sweep, number);
        }
        RunState::Finished | RunState::Stopped | RunState::Failed | RunState::Cancelled => {}
    }
}

pub(super) fn reach(sweep: &mut Sweep, number: RunNumber) {
    if sweep
        .spec
        .objective
        .as_ref()
        .is_none_or(|objective| objective.target.is_none())
        && sweep.reached.is_empty()
    {
        return;
    }
    match sweep
        .runs
        .get(number)
        .filter(|_| sweep.live.contains(&number))
        .and_then(|run| reached(&sweep.spec, &run))
    {
        Some(value) => sweep.reached.insert(number, value),
        None => sweep.reached.remove(&number),
    };
}

pub(super) fn rank(sweep: &mut Sweep, number: RunNumber) {
    let goal = sweep
        .spec
        .objective
        .as_ref()
        .map(|objective| objective.goal)
        .unwrap_or_default();
    let Some(first) = sweep.runs.first_of(number) else {
        return;
    };
    if sweep.best.is_some_and(|(best, _)| best == first) {
        sweep.best = versions::best(sweep, &sweep.codes);
    } else {
        let ranked = versions::ranked(sweep, first).map(|value| (first, value));
        sweep.best = versions::better(goal, sweep.best, ranked);
    }
}

/// Notes whether a run was withdrawn, and keeps the points in step: a withdrawn run has none.
pub(super) fn withdraw(sweep: &mut Sweep, number: RunNumber, withdrawn: bool) {
    let Some(run) = sweep
        .runs
        .get(number)
        .filter(|run| run.withdrawn != withdrawn)
    else {
        return;
    };
    let is_again = !run.again.is_empty();
    let point = sweep.point_of(&Run {
        withdrawn: false,
        ..run.into_owned()
    });
    sweep.runs.change(number, |run| run.withdrawn = withdrawn);
    match point {
        Some(point) if withdrawn => sweep.remove_point(point, is_again),
        Some(point) => sweep.add_point(point, is_again),
        None => {}
    }
}
