//! What the handle sends to the writer's thread.

use sweep_lifecycle::command::{Command, Directive, Reply};
use sweep_lifecycle::state::{AgentId, AttemptRef, SweepId};
use tokio::sync::oneshot;

use super::{Acquired, Basis, Computed, EngineError, Need, Results, Wish};
use crate::store::LogChunk;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

/// Something asked of the engine.
#[derive(Debug)]
pub(super) enum Request {
    Command {
        request_id: String,
        command: Box<Command>,
        reply: Answer<Reply>,
    },
    Preview {
        command: Box<Command>,
        reply: Answer<Reply>,
    },
    Acquire {
        request_id: String,
        wish: Wish,
        reply: Answer<Acquired>,
    },
    AppendLog {
        chunk: LogChunk,
        reply: Answer<()>,
    },
    Heartbeat {
        agent: AgentId,
        attempts: Vec<AttemptRef>,
        reply: Answer<Vec<Directive>>,
    },
    Basis {
        sweep: SweepId,
        revision: Option<u32>,
        reply: Answer<Basis>,
    },
    Results {
        sweep: SweepId,
        reply: Answer<Results>,
    },
    FindSweep {
        text: String,
        reply: Answer<SweepId>,
    },
    Needs {
        busy: Vec<SweepId>,
        after: SweepId,
        limit: usize,
        reply: oneshot::Sender<Vec<Need>>,
    },
    Offer(Box<Computed>),
    Tick {
        reply: oneshot::Sender<()>,
    },
    Stop,
    #[cfg(test)]
    Inspect {
        reply: oneshot::Sender<sweep_lifecycle::state::State>,
    },
}
