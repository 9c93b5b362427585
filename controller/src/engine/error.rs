//! Why the engine did not do what was asked.

use sweep_lifecycle::command::Refusal;

/// Why the engine did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The lifecycle refuses; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request id was used for another request.
    #[error("request id {0} was used for another request")]
    Replayed(String),
    /// There is no such sweep; in words, with those that there are.
    #[error("{0}")]
    NoSweep(String),
    /// No space is left for the database; nothing has changed.
    #[error("the controller's disk is full: nothing was recorded; free some space and try again")]
    Full,
    /// The engine has stopped; whether it was done is unknown.
    #[error("the controller is stopping")]
    Stopped,
}
