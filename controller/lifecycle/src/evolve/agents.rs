//! Events of agents.

use super::index::change_agent;
use crate::state::{Agent, AgentId, AgentInfo, Environment, Health, State, SweepId, Timestamp};

pub(super) fn register(
    state: &mut State,
    agent: &AgentId,
    sweep: &SweepId,
    info: &AgentInfo,
    at: Timestamp,
) {
    let epoch = state.identity.epoch;
    // An agent that comes back for another sweep begins a new record: that of the other sweep may be deleted.
    if state
        .agents
        .get(agent)
        .is_some_and(|known| known.sweep == *sweep)
    {
        change_agent(state, agent, |known| {
            known.epoch = epoch;
            known.info = info.clone();
            (known.alive, known.leaving, known.registered, known.left) = (true, None, at, None);
            if known.health != Health::Ok {
                known.isolate(at);
            }
        });
        return;
    }
    let registered = Agent::new(sweep.clone(), info.clone(), epoch, at);
    if let Some(sweep) = state.sweeps.get_mut(sweep) {
        sweep.index.crew.add(&registered);
    }
    state.agents.insert(agent.clone(), registered);
}

pub(super) fn leave(state: &mut State, agent: &AgentId, reason: &str) {
    if let Some(agent) = state.agents.get_mut(agent) {
        agent.leaving = Some(reason.to_owned());
    }
}

pub(super) fn remove(state: &mut State, agent: &AgentId, at: Timestamp) {
    change_agent(state, agent, |agent| {
        agent.alive = false;
        agent.left = Some(at);
        agent.release(at);
    });
}

pub(super) fn quarantine(
    state: &mut State,
    agent: &AgentId,
    reason: &str,
    probes: u32,
    at: Timestamp,
) {
    let Some(agent) = state.agents.get_mut(agent) else {
        return;
    };
    agent.health = Health::Quarantined {
        reason: reason.to_owned(),
        probes,
    };
    // What has left is in no quarantine until it is back.
    if agent.alive {
        agent.isolate(at);
    }
}

pub(super) fn probe(state: &mut State, agent: &AgentId) {
    let Some(agent) = state.agents.get_mut(agent) else {
        return;
    };
    if let Health::Quarantined { reason, probes } = std::mem::take(&mut agent.health) {
        agent.health = Health::Probing { reason, probes };
    }
}

pub(super) fn readmit(state: &mut State, agent: &AgentId, at: Timestamp) {
    let Some(agent) = state.agents.get_mut(agent) else {
        return;
    };
    agent.health = Health::Ok;
    agent.streak.clear();
    agent.release(at);
}

pub(super) fn see_environment(
    state: &mut State,
    sweep: &SweepId,
    agent: &AgentId,
    digest: &str,
    about: Option<&Environment>,
) {
    let Some(sweep) = state.sweeps.get_mut(sweep) else {
        return;
    };
    if let Some(about) = about.filter(|_| sweep.environment_number(digest).is_none()) {
        sweep.environments.push(about.clone());
    }
    let Some(agent) = state.agents.get_mut(agent) else {
        return;
    };
    agent.environment = sweep.environment_number(digest).unwrap_or(0);
}
