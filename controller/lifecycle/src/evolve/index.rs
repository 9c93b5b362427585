//! Maintains the index of a sweep: its sets, counts and points follow each change of a run or an agent.

use crate::observe::reached;
use crate::state::{Agent, AgentId, RunNumber, RunState, State, Sweep};
use crate::versions;

/// Changes an agent, and keeps the counts of its sweep in step.
pub(super) fn change_agent(state: &mut State, id: &AgentId, change: impl FnOnce(&mut Agent)) {
    let Some(agent) = state.agents.get_mut(id) else {
        return;
    };
    let mut sweep = state.sweeps.get_mut(&agent.sweep);
    if let Some(sweep) = &mut sweep {
        sweep.index.crew.remove(agent);
    }
    change(agent);
    if let Some(sweep) = sweep {
        sweep.index.crew.add(agent);
    }
}

pub(super) fn move_run(sweep: &mut Sweep, number: RunNumber, to: RunState) {
    if sweep.runs.change(number, |run| run.state = to).is_some() {
        list(sweep, number, to);
    }
}

pub(super) fn list(sweep: &mut Sweep, number: RunNumber, to: RunState) {
    sweep.index.list(number, to);
    if sweep.index.live.contains(&number) {
        reach(sweep, number);
    }
}

pub(super) fn reach(sweep: &mut Sweep, number: RunNumber) {
    if sweep
        .spec
        .objective
        .as_ref()
        .is_none_or(|objective| objective.target.is_none())
        && sweep.index.reached.is_empty()
    {
        return;
    }
    match sweep
        .runs
        .get(number)
        .filter(|_| sweep.index.live.contains(&number))
        .and_then(|run| reached(&sweep.spec, &run))
    {
        Some(value) => sweep.index.reached.insert(number, value),
        None => sweep.index.reached.remove(&number),
    };
}

pub(super) fn rank(sweep: &mut Sweep, number: RunNumber) {
    let goal = sweep.spec.goal();
    let Some(first) = sweep.runs.first_of(number) else {
        return;
    };
    if sweep.index.best.is_some_and(|(best, _)| best == first) {
        sweep.index.best = versions::best(sweep, &sweep.code.versions);
    } else {
        let ranked = versions::ranked(sweep, first).map(|value| (first, value));
        sweep.index.best = versions::better(goal, sweep.index.best, ranked);
    }
}

/// Notes whether a run was withdrawn, and keeps the points in step: a withdrawn run has none.
pub(super) fn withdraw(sweep: &mut Sweep, number: RunNumber, withdrawn: bool) {
    let Some(run) = sweep
        .runs
        .get(number)
        .filter(|run| run.point.withdrawn != withdrawn)
    else {
        return;
    };
    let is_again = run.point.is_again();
    let point = sweep.point_if_kept(&run);
    sweep
        .runs
        .change(number, |run| run.point.withdrawn = withdrawn);
    match point {
        Some(point) if withdrawn => sweep.index.points.remove(point, is_again),
        Some(point) => sweep.index.points.add(point, is_again),
        None => {}
    }
}
