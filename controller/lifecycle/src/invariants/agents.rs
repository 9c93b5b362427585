//! Agents hold what is live on them, and their health has a reason.

use std::collections::BTreeMap;

use super::violations::Violations;
use crate::state::{Agent, AgentId, AttemptRef, AttemptState, Crew, Health, State};

pub(super) fn check(found: &mut Violations, state: &State, held: &BTreeMap<AttemptRef, AgentId>) {
    for (id, sweep) in &state.sweeps {
        let mut crew = Crew::default();
        state
            .agents
            .values()
            .filter(|agent| agent.sweep == *id)
            .for_each(|agent| crew.add(agent));
        found.must(crew == sweep.index.crew, "I5", || {
            format!(
                "sweep {id}: `crew` is {:?}, and its agents come to {crew:?}",
                sweep.index.crew
            )
        });
    }
    for (attempt, owner) in held {
        let agent = state.agents.get(owner);
        let holds = agent.is_some_and(|agent| {
            agent.alive && agent.sweep == attempt.sweep && agent.holds.contains(attempt)
        });
        found.must(holds, "I2", || {
            format!("{attempt:?} is live, but agent {owner} does not hold it")
        });
    }
    for (id, agent) in &state.agents {
        let owns = |attempt: &AttemptRef| held.get(attempt).is_some_and(|owner| owner == id);
        found.must(agent.holds.iter().all(owns), "I2", || {
            format!("agent {id} holds what is not its own: {:?}", agent.holds)
        });
        check_agent(found, &format!("agent {id}"), state, id, agent);
    }
}

fn check_agent(found: &mut Violations, name: &str, state: &State, id: &AgentId, agent: &Agent) {
    found.must(state.sweeps.contains_key(&agent.sweep), "I5", || {
        format!("{name} works for a sweep that does not exist")
    });
    found.must(agent.alive == agent.left.is_none(), "I5", || {
        format!("{name}: alive {}, but left {:?}", agent.alive, agent.left)
    });
    let failed_on_it = |attempt: &AttemptRef| {
        let failed = state
            .sweeps
            .get(&attempt.sweep)
            .and_then(|sweep| sweep.attempt(attempt));
        failed.is_some_and(|failed| failed.state == AttemptState::Failed && failed.agent == *id)
    };
    found.must(agent.streak.iter().all(failed_on_it), "I7", || {
        format!(
            "{name} is blamed for what did not fail on it: {:?}",
            agent.streak
        )
    });
    let said = match &agent.health {
        Health::Ok => true,
        Health::Quarantined { reason, .. } | Health::Probing { reason, .. } => !reason.is_empty(),
    };
    found.must(said, "I7", || {
        format!("{name} is in quarantine for no reason")
    });
    let stays = agent.stays.last().is_some_and(|stay| stay.until.is_none());
    let isolated = agent.alive && agent.health != Health::Ok;
    found.must(stays == isolated, "I7", || {
        format!(
            "{name} is {:?}, but its last stay in quarantine is {:?}",
            agent.health,
            agent.stays.last()
        )
    });
    found.must(agent.alive || agent.holds.is_empty(), "I2", || {
        format!("{name} has left, but holds attempts")
    });
}
