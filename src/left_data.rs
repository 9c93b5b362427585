//! The data directories that `sweep run` has left on this machine: each was that of one controller, which has ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sweep_access::card;
use sweep_agent::{RunFolder, controller_of, size_of};

/// How `sweep run` calls its data directories.
pub(crate) const PREFIX: &str = "run-";
/// The file that says of which controller a data directory is.
const MARKER: &str = "sweep.db.id";

/// The file that says how the sweep of a data directory ended.
const ENDED: &str = "sweep.json";

/// A data directory that no controller uses.
#[derive(Clone, Debug)]
pub(crate) struct LeftData {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// How much of the disk it takes.
    pub(crate) bytes: u64,
    /// The controller's id.
    controller: String,
    changed: SystemTime,
}

/// Returns those in a folder, the oldest first.
///
/// # Errors
/// The folder cannot be read. One that does not exist has none.
pub(crate) fn all(folder: &Path) -> io::Result<Vec<LeftData>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // Only what has a database is a data directory, and what is served is in use.
        if !is_named || !entry.file_type()?.is_dir() || card(&path).is_some() {
            continue;
        }
        let Ok(controller) = fs::read_to_string(path.join(MARKER)) else {
            continue;
        };
        let (bytes, changed) = size_of(&path)?;
        found.push(LeftData {
            bytes,
            controller: controller.trim().to_owned(),
            changed,
            path,
        });
    }
    found.sort_by(|a, b| (a.changed, &a.path).cmp(&(b.changed, &b.path)));
    Ok(found)
}

/// Writes down in a data directory how its sweep ended, for `sweep ls`. Nothing else depends on it.
pub(crate) fn write_end(data_dir: &Path, sweep: &Value) {
    if let Err(error) = fs::write(data_dir.join(ENDED), sweep.to_string()) {
        tracing::warn!(%error, data_dir = %data_dir.display(), "`sweep ls` will not list the sweep");
    }
}

impl LeftData {
    /// Returns how its sweep ended; `None`: it was killed, or is of an earlier version.
    pub(crate) fn end(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.path.join(ENDED)).ok()?).ok()
    }

    /// Returns whether nothing in it was written for a time.
    pub(crate) fn is_older_than(&self, age: Duration) -> bool {
        self.changed.elapsed().is_ok_and(|since| since >= age)
    }

    /// Returns whether a run folder is of one of its sweeps.
    pub(crate) fn has(&self, runs_dir: &Path, folder: &RunFolder) -> bool {
        controller_of(runs_dir, &folder.sweep).as_ref() == Some(&self.controller)
    }

    /// Deletes it.
    ///
    /// # Errors
    /// Something in it cannot be deleted.
    pub(crate) fn delete(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}
