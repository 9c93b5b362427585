//! The rows of the query tables: what people see, made from the state by the engine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{
    Annotation, AttemptState, CodeStep, CodeVersion, Failure, RevisionEffect, RunState, SweepState,
};
use sweep_search::observation::Goal;
use sweep_search::suggest::Method;
use sweep_search::why::Why;

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

/// A sweep. What can be counted from its runs is not here but in [`SweepCounts`](super::SweepCounts).
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
