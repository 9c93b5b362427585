//! Where the types of the wire meet ours: one file a family of messages. Nothing is decided here.

mod agent;
mod attempt;
mod code;
mod environment;
mod run;
mod sweep;

pub(super) use agent::agent;
pub(super) use attempt::{
    acquired, assignment_of, attempt_ref, attempt_result, directive, held_attempts, metric_point,
    points,
};
pub(super) use code::{VersionFacts, code, code_version};
pub(super) use environment::{environment, wire_environment};
pub(super) use run::suggestion;
pub(super) use run::{run, run_states};
pub(super) use sweep::{diagnostic, program, sweep, sweep_action};

use serde::de::DeserializeOwned;
use tonic::Status;

use super::refusal::invalid;
pub(super) use crate::store::word;

/// Reads a state or kind from its word.
fn from_word<T: DeserializeOwned>(field: &str, word: &str) -> Result<T, Status> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|error| invalid(format!("{field}: {error}")))
}
