//! The one writer: drain, decide, evolve, commit, answer.
//!
//! ```text
//! Engine (handle, cheap) ──Request──▶ Writer (its own thread) ──Batch──▶ Store
//!    ▲                                   │ owns State, Leases, ready suggestions, waiting acquires
//!    └──────────── reply ◀── after the commit
//! ```
//!
//! Requests that arrive while a commit is written form the next one: many requests, one transaction, then all the replies.
//! [`planner`](crate::planner) and [`reaper`](crate::reaper) are clients of this handle like any other: the engine knows neither.

mod assignment;
mod changes;
mod clock;
mod committing;
mod epoch;
mod error;
mod group;
mod holds;
mod image;
mod lag;
mod leases;
#[cfg(feature = "simulation")]
mod mutation;
mod need;
mod options;
mod projection;
mod question;
mod ready;
mod reply;
mod request;
mod sample;
mod signals;
#[cfg(test)]
pub(crate) mod tests;
mod volatile;
mod waiting;
mod waiting_call;
mod writer;

use std::sync::Arc;

use sweep_lifecycle::command::{AttemptFence, Command, Directive, Reply};
use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{AgentId, AttemptRef, ControllerIdentity, SweepId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{LogChunk, Store, StoreError};

pub use assignment::{AcquireRequest, Acquired, Assignment, Standing};
pub use changes::RowChanges;
pub use clock::{Clock, SystemClock};
pub(crate) use clock::{PULSE, wall_time};
pub use epoch::{draw_controller_id, record_restore};
pub use error::EngineError;
pub use holds::{HOLD_BUCKETS_MS, HoldCounts, WriterHolds};
pub(crate) use image::from_image;
#[cfg(feature = "simulation")]
pub use mutation::Mutation;
pub use need::{Best, Computed, Need, Results, SweepContext};
pub use options::{EngineOptions, Terms};
pub use projection::{metric_rows, rows};
use request::EngineRequest;
pub(crate) use sample::complain;
use signals::{Figures, Signals};
use writer::Writer;

/// Requests that may wait for the engine; later ones wait to be let in.
const QUEUE_MAX: usize = 1024;

/// The way to the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    requests: mpsc::Sender<EngineRequest>,
    shared: Arc<Shared>,
}

/// The engine's shared statistics.
#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    commits: watch::Receiver<u64>,
    wake: watch::Receiver<Option<Mono>>,
    needs_suggestions: watch::Receiver<u64>,
    identity: watch::Receiver<ControllerIdentity>,
    figures: Arc<Figures>,
}

/// Waits for the end of the engine's thread.
#[derive(Debug)]
pub struct EngineJoin {
    engine: Engine,
    ended: oneshot::Receiver<Result<(), StoreError>>,
}

/// The parts that drive an engine.
pub struct Driver {
    writer: Writer,
    end: oneshot::Sender<Result<(), StoreError>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driver")
    }
}

impl Driver {
    /// Works on this thread until the engine ends.
    pub fn run(self) {
        conclude(self.writer.run(), self.end);
    }

    /// Works as a task among others until the engine ends; before each commit it waits as long as `disk` says.
    #[cfg(feature = "simulation")]
    pub async fn run_as_task(self, disk: impl Fn() -> std::time::Duration) {
        conclude(self.writer.run_as_task(disk).await, self.end);
    }
}

fn conclude(outcome: Result<(), StoreError>, end: oneshot::Sender<Result<(), StoreError>>) {
    if let Err(error) = &outcome {
        tracing::error!(%error, "the engine stops: whether the last commit was written is unknown");
    }
    // The end may have no waiter.
    let _ = end.send(outcome);
}

impl Engine {
    /// Replays the log and starts the engine's thread. Blocks while it reads the log.
    ///
    /// No lease ends and no suggestion is made unless [`reaper::run`](crate::reaper::run) and
    /// [`planner::run`](crate::planner::run) are started with a clone of the handle.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn start(
        store: Box<dyn Store>,
        options: EngineOptions,
    ) -> Result<(Self, EngineJoin), StoreError> {
        let (engine, join, driver) = Self::open(store, options)?;
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || driver.run())
            .map_err(|error| {
                StoreError::Failed(format!("the engine's thread cannot be started: {error}"))
            })?;
        Ok((engine, join))
    }

    /// Replays the log. The engine does nothing until its driver runs.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn open(
        store: Box<dyn Store>,
        options: EngineOptions,
    ) -> Result<(Self, EngineJoin, Driver), StoreError> {
        let (sender, requests) = mpsc::channel(QUEUE_MAX);
        // The writer holds the sending ends, so that all waiters for a change see the end of the engine.
        let (signals, commits, wake, needs_suggestions) = Signals::new();
        let figures = Arc::clone(&signals.figures);
        let identity = signals.identity.subscribe();
        let shared = Arc::new(Shared {
            clock: Arc::clone(&options.clock),
            commits,
            wake,
            needs_suggestions,
            identity,
            figures,
        });
        let writer = Writer::replay(store, requests, signals, options)?;
        let (end, ended) = oneshot::channel();
        let engine = Self {
            requests: sender,
            shared,
        };
        Ok((
            engine.clone(),
            EngineJoin { engine, ended },
            Driver { writer, end },
        ))
    }

    /// Has a command decided and recorded, and returns the answer once it is on disk. An empty request id: never repeated.
    ///
    /// A repeat is recognised by its id and by the whole command. So a caller that makes ids for [`Command::CreateSweep`] makes
    /// sweep id and seed from the request id, the same for each try.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn command(&self, request_id: &str, command: Command) -> Result<Reply, EngineError> {
        self.command_behind(request_id, AttemptFence::default(), command)
            .await
    }

    /// As [`Engine::command`], of an attempt that the log has as the caller does.
    ///
    /// # Errors
    /// [`UnknownAttempt`](sweep_lifecycle::command::Refusal::UnknownAttempt), [`MissingPoints`](sweep_lifecycle::command::Refusal::MissingPoints): it does not. And see [`EngineError`].
    pub async fn command_behind(
        &self,
        request_id: &str,
        fence: AttemptFence,
        command: Command,
    ) -> Result<Reply, EngineError> {
        let request_id = request_id.to_owned();
        self.ask(|reply| EngineRequest::Command {
            request_id,
            fence,
            command: Box::new(command),
            reply,
        })
        .await?
    }

    /// Returns which attempts of those that an agent holds the log has, by their numbers in it. With the incarnation of each.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn recognize(
        &self,
        agent: AgentId,
        attempts: Vec<(AttemptRef, String)>,
    ) -> Result<Vec<Option<AttemptRef>>, EngineError> {
        self.ask(|reply| EngineRequest::Recognize {
            agent,
            attempts,
            reply,
        })
        .await
    }

    /// Returns how far the log is with attempts that an agent holds, and what the controller wants of them.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn standing(
        &self,
        agent: AgentId,
        attempts: Vec<AttemptRef>,
    ) -> Result<Vec<Standing>, EngineError> {
        self.ask(|reply| EngineRequest::Standing {
            agent,
            attempts,
            reply,
        })
        .await
    }

    /// Returns the controller's identity, which changes with the epoch.
    pub fn identity(&self) -> watch::Receiver<ControllerIdentity> {
        self.shared.identity.clone()
    }

    /// Says what a command would be answered now, and does nothing.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn preview(&self, command: Command) -> Result<Reply, EngineError> {
        self.ask(|reply| EngineRequest::Preview {
            command: Box::new(command),
            reply,
        })
        .await?
    }

    /// Asks for a run for an agent, waiting for one.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn acquire(
        &self,
        request_id: &str,
        wish: AcquireRequest,
    ) -> Result<Acquired, EngineError> {
        let request_id = request_id.to_owned();
        self.ask(|reply| EngineRequest::Acquire {
            request_id,
            wish,
            reply,
        })
        .await?
    }

    /// Renews the leases of an agent and of those attempts that are still its own, and says what is wanted of each attempt.
    ///
    /// # Errors
    /// The agent is unknown, or the engine has stopped.
    pub async fn heartbeat(
        &self,
        agent: AgentId,
        attempts: Vec<(AttemptRef, String)>,
    ) -> Result<Vec<Directive>, EngineError> {
        self.ask(|reply| EngineRequest::Heartbeat {
            agent,
            attempts,
            reply,
        })
        .await?
    }

    /// Keeps a piece of output of an agent's attempt, whether or not it still owns its run.
    ///
    /// # Errors
    /// There is no such attempt of this incarnation, or it is another agent's; and see [`EngineError`].
    pub async fn append_log(
        &self,
        agent: AgentId,
        incarnation: String,
        chunk: LogChunk,
    ) -> Result<(), EngineError> {
        self.ask(|reply| EngineRequest::AppendLog {
            agent,
            incarnation,
            chunk,
            reply,
        })
        .await?
    }

    /// Returns what the file of a sweep says.
    ///
    /// # Errors
    /// The sweep is unknown, or the engine has stopped.
    pub async fn spec(&self, sweep: &SweepId) -> Result<Arc<SweepSpec>, EngineError> {
        Ok(self.basis(sweep, None).await?.spec)
    }

    /// Returns what all runs of a sweep have in common, now or those of a revision.
    ///
    /// # Errors
    /// The sweep is unknown, or the engine has stopped.
    pub async fn basis(
        &self,
        sweep: &SweepId,
        revision: Option<u32>,
    ) -> Result<SweepContext, EngineError> {
        let sweep = sweep.clone();
        self.ask(|reply| EngineRequest::SweepContext {
            sweep,
            revision,
            reply,
        })
        .await?
    }

    /// Returns the results of a sweep so far.
    ///
    /// # Errors
    /// The sweep is unknown, or the engine has stopped.
    pub async fn results(&self, sweep: &SweepId) -> Result<Results, EngineError> {
        let sweep = sweep.clone();
        self.ask(|reply| EngineRequest::Results { sweep, reply })
            .await?
    }

    /// Finds a sweep by id, by name (the newest of that name), or by a unique prefix of its id.
    ///
    /// # Errors
    /// There is none ([`EngineError::NoSweep`]), the prefix is not unique, or the engine has stopped.
    pub async fn find_sweep(&self, text: &str) -> Result<SweepId, EngineError> {
        let text = text.to_owned();
        self.ask(|reply| EngineRequest::FindSweep { text, reply })
            .await?
    }

    /// Returns a counter that grows with every commit, to wait for changes.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits.clone()
    }

    /// Returns how long requests have held the writer.
    pub fn holds(&self) -> Arc<WriterHolds> {
        Arc::clone(&self.shared.figures.holds)
    }

    /// Returns which sweeps have changed.
    pub fn changes(&self) -> Arc<RowChanges> {
        Arc::clone(&self.shared.figures.changes)
    }

    /// Returns a counter that grows when some sweep needs suggestions.
    pub fn needs_suggestions(&self) -> watch::Receiver<u64> {
        self.shared.needs_suggestions.clone()
    }

    /// Returns what the search has to know about sweeps that need suggestions, but for those in `busy`: at most `limit`, beginning
    /// behind the sweep `after` in the order of ids.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn needs(
        &self,
        busy: Vec<SweepId>,
        after: SweepId,
        limit: usize,
    ) -> Result<Vec<Need>, EngineError> {
        self.ask(|reply| EngineRequest::Needs {
            busy,
            after,
            limit,
            reply,
        })
        .await
    }

    /// Lays suggestions ready.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn offer(&self, computed: Computed) -> Result<(), EngineError> {
        self.requests
            .send(EngineRequest::Offer(Box::new(computed)))
            .await
            .map_err(|_| EngineError::Stopped)
    }

    /// Returns when [`Engine::tick`] must be called next, by the clock of [`Engine::now`].
    pub fn next_tick(&self) -> watch::Receiver<Option<Mono>> {
        self.shared.wake.clone()
    }

    /// Returns the time since the engine's clock started.
    pub fn now(&self) -> Mono {
        self.shared.clock.now()
    }

    /// Has the engine look for leases and waits that have ended; returns when the consequences are on disk.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn tick(&self) -> Result<(), EngineError> {
        self.ask(|reply| EngineRequest::Tick { reply }).await
    }

    /// Has the store look whether what was written is still there; where it is not, the engine ends.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn check(&self) -> Result<(), EngineError> {
        self.ask(|reply| EngineRequest::Check { reply }).await
    }

    #[cfg(test)]
    pub(crate) async fn inspect(&self) -> Result<sweep_lifecycle::state::State, EngineError> {
        self.ask(|reply| EngineRequest::Inspect { reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> EngineRequest,
    ) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| EngineError::Stopped)?;
        answer.await.map_err(|_| EngineError::Stopped)
    }
}

impl EngineJoin {
    /// Waits until the engine ends by itself, which it does only when the store fails. May be called again after it was cancelled,
    /// not after it has returned.
    ///
    /// # Errors
    /// How the store failed: whether the last commit was written is unknown, so start again and replay.
    pub async fn ended(&mut self) -> Result<(), StoreError> {
        let lost = |_| {
            Err(StoreError::Failed(
                "the engine's thread has panicked".to_owned(),
            ))
        };
        (&mut self.ended).await.unwrap_or_else(lost)
    }

    /// Ends the engine: what has been asked before is done and answered; calls that wait for a run get [`EngineError::Stopped`].
    ///
    /// # Errors
    /// As [`EngineJoin::ended`].
    pub async fn stop(mut self) -> Result<(), StoreError> {
        // Where the engine has gone already, `ended` says why.
        let _ = self.engine.requests.send(EngineRequest::Stop).await;
        self.ended().await
    }
}
