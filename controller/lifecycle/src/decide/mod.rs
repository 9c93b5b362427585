//! Commands to decisions. Reads the state, changes nothing.

use crate::command::{Command, Decision, Refusal};
use crate::state::State;

/// Decides what a command does: the events to be recorded and the answer.
///
/// # Errors
/// The command does not fit the state; nothing has happened.
pub fn decide(state: &State, command: &Command) -> Result<Decision, Refusal> {
    let _ = (state, command);
    Err(Refusal::WrongState("not written yet".to_owned()))
}
