//! Requests of the handle to the writer's thread.

use sweep_lifecycle::command::{AttemptFence, Command, Directive, Reply};
use sweep_lifecycle::state::{AgentId, AttemptRef, SweepId};
use tokio::sync::oneshot;

use super::{
    AcquireRequest, Acquired, Computed, EngineError, Need, Results, Standing, SweepContext,
};
use crate::store::LogChunk;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

/// Something asked of the engine.
#[derive(Debug)]
pub(super) enum EngineRequest {
    Command {
        request_id: String,
        fence: AttemptFence,
        command: Box<Command>,
        reply: Answer<Reply>,
    },
    Preview {
        command: Box<Command>,
        reply: Answer<Reply>,
    },
    Acquire {
        request_id: String,
        wish: AcquireRequest,
        reply: Answer<Acquired>,
    },
    AppendLog {
        agent: AgentId,
        incarnation: String,
        chunk: LogChunk,
        reply: Answer<()>,
    },
    Heartbeat {
        agent: AgentId,
        /// With the incarnation of each; empty: not checked.
        attempts: Vec<(AttemptRef, String)>,
        reply: Answer<Vec<Directive>>,
    },
    Recognize {
        agent: AgentId,
        attempts: Vec<(AttemptRef, String)>,
        reply: oneshot::Sender<Vec<Option<AttemptRef>>>,
    },
    Standing {
        agent: AgentId,
        attempts: Vec<AttemptRef>,
        reply: oneshot::Sender<Vec<Standing>>,
    },
    SweepContext {
        sweep: SweepId,
        revision: Option<u32>,
        reply: Answer<SweepContext>,
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
    /// Has the store look whether what was written is still there.
    Check {
        reply: oneshot::Sender<()>,
    },
    Tick {
        reply: oneshot::Sender<()>,
    },
    Stop,
    #[cfg(test)]
    Inspect {
        reply: oneshot::Sender<sweep_lifecycle::state::State>,
    },
}
