//! The rows of the query tables: what people see, made from the state by the engine.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{
    Annotation, AttemptRef, AttemptState, CodeStep, CodeVersion, Failure, RevisionEffect, RunState,
    SweepState,
};
use sweep_search::observation::Goal;
use sweep_search::suggest::Method;
use sweep_search::why::Why;

/// Bytes of the beginning of an attempt's output that are kept.
pub const LOG_HEAD_BYTES: u64 = 10 * 1024 * 1024;
/// Bytes of its end that are kept at least.
pub const LOG_TAIL_BYTES: u64 = 1024 * 1024;
/// No output is longer.
const LOG_OFFSET_MAX: u64 = i64::MAX as u64;
/// Bytes of output that are read at once.
const LOG_READ_MAX: usize = LOG_HEAD_BYTES as usize;

/// The place of a run among the repeats of its point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatsRow {
    /// The first run of the point.
    pub first: u64,
    /// Which repeat this is, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
    /// In the row of the first run: how many of them have a value, the mean of those, and the standard deviation of one.
    pub values: u32,
    /// See [`RepeatsRow::values`].
    pub mean: Option<f64>,
    /// See [`RepeatsRow::values`].
    pub deviation: Option<f64>,
}

/// A sweep. What can be counted from its runs is not here but in [`SweepCounts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// Its id.
    pub id: String,
    /// Its name, or empty.
    pub name: String,
    /// Where it is in its life.
    pub state: SweepState,
    /// Why it is in this state, in words.
    pub reason: String,
    /// How the search chooses.
    pub method: Method,
    /// The objective's metric, or empty.
    pub metric: String,
    /// Whether small or large values of the metric are good.
    pub goal: Goal,
    /// Runs after which it ends; 0: open-ended.
    pub planned: u64,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970.
    pub updated_ms: i64,
    /// The sweep file.
    pub yaml: String,
    /// Paused by the controller, since every agent fails.
    #[serde(default)]
    pub stalled: bool,
    /// The versions of the code, in the order of their first appearance.
    #[serde(default)]
    pub codes: Vec<CodeVersion>,
    /// Users' actions on them, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code_steps: Vec<CodeStep>,
    /// The one of them that it is pinned to; empty: it tracks.
    #[serde(default)]
    pub pinned: String,
    /// The revisions of its file; empty while it was never edited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<RevisionRow>,
    /// Lists hide it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

/// A revision of a sweep's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// The number of its space.
    pub space: u32,
    /// The revision that it goes back to.
    pub restores: Option<u32>,
    /// The changes, in words.
    pub changes: Vec<String>,
    /// The effect on the existing runs.
    pub effect: RevisionEffect,
    /// Milliseconds since 1970.
    pub since_ms: i64,
    /// The file.
    pub yaml: String,
}

/// Counts of the runs of one version of the code.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CodeCounts {
    /// All runs whose newest attempt has it.
    pub runs: u64,
    /// Those that are assigned or running.
    pub running: u64,
    /// Those that finished or were stopped early.
    pub finished: u64,
    /// Those that failed.
    pub failed: u64,
    /// The best of them, by the sweep's goal; of several that are equal, any.
    pub best: Option<(u64, f64)>,
}

/// Counts of the runs and agents of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SweepCounts {
    /// Queued runs.
    pub queued: u64,
    /// Assigned and running runs.
    pub running: u64,
    /// Finished runs.
    pub finished: u64,
    /// Runs stopped early.
    pub stopped: u64,
    /// Failed runs.
    pub failed: u64,
    /// Cancelled runs.
    pub cancelled: u64,
    /// Agents that are alive.
    pub agents: u64,
    /// The best of the finished and stopped runs, by the sweep's goal; the lower number wins a tie.
    pub best: Option<(u64, f64)>,
}

/// Orders runs by value, the best first; the lower number comes first in a tie.
pub(super) fn by_rank(
    goal: Goal,
    (run, value): (u64, f64),
    (other, other_value): (u64, f64),
) -> Ordering {
    let (value, other_value) = (goal.minimized(value), goal.minimized(other_value));
    value.total_cmp(&other_value).then(run.cmp(&other))
}

/// A run with its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its sweep.
    pub sweep: String,
    /// Its number.
    pub run: u64,
    /// Where it is in its life.
    pub state: RunState,
    /// Why it is in this state, in words.
    pub reason: String,
    /// The configuration as the program sees it, JSON.
    pub params_json: String,
    /// The objective, once it has ended.
    pub value: Option<f64>,
    /// Best value of the objective in the newest attempt that has one.
    pub best: Option<f64>,
    /// Last value of the objective in the newest attempt that has one.
    pub last: Option<f64>,
    /// The ranking value of its point, in the row of the first run of a point that can be the best.
    #[serde(default)]
    pub ranked: Option<f64>,
    /// Where it stands among the runs of its point, in sweeps that repeat.
    #[serde(default)]
    pub repeats: Option<RepeatsRow>,
    /// The violated constraints, in words: such a run is not the best.
    #[serde(default)]
    pub violates: Vec<String>,
    /// Why it was suggested.
    pub why: String,
    /// The same in numbers, and the sweep's `history` that it was computed from.
    #[serde(default)]
    pub suggestion: Why,
    /// See [`RunRow::suggestion`].
    #[serde(default)]
    pub history: u64,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970; 0 while it has not ended.
    pub ended_ms: i64,
    /// Its executions.
    pub attempts: Vec<AttemptRow>,
    /// The version of the code that its newest attempt has, or that was named when it was imported; empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The revision of the sweep in which it was created.
    #[serde(default = "first")]
    pub revision: u32,
    /// Why it does not count among the runs of the newest revision, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aside: String,
    /// Its annotation.
    #[serde(default, skip_serializing_if = "Annotation::is_empty")]
    pub annotation: Annotation,
    /// Its curves and its output were deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pruned: bool,
}

fn first() -> u32 {
    1
}

/// One execution of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// Its number.
    pub attempt: u32,
    /// The agent that executes it.
    pub agent: String,
    /// That agent's machine.
    pub host: String,
    /// Where it is in its life.
    pub state: AttemptState,
    /// How it failed.
    pub failure: Option<Failure>,
    /// Milliseconds since 1970.
    pub assigned_ms: i64,
    /// Milliseconds since 1970; 0: not started.
    pub started_ms: i64,
    /// Milliseconds since 1970; 0: not ended.
    pub ended_ms: i64,
    /// The last value of each metric that is finite.
    pub metrics: BTreeMap<String, f64>,
    /// argv, as executed.
    pub command: Vec<String>,
    /// The late report of its agent, without effect, in words.
    #[serde(default)]
    pub orphan: String,
    /// The version of the code that it executes; empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The revision of the sweep that it is executed by.
    #[serde(default = "first")]
    pub revision: u32,
    /// The digest of the environment that it is executed in; empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its id.
    pub id: String,
    /// The sweep it works for.
    pub sweep: String,
    /// Its machine.
    pub host: String,
    /// How many attempts it can execute at once.
    pub slots: u32,
    /// Attempts it holds now.
    pub running: u32,
    /// Neither left nor lost.
    pub alive: bool,
    /// Its version of `sweep`.
    pub version: String,
    /// When it last registered or left: milliseconds since 1970.
    pub seen_ms: i64,
    /// ok, quarantined, probing
    #[serde(default)]
    pub health: String,
    /// Why it is not ok, in words.
    #[serde(default)]
    pub reason: String,
    /// When it got no runs: milliseconds since 1970 from and until; 0: it is still so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<(i64, i64)>,
    /// Attempts of it that ended well.
    #[serde(default)]
    pub succeeded: u64,
    /// Attempts of it that failed.
    #[serde(default)]
    pub failed: u64,
    /// The version of the code that it was last given a run for, or has started one with; empty: not known.
    #[serde(default)]
    pub code: String,
}

/// A piece of an attempt's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// The attempt of the output.
    pub attempt: AttemptRef,
    /// Where the piece stands.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// The cause of a failed run's last failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCause {
    /// Runs with the same key failed for the same cause: kind of the failure, and its message without numbers.
    pub key: String,
    /// The machine on which it failed; empty where no attempt did.
    pub host: String,
}

/// Failed runs with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// See [`FailureCause::key`].
    pub key: String,
    /// How many there are.
    pub runs: u64,
    /// The lowest number of one.
    pub first: u64,
    /// The machines, and how many failed on each.
    pub hosts: BTreeMap<String, u64>,
}

/// Totals over all sweeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sweeps by state.
    pub sweeps: BTreeMap<String, u64>,
    /// Runs by state.
    pub runs: BTreeMap<String, u64>,
    /// Agents that are alive.
    pub agents: u64,
    /// Attempts that those can execute at once.
    pub slots: u64,
}

/// How much of the disk the data of sweeps takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// By the id of the sweep.
    pub sweeps: BTreeMap<String, SweepBytes>,
    /// Bytes of the database that new data will use.
    pub free: u64,
    /// Data of deleted sweeps and pruned runs is still there.
    pub is_purging: bool,
}

/// How many bytes the data of a sweep takes, without indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepBytes {
    /// Its events in the log.
    pub events: u64,
    /// Its curves; estimated from the number of points.
    pub curves: u64,
    /// The output of its runs.
    pub output: u64,
    /// The rows of its runs.
    pub rows: u64,
}

/// Points of one metric of an attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurvePoints {
    /// How many points the metric has.
    pub count: u64,
    /// The first, the last, and evenly spaced ones in between; each with its place among the points of the metric, from 0.
    pub points: Vec<(u64, MetricPoint)>,
}

/// A part of an attempt's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// Where the part begins: behind the place that was asked for if that is in the middle of a long output, which is not kept.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Puts a part of an output together from its pieces.
#[derive(Debug)]
pub(super) struct LogReader {
    part: LogPart,
    limit: usize,
}

impl LogReader {
    pub(super) fn new(offset: u64, limit: usize) -> Self {
        Self {
            part: LogPart {
                offset,
                data: Vec::new(),
            },
            limit: limit.min(LOG_READ_MAX),
        }
    }

    /// Takes in the next piece. Returns whether the next one is wanted.
    pub(super) fn takes(&mut self, start: u64, data: &[u8]) -> bool {
        let end = self.part.offset + self.part.data.len() as u64;
        if start + data.len() as u64 <= end {
            return true;
        }
        if start > end {
            let gap = usize::try_from(start - end).unwrap_or(usize::MAX);
            if start > LOG_HEAD_BYTES || gap > LOG_READ_MAX {
                // The middle is not kept: what comes behind it is a part by itself.
                if !self.part.data.is_empty() {
                    return false;
                }
                self.part.offset = start;
            } else {
                let zeros = gap.min(self.limit - self.part.data.len());
                self.part.data.resize(self.part.data.len() + zeros, 0);
            }
        }
        let skip =
            usize::try_from((self.part.offset + self.part.data.len() as u64).saturating_sub(start))
                .unwrap_or(usize::MAX);
        let rest = data.get(skip..).unwrap_or_default();
        let room = self.limit - self.part.data.len();
        // A piece that begins behind a gap which did not fit is not taken.
        if start <= self.part.offset + self.part.data.len() as u64 {
            self.part
                .data
                .extend_from_slice(&rest[..rest.len().min(room)]);
        }
        self.part.data.len() < self.limit
    }

    pub(super) fn part(self) -> LogPart {
        self.part
    }
}

impl RunRow {
    /// Returns the cause of its last failure; `None` where it has not failed.
    pub fn failure_cause(&self) -> Option<FailureCause> {
        if self.state != RunState::Failed {
            return None;
        }
        let failed = self
            .attempts
            .iter()
            .rev()
            .find_map(|attempt| Some((attempt, attempt.failure.as_ref()?)));
        let kind = failed
            .map(|(_, failure)| word(failure.kind))
            .unwrap_or_default();
        let message = failed.map_or(self.reason.as_str(), |(_, failure)| {
            failure.message.as_str()
        });
        let host = failed
            .map(|(attempt, _)| attempt.host.clone())
            .unwrap_or_default();
        Some(FailureCause {
            key: format!("{kind}: {}", sweep_proto::cause(message)),
            host,
        })
    }
}

/// Returns the word for a state or kind, an enum without fields, as the log, the wire and the page write it.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

impl SweepCounts {
    /// Returns the number of all runs.
    pub fn total(&self) -> u64 {
        self.queued + self.running + self.finished + self.stopped + self.failed + self.cancelled
    }

    /// Counts runs in a state.
    pub(super) fn add(&mut self, state: RunState, runs: u64) {
        match state {
            RunState::Queued => self.queued += runs,
            RunState::Assigned | RunState::Running => self.running += runs,
            RunState::Finished => self.finished += runs,
            RunState::Stopped => self.stopped += runs,
            RunState::Failed => self.failed += runs,
            RunState::Cancelled => self.cancelled += runs,
        }
    }
}

impl CodeCounts {
    /// Counts runs in a state, the best of which has this rank.
    pub(super) fn add(&mut self, state: RunState, runs: u64, best: Option<(u64, f64)>, goal: Goal) {
        self.runs += runs;
        match state {
            RunState::Assigned | RunState::Running => self.running += runs,
            RunState::Finished | RunState::Stopped => self.finished += runs,
            RunState::Failed => self.failed += runs,
            RunState::Queued | RunState::Cancelled => {}
        }
        let found = self.best.into_iter().chain(best);
        self.best = found.min_by(|one, other| by_rank(goal, *one, *other));
    }
}

impl LogChunk {
    /// Returns what of the piece is to be kept where the first `known` bytes of the output are there already, with its place.
    pub(super) fn news(&self, known: u64) -> Option<(u64, &[u8])> {
        let skip = usize::try_from(known.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let rest = self.data.get(skip..)?;
        let offset = self.offset.max(known);
        let has_room = offset.saturating_add(rest.len() as u64) <= LOG_OFFSET_MAX;
        (has_room && !rest.is_empty()).then_some((offset, rest))
    }
}
