//! Records that attempts run in a working folder, for all agents that share what is captured of it.
//!
//! While an attempt runs, its agent holds a shared lock. A file beside the lock says that an attempt has run since the last snapshot, also when its
//! agent was killed: a snapshot removes it once no process holds the lock.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::private_file;

/// Where attempts in a working folder are recorded.
#[derive(Clone, Debug)]
pub struct AttemptRecords {
    dir: PathBuf,
}

/// An attempt that runs, until this is dropped.
#[derive(Debug)]
pub struct RunningAttempt {
    _lock: File,
}

impl AttemptRecords {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Records that an attempt begins. Files that appear or change from now on are outputs.
    ///
    /// # Errors
    /// A file cannot be written or locked.
    pub fn begin(&self) -> io::Result<RunningAttempt> {
        let lock = self.lock()?;
        lock.lock_shared()?;
        private_file::write(&self.mark(), b"")?;
        Ok(RunningAttempt { _lock: lock })
    }

    /// Returns whether an attempt runs or has run since this was called last.
    pub(crate) fn take(&self) -> bool {
        if !self.has_any() {
            return false;
        }
        // An attempt that begins now waits for the lock, and makes the file again.
        if let Ok(lock) = self.lock() {
            match lock.try_lock() {
                Ok(()) => drop(fs::remove_file(self.mark())),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            }
        }
        true
    }

    /// Takes back what [`take`](Self::take) has recorded, since the attempt was not executed.
    pub(crate) fn put_back(&self) {
        // Where it cannot be written, what has changed counts as code.
        let _ = private_file::write(&self.mark(), b"");
    }

    /// Returns whether an attempt has begun since [`take`](Self::take) was called last.
    pub(crate) fn has_any(&self) -> bool {
        self.mark().exists()
    }

    fn lock(&self) -> io::Result<File> {
        private_file::lock_file(&self.dir.join("attempts.lock"))
    }

    fn mark(&self) -> PathBuf {
        self.dir.join("attempts.begun")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_counts_while_it_runs_and_once_after_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let records = AttemptRecords::new(folder.path());
        assert!(!records.take());
        let (one, two) = (records.begin().unwrap(), records.begin().unwrap());
        assert!(records.take() && records.take(), "they run");
        drop(one);
        assert!(records.take(), "another one runs");
        drop(two);
        assert!(records.take(), "it has run since");
        assert!(!records.take() && !records.has_any());
        records.put_back();
        assert!(records.take() && !records.take());
    }
}
