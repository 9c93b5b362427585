//! Commands to the lifecycle, and its replies.

mod answer;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, Serializer};
use sweep_search::space::{Config, PointKey};
use sweep_search::suggest::{Method, Suggestion};
use sweep_search::why::Kind;

pub use self::answer::{CodeMove, Decision, Directive, Refusal, Reply};
use crate::event::MetricPoint;
use crate::spec::SweepSpec;
use crate::state::{
    AgentId, AgentInfo, AttemptRef, CodeAbout, CodeMark, Environment, Failure, HeldAttempt,
    RunNumber, StopKind, Sweep, SweepId,
};

/// Something asked of the lifecycle. It is serialised for one purpose: equal commands have equal bytes, by which a repeated request is recognised.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Command {
    /// Give the controller its identity, or begin a new epoch after a restore. `controller` is used where the log names none.
    BeginEpoch { controller: String, restored: bool },
    /// The time in which agents report what a restored log does not hold is over.
    SettleEpoch,
    /// Begin a sweep. The id and the seed are made by the caller.
    CreateSweep {
        sweep: SweepId,
        #[serde(serialize_with = "name_alone")]
        spec: Box<SweepSpec>,
        source: String,
        seed: u64,
    },
    /// Change what a sweep's file says. `base`: the revision that the caller has seen; it is refused where there is a newer one.
    EditSweep {
        sweep: SweepId,
        #[serde(serialize_with = "name_alone")]
        spec: Box<SweepSpec>,
        source: String,
        base: Option<u32>,
    },
    /// Go back to what a sweep's file said before the last edit.
    UndoEdit { sweep: SweepId, base: Option<u32> },
    /// Begin a sweep that is pinned to a version of the code, of which there is a snapshot.
    CreatePinnedSweep {
        sweep: SweepId,
        #[serde(serialize_with = "name_alone")]
        spec: Box<SweepSpec>,
        source: String,
        seed: u64,
        code: Pin,
    },
    /// Move a sweep to a version of the code, of which there is a snapshot, at the user's request.
    PinCode {
        sweep: SweepId,
        code: Pin,
        push: Push,
    },
    /// Record the user's mark of a version of the code; `None` removes it.
    MarkCode {
        sweep: SweepId,
        version: String,
        mark: Option<CodeMark>,
    },
    /// Try points again with the code that is searched for now, at the user's request.
    RerunPoints { sweep: SweepId, which: Rerun },
    /// Change a sweep's state at the user's request.
    SetSweep { sweep: SweepId, action: SweepAction },
    /// Hide a sweep that has ended from lists, or show it again.
    ArchiveSweep { sweep: SweepId, archived: bool },
    /// Delete a sweep that has ended, with its runs and its agents.
    DeleteSweep { sweep: SweepId },
    /// Delete the curves and the output of ended runs. `keeps_best`: those of the best point stay.
    PruneRuns {
        sweep: SweepId,
        runs: Vec<RunNumber>,
        keeps_best: bool,
    },
    /// End one run at the user's request.
    CancelRun { sweep: SweepId, run: RunNumber },
    /// Record the user's annotation of a run.
    AnnotateRun {
        sweep: SweepId,
        run: RunNumber,
        said: AnnotationPatch,
    },
    /// Put ended runs back into the queue at the user's request. Empty: all failed ones.
    RetryRuns {
        sweep: SweepId,
        runs: Vec<RunNumber>,
    },
    /// The search found nothing at all to try, as of `history`. A claim that is older than now is believed, unless the sweep was edited since.
    ExhaustSpace { sweep: SweepId, history: u64 },
    /// An agent comes, with `attempts` that it executes or has a result of.
    RegisterAgent {
        agent: AgentId,
        sweep: SweepId,
        info: AgentInfo,
        attempts: Vec<AttemptRef>,
    },
    /// Record an attempt that a registered agent holds and that the log does not: the controller was restored from an older state.
    AdoptAttempt {
        agent: AgentId,
        held: Box<HeldAttempt>,
    },
    /// An agent's quarantine may end, if its next run ends well.
    ProbeAgent { agent: AgentId },
    /// Readmit an agent manually.
    ReadmitAgent { agent: AgentId },
    /// An agent wants a run for the code it has. `offers` are ready, best first; the first that is not taken is used where no queued
    /// run fits.
    Acquire {
        agent: AgentId,
        sweep: SweepId,
        offers: Vec<Offer>,
        code_version: String,
    },
    /// An agent has started a program, with the code that it names; empty: not known.
    StartAttempt {
        agent: AgentId,
        attempt: AttemptRef,
        command: Vec<String>,
        code_version: String,
    },
    /// An agent describes a version of the code.
    DescribeCode {
        agent: AgentId,
        sweep: SweepId,
        version: String,
        about: CodeAbout,
    },
    /// An agent says what it executes attempts in from now on.
    DescribeEnvironment {
        agent: AgentId,
        sweep: SweepId,
        environment: Box<Environment>,
    },
    /// An attempt reports metrics.
    ReportMetrics {
        agent: AgentId,
        attempt: AttemptRef,
        first_seq: u64,
        points: Vec<MetricPoint>,
    },
    /// An attempt has ended.
    FinishAttempt {
        agent: AgentId,
        attempt: AttemptRef,
        result: AttemptResult,
    },
    /// Add metrics that were read afterwards from the stored output of an attempt that has ended.
    RereadRun {
        attempt: AttemptRef,
        points: Vec<MetricPoint>,
    },
    /// A program that asked for a run reports its outcome.
    Tell {
        attempt: AttemptRef,
        told: TellOutcome,
        metrics: BTreeMap<String, f64>,
    },
    /// Take in runs that were executed elsewhere.
    ImportRuns { sweep: SweepId, runs: Vec<Import> },
    /// Queue runs that a person or their program has chosen. `end`: no more will come.
    OfferRuns {
        sweep: SweepId,
        runs: Vec<Offered>,
        end: bool,
    },
    /// An agent is about to leave since its machine is taken away.
    AnnounceLeaving { agent: AgentId, reason: String },
    /// An attempt's lease has ended without news.
    LoseAttempt { attempt: AttemptRef },
    /// An agent leaves (`lost: false`) or has fallen silent (`lost: true`): what it held goes back.
    RemoveAgent {
        agent: AgentId,
        lost: bool,
        reason: String,
    },
}

impl Command {
    /// Returns its name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BeginEpoch { .. } => "BeginEpoch",
            Self::SettleEpoch => "SettleEpoch",
            Self::CreateSweep { .. } => "CreateSweep",
            Self::EditSweep { .. } => "EditSweep",
            Self::UndoEdit { .. } => "UndoEdit",
            Self::CreatePinnedSweep { .. } => "CreatePinnedSweep",
            Self::PinCode { .. } => "PinCode",
            Self::MarkCode { .. } => "MarkCode",
            Self::RerunPoints { .. } => "RerunPoints",
            Self::SetSweep { .. } => "SetSweep",
            Self::ArchiveSweep { .. } => "ArchiveSweep",
            Self::DeleteSweep { .. } => "DeleteSweep",
            Self::PruneRuns { .. } => "PruneRuns",
            Self::CancelRun { .. } => "CancelRun",
            Self::AnnotateRun { .. } => "AnnotateRun",
            Self::RetryRuns { .. } => "RetryRuns",
            Self::ExhaustSpace { .. } => "ExhaustSpace",
            Self::RegisterAgent { .. } => "RegisterAgent",
            Self::AdoptAttempt { .. } => "AdoptAttempt",
            Self::ProbeAgent { .. } => "ProbeAgent",
            Self::ReadmitAgent { .. } => "ReadmitAgent",
            Self::Acquire { .. } => "Acquire",
            Self::StartAttempt { .. } => "StartAttempt",
            Self::DescribeCode { .. } => "DescribeCode",
            Self::DescribeEnvironment { .. } => "DescribeEnvironment",
            Self::ReportMetrics { .. } => "ReportMetrics",
            Self::FinishAttempt { .. } => "FinishAttempt",
            Self::RereadRun { .. } => "RereadRun",
            Self::Tell { .. } => "Tell",
            Self::ImportRuns { .. } => "ImportRuns",
            Self::OfferRuns { .. } => "OfferRuns",
            Self::AnnounceLeaving { .. } => "AnnounceLeaving",
            Self::LoseAttempt { .. } => "LoseAttempt",
            Self::RemoveAgent { .. } => "RemoveAgent",
        }
    }
}

/// Writes what a spec has beside its source, the name: all else follows from the source, and a new key must not change the bytes.
fn name_alone<S: Serializer>(spec: &SweepSpec, serializer: S) -> Result<S::Ok, S::Error> {
    spec.name.serialize(serializer)
}

/// The precondition of a call about an attempt on the controller's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFence {
    /// The attempt's incarnation; empty: not checked, since agents of an earlier version do not know it.
    pub incarnation: String,
    /// How many of its metric points the log has at least.
    pub points: u64,
}

/// A version of the code that a sweep is pinned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Which.
    pub version: String,
    /// Its description.
    pub about: CodeAbout,
}

/// How a sweep moves to other code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Push {
    /// A sweep that is not pinned becomes so.
    pub pin: bool,
    /// Running attempts do not finish on the old code: they are asked to end, and their runs go back into the queue.
    pub stop_running: bool,
    /// The points to rerun.
    pub rerun: Rerun,
}

/// Which points are tried again with other code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rerun {
    /// None.
    #[default]
    None,
    /// The n best.
    Best(u64),
    /// All that have ended, except by the user.
    All,
}

/// A user's action on a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepAction {
    /// Hand out no runs until resumed.
    Pause,
    /// Hand out runs again.
    Resume,
    /// Begin no new runs; running ones may end.
    Stop,
    /// Kill running runs and end.
    Cancel,
}

/// A ready suggestion, with the sweep's `history` it was computed from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// The point and the reason for it.
    pub suggestion: Suggestion,
    /// The history it was computed from; older than now is fine.
    pub history: u64,
}

impl Offer {
    /// Returns the code for which a point that was tried before is tried again, of a sweep that searches for `target`; empty where it was
    /// not.
    pub(crate) fn again(&self, target: Option<&str>, sweep: &Sweep) -> String {
        let probes = self.suggestion.why.kind == Kind::Probe && sweep.spec.method == Method::Bayes;
        target.filter(|_| probes).unwrap_or_default().to_owned()
    }

    /// Returns the identity of its point.
    pub(crate) fn point(&self, target: Option<&str>, sweep: &Sweep) -> PointKey {
        let config = &self.suggestion.config;
        match self.again(target, sweep).as_str() {
            "" => config.key(),
            version => config.key_again(version),
        }
    }
}

/// The result that a program reports for a run it asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TellOutcome {
    /// The value of the objective.
    Value(f64),
    /// It failed, and the configuration is to blame: why.
    Failed(String),
}

/// A run that was executed elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Import {
    /// Its place in the user's call, from 1: refusals name it. No part of a request's digest.
    #[serde(skip)]
    pub place: u64,
    /// The configuration.
    pub config: Config,
    /// The outcome.
    pub told: TellOutcome,
    /// The code that was executed, by any id.
    pub code_version: String,
}

/// A run that a person or their program has chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offered {
    /// The configuration.
    pub config: Config,
    /// Why, in the words of its source; may be empty.
    pub reason: String,
}

/// How an attempt ended, as its agent saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// Exit status 0 and the objective was seen.
    Succeeded,
    /// Badly.
    Failed(Failure),
    /// It obeyed a stop request. `StopKind::Early`: what it had reached counts.
    Stopped(StopKind),
    /// Its machine was taken away.
    Preempted,
    /// It was never started.
    Returned,
    /// It was told of, not seen.
    Told(TellOutcome),
}

/// A change of the annotation of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationPatch {
    /// Takes the place of the note; empty: there is none any more.
    pub note: Option<String>,
    /// Tags that it gets.
    pub add: BTreeSet<String>,
    /// Tags that it loses.
    pub remove: BTreeSet<String>,
    /// Whether it is listed above the others.
    pub pinned: Option<bool>,
}
