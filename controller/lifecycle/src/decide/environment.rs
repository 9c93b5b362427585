//! Converts environments of runs.

use super::draft::Draft;
use crate::command::{Decision, Refusal, Reply};
use crate::event::Event;
use crate::state::{AgentId, Environment, State, SweepId};

/// Environments recorded for each sweep; further ones are not. An agent that sees another one each time would fill the log.
const ENVIRONMENTS_MAX: usize = 10_000;

pub(super) fn describe(
    state: &State,
    agent: &AgentId,
    sweep: &SweepId,
    environment: &Environment,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let known = state
        .agents
        .get(agent)
        .filter(|known| known.sweep == *sweep);
    let known = known.ok_or_else(|| Refusal::UnknownAgent(agent.0.clone()))?;
    let number = draft.sweep.environment_number(&environment.digest);
    let is_news = number.is_none_or(|number| number != known.environment);
    if is_news && (number.is_some() || draft.sweep.environments.len() < ENVIRONMENTS_MAX) {
        draft.push(Event::EnvironmentSeen {
            sweep: sweep.clone(),
            agent: agent.clone(),
            digest: environment.digest.clone(),
            about: number.is_none().then(|| Box::new(environment.clone())),
        });
    }
    Ok(draft.reply(Reply::Done))
}
