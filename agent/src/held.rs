//! Names of the attempts that an agent holds: its own, and those by which the controller knows
//! them.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::private::{self, Durability};

/// Where the numbers are written down by which a restored controller knows an attempt, if it gave
/// it others.
const NUMBERS: &str = "numbers.json";

/// The numbers by which a controller knows an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttemptNumbers {
    /// The run's number.
    pub(crate) run: u64,
    /// The attempt's number in its run.
    pub(crate) attempt: u32,
}

impl AttemptNumbers {
    /// Writes them into the attempt's folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(self, folder: &Path) -> io::Result<()> {
        private::replace(
            &folder.join(NUMBERS),
            &serde_json::to_vec(&self)?,
            Durability::Synced,
        )
    }

    /// Reads those that were written into the attempt's folder, if any were.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&private::read(&folder.join(NUMBERS)).ok()?).ok()
    }
}

/// Names an attempt that an agent holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct HeldAttempt {
    /// The run's number, as its assignment gave it.
    pub(crate) run: u64,
    /// The attempt's number, as its assignment gave it.
    pub(crate) attempt: u32,
    /// Tells it from an attempt with the same numbers, which a restored controller may assign.
    /// Empty from a controller of an earlier version.
    #[serde(default)]
    pub(crate) incarnation: String,
    /// Its folder; empty in a list of an agent of an earlier version.
    #[serde(default)]
    pub(crate) folder: PathBuf,
}

impl HeldAttempt {
    /// The numbers that its assignment gave it.
    pub(crate) fn numbers(&self) -> AttemptNumbers {
        AttemptNumbers {
            run: self.run,
            attempt: self.attempt,
        }
    }

    /// Returns what marks its processes.
    pub(crate) fn marker(&self, agent: &str, sweep: &str) -> String {
        let Self {
            run,
            attempt,
            incarnation,
            ..
        } = self;
        let incarnation = if incarnation.is_empty() {
            String::new()
        } else {
            format!("@{incarnation}")
        };
        format!("{agent}:{sweep}/{run}/{attempt}{incarnation}")
    }
}
