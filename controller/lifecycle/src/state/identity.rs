//! Identity of a controller, and what agents hold that a restored controller may not know.

use serde::{Deserialize, Serialize};
use sweep_search::space::Config;
use sweep_search::why::Why;

use super::attempt::Attempt;
use super::ids::AttemptRef;

/// Identity of a controller: agents act only on responses that carry the identity they registered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerIdentity {
    /// The controller's id, drawn with its data directory; empty in a log that was written before controllers had one.
    pub controller: String,
    /// Increases with every restore. An agent that registered in an earlier epoch has to register again.
    pub epoch: u32,
    /// Agents may still report attempts that the restored log does not hold: no run is handed out until then.
    pub is_settling: bool,
}

impl ControllerIdentity {
    /// Returns the incarnation of an attempt: what tells it from any other attempt of its sweep, also from one with the same numbers in another
    /// epoch, of another controller, or of a database that was replaced by an older one. Its parts: the controller, the epoch, the place among
    /// the assignments of the sweep, and the time of the assignment.
    pub fn incarnation(&self, attempt: &Attempt) -> String {
        attempt.origin.clone().unwrap_or_else(|| {
            format!(
                "{}.{}.{}.{:x}",
                self.controller, attempt.epoch, attempt.order, attempt.assigned.0
            )
        })
    }

    /// Returns whether this controller assigned an attempt of that incarnation in its present epoch.
    pub(crate) fn has_assigned(&self, incarnation: &str) -> bool {
        let mut parts = incarnation.split('.');
        parts.next() == Some(self.controller.as_str())
            && parts.next() == Some(self.epoch.to_string().as_str())
    }
}

/// An attempt that an agent executes, or has a result of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldAttempt {
    /// Its numbers, as the agent knows them.
    pub attempt: AttemptRef,
    /// See [`ControllerIdentity::incarnation`].
    pub incarnation: String,
    /// The value of its assignment; `None` from agents of an earlier version.
    pub record: Option<Box<AttemptRecord>>,
}

/// The record from which a controller recovers an attempt that its log lacks. Travels with the assignment as JSON, and back at a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The configuration.
    pub config: Config,
    /// Why it was suggested.
    pub why: Why,
    /// The sweep's `history` that the suggestion was computed from.
    pub history: u64,
    /// Which repeat of its point the run is, from 1.
    pub repeat: u32,
    /// See [`RunPoint::again`](super::RunPoint::again).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub again: String,
    /// The code version that the agent was told to execute; empty: what it has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code_version: String,
    /// The agent was told to execute that version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}
