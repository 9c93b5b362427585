//! The answer to a command: events and a reply, or a refusal.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::state::{
    AttemptNumber, AttemptRef, RevisionEffect, RunNumber, RunState, StopKind, SweepState,
};

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Reply {
    /// Done; nothing to say.
    Done,
    /// The agent has left. `quarantine`: why it got no runs in the end; empty: it was not in quarantine.
    Left { quarantine: String },
    /// The sweep's state after the call.
    Sweep(SweepState),
    /// The revision that an edit made, what it changed, and what that means; no changes: there is no new one.
    Edited {
        revision: u32,
        changes: Vec<String>,
        effect: RevisionEffect,
        state: SweepState,
    },
    /// The run's state after the call.
    Run(RunState),
    /// Runs put back into the queue, and those that were not with the reason.
    Retried {
        requeued: Vec<RunNumber>,
        skipped: Vec<String>,
    },
    /// How many runs were taken in, and why others were not.
    Imported { imported: u64, skipped: Vec<String> },
    /// The run of each point that was offered, and why some were there already.
    Offered {
        runs: Vec<RunNumber>,
        skipped: Vec<String>,
    },
    /// The sweep is pinned to a version of the code.
    Pinned(CodeMove),
    /// Points that are tried again, by the first run of each, and why others are not.
    Rerun {
        again: Vec<RunNumber>,
        skipped: Vec<String>,
    },
    /// How many runs lost their curves and their output.
    Pruned { runs: u64 },
    /// A run for the agent.
    Assigned(AttemptRef),
    /// The numbers by which an attempt that an agent holds is known from now on.
    Adopted(AttemptRef),
    /// Nothing for the agent now, and why: the engine may keep the call waiting.
    Wait {
        reason: String,
        wants_suggestion: bool,
    },
    /// The sweep has ended: the agent may leave.
    Ended { state: SweepState, reason: String },
    /// The directive for the attempt.
    Directive(Directive),
    /// The result came too late and is kept beside the run.
    Orphaned {
        run: RunNumber,
        attempt: AttemptNumber,
        reason: String,
    },
}

/// The result of pinning a sweep to a version of the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeMove {
    /// The number of the version.
    pub number: u32,
    /// Whether the sweep was at another one before.
    pub moved: bool,
    /// Runs that were asked to end.
    pub stopped: Vec<RunNumber>,
    /// Points that are tried again, by the first run of each.
    pub again: Vec<RunNumber>,
    /// Why others are not.
    pub skipped: Vec<String>,
}

/// The directive of the controller for an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Directive {
    /// Continue.
    Continue,
    /// End gracefully.
    Stop { kind: StopKind, reason: String },
    /// The attempt no longer owns its run.
    Abandon { reason: String },
}

/// Why a command was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Refusal {
    /// No such sweep.
    #[error("no sweep `{0}`")]
    UnknownSweep(String),
    /// No such run.
    #[error("sweep {sweep} has no run {run}")]
    UnknownRun { sweep: String, run: RunNumber },
    /// The agent has not registered, or has been given up.
    #[error("agent {0} is not registered: it was silent for longer than its lease, or has left")]
    UnknownAgent(String),
    /// No such attempt, or one of another incarnation has its numbers: the agent has to register again with what it holds.
    #[error(
        "this controller does not know attempt {attempt} of run {run} as the agent has it: the agent has to register again"
    )]
    UnknownAttempt { run: RunNumber, attempt: u32 },
    /// The attempt does not own its run.
    #[error("attempt {attempt} of run {run} no longer owns it: {reason}")]
    StaleAttempt {
        run: RunNumber,
        attempt: u32,
        reason: String,
    },
    /// Metric points before those reported were never reported.
    #[error(
        "points {known} to {last} of run {run} attempt {attempt} have not been reported: a report has to begin with point {known}"
    )]
    MissingPoints {
        run: RunNumber,
        attempt: u32,
        known: u64,
        last: u64,
    },
    /// The sweep has ended.
    #[error("{0}")]
    SweepEnded(String),
    /// The sweep or run is in a state in which this cannot be done.
    #[error("{0}")]
    WrongState(String),
    /// The id is in use.
    #[error("{0} exists already")]
    Exists(String),
}

/// The result of a decision: facts to be recorded, and the answer once they are on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The events, in order. Empty: nothing happened.
    pub events: Vec<Event>,
    /// The answer.
    pub reply: Reply,
}
