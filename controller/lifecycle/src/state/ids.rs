//! What things are called, and when they happened.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 by the controller's wall clock: for display only, never for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A sweep's id: 8 characters `[a-z0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SweepId(pub String);

/// An agent process's id, made by the agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub String);

/// A run's number in its sweep, from 1.
pub type RunNumber = u64;

/// An attempt's number in its run, from 1: the fencing token.
pub type AttemptNumber = u32;

/// Names one attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The sweep.
    pub sweep: SweepId,
    /// The run.
    pub run: RunNumber,
    /// The attempt.
    pub attempt: AttemptNumber,
}

impl std::fmt::Display for SweepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for AgentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
