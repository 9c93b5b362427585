//! The spec of a sweep: its file, checked and complete.

use serde::{Deserialize, Deserializer, Serialize};
use sweep_search::early_stop::EarlyStop;
use sweep_search::observation::Goal;
use sweep_search::space::{Origins, Space};
use sweep_search::suggest::Method;

/// The spec of a sweep: its file, checked, with W&B's defaults filled in.
///
/// Stored in the event log as JSON: a new field needs `#[serde(default)]`, so that old logs can be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepSpec {
    /// `name`.
    #[serde(default)]
    pub name: Option<String>,
    /// `description`.
    #[serde(default)]
    pub description: Option<String>,
    /// `project`.
    #[serde(default)]
    pub project: Option<String>,
    /// `entity`.
    #[serde(default)]
    pub entity: Option<String>,
    /// `program`: the value of `${program}`.
    #[serde(default)]
    pub program: Option<String>,
    /// `command`, macros unexpanded; W&B's default where the file has none.
    pub command: Vec<String>,
    /// `method`.
    pub method: Method,
    /// `parameters`.
    pub space: Space,
    /// `was` and `renamed_from`: where parameters come from that are new in an edited file.
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
    /// `metric`; absent for grid and random sweeps that name none.
    #[serde(default)]
    pub objective: Option<Objective>,
    /// `constraints`: what a run has to keep to, to be the best.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// `early_terminate`.
    #[serde(default, deserialize_with = "early_terminate")]
    pub early_terminate: Option<EarlyStop>,
    /// `repeats`: how often each point is executed.
    #[serde(default = "once")]
    pub repeats: u32,
    /// `run_cap`: the sweep ends after this many runs. At least 1.
    #[serde(default)]
    pub run_cap: Option<u64>,
    /// `seed`; where the file has none, the controller draws one when it creates the sweep.
    #[serde(default)]
    pub seed: Option<u64>,
    /// `retry`.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// `code`.
    #[serde(default)]
    pub code: CodePolicy,
    /// `max_runtime`: how long a program may take, in milliseconds.
    #[serde(default)]
    pub max_runtime_ms: Option<u64>,
    /// `max_silence`: how long a program may report nothing, in milliseconds.
    #[serde(default)]
    pub max_silence_ms: Option<u64>,
    /// `on_lease_lost`.
    #[serde(default)]
    pub on_lease_lost: OnLeaseLost,
    /// `omit_none`: arguments for parameters without a value (null) are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub omit_none: bool,
    /// `preflight`: argv of a program that has to end well before each run; empty: none.
    #[serde(default)]
    pub preflight: Vec<String>,
    /// `data`: what runs read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataSource>,
    /// `metric_patterns`.
    #[serde(default)]
    pub metric_patterns: Vec<MetricPattern>,
    /// `metric_files`: globs of files that hold metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_files: Vec<String>,
}

// Logs from the time when hyperband was the only rule do not say its type.
fn early_terminate<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<EarlyStop>, D::Error> {
    let mut json = serde_json::Value::deserialize(deserializer)?;
    if let Some(rule) = json.as_object_mut() {
        rule.entry("type").or_insert_with(|| "hyperband".into());
    }
    serde_json::from_value(json).map_err(serde::de::Error::custom)
}

/// The metric to be optimised, and how its series becomes one number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// `name`.
    pub metric: String,
    /// `goal`, `minimize` by default.
    #[serde(default)]
    pub goal: Goal,
    /// `target`: no new runs once a run has reached it.
    #[serde(default)]
    pub target: Option<f64>,
    /// `impute`: W&B's value for failed runs. Accepted; this search models failures instead.
    #[serde(default)]
    pub impute: Impute,
    /// `impute_while_running`; absent for W&B's `"false"`. Accepted; this search models running runs instead.
    #[serde(default)]
    pub impute_while_running: Option<Impute>,
    /// How a series becomes one number.
    #[serde(default)]
    pub reduce: Reduce,
    /// `objective_over_inits`: how several runs of W&B in one program become one number.
    #[serde(default, skip_serializing_if = "OverInits::is_mean")]
    pub over_inits: OverInits,
}

/// Something that runs read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// Its name; where the file gives none, the location.
    pub name: String,
    /// A path, from the agent's working folder, or `s3://bucket/prefix`, `gs://bucket/prefix`.
    pub location: String,
}

fn once() -> u32 {
    1
}

/// A bound on a metric that the runs report beside the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// `metric`.
    pub metric: String,
    /// `min` or `max`.
    pub bound: Bound,
    /// The last value counts unless `reduce` says `max` or `min`.
    #[serde(default)]
    pub of: Summary,
}

/// On which side of a number a metric has to stay; the number itself is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At least this.
    Min(f64),
    /// At most this.
    Max(f64),
}

/// Which value of a metric's series counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// The last.
    #[default]
    Last,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Constraint {
    /// Returns by how much a value violates the constraint, in the metric's unit: satisfied at 0 and below. A value that is not a number
    /// violates it without measure.
    pub fn violation(&self, value: f64) -> f64 {
        let violation = match self.bound {
            Bound::Min(min) => min - value,
            Bound::Max(max) => value - max,
        };
        if violation.is_nan() {
            f64::INFINITY
        } else {
            violation
        }
    }
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.of {
            Summary::Last => write!(f, "{}", self.metric)?,
            Summary::Max => write!(f, "max of {}", self.metric)?,
            Summary::Min => write!(f, "min of {}", self.metric)?,
        }
        match self.bound {
            Bound::Min(min) => write!(f, " ≥ {min}"),
            Bound::Max(max) => write!(f, " ≤ {max}"),
        }
    }
}

/// W&B's values for runs without a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impute {
    /// The worst value of all runs.
    #[default]
    Worst,
    /// The run's own best.
    Best,
    /// The run's own last.
    Latest,
}

/// How a series of objective values becomes one number. Values that are not finite are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The best value: what W&B's search uses.
    #[default]
    Best,
    /// The last value.
    Last,
    /// The mean of the last n values. At least 1.
    MeanLast(u32),
}

/// Which runs of W&B count where a program begins several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverInits {
    /// The mean of what they come to: the folds of a cross-validation.
    #[default]
    Mean,
    /// The last that has the objective.
    Last,
    /// The first that has the objective.
    First,
}

impl OverInits {
    fn is_mean(&self) -> bool {
        *self == Self::Mean
    }
}

/// How often a run is tried again without anybody asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Retries of a run whose agent was lost. `retry.lost`, 3 by default.
    pub lost: u32,
    /// Retries of a run whose machine was to blame, elsewhere if there is another. `retry.machine`, 3 by default.
    #[serde(default = "thrice")]
    pub machine: u32,
    /// Retries of a run whose program crashed. `retry.crashed`, 1 by default. Never for what would happen again.
    pub crashed: u32,
}

fn thrice() -> u32 {
    3
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            lost: 3,
            machine: thrice(),
            crashed: 1,
        }
    }
}

/// Which code is executed, and what is done when it changes while a sweep runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodePolicy {
    /// Which code runs execute. `code.mode`, `track` by default.
    #[serde(default)]
    pub mode: CodeMode,
    /// The n best configurations are tried again first. `code.probe`, 2 by default.
    pub probe: u32,
    /// Untracked files that are code, excluded or not: patterns, from the working folder. `code.include`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
}

/// Which code the runs of a sweep execute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeMode {
    /// Each agent executes what it has.
    #[default]
    Track,
    /// Every agent executes the snapshot that was taken when the sweep was created, or the one that a person has moved it to.
    Pin,
}

impl SweepSpec {
    /// Returns whether small or large values are good; without an objective, the default.
    pub(crate) fn goal(&self) -> Goal {
        self.objective
            .as_ref()
            .map(|objective| objective.goal)
            .unwrap_or_default()
    }
}

impl Default for CodePolicy {
    fn default() -> Self {
        Self {
            mode: CodeMode::Track,
            probe: 2,
            include: Vec::new(),
        }
    }
}

/// The policy for an attempt whose agent and controller have had no contact for the length of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLeaseLost {
    /// The program continues; its result counts unless another agent has restarted the run.
    #[default]
    Continue,
    /// The agent ends the program, and nothing late counts: for runs that must never be executed twice at once.
    Stop,
}

/// A regular expression that finds metrics in the program's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricPattern {
    /// The metric that the first group holds; absent: named groups name their metrics.
    #[serde(default)]
    pub name: Option<String>,
    /// The expression, in the syntax of the `regex` crate; known to compile.
    pub regex: String,
}
