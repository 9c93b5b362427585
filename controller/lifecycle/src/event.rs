//! The events. Written to the log as JSON and never changed: a new field needs `#[serde(default)]`.

mod kinds;

use serde::{Deserialize, Serialize};
use sweep_search::space::Config;
use sweep_search::why::Why;

use crate::spec::SweepSpec;
use crate::state::{
    AgentId, AgentInfo, Annotation, AttemptRef, AttemptState, AttemptSummary, CodeAbout, CodeMark,
    Environment, Failure, RevisionEffect, RunNumber, RunRanges, RunState, StopRequest, SweepId,
    SweepState, Timestamp, any_float,
};

pub use kinds::{EVENT_KINDS, EventKind};

/// An event with its time, as the log holds it. Its place in the log is the store's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When, by the controller's wall clock.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
}

/// One value of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// The metric.
    pub name: String,
    /// The program's own step, where it names one.
    #[serde(default)]
    pub step: Option<i64>,
    /// When, by the agent's wall clock.
    pub wall: Timestamp,
    /// The value; may be NaN or infinite.
    #[serde(with = "any_float")]
    pub value: f64,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Event {
    /// A controller began its log, or continued a restored one: a new epoch. Agents of earlier epochs have to register again.
    EpochBegan {
        controller: String,
        epoch: u32,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        restored: bool,
    },
    /// Agents have had time to report what the restored log does not hold: runs are handed out again.
    EpochSettled { epoch: u32 },
    /// A sweep began.
    SweepCreated {
        sweep: SweepId,
        spec: Box<SweepSpec>,
        source: String,
        seed: u64,
    },
    /// Its file was changed: a new revision. `spec` and `source` are what it says now, `restores` the revision that it goes back to.
    SweepEdited {
        sweep: SweepId,
        spec: Box<SweepSpec>,
        source: String,
        #[serde(default)]
        restores: Option<u32>,
        changes: Vec<String>,
        effect: RevisionEffect,
    },
    /// A sweep changed its state.
    SweepStateChanged {
        sweep: SweepId,
        state: SweepState,
        reason: String,
    },
    /// The search has nothing left to try.
    SpaceExhausted { sweep: SweepId },
    /// A version of the code was seen that is new in the sweep, or is described for the first time.
    CodeSeen {
        sweep: SweepId,
        version: String,
        agent: Option<AgentId>,
        about: Box<CodeAbout>,
    },
    /// From now on every attempt that begins executes this version, which has been seen.
    CodePinned { sweep: SweepId, version: String },
    /// The user's mark of a version of the code is set or removed.
    CodeMarked {
        sweep: SweepId,
        version: String,
        #[serde(default)]
        mark: Option<CodeMark>,
    },
    /// An agent executes attempts in this environment from now on. `about`: its facts, where it is new in the sweep.
    EnvironmentSeen {
        sweep: SweepId,
        agent: AgentId,
        digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<Box<Environment>>,
    },
    /// An agent came.
    AgentRegistered {
        agent: AgentId,
        sweep: SweepId,
        info: AgentInfo,
    },
    /// An agent is about to leave since its machine is taken away.
    AgentLeaving { agent: AgentId, reason: String },
    /// An agent left or was lost.
    AgentRemoved { agent: AgentId, reason: String },
    /// An agent fails while others do well: it gets no runs but now and then one as a probe. `probes` of them have failed.
    AgentQuarantined {
        agent: AgentId,
        reason: String,
        probes: u32,
    },
    /// An agent in quarantine may have one run.
    AgentProbed { agent: AgentId },
    /// An agent in quarantine gets runs again.
    AgentReadmitted { agent: AgentId, reason: String },
    /// A sweep was paused since every agent fails.
    SweepStalled { sweep: SweepId, reason: String },
    /// A suggestion became a run, queued. `repeats` names the first run of the same point, where there is one; `again` the code for which a point
    /// that was tried before is tried again.
    RunCreated {
        sweep: SweepId,
        run: RunNumber,
        config: Config,
        why: Why,
        history: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeats: Option<RunNumber>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        again: String,
    },
    /// The user annotates a run; `annotation` is its whole new annotation.
    RunAnnotated {
        sweep: SweepId,
        run: RunNumber,
        annotation: Annotation,
    },
    /// A queued run was given to an agent: a new attempt. `pinned`: it must execute that code, and not its own. `origin`: the incarnation
    /// of an attempt that the agent has executed since before a restore.
    AttemptAssigned {
        attempt: AttemptRef,
        agent: AgentId,
        #[serde(default)]
        code_version: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pinned: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    /// A run that was executed elsewhere, finished or failed.
    RunImported {
        sweep: SweepId,
        run: RunNumber,
        config: Config,
        state: RunState,
        value: Option<f64>,
        reason: String,
        code_version: String,
    },
    /// Its program started. `code_version`: where it is another one than when the run was asked for.
    AttemptStarted {
        attempt: AttemptRef,
        command: Vec<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        code_version: String,
    },
    /// It reported metrics; `stale` where it no longer owned its run: kept, but without effect on the run.
    MetricsReported {
        attempt: AttemptRef,
        first_seq: u64,
        points: Vec<MetricPoint>,
        #[serde(default)]
        stale: bool,
    },
    /// The controller wants it to end.
    StopRequested {
        attempt: AttemptRef,
        request: StopRequest,
    },
    /// It ended.
    AttemptEnded {
        attempt: AttemptRef,
        state: AttemptState,
        #[serde(default)]
        failure: Option<Failure>,
    },
    /// An attempt that was given up as lost continues: no other has begun its run.
    AttemptResumed { attempt: AttemptRef },
    /// The result of an attempt came when it had no effect any more.
    ResultOrphaned { attempt: AttemptRef, words: String },
    /// A run that has not ended had failed on an agent that fails by itself: its retry counts restart, and that agent is avoided.
    RunAbsolved {
        sweep: SweepId,
        run: RunNumber,
        agent: AgentId,
    },
    /// The run goes back into the queue. `counts` says which retry it uses up; `avoid` which agent should not get it again.
    RunRequeued {
        sweep: SweepId,
        run: RunNumber,
        reason: String,
        #[serde(default)]
        counts: Option<RetryCause>,
        #[serde(default)]
        avoid: Option<AgentId>,
    },
    /// The run reached a terminal state. `blamed`: it failed and the configuration is to blame. `withdrawn`: an edit took its point out of the
    /// space before it was tried.
    RunEnded {
        sweep: SweepId,
        run: RunNumber,
        state: RunState,
        #[serde(default)]
        value: Option<f64>,
        reason: String,
        #[serde(default)]
        blamed: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        withdrawn: bool,
    },
    /// Runs that waited for an agent were cancelled together. `withdrawn`: as in `RunEnded`.
    QueuedRunsCancelled {
        sweep: SweepId,
        runs: RunRanges,
        reason: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        withdrawn: bool,
    },
    /// Lists hide the sweep, or show it again.
    SweepArchived { sweep: SweepId, archived: bool },
    /// The curves and the output of ended runs were deleted. `values` and `attempts`: what remains, since the reports may be deleted from the log.
    RunsPruned {
        sweep: SweepId,
        runs: RunRanges,
        values: Vec<(RunNumber, f64)>,
        attempts: Vec<AttemptSummary>,
    },
    /// A sweep was deleted, with its runs and its agents. Its earlier events are not needed any more.
    SweepDeleted { sweep: SweepId },
}

impl Event {
    /// Returns the sweep that it happened to; an agent's own affairs have none.
    pub fn sweep(&self) -> Option<&SweepId> {
        match self {
            Self::SweepCreated { sweep, .. }
            | Self::SweepEdited { sweep, .. }
            | Self::SweepStateChanged { sweep, .. }
            | Self::SweepStalled { sweep, .. }
            | Self::SpaceExhausted { sweep }
            | Self::CodeSeen { sweep, .. }
            | Self::CodePinned { sweep, .. }
            | Self::CodeMarked { sweep, .. }
            | Self::EnvironmentSeen { sweep, .. }
            | Self::AgentRegistered { sweep, .. }
            | Self::RunCreated { sweep, .. }
            | Self::RunImported { sweep, .. }
            | Self::RunAbsolved { sweep, .. }
            | Self::RunAnnotated { sweep, .. }
            | Self::RunRequeued { sweep, .. }
            | Self::RunEnded { sweep, .. }
            | Self::QueuedRunsCancelled { sweep, .. }
            | Self::SweepArchived { sweep, .. }
            | Self::RunsPruned { sweep, .. }
            | Self::SweepDeleted { sweep } => Some(sweep),
            Self::AttemptAssigned { attempt, .. }
            | Self::AttemptStarted { attempt, .. }
            | Self::MetricsReported { attempt, .. }
            | Self::StopRequested { attempt, .. }
            | Self::AttemptResumed { attempt }
            | Self::ResultOrphaned { attempt, .. }
            | Self::AttemptEnded { attempt, .. } => Some(&attempt.sweep),
            Self::EpochBegan { .. }
            | Self::EpochSettled { .. }
            | Self::AgentLeaving { .. }
            | Self::AgentRemoved { .. }
            | Self::AgentQuarantined { .. }
            | Self::AgentProbed { .. }
            | Self::AgentReadmitted { .. } => None,
        }
    }
}

/// Which retry a requeued run uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryCause {
    /// One of `retry.lost`.
    Lost,
    /// One of `retry.machine`.
    Machine,
    /// One of `retry.crashed`.
    Crashed,
    /// The user asked for it: the counts restart.
    Asked,
    /// It failed on an agent that fails by itself: the counts restart, and that agent is still avoided.
    Absolved,
}
