//! The facts about a run that the search uses.

use serde::{Deserialize, Serialize};

use crate::space::Config;

/// Whether small or large values of the objective are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Small values are good.
    #[default]
    Minimize,
    /// Large values are good.
    Maximize,
}

impl Goal {
    /// Turns a value of the objective into one to be minimised, and back.
    pub fn minimized(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }

    /// Returns whether `a` is better than `b`. NaN is never better.
    pub fn is_better(self, a: f64, b: f64) -> bool {
        self.minimized(a) < self.minimized(b)
    }
}

/// The outcome of a configuration, in the objective's own unit and sense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The run ended with this value.
    Value(f64),
    /// The run was stopped early. Its ending is predicted from the curves that are known when the
    /// search is asked.
    Stopped(Ending),
    /// The run failed for a reason attributed to the configuration.
    Failed,
}

/// The value that a stopped run would probably have reached at its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The expected value.
    pub mean: f64,
    /// The standard deviation of the prediction. It is large where the curve cannot be extrapolated
    /// yet.
    pub deviation: f64,
}

impl Outcome {
    /// Returns the measured value, or the expected one of a stopped run.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) | Self::Stopped(Ending { mean: value, .. }) => Some(*value),
            Self::Failed => None,
        }
    }

    /// Returns the standard deviation of the value: 0 for a measured one.
    pub fn deviation(&self) -> f64 {
        match self {
            Self::Stopped(ending) => ending.deviation,
            Self::Value(_) | Self::Failed => 0.0,
        }
    }
}

/// A run that has ended. Failures attributed to the machine or external causes are no observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The run's number in its sweep; opaque here but for the order.
    pub index: u64,
    /// The configuration.
    pub config: Config,
    /// The outcome.
    pub outcome: Outcome,
    /// For each constraint by how much it is violated, in the metric's unit: satisfied at 0 and
    /// below. `None`: not known.
    pub violations: Vec<Option<f64>>,
    /// How many executions `outcome` is the mean of; 1 but for sweeps with `repeats`.
    pub repeats: u32,
    /// The code that was executed, by any id; empty where it is not known.
    pub code_version: String,
    /// It has a value that its parameter cannot have any more: it is evidence about the space, but
    /// cannot be recommended.
    pub outside: bool,
}

impl Observation {
    /// Returns whether it is in the space and violates no constraint. What is not known counts as a
    /// violation.
    pub fn is_feasible(&self) -> bool {
        !self.outside
            && self
                .violations
                .iter()
                .all(|violation| violation.is_some_and(|violation| violation <= 0.0))
    }

    /// Returns whether it violates no constraint as far as is known. A metric that no run reports
    /// must not leave the search without evidence, so a violation that is not known counts as none.
    pub(crate) fn keeps_known_constraints(&self) -> bool {
        self.violations
            .iter()
            .flatten()
            .all(|violation| *violation <= 0.0)
    }

    /// Facts about a single execution.
    pub fn new(index: u64, config: Config, outcome: Outcome) -> Self {
        Self {
            index,
            config,
            outcome,
            violations: Vec::new(),
            repeats: 1,
            code_version: String::new(),
            outside: false,
        }
    }
}

/// The versions of the code that a sweep has had.
#[derive(Clone, Copy, Debug, Default)]
pub struct CodeLine<'a> {
    /// Their ids, oldest first. Suggestions are for the last. Empty where there is nothing to tell
    /// apart.
    pub versions: &'a [String],
    /// The number of best configurations of older code that are tried again first, to test the old
    /// evidence.
    pub probes: usize,
}

impl<'a> CodeLine<'a> {
    /// Returns the version that suggestions are for.
    pub(crate) fn version(&self) -> &'a str {
        self.versions.last().map_or("", String::as_str)
    }

    /// Returns the place of the version that suggestions are for.
    pub(crate) fn newest(&self) -> usize {
        self.versions.len().saturating_sub(1)
    }

    /// Returns the place of a version. What is not in the line counts as the oldest.
    pub(crate) fn place(&self, version: &str) -> usize {
        self.versions
            .iter()
            .rposition(|other| other == version)
            .unwrap_or(0)
    }
}

/// A run that has been handed out and has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// The run's number in its sweep.
    pub index: u64,
    /// The configuration.
    pub config: Config,
    /// The code that is executed, by any id; empty where it is not known.
    pub code_version: String,
}
