//! gRPC: decode, authorise, limit, send, await, encode. No rule about sweeps or runs is here.
//!
//! A handler's future may be dropped at any `.await` (deadline, disconnect): handlers send one command to the engine and wait for
//! its answer, and the engine finishes what it has begun. Callers are let in by the layer around all services; `convert` is the
//! only place where the types of the wire meet ours.

mod administration;
mod agents;
mod analysis;
mod asked;
mod bundles;
mod convert;
mod creation;
mod edits;
mod follow;
mod held;
mod identity;
pub(crate) mod json;
mod limits;
mod pages;
mod patches;
mod refusal;
mod retention;
mod runs;
mod snapshots;
mod sweeps;
mod unread;
mod uploads;
mod versions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_lifecycle::state::{RunState, SweepId};
use sweep_proto::v1;
use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::agent_service_server::AgentServiceServer;
use sweep_proto::v1::sweep_service_server::SweepServiceServer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::Status;
use tonic::service::Routes;

use crate::early_stop_note::early_stop_note;
use crate::engine::Engine;
use crate::login::Logins;
use crate::reader::Reader;
use crate::store::{AgentRow, Query, StoreError};

pub use identity::stamp;
pub use limits::WAIT_MAX;
pub use snapshots::Snapshots;
pub use unread::UnreadObjectives;

/// The first run that is assigned with a word on early stopping: the first ones have no run to be compared with.
const NOTED_RUNS_MIN: u64 = 4;
const MESSAGE_BYTES_RECEIVED_MAX: usize = 4 << 20;
const MESSAGE_BYTES_SENT_MAX: usize = 16 << 20;

/// The shared context of the services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    /// The way to the engine.
    pub engine: Engine,
    /// The way to the query tables.
    pub reader: Reader,
    /// Information about the controller.
    pub about: About,
    /// Becomes true when the controller is to stop; calls that wait then end.
    pub stopping: watch::Sender<bool>,
    /// Turns for analysing a sweep: that takes a processor for a while, and the search needs one.
    pub analyses: Turns,
    /// Where the code of runs is kept; `None`: nowhere.
    pub snapshots: Option<Snapshots>,
    /// Objectives that output shows and nothing reads.
    pub unread: UnreadObjectives,
    /// How browsers log in; `None`: they need not.
    pub logins: Option<Arc<Logins>>,
}

/// One at a time; later callers wait, and a caller that goes away gives up its place.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    /// Waits for the turn, which lasts until what is returned is dropped. `None` never happens: it is never closed.
    async fn next(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// Information about the controller.
#[derive(Clone, Debug)]
pub struct About {
    /// Where the data lives.
    pub data_dir: PathBuf,
    /// When it started: milliseconds since 1970.
    pub started_ms: i64,
    /// An agent or attempt without news for this long is lost.
    pub lease: Duration,
}

/// Returns the routes of all services, with both message limits set.
pub fn routes(services: &Services) -> Routes {
    let sweeps = SweepServiceServer::new(services.clone())
        .max_decoding_message_size(MESSAGE_BYTES_RECEIVED_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_SENT_MAX);
    let agents = AgentServiceServer::new(services.clone())
        .max_decoding_message_size(MESSAGE_BYTES_RECEIVED_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_SENT_MAX);
    Routes::default().add_service(sweeps).add_service(agents)
}

impl Services {
    async fn find_sweep(&self, text: &str) -> Result<SweepId, Status> {
        limits::name("sweep_id", text)?;
        self.engine
            .find_sweep(text)
            .await
            .map_err(refusal::from_engine)
    }

    /// Finds an agent by its id or a unique prefix of it. Those that are gone count only where none that lives fits.
    async fn find_agent(&self, text: &str) -> Result<AgentRow, Status> {
        let prefix = text.to_owned();
        let agents = self.read(|query| query.agents(None)).await?;
        let mut fitting: Vec<_> = agents
            .into_iter()
            .filter(|row| row.id.starts_with(&prefix))
            .collect();
        if fitting.iter().any(|row| row.alive) {
            fitting.retain(|row| row.alive);
        }
        match (
            fitting.len(),
            fitting.iter().position(|row| row.id == prefix),
        ) {
            (_, Some(exact)) => Ok(fitting.swap_remove(exact)),
            (1, None) => Ok(fitting.swap_remove(0)),
            (0, None) => Err(Status::not_found(format!(
                "no agent `{text}`; `sweep agents` lists them"
            ))),
            (count, None) => Err(Status::not_found(format!(
                "`{text}` begins the ids of {count} agents; give more of it"
            ))),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Query) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Status> {
        self.reader.ask(question).await.map_err(refusal::from_store)
    }

    /// Returns the objective of a run that has ended well, and the last value of its metric.
    async fn objective_of(
        &self,
        sweep: SweepId,
        run: u64,
        state: RunState,
    ) -> (Option<f64>, Option<f64>) {
        if !matches!(state, RunState::Finished | RunState::Stopped) {
            return (None, None);
        }
        // It has ended in any case.
        let row = self
            .read(move |query| query.run(&sweep, run))
            .await
            .ok()
            .flatten();
        row.map_or((None, None), |row| (row.value, row.last))
    }

    /// Adds to the answer, now and then, why early stopping has nothing to compare with.
    async fn with_note(&self, mut answer: v1::AcquireResponse) -> v1::AcquireResponse {
        if let Some(Next::Assignment(assignment)) = &mut answer.next
            && assignment.run >= NOTED_RUNS_MIN
            && assignment.run.is_power_of_two()
        {
            let sweep = SweepId(assignment.sweep_id.clone());
            let note = self.read(move |query| match query.sweep(&sweep)? {
                Some((row, _)) => early_stop_note(query, &row),
                None => Ok(String::new()),
            });
            // The run is the agent's in any case.
            assignment.early_stop_note = note.await.unwrap_or_default();
        }
        answer
    }

    /// Waits until the controller is to stop.
    async fn stopped(&self) -> Status {
        let mut stopping = self.stopping.subscribe();
        // The sender lives in `self`, so waiting ends only by the value.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        refusal::stopping()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_is_analysed_and_who_goes_away_gives_up_its_place() {
        let turns = Turns::default();
        let first = turns.next().await;
        let waits = |turns: Turns| async move {
            tokio::time::timeout(Duration::from_millis(20), turns.next()).await
        };
        assert!(waits(turns.clone()).await.is_err());
        drop(first);
        assert!(waits(turns).await.is_ok());
    }
}
