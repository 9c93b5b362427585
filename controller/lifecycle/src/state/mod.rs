//! All that the controller knows, as plain data. Changed by [`evolve`](crate::evolve::evolve) alone.
//!
//! The whole state is a fold of the event log. What does not survive a restart (leases, ready suggestions) is not here.

mod agent;
mod annotation;
pub mod any_float;
mod attempt;
mod code;
mod environment;
mod failure;
mod identity;
mod ids;
pub mod image;
mod revision;
mod run;
mod runs;
mod unknown_word;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sweep_search::space::{PointKey, Taken};

pub use self::agent::{Agent, AgentInfo, Crew, Health, QuarantinePeriod, STAYS_MAX};
pub use self::annotation::Annotation;
pub(crate) use self::attempt::add_iteration;
pub use self::attempt::{AnyFloat, Attempt, AttemptState, AttemptSummary, StopKind, StopRequest};
pub use self::code::{CodeAbout, CodeAct, CodeMark, CodeStep, CodeVersion};
pub use self::environment::{DataSet, Environment};
pub use self::failure::{Blame, Failure, FailureKind};
pub use self::identity::{AttemptRecord, ControllerIdentity, HeldAttempt};
pub use self::ids::{AgentId, AttemptNumber, AttemptRef, RunNumber, RunRanges, SweepId, Timestamp};
pub use self::revision::{PlacedRun, Revision, RevisionEffect};
pub(crate) use self::revision::{known_point, placed, point_at};
use self::revision::{number, point_of};
pub(crate) use self::run::is_rerun;
pub use self::run::{Retries, Run, RunState};
pub use self::runs::{Runs, Sealed};
pub use self::unknown_word::UnknownWord;
use crate::spec::SweepSpec;

/// All that the controller knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Which controller this is, and since which restore.
    pub identity: ControllerIdentity,
    /// Sweeps by id.
    pub sweeps: BTreeMap<SweepId, Sweep>,
    /// Agents by id, those that have left included.
    pub agents: BTreeMap<AgentId, Agent>,
}

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
    /// The queued ones of `runs`.
    pub queued: BTreeSet<RunNumber>,
    /// The assigned and the running ones of `runs`.
    pub live: BTreeSet<RunNumber>,
    /// The best value of the finished and stopped ones of `runs` that are in the space, by the objective's goal; the lower number wins a tie. With repeats: the first
    /// run of the best point, and the mean of its values.
    pub best: Option<(RunNumber, f64)>,
    /// The running ones of `runs` whose reported values reach the target, with the value so far. Empty with `repeats`, where the mean counts.
    pub reached: BTreeMap<RunNumber, f64>,
    /// The versions of the code that its runs were to be executed with, in the order of their first appearance.
    pub codes: Vec<CodeVersion>,
    /// Users' actions on them, in order.
    pub code_steps: Vec<CodeStep>,
    /// The version that every attempt executes which begins from now on; `None`: agents execute what they have.
    pub pinned: Option<String>,
    /// The environments of its runs, in the order of first appearance.
    pub environments: Vec<Environment>,
    /// How many of `runs` were imported.
    pub imported: u64,
    /// How many of `taken` are points that were tried before: see [`Run::again`].
    pub again: u64,
    /// How many of `runs` a person has asked for again with other code: no run cap counts them.
    pub reruns: u64,
    /// The points of all runs that are in the space.
    pub taken: Taken,
    /// Points of `taken` that several runs share, with the number of runs beyond the first.
    pub shared: BTreeMap<PointKey, u32>,
    /// The agents that are alive, counted.
    pub crew: Crew,
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

impl State {
    /// Returns whether an agent has registered in the present epoch, or needs not to: a program that asks for runs registers with each call.
    pub fn is_registered(&self, agent: &Agent) -> bool {
        agent.info.asks || agent.epoch == self.identity.epoch
    }
}

impl Sweep {
    /// Returns the number of a version of the code, from 1; `None` where it has not been seen.
    pub fn code_number(&self, version: &str) -> Option<u32> {
        let index = self.codes.iter().position(|code| code.version == version)?;
        u32::try_from(index + 1).ok()
    }

    /// Returns the version of the code that an attempt executes; empty: not known.
    pub fn code_of(&self, attempt: &Attempt) -> &str {
        let place = usize::try_from(attempt.code)
            .ok()
            .and_then(|number| number.checked_sub(1));
        place
            .and_then(|place| self.codes.get(place))
            .map_or("", |code| code.version.as_str())
    }

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
        self.point_of(&Run {
            withdrawn: false,
            ..run.clone()
        })
        .is_some_and(|point| self.taken.contains(&point))
    }
}

impl Sweep {
    /// Computes the points of all runs in the newest space, after an edit or from an image.
    pub(crate) fn rebuild_points(&mut self) {
        let mut keys: Vec<(PointKey, bool)> = if self.revisions.len() < 2 && self.again == 0 {
            self.runs.points().map(|(_, key)| (key, false)).collect()
        } else {
            let runs = self.runs.with_points();
            runs.filter_map(|(_, key, run)| {
                Some((
                    known_point(&self.revisions, &run, key)?,
                    !run.again.is_empty(),
                ))
            })
            .collect()
        };
        keys.sort_unstable();
        self.shared.clear();
        let mut distinct: Vec<PointKey> = Vec::with_capacity(keys.len());
        self.again = 0;
        for (key, is_again) in keys {
            if distinct.last() == Some(&key) {
                *self.shared.entry(key).or_default() += 1;
            } else {
                self.again += u64::from(is_again);
                distinct.push(key);
            }
        }
        self.taken = distinct.into_iter().collect();
    }

    /// Adds the point of one more run.
    pub(crate) fn add_point(&mut self, key: PointKey, is_again: bool) {
        if self.taken.insert(key).is_some() {
            *self.shared.entry(key).or_default() += 1;
        } else {
            self.again += u64::from(is_again);
        }
    }

    /// Removes the point of a run, unless other runs share it.
    pub(crate) fn remove_point(&mut self, key: PointKey, is_again: bool) {
        match self.shared.get_mut(&key) {
            Some(1) => drop(self.shared.remove(&key)),
            Some(others) => *others -= 1,
            None => {
                self.taken.remove(&key);
                self.again -= u64::from(is_again);
            }
        }
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
