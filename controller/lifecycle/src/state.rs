//! All that the controller knows, as plain data. Changed by [`evolve`](crate::evolve::evolve) alone.
//!
//! The whole state is a fold of the event log. What does not survive a restart (leases, suggestions that lie ready) is not here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sweep_search::space::{Config, Taken};
use sweep_search::why::Why;

use crate::runs::Runs;
use crate::spec::{Constraint, Summary, SweepSpec};

/// Milliseconds since 1970 by the controller's wall clock: for display only, never for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A sweep's id: 8 characters `[a-z0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SweepId(pub String);

/// An agent process's id, made by the agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub String);

/// A run's number in its sweep, from 1.
pub type RunNumber = u64;

/// An attempt's number in its run, from 1: the fencing token.
pub type AttemptNumber = u32;

/// Names one attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The sweep.
    pub sweep: SweepId,
    /// The run.
    pub run: RunNumber,
    /// The attempt.
    pub attempt: AttemptNumber,
}

/// All that the controller knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Sweeps by id.
    pub sweeps: BTreeMap<SweepId, Sweep>,
    /// Agents by id, those that have left included.
    pub agents: BTreeMap<AgentId, Agent>,
}

/// One search.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// What the file says.
    pub spec: Arc<SweepSpec>,
    /// The text of the file.
    pub source: Arc<str>,
    /// The seed of its search.
    pub seed: u64,
    /// How many points the grid has, where the method is grid: at least as many as can be tried.
    pub grid_size: Option<u64>,
    /// Where it is in its life.
    pub state: SweepState,
    /// Why it is there, in words; empty while nothing needs saying.
    pub reason: String,
    /// It was paused since every agent fails.
    pub stalled: bool,
    /// How many attempts were ever assigned.
    pub assignments: u64,
    /// The search has nothing left to try.
    pub exhausted: bool,
    /// Runs by number.
    pub runs: Runs,
    /// The queued ones of `runs`.
    pub queued: BTreeSet<RunNumber>,
    /// The assigned and the running ones of `runs`.
    pub live: BTreeSet<RunNumber>,
    /// The best value of the finished and stopped ones of `runs`, by the objective's goal; the lower number wins a tie. With repeats: the first
    /// run of the best point, and the mean of its values.
    pub best: Option<(RunNumber, f64)>,
    /// How many of `runs` were imported.
    pub imported: u64,
    /// The points of all runs.
    pub taken: Taken,
    /// Grows with every change that the search can see: a run created, ended, or taken up again after it had ended.
    pub history: u64,
    /// When it was created.
    pub created: Timestamp,
    /// When something last happened to it.
    pub updated: Timestamp,
}

/// Where a sweep is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    /// Runs are handed out.
    Running,
    /// No runs are handed out; agents wait.
    Paused,
    /// Nothing left to try, run cap or target reached.
    Finished,
    /// A person wants no new runs; running ones may end.
    Stopped,
    /// A person has cancelled it; running runs are killed.
    Cancelled,
}

/// One configuration and what became of it. Written where it is sealed: what is mostly empty is then left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The configuration.
    pub config: Config,
    /// Why it was suggested, and the sweep's `history` it was computed from.
    pub why: Why,
    /// See [`Run::why`].
    pub history: u64,
    /// Where it is in its life.
    pub state: RunState,
    /// Why it is there, in words; empty while nothing needs saying.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Its executions, attempt 1 first. The last one owns the run while the run is assigned or running.
    pub attempts: Vec<Attempt>,
    /// The objective, once the run has ended; for stopped runs what it had reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The failure it ended with blames the configuration: an observation for the search.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blamed: bool,
    /// The first run of its point: itself, but for repeats.
    pub first: RunNumber,
    /// It was imported: executed elsewhere, and none of this sweep's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// The code that was executed last, by any id; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code_version: String,
    /// Retries so far by cause, as far as they count against [`RetryPolicy`](crate::spec::RetryPolicy).
    #[serde(default, skip_serializing_if = "Retries::is_none")]
    pub retries: Retries,
    /// Agents it failed on: others are preferred.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub avoid: BTreeSet<AgentId>,
    /// When it was created.
    pub created: Timestamp,
    /// When it reached a terminal state.
    pub ended: Option<Timestamp>,
}

/// Retries that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// After the agent was lost.
    pub lost: u32,
    /// After a failure that the machine was to blame for.
    pub machine: u32,
    /// After a crash.
    pub crashed: u32,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waits for an agent.
    Queued,
    /// Given to an agent that has not started it.
    Assigned,
    /// Its program runs.
    Running,
    /// Its program ended well.
    Finished,
    /// Ended early by the sweep's rule.
    Stopped,
    /// Ended badly for good.
    Failed,
    /// Ended by a person.
    Cancelled,
}

/// One execution of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who executes it.
    pub agent: AgentId,
    /// Its place among all the assignments of the sweep, from 1.
    pub order: u64,
    /// Where it is in its life.
    pub state: AttemptState,
    /// Set when the controller wants it to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopRequest>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The objective's values in the order of their arrival, those that are not finite included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<f64>,
    /// The last value of each metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// The smallest and the largest value of each metric, those that are not finite left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extremes: BTreeMap<String, (f64, f64)>,
    /// How many metric points have arrived: the next `first_seq`.
    pub points: u64,
    /// argv, as executed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// What its agent said of it when that had no effect any more, in words; mostly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub orphan: String,
    /// When it was assigned.
    pub assigned: Timestamp,
    /// When its program started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// Where an attempt is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Given to an agent that has not started it.
    Assigned,
    /// Its program runs.
    Running,
    /// Ended well.
    Finished,
    /// Ended early by the sweep's rule.
    Stopped,
    /// Ended badly.
    Failed,
    /// The agent fell silent.
    Lost,
    /// The machine was taken away, or the agent left.
    Preempted,
    /// Given back without having started.
    Returned,
    /// Ended by a person.
    Cancelled,
}

/// Why the controller wants an attempt to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Early termination or a person.
    pub kind: StopKind,
    /// In words; never empty.
    pub reason: String,
    /// What the run would very probably have come to, where the rule predicts it.
    #[serde(default)]
    pub predicted: Option<f64>,
}

/// Who wants an attempt to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// The sweep's rule: what has been reached counts.
    Early,
    /// A person.
    Cancel,
}

/// Why an attempt ended badly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// Whom it blames.
    pub blame: Blame,
    /// In words.
    pub message: String,
    /// The exit status, where there is one.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The last lines of the output.
    #[serde(default)]
    pub output_tail: String,
    /// What the judgement rests on: a line of output, a counter of the machine.
    #[serde(default)]
    pub evidence: String,
}

/// What happened to an attempt that ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Exit status other than 0.
    Crashed,
    /// Ended by a signal nobody here sent.
    Signal,
    /// The machine's memory ran out.
    OutOfMemory,
    /// The output says that CUDA ran out of memory: it would happen again.
    CudaOutOfMemory,
    /// GPUs did not reach each other.
    Nccl,
    /// The objective ended as NaN or infinite: it would happen again.
    NanObjective,
    /// Exit status 0 without the objective: it would happen again.
    NoMetric,
    /// The program could not be started.
    CouldNotStart,
    /// The look at the machine before the run ended badly.
    Preflight,
    /// It took longer than it may: it would happen again.
    MaxRuntime,
    /// It said nothing for longer than it may.
    MaxSilence,
    /// The agent fell silent.
    Lost,
    /// The machine was taken away.
    Preempted,
}

/// Whom a failure blames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The configuration.
    Configuration,
    /// The machine.
    Machine,
    /// Nobody.
    Nobody,
}

/// A process on a machine that executes attempts of one sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The sweep it works for.
    pub sweep: SweepId,
    /// What it said of itself.
    pub info: AgentInfo,
    /// It has neither left nor been lost.
    pub alive: bool,
    /// The live attempts that are its own.
    pub holds: BTreeSet<AttemptRef>,
    /// Whether it gets runs.
    pub health: Health,
    /// Its attempts that ended well.
    pub succeeded: u64,
    /// Its attempts that failed.
    pub failed: u64,
    /// Its failures since its last success that may be its own fault.
    pub streak: Vec<AttemptRef>,
    /// When it registered.
    pub registered: Timestamp,
    /// When it left or was lost.
    pub left: Option<Timestamp>,
}

/// Whether an agent gets runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Health {
    /// It does.
    #[default]
    Ok,
    /// It fails while others do well: none for now.
    Quarantined {
        /// In words.
        reason: String,
        /// How many probes have failed.
        probes: u32,
    },
    /// One, to see whether it is well again.
    Probing {
        /// See [`Health::Quarantined`].
        reason: String,
        /// See [`Health::Quarantined`].
        probes: u32,
    },
}

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its machine's name.
    pub host: String,
    /// How many attempts it can execute at once.
    pub slots: u32,
    /// Its version of `sweep`.
    pub version: String,
    /// New for each process of it; empty where it does not say.
    #[serde(default)]
    pub process: String,
    /// It is no agent process but a program that asks for runs, executes them itself and tells what came of them.
    #[serde(default)]
    pub asks: bool,
}

impl Sweep {
    /// Returns an attempt, whatever became of it.
    pub fn attempt(&self, attempt: &AttemptRef) -> Option<Cow<'_, Attempt>> {
        match self.runs.get(attempt.run)? {
            Cow::Borrowed(run) => run.attempt(attempt.attempt).map(Cow::Borrowed),
            Cow::Owned(run) => run.attempt(attempt.attempt).cloned().map(Cow::Owned),
        }
    }
}

impl Retries {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl SweepState {
    /// Returns whether no more runs are handed out unless a person asks for it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Cancelled)
    }
}

impl std::fmt::Display for SweepState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
        })
    }
}

impl Run {
    /// Returns an attempt by its number.
    pub fn attempt(&self, number: AttemptNumber) -> Option<&Attempt> {
        self.attempts.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Returns the number of the newest attempt; 0 where there is none.
    pub fn newest(&self) -> AttemptNumber {
        AttemptNumber::try_from(self.attempts.len()).unwrap_or(AttemptNumber::MAX)
    }

    /// Returns for each constraint by how much the newest attempt violates it, in the metric's unit; `None` where it has not reported the
    /// metric.
    pub fn violations(&self, constraints: &[Constraint]) -> Vec<Option<f64>> {
        let newest = self.attempts.last();
        let value = |constraint: &Constraint| match (newest, constraint.of) {
            (None, _) => None,
            (Some(newest), Summary::Last) => newest.metrics.get(&constraint.metric).copied(),
            (Some(newest), Summary::Min) => newest.extremes.get(&constraint.metric).map(|(min, _)| *min),
            (Some(newest), Summary::Max) => newest.extremes.get(&constraint.metric).map(|(_, max)| *max),
        };
        constraints.iter().map(|constraint| value(constraint).map(|value| constraint.violation(value))).collect()
    }

    /// Returns the objective's values in the newest attempt that has any.
    pub fn series(&self) -> &[f64] {
        self.attempts.iter().rev().map(|attempt| attempt.series.as_slice()).find(|series| !series.is_empty()).unwrap_or_default()
    }
}

impl Attempt {
    /// Takes in what the program reports of other metrics than the objective, and of the objective as one of them.
    pub(crate) fn summarise(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), value);
        if value.is_finite() {
            let (min, max) = self.extremes.entry(name.to_owned()).or_insert((value, value));
            (*min, *max) = (min.min(value), max.max(value));
        }
    }
}

impl Failure {
    /// Returns whether the agent may be at fault, for all that can be seen in this one failure.
    pub fn may_be_the_agents(&self) -> bool {
        self.blame != Blame::Nobody && !matches!(self.kind, FailureKind::NanObjective | FailureKind::MaxRuntime)
    }
}

impl Agent {
    /// Returns how many runs it may be executing soon: a program that asks wants one more than it has.
    pub fn places(&self) -> usize {
        if self.info.asks { self.holds.len() + 1 } else { self.slots() }
    }

    /// Returns how many attempts it may hold: an agent that says nothing of slots has one, a program that asks any number.
    pub fn slots(&self) -> usize {
        if self.info.asks {
            return usize::MAX;
        }
        usize::try_from(self.info.slots.max(1)).unwrap_or(usize::MAX)
    }
}

impl RunState {
    /// Returns whether nothing more happens to the run unless a person asks for it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed | Self::Cancelled)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

impl AttemptState {
    /// Returns whether the attempt owns its run.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Assigned | Self::Running)
    }
}

impl std::fmt::Display for AttemptState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Preempted => "preempted",
            Self::Returned => "returned",
            Self::Cancelled => "cancelled",
        })
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Crashed => "the program crashed",
            Self::Signal => "the program was ended by a signal",
            Self::OutOfMemory => "the machine ran out of memory",
            Self::CudaOutOfMemory => "CUDA ran out of memory",
            Self::Nccl => "GPUs did not reach each other (NCCL)",
            Self::NanObjective => "the objective was NaN or infinite",
            Self::NoMetric => "the objective was not reported",
            Self::CouldNotStart => "the program could not be started",
            Self::Preflight => "the preflight command failed",
            Self::MaxRuntime => "it took longer than max_runtime",
            Self::MaxSilence => "it said nothing for longer than max_silence",
            Self::Lost => "its agent was lost",
            Self::Preempted => "its machine was taken away",
        })
    }
}

impl std::fmt::Display for SweepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for AgentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
