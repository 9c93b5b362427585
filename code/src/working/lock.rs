//! The lock of a folder's private repository.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::CodeError;

const RETRY: Duration = Duration::from_millis(20);

/// Locks a file, or gives up after a while: a process that holds it may be stopped.
pub(super) fn lock_within(file: &File, path: &Path, time_max: Duration) -> Result<(), CodeError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => {
                return Err(CodeError::File {
                    path: path.to_owned(),
                    source,
                });
            }
            Err(TryLockError::WouldBlock) if began.elapsed() >= time_max => {
                return Err(CodeError::Locked {
                    path: path.to_owned(),
                    seconds: time_max.as_secs(),
                });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(RETRY),
        }
    }
}
