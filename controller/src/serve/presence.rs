//! Watches that the data are still there while the controller serves.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ServeError;
use crate::engine::Engine;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(250);

/// Has the engine look at its database several times a second, until it ends.
pub(super) async fn watch_database(engine: Engine) {
    while engine.check().await.is_ok() {
        tokio::time::sleep(LOOK).await;
    }
}

/// The lock of a data directory, as it was when it was taken: without the file another controller could take the directory too.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl LockFile {
    /// Remembers the lock of a directory that this process holds.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn of(data_dir: &Path) -> Result<Self, ServeError> {
        let path = data_dir.join("lock");
        match identify(&path) {
            Ok(id) => Ok(Self { path, id }),
            Err(source) => Err(ServeError::File { path, source }),
        }
    }

    /// Waits until it is not there any more, and returns what to say then.
    pub(super) async fn lost(&self) -> ServeError {
        loop {
            tokio::time::sleep(LOOK).await;
            let reason = match identify(&self.path) {
                Ok(id) if id == self.id => continue,
                Ok(_) => {
                    "was replaced while the controller was using the data directory".to_owned()
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    "was removed while the controller was using the data directory".to_owned()
                }
                Err(error) => format!("cannot be looked at any more ({error})"),
            };
            return ServeError::File {
                path: self.path.clone(),
                source: io::Error::other(reason),
            };
        }
    }
}

fn identify(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}
