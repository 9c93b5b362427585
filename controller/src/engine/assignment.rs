//! The engine's answers about attempts: runs that it hands out, and the log's progress with those that agents hold.

use std::time::Duration;

use sweep_lifecycle::command::Directive;
use sweep_lifecycle::state::{AgentId, AttemptRecord, AttemptRef, SweepId, SweepState};
use sweep_search::space::Config;
use sweep_search::why::Why;

use super::SweepContext;

/// A run handed to an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Which attempt.
    pub attempt: AttemptRef,
    /// Its configuration.
    pub config: Config,
    /// Why it was suggested.
    pub why: Why,
    /// The sweep's `history` that the suggestion was computed from.
    pub history: u64,
    /// The code that it is to execute, and where in it; empty: what the agent has.
    pub code: (String, String),
    /// Distinguishes it from an attempt with the same numbers in another epoch.
    pub incarnation: String,
    /// The record from which a restored controller recovers it.
    pub record: AttemptRecord,
    /// Which repeat of its point it is, from 1.
    pub repeat: u32,
    /// A seed for the program.
    pub seed: u32,
    /// The execution spec of the sweep's file, where it was edited.
    pub edited: Option<Box<SweepContext>>,
}

/// How far the log is with an attempt that an agent holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// How many of its metric points the log has.
    pub points: u64,
    /// It knows that its program has started.
    pub started: bool,
    /// The controller's directive for it.
    pub directive: Directive,
}

/// The answer to an agent that asked for a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Acquired {
    /// A run.
    Assigned(Box<Assignment>),
    /// Nothing now, and why.
    Wait(String),
    /// The sweep has ended: its state and why.
    Ended(SweepState, String),
}

/// An agent's wish for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct AcquireRequest {
    /// The agent that asks.
    pub agent: AgentId,
    /// The sweep.
    pub sweep: SweepId,
    /// The code the agent has; empty where it does not say.
    pub code_version: String,
    /// How long it waits for one.
    pub wait: Duration,
}
