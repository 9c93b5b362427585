//! The events of an agent: progress, its outcome, its errors.

use std::path::PathBuf;

/// Something worth a line on the terminal.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Notice {
    /// Registered with the controller.
    Joined {
        sweep: String,
        slots: usize,
        gpus: usize,
    },
    /// A program was started.
    Started {
        run: u64,
        attempt: u32,
        command: Vec<String>,
    },
    /// A run ended or went back into the queue: its state as the controller says it, the objective
    /// that counts, the last value where it is another one, why.
    Ended {
        run: u64,
        attempt: u32,
        state: String,
        objective: Option<f64>,
        last: Option<f64>,
        message: String,
    },
    /// The controller cannot be reached; tried again in a while.
    Disconnected { reason: String },
    /// The controller can be reached again.
    Reconnected,
    /// Any other note to the user.
    Note(String),
}

/// The outcome of the agent's work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSummary {
    /// Runs that ended as finished.
    pub finished: u64,
    /// Runs that ended as stopped early.
    pub stopped: u64,
    /// Runs that ended as failed.
    pub failed: u64,
    /// Attempts whose runs went back into the queue or were cancelled.
    pub other: u64,
    /// Why it ended, in words.
    pub ended_because: String,
    /// Why it ended.
    pub departure: Departure,
    /// Why it got no runs in the end; empty: it was not in quarantine.
    pub quarantine: String,
}

/// Why an agent ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Departure {
    /// The sweep is over, or it has done as many runs as it was asked for.
    #[default]
    Done,
    /// It was interrupted, and its runs have ended by themselves.
    Drained,
    /// It was interrupted, and its runs were ended.
    Stopped,
    /// Its machine was taken away.
    Preempted,
}

/// Why the agent could not work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No such sweep.
    #[error("{0}")]
    Refused(String),
    /// The controller that the agent works for does not have the sweep any more.
    #[error("{0}")]
    SweepGone(String),
    /// The sweep had ended before the agent came.
    #[error("{0}")]
    SweepOver(String),
    /// The token is missing or wrong.
    #[error("{0}")]
    Unauthorized(String),
    /// No controller answers.
    #[error("no controller answers at {address}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        reason: String,
    },
    /// A folder cannot be made or a file not written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The slots do not fit the machine.
    #[error("{0}")]
    Slots(String),
}
