//! Objectives that the output of runs shows and nothing reads, as agents say in their heartbeats. They say it again after a restart of the controller.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_lifecycle::state::{RunNumber, SweepId};

use super::limits;

/// Sweeps of which a hint is kept.
const SWEEPS_MAX: usize = 1000;

/// One hint for each sweep. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct UnreadObjectives(Arc<Mutex<BTreeMap<SweepId, String>>>);

impl UnreadObjectives {
    /// Records what an agent says of a run.
    pub(super) fn set(&self, sweep: &SweepId, run: RunNumber, hint: &str) {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hints.len() < SWEEPS_MAX || hints.contains_key(sweep) {
            hints.insert(sweep.clone(), format!("run {run}: {}", limits::line(hint)));
        }
    }

    /// Returns the newest hint of a sweep; empty where there is none.
    pub(super) fn of(&self, sweep: &SweepId) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sweep)
            .cloned()
            .unwrap_or_default()
    }
}
