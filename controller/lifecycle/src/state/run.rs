//! One configuration and its outcome.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sweep_search::space::{Config, PointKey};
use sweep_search::why::{Kind, Why};

use super::annotation::Annotation;
use super::attempt::Attempt;
use super::ids::{AgentId, AttemptNumber, RunNumber, Timestamp};
use crate::spec::{Constraint, Summary};

/// One configuration and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The configuration.
    pub config: Config,
    /// Why it was suggested, and the sweep's `history` it was computed from.
    #[serde(with = "by_place")]
    pub why: Why,
    /// See [`Run::why`].
    pub history: u64,
    /// Where it is in its life.
    pub state: RunState,
    /// Why it is there, in words; empty while nothing needs saying.
    pub reason: String,
    /// Its executions, attempt 1 first. The last one owns the run while the run is assigned or running.
    pub attempts: Vec<Attempt>,
    /// The objective, once the run has ended; for stopped runs what it had reached.
    pub value: Option<f64>,
    /// The failure it ended with is attributed to the configuration: an observation for the search.
    pub blamed: bool,
    /// The point that it tries.
    pub point: RunPoint,
    /// It was imported: executed elsewhere, and none of this sweep's own.
    pub imported: bool,
    /// The code that was executed last, by any id; empty where it is not known.
    pub code_version: String,
    /// Its retries so far.
    pub retries: RetryHistory,
    /// Its curves and its output were deleted.
    pub pruned: bool,
    /// Its annotation.
    pub annotation: Annotation,
    /// When it was created.
    pub created: Timestamp,
    /// When it reached a terminal state.
    pub ended: Option<Timestamp>,
    /// The controller's epoch in which it last reached a terminal state; 0 before it has.
    pub ended_epoch: u32,
}

/// The point of the space that a run tries, and whether that counts as tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPoint {
    /// The first run of its point: itself, but for repeats.
    pub first: RunNumber,
    /// The code for which the point is tried again, although it was tried before; empty where it was not.
    pub again: String,
    /// The revision of the sweep in which it was created, from 1.
    pub revision: u32,
    /// It never ended, since an edit took its point out of the space: that may be tried again once it is back in.
    pub withdrawn: bool,
}

impl RunPoint {
    /// Returns whether the point was tried before.
    pub fn is_again(&self) -> bool {
        !self.again.is_empty()
    }
}

/// The retries of a run, and where it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryHistory {
    /// Retries by cause, as far as they count against [`RetryPolicy`](crate::spec::RetryPolicy).
    pub counts: Retries,
    /// Agents it failed on: others are preferred.
    pub avoid: BTreeSet<AgentId>,
}

impl RetryHistory {
    /// Absolves the run of its failures, which an agent in quarantine caused, and avoids that agent.
    pub(crate) fn absolve(&mut self, agent: AgentId) {
        self.counts = Retries::default();
        self.avoid.insert(agent);
    }
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
    /// Ended by the user.
    Cancelled,
}

/// A run is written by the places of its fields, and so is why it was suggested: elsewhere that has names, and leaves out what is empty.
mod by_place {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use sweep_search::why::{Kind, Prediction, Why};

    pub(super) fn serialize<S: Serializer>(why: &Why, serializer: S) -> Result<S::Ok, S::Error> {
        (
            &why.reason,
            why.kind,
            why.predicted,
            why.improvement,
            why.success,
            why.observations,
            why.pending,
        )
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Why, D::Error> {
        type Fields = (
            String,
            Kind,
            Option<Prediction>,
            Option<f64>,
            Option<f64>,
            u64,
            u64,
        );
        let (reason, kind, predicted, improvement, success, observations, pending) =
            Fields::deserialize(deserializer)?;
        Ok(Why {
            reason,
            kind,
            predicted,
            improvement,
            success,
            observations,
            pending,
        })
    }
}

impl Run {
    /// Returns the identity of its point in the space that it was created in.
    pub fn own_point(&self) -> PointKey {
        if self.point.is_again() {
            self.config.key_again(&self.point.again)
        } else {
            self.config.key()
        }
    }

    /// Returns whether a person has asked for its point again, though it was tried before.
    pub fn is_rerun(&self) -> bool {
        is_rerun(&self.point.again, &self.why)
    }

    /// Returns an attempt by its number.
    pub fn attempt(&self, number: AttemptNumber) -> Option<&Attempt> {
        self.attempts
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
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
            (Some(newest), Summary::Min) => {
                newest.extremes.get(&constraint.metric).map(|(min, _)| *min)
            }
            (Some(newest), Summary::Max) => {
                newest.extremes.get(&constraint.metric).map(|(_, max)| *max)
            }
        };
        constraints
            .iter()
            .map(|constraint| value(constraint).map(|value| constraint.violation(value)))
            .collect()
    }

    /// Returns the objective's values in the newest attempt that has any, all of them and in their order.
    pub fn series(&self) -> &[f64] {
        let whole = self
            .attempts
            .iter()
            .rev()
            .filter(|attempt| !attempt.summarised);
        whole
            .map(|attempt| attempt.series.as_slice())
            .find(|series| !series.is_empty())
            .unwrap_or_default()
    }
}

impl RunState {
    /// Returns whether nothing more happens to the run unless the user asks for it.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished | Self::Stopped | Self::Failed | Self::Cancelled
        )
    }
}

/// Returns whether a person has asked for a run that tries a point `again`: probes are the search's own wish.
pub(crate) fn is_rerun(again: &str, why: &Why) -> bool {
    !again.is_empty() && why.kind != Kind::Probe
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
