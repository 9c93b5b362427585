//! A group commit, and the replies that wait for it.

use std::collections::{BTreeMap, BTreeSet};

use sweep_lifecycle::command::Reply;
use sweep_lifecycle::event::{Event, MetricPoint, Recorded};
use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::{AgentId, AttemptRef, RunNumber, RunRanges, SweepId};
use tokio::sync::oneshot;

use super::request::{Answer, EngineRequest};
use super::{Acquired, EngineError};
use crate::store::{LogChunk, StaleRows, StoredReply};

/// Requests that are decided one after the other and recorded together.
#[derive(Debug, Default)]
pub(super) struct CommitGroup {
    pub(super) events: Vec<Recorded>,
    pub(super) metrics: Vec<(AttemptRef, u64, MetricPoint)>,
    pub(super) logs: Vec<LogChunk>,
    pub(super) replies: Vec<StoredReply>,
    pub(super) touched: Touched,
    /// Answers to give once all of it is on disk.
    pub(super) answers: Vec<PendingAnswer>,
    /// Questions to answer from the state after the commit.
    pub(super) questions: Vec<EngineRequest>,
    /// Sweeps whose waiting agents may be served.
    pub(super) dirty: BTreeSet<SweepId>,
    /// Some leases or waits have ended and must be handled.
    pub(super) tick: bool,
    /// The command that took longest, and how long it took.
    pub(super) longest: &'static str,
    pub(super) longest_took: Mono,
    pub(super) stop: bool,
}

/// The rows that the events of a group have changed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) sweeps: BTreeSet<SweepId>,
    pub(super) runs: BTreeSet<(SweepId, RunNumber)>,
    /// Runs of which nothing but metrics has changed.
    pub(super) reported: BTreeSet<(SweepId, RunNumber)>,
    pub(super) agents: BTreeSet<AgentId>,
    /// By their digests.
    pub(super) environments: BTreeSet<(SweepId, String)>,
    /// Sweeps that may need suggestions now.
    pub(super) needs_suggestions: BTreeSet<SweepId>,
    /// Runs that were changed together, from the first to the last number: their rows are written by and by.
    pub(super) ranges: Vec<(SweepId, RunNumber, RunNumber)>,
    /// Sweeps that were deleted.
    pub(super) deleted: BTreeSet<SweepId>,
    /// Runs whose curves and output were deleted: the newest attempt of each.
    pub(super) pruned: Vec<AttemptRef>,
    /// The rows that lag behind once the commit is done, where they are other ones than before.
    pub(super) stale: Option<Vec<StaleRows>>,
}

/// An answer that waits for the commit.
#[derive(Debug)]
pub(super) enum PendingAnswer {
    Command(Answer<Reply>, Result<Reply, EngineError>),
    Acquire(Answer<Acquired>, Result<Acquired, EngineError>),
    Log(Answer<()>, Result<(), EngineError>),
    Tick(oneshot::Sender<()>),
}

impl PendingAnswer {
    /// Gives the answer, or the failure of the commit in its place. The caller may have gone away.
    pub(super) fn give(self, commit: &Result<(), EngineError>) {
        fn settle<T>(
            reply: Answer<T>,
            result: Result<T, EngineError>,
            commit: &Result<(), EngineError>,
        ) {
            let _ = reply.send(commit.clone().and(result));
        }
        match self {
            Self::Command(reply, result) => settle(reply, result, commit),
            Self::Acquire(reply, result) => settle(reply, result, commit),
            Self::Log(reply, result) => settle(reply, result, commit),
            Self::Tick(reply) => {
                let _ = reply.send(());
            }
        }
    }
}

impl Touched {
    fn add_ranges(&mut self, sweep: &SweepId, runs: &RunRanges) {
        self.ranges.extend(
            runs.ranges()
                .iter()
                .map(|(first, last)| (sweep.clone(), *first, *last)),
        );
    }

    /// Notes what an event changes.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of event")]
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::EpochBegan { .. } | Event::EpochSettled { .. } => {}
            Event::SweepCreated { sweep, .. }
            | Event::SweepEdited { sweep, .. }
            | Event::SweepStateChanged { sweep, .. }
            | Event::SweepStalled { sweep, .. }
            | Event::CodeSeen { sweep, .. }
            | Event::CodePinned { sweep, .. }
            | Event::CodeMarked { sweep, .. }
            | Event::SpaceExhausted { sweep } => {
                self.sweeps.insert(sweep.clone());
            }
            Event::EnvironmentSeen {
                sweep,
                agent,
                digest,
                ..
            } => {
                self.agents.insert(agent.clone());
                self.environments.insert((sweep.clone(), digest.clone()));
            }
            Event::AgentRegistered { agent, sweep, .. } => {
                self.agents.insert(agent.clone());
                self.needs_suggestions.insert(sweep.clone());
            }
            Event::AgentLeaving { agent, .. }
            | Event::AgentRemoved { agent, .. }
            | Event::AgentQuarantined { agent, .. }
            | Event::AgentProbed { agent }
            | Event::AgentReadmitted { agent, .. } => {
                self.agents.insert(agent.clone());
            }
            // The sweep's own row does not have it.
            Event::RunCreated { sweep, run, .. } => {
                self.needs_suggestions.insert(sweep.clone());
                self.runs.insert((sweep.clone(), *run));
            }
            Event::RunImported { sweep, run, .. }
            | Event::RunAbsolved { sweep, run, .. }
            | Event::RunAnnotated { sweep, run, .. }
            | Event::RunRequeued { sweep, run, .. }
            | Event::RunEnded { sweep, run, .. } => {
                self.sweeps.insert(sweep.clone());
                self.runs.insert((sweep.clone(), *run));
            }
            Event::QueuedRunsCancelled { sweep, runs, .. } => {
                self.sweeps.insert(sweep.clone());
                self.add_ranges(sweep, runs);
            }
            Event::SweepArchived { sweep, .. } => {
                self.sweeps.insert(sweep.clone());
            }
            Event::RunsPruned {
                sweep,
                runs,
                attempts,
                ..
            } => {
                self.add_ranges(sweep, runs);
                let newest: BTreeMap<_, _> = attempts
                    .iter()
                    .map(|pruned| (pruned.attempt.run, &pruned.attempt))
                    .collect();
                self.pruned.extend(newest.into_values().cloned());
            }
            Event::SweepDeleted { sweep } => {
                self.deleted.insert(sweep.clone());
            }
            Event::AttemptAssigned { attempt, agent, .. } => {
                self.runs.insert((attempt.sweep.clone(), attempt.run));
                self.agents.insert(agent.clone());
            }
            Event::MetricsReported { attempt, .. } => {
                self.reported.insert((attempt.sweep.clone(), attempt.run));
            }
            Event::AttemptStarted { attempt, .. }
            | Event::StopRequested { attempt, .. }
            | Event::AttemptResumed { attempt }
            | Event::ResultOrphaned { attempt, .. }
            | Event::AttemptEnded { attempt, .. } => {
                self.runs.insert((attempt.sweep.clone(), attempt.run));
            }
        }
    }
}
