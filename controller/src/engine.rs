//! The one writer: drain, decide, evolve, commit, answer.

use std::sync::Arc;
use std::time::Duration;

use sweep_lifecycle::command::{Command, Directive, Refusal, Reply};
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{AgentId, AttemptRef, SweepId};
use sweep_search::space::Config;
use tokio::sync::watch;

use crate::store::LogChunk;

/// The way to the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {}

/// Why the engine did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The lifecycle refuses; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request id was used for another request.
    #[error("request id {0} was used for another request")]
    Replayed(String),
    /// No space is left for the database; nothing has changed.
    #[error("the controller's disk is full: nothing was recorded; free some space and try again")]
    Full,
    /// The engine has stopped; whether it was done is unknown.
    #[error("the controller is stopping")]
    Stopped,
}

/// A run handed to an agent.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Which attempt.
    pub attempt: AttemptRef,
    /// Its configuration.
    pub config: Config,
}

/// What an agent that asked for a run gets.
#[derive(Clone, Debug)]
pub enum Acquired {
    /// A run.
    Assigned(Assignment),
    /// Nothing now, and why.
    Wait(String),
    /// The sweep has ended: its state and why.
    Ended(String, String),
}

impl Engine {
    /// Has a command decided and recorded, and returns the answer once it is on disk. An empty request id: never repeated.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn command(&self, request_id: &str, command: Command) -> Result<Reply, EngineError> {
        let _ = (request_id, command);
        Err(EngineError::Stopped)
    }

    /// Asks for a run for an agent, waiting up to `wait` for one.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn acquire(&self, request_id: &str, agent: AgentId, sweep: SweepId, wait: Duration) -> Result<Acquired, EngineError> {
        let _ = (request_id, agent, sweep, wait);
        Err(EngineError::Stopped)
    }

    /// Renews the leases of an agent and of those attempts that are still its own, and says what is wanted of each attempt.
    ///
    /// # Errors
    /// The agent is unknown, or the engine has stopped.
    pub async fn heartbeat(&self, agent: AgentId, attempts: Vec<AttemptRef>) -> Result<Vec<Directive>, EngineError> {
        let _ = (agent, attempts);
        Err(EngineError::Stopped)
    }

    /// Keeps a piece of output.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn append_log(&self, chunk: LogChunk) -> Result<(), EngineError> {
        let _ = chunk;
        Err(EngineError::Stopped)
    }

    /// Returns what the file of a sweep says.
    ///
    /// # Errors
    /// The sweep is unknown, or the engine has stopped.
    pub async fn spec(&self, sweep: &SweepId) -> Result<Arc<SweepSpec>, EngineError> {
        let _ = sweep;
        Err(EngineError::Stopped)
    }

    /// Finds a sweep by id, by a unique prefix of its id, or by name (the newest of that name).
    ///
    /// # Errors
    /// There is none, or the prefix is not unique.
    pub async fn find_sweep(&self, text: &str) -> Result<SweepId, EngineError> {
        let _ = text;
        Err(EngineError::Stopped)
    }

    /// Returns a counter that grows with every commit, to wait for changes.
    pub fn commits(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}
