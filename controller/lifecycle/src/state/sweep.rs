//! One search: its file, its state, its runs, and the code that they execute.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sweep_search::space::PointKey;

use super::attempt::Attempt;
use super::code::CodeHistory;
use super::environment::Environment;
use super::ids::{AttemptRef, RunNumber, Timestamp};
use super::index::SweepIndex;
use super::points::TakenPoints;
use super::revision::{PlacedRun, Revision, known_point, number, placed, point_at, point_of};
use super::run::Run;
use super::runs::Runs;
use crate::spec::SweepSpec;

/// One search.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The present spec of the file.
    pub spec: Arc<SweepSpec>,
    /// The text of the file.
    pub source: Arc<str>,
    /// The revisions of the file, the first and the newest included.
    pub revisions: Vec<Revision>,
    /// The `history` at which it was edited last: what was suggested before does not hold any more.
    pub edited: u64,
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
    /// A run has reported the objective that the sweep has now.
    pub is_objective_read: bool,
    /// The runs that have ended without reporting it while none had, since the sweep was edited or resumed.
    pub unread: Vec<RunNumber>,
    /// The search has nothing left to try.
    pub exhausted: bool,
    /// Runs by number.
    pub runs: Runs,
    /// Sets and counts that follow from `runs` and from the agents.
    pub index: SweepIndex,
    /// The versions of its code, and users' actions on them.
    pub code: CodeHistory,
    /// The environments of its runs, in the order of first appearance.
    pub environments: Vec<Environment>,
    /// It is hidden from lists unless they ask for archived sweeps.
    pub archived: bool,
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
    /// The user wants no new runs; running ones may end.
    Stopped,
    /// A person has cancelled it; running runs are killed.
    Cancelled,
}

impl Sweep {
    /// Returns the number of an environment, from 1; `None` where it has not been seen.
    pub fn environment_number(&self, digest: &str) -> Option<u32> {
        let index = self
            .environments
            .iter()
            .position(|known| known.digest == digest)?;
        u32::try_from(index + 1).ok()
    }

    /// Returns an attempt, in any state.
    pub fn attempt(&self, attempt: &AttemptRef) -> Option<Cow<'_, Attempt>> {
        match self.runs.get(attempt.run)? {
            Cow::Borrowed(run) => run.attempt(attempt.attempt).map(Cow::Borrowed),
            Cow::Owned(run) => run.attempt(attempt.attempt).cloned().map(Cow::Owned),
        }
    }
}

impl Sweep {
    /// Returns the number of the newest revision, from 1.
    pub fn revision(&self) -> u32 {
        number(self.revisions.len())
    }

    /// Returns the number of the newest space, from 1.
    pub fn space_version(&self) -> u32 {
        self.revisions.last().map_or(1, |newest| newest.space)
    }

    /// Returns what the sweep's file said in a revision; of an unknown one what it says now.
    pub fn spec_of(&self, revision: u32) -> &Arc<SweepSpec> {
        self.revisions
            .get((revision as usize).wrapping_sub(1))
            .map_or(&self.spec, |revision| &revision.spec)
    }

    /// Says where a run is in the newest space; `None`: unknown.
    pub fn placed<'a>(&self, run: &'a Run) -> Option<PlacedRun<'a>> {
        placed(&self.revisions, run)
    }

    /// Returns the identity of a run's point in the newest space; `None` where it is not in it, or was withdrawn.
    pub fn point_of(&self, run: &Run) -> Option<PointKey> {
        point_of(&self.revisions, run)
    }

    /// Returns whether another run has come for the point of one that was withdrawn.
    pub fn has_instead(&self, run: &Run) -> bool {
        self.point_if_kept(run)
            .is_some_and(|point| self.index.points.keys.contains(&point))
    }

    /// Returns the identity of a run's point in the newest space, as if the run was not withdrawn.
    pub(crate) fn point_if_kept(&self, run: &Run) -> Option<PointKey> {
        let placed = self.placed(run)?;
        point_at(run, &placed, || run.own_point())
    }

    /// Computes the points of all runs in the newest space, after an edit or from an image.
    pub(crate) fn rebuild_points(&mut self) {
        let has_plain_points = self.revisions.len() < 2 && self.index.points.again == 0;
        let points = if has_plain_points {
            self.runs.points().map(|(_, key)| (key, false)).collect()
        } else {
            let runs = self.runs.with_points();
            runs.filter_map(|(_, key, run)| {
                Some((
                    known_point(&self.revisions, &run, key)?,
                    run.point.is_again(),
                ))
            })
            .collect()
        };
        self.index.points = TakenPoints::of(points);
    }
}

impl SweepState {
    /// Returns whether no more runs are handed out unless the user asks for it.
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
