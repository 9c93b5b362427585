//! Sets and counts that follow from the runs and agents of a sweep.

use std::collections::{BTreeMap, BTreeSet};

use super::agent::Crew;
use super::ids::RunNumber;
use super::points::TakenPoints;
use super::run::RunState;

/// Sets, counts and the best value that follow from the runs and agents of a sweep, so that no decision scans all of
/// them. [`evolve`](crate::evolve) maintains them; the invariants compare each with its definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepIndex {
    /// The queued runs.
    pub queued: BTreeSet<RunNumber>,
    /// The assigned and the running runs.
    pub live: BTreeSet<RunNumber>,
    /// The best value of the finished and stopped runs that are in the space, by the objective's goal; the lower number wins a tie. With repeats: the
    /// first run of the best point, and the mean of its values.
    pub best: Option<(RunNumber, f64)>,
    /// The running runs whose reported values reach the target, with the value so far. Empty with `repeats`, where the mean counts.
    pub reached: BTreeMap<RunNumber, f64>,
    /// The points that runs have taken.
    pub points: TakenPoints,
    /// How many runs were imported.
    pub imported: u64,
    /// How many runs a user has requested again with other code: no run cap counts them.
    pub reruns: u64,
    /// The agents that are alive, counted.
    pub crew: Crew,
}

impl SweepIndex {
    /// Moves a run between the sets of queued and of live runs.
    pub(crate) fn list(&mut self, number: RunNumber, state: RunState) {
        self.queued.remove(&number);
        self.live.remove(&number);
        self.reached.remove(&number);
        match state {
            RunState::Queued => {
                self.queued.insert(number);
            }
            RunState::Assigned | RunState::Running => {
                self.live.insert(number);
            }
            RunState::Finished | RunState::Stopped | RunState::Failed | RunState::Cancelled => {}
        }
    }
}
