//! Versions of the code.

use super::draft::Draft;
use crate::command::{Decision, Refusal, Reply};
use crate::event::Event;
use crate::state::{AgentId, CodeAbout, State, SweepId};

// What is known of a version stays: whoever describes it later has the same files, if perhaps on another branch.
pub(super) fn describe(state: &State, agent: &AgentId, sweep: &SweepId, version: &str, about: &CodeAbout) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    if state.agents.get(agent).is_none_or(|known| known.sweep != *sweep) {
        return Err(Refusal::UnknownAgent(agent.0.clone()));
    }
    let known = draft.sweep.codes.iter().find(|code| code.version == version);
    if known.is_none_or(|code| code.about == CodeAbout::default() && *about != code.about) {
        let (version, agent) = (version.to_owned(), Some(agent.clone()));
        draft.push(Event::CodeSeen { sweep: sweep.clone(), version, agent, about: Box::new(about.clone()) });
    }
    Ok(draft.reply(Reply::Done))
}

// Notes a version that has not been seen before; an empty one is none.
pub(super) fn see(draft: &mut Draft<'_>, agent: Option<&AgentId>, version: &str) {
    if version.is_empty() || draft.sweep.code_number(version).is_some() || draft.sees(version) {
        return;
    }
    let (sweep, version, agent) = (draft.id.clone(), version.to_owned(), agent.cloned());
    draft.push(Event::CodeSeen { sweep, version, agent, about: Box::default() });
}
