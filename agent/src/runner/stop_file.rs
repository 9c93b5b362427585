//! The file that `SWEEP_STOP` names: the agent writes there why a run ends early.
//!
//! A program that makes the file, empty, says that it reads it and ends by itself. It then has the grace period before SIGTERM. For any other
//! program SIGTERM follows at once, and the file tells its handler that the signal means early stopping and no preemption.

use std::path::PathBuf;

use crate::private::{self, Durability};

/// The stop file of one attempt.
#[derive(Debug)]
pub(super) struct StopFile(PathBuf);

impl StopFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes the reason to the file. Returns whether the program reads it.
    pub(super) fn ask(&self, reason: &str) -> bool {
        let is_watched = self.0.symlink_metadata().is_ok_and(|found| found.is_file());
        let line = format!("{reason}\n");
        // Without the file the program still gets the signal.
        if let Err(error) = private::replace(&self.0, line.as_bytes(), Durability::Cached) {
            tracing::warn!(%error, path = %self.0.display(), "cannot write the stop file");
            return false;
        }
        is_watched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_made_the_file_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stop");
        let file = StopFile::new(path.clone());
        assert!(!file.ask("band 1"), "no program made it");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "band 1\n");
        std::fs::write(&path, "").unwrap();
        assert!(file.ask("band 2"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "band 2\n");
        assert!(
            file.ask("band 2"),
            "a successor of the agent asks again, and finds the reason"
        );
    }

    #[test]
    fn a_folder_in_its_place_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stop");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), "").unwrap();
        assert!(!StopFile::new(path).ask("band 1"));
    }
}
