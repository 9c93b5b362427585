//! What the engine answers about attempts: runs that it hands out, and how far the log is with those that agents hold.

use std::time::Duration;

use sweep_lifecycle::command::Directive;
use sweep_lifecycle::state::{AgentId, AttemptRecord, AttemptRef, SweepId};
use sweep_search::space::Config;
use sweep_search::why::Why;

use super::Basis;

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
    /// What tells it from an attempt with the same numbers in another epoch.
    pub incarnation: String,
    /// What a controller needs to record it again after a restore.
    pub record: AttemptRecord,
    /// Which repeat of its point it is, from 1.
    pub repeat: u32,
    /// A seed for the program.
    pub seed: u32,
    /// What the sweep's file says, where it was edited.
    pub edited: Option<Box<Basis>>,
}

/// How far the log is with an attempt that an agent holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// How many of its metric points the log has.
    pub points: u64,
    /// It knows that its program has started.
    pub started: bool,
    /// What the controller wants of it.
    pub directive: Directive,
}

/// What an agent that asked for a run gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Acquired {
    /// A run.
    Assigned(Box<Assignment>),
    /// Nothing now, and why.
    Wait(String),
    /// The sweep has ended: its state and why.
    Ended(String, String),
}

/// An agent's wish for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Who wants it.
    pub agent: AgentId,
    /// Of which sweep.
    pub sweep: SweepId,
    /// The code the agent has; empty where it does not say.
    pub code_version: String,
    /// How long it waits for one.
    pub wait: Duration,
}
