//! Counts of runs, agents and sweeps, and the order of runs by value.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;
use sweep_lifecycle::state::RunState;
use sweep_search::observation::Goal;

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
