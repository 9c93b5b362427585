//! Tells open pages which sweeps have changed, so that a page makes no request while nothing changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sweep_lifecycle::state::SweepId;

use crate::store::Batch;

/// When the rows of each sweep changed last, as a number of commits.
#[derive(Debug, Default)]
pub struct RowChanges {
    stamps: Mutex<Stamps>,
}

#[derive(Debug, Default)]
struct Stamps {
    newest: u64,
    sweeps: BTreeMap<SweepId, u64>,
}

impl RowChanges {
    /// Notes which rows a commit has written.
    pub(super) fn note(&self, commit: u64, batch: &Batch) {
        let sweeps = batch.sweeps.iter().map(|row| &row.id);
        let runs = batch.runs.iter().map(|row| &row.sweep);
        let agents = batch.agents.iter().map(|row| &row.sweep);
        let mut stamps = self.lock();
        for id in sweeps.chain(runs).chain(agents) {
            stamps.newest = commit;
            stamps.sweeps.insert(SweepId(id.clone()), commit);
        }
        for id in &batch.deleted {
            stamps.newest = commit;
            stamps.sweeps.insert(id.clone(), commit);
        }
    }

    /// Returns a number that is another one after each change of a sweep's rows.
    pub fn of(&self, sweep: &SweepId) -> u64 {
        self.lock().sweeps.get(sweep).copied().unwrap_or(0)
    }

    /// Returns a number that is another one after each change of any sweep's rows.
    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    fn lock(&self) -> MutexGuard<'_, Stamps> {
        // No change is made in steps that could panic half-way.
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
