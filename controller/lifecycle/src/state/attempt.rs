//! One execution of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::any_float;
use super::failure::Failure;
use super::ids::{AgentId, AttemptRef, Timestamp};

/// One execution of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The agent that executes it.
    pub agent: AgentId,
    /// Its place among all the assignments of the sweep, from 1.
    pub order: u64,
    /// Where it is in its life.
    pub state: AttemptState,
    /// Set when the controller wants it to end.
    pub stop: Option<StopRequest>,
    /// How it failed.
    pub failure: Option<Failure>,
    /// The objective's values in the order of their arrival, those that are not finite included.
    pub series: Vec<f64>,
    /// The step of the last one of `series`: another value of the same step replaces it.
    pub objective_step: Option<i64>,
    /// The objective has become another one: `series` holds no curve of it, but what its best and its last value follow from.
    pub summarised: bool,
    /// The last value of each metric.
    pub metrics: BTreeMap<String, f64>,
    /// The smallest and the largest value of each metric, those that are not finite left out.
    pub extremes: BTreeMap<String, (f64, f64)>,
    /// How many metric points have arrived: the next `first_seq`.
    pub points: u64,
    /// argv, as executed.
    pub command: Vec<String>,
    /// The number of the code version that it executes, from 1; 0: not known.
    pub code: u32,
    /// Its agent was told to execute that version, and not its own.
    pub pinned: bool,
    /// The revision of the sweep that it is executed by, from 1.
    pub revision: u32,
    /// The number of the environment that it is executed in, from 1; 0: not known.
    pub environment: u32,
    /// The late report of its agent, without effect, in words; mostly empty.
    pub orphan: String,
    /// The epoch in which it was assigned.
    pub epoch: u32,
    /// Its incarnation, where it was assigned before a restore and the restored log did not hold it.
    pub origin: Option<String>,
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
    /// Ended by the user.
    Cancelled,
}

/// Why the controller wants an attempt to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Early termination or a person.
    pub kind: StopKind,
    /// In words; never empty.
    pub reason: String,
    /// The predicted final value of the run, where the rule predicts it.
    #[serde(default)]
    pub predicted: Option<f64>,
}

/// The origin of a request to end an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// The sweep's rule: what has been reached counts.
    Early,
    /// A person.
    Cancel,
    /// A person, since the sweep moves to other code: the run goes back into the queue.
    Requeue,
}

/// The part of an attempt's curves that remains once they are deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptSummary {
    /// The attempt.
    pub attempt: AttemptRef,
    /// How many metric points it had reported.
    pub points: u64,
    /// Values of the objective that reduce to the same number as all of them: see [`Attempt::summarised`].
    pub series: Vec<AnyFloat>,
    /// The last value of each metric.
    pub metrics: BTreeMap<String, AnyFloat>,
    /// The smallest and the largest finite value of each metric.
    pub extremes: BTreeMap<String, (f64, f64)>,
}

/// A float that JSON may not have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnyFloat(#[serde(with = "any_float")] pub f64);

impl Attempt {
    /// Returns what remains of the attempt once its curves are deleted.
    pub(crate) fn summary(&self, attempt: AttemptRef, series: Vec<f64>) -> AttemptSummary {
        AttemptSummary {
            attempt,
            points: self.points,
            series: series.into_iter().map(AnyFloat).collect(),
            metrics: self
                .metrics
                .iter()
                .map(|(name, value)| (name.clone(), AnyFloat(*value)))
                .collect(),
            extremes: self.extremes.clone(),
        }
    }

    /// Replaces the curve of the objective with its summary.
    pub(crate) fn keep_summary(&mut self, summary: &AttemptSummary) {
        self.summarised = true;
        self.points = self.points.max(summary.points);
        self.objective_step = None;
        self.series = summary.series.iter().map(|value| value.0).collect();
        self.metrics = summary
            .metrics
            .iter()
            .map(|(name, value)| (name.clone(), value.0))
            .collect();
        self.extremes.clone_from(&summary.extremes);
    }

    /// Adds a value of the objective. One of the same step as the value before replaces it: a step is one iteration, however often a program reports
    /// it.
    pub(crate) fn add_objective(&mut self, step: Option<i64>, value: f64) {
        add_iteration(&mut self.series, &mut self.objective_step, step, value);
    }

    /// Takes in what the program reports of other metrics than the objective, and of the objective as one of them.
    pub(crate) fn summarise(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), value);
        if value.is_finite() {
            let (min, max) = self
                .extremes
                .entry(name.to_owned())
                .or_insert((value, value));
            (*min, *max) = (min.min(value), max.max(value));
        }
    }
}

/// Adds a value to the series of an objective whose last value has the step `last`. See [`Attempt::add_objective`].
pub(crate) fn add_iteration(
    series: &mut Vec<f64>,
    last: &mut Option<i64>,
    step: Option<i64>,
    value: f64,
) {
    match series
        .last_mut()
        .filter(|_| step.is_some() && step == *last)
    {
        Some(replaced) => *replaced = value,
        None => series.push(value),
    }
    *last = step;
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
