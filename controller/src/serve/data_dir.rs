//! The data directory: made, and held by one controller at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ServeError;

/// A data directory that this process holds. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    lock: File,
}

/// `<data_dir>/controller.json`: for `sweep controller status`. Says who serves; missing while nobody does.
#[derive(Serialize)]
struct Card<'a> {
    pid: u32,
    address: String,
    version: &'a str,
    started_ms: i64,
}

impl DataDir {
    /// Makes the directory where there is none, and takes hold of it.
    pub(super) fn hold(path: &Path) -> Result<Self, ServeError> {
        // What sweeps say of code and data is for their owner alone.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| file_error(path, source))?;
        // Kept absolute: the directory is shown to people, who stand elsewhere.
        let path = path.canonicalize().map_err(|source| file_error(path, source))?;
        let lock_path = path.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let mut lock = open.map_err(|source| file_error(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Whatever it says, the directory is held.
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process" } else { holder }.to_owned();
                return Err(ServeError::Held { dir: path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(file_error(&lock_path, source)),
        }
        if let Some(kind) = network_file_system(&path) {
            tracing::warn!(kind, path = %path.display(), "the data directory lies on a network file system, where locks and writes may not hold; a local disk is safer");
        }
        let mut data_dir = Self { path, lock };
        data_dir.sign(&format!("process {}", std::process::id()));
        Ok(data_dir)
    }

    /// Returns where it is, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Says in the directory who serves and where. A full disk is no reason not to serve: then it does not say.
    pub(super) fn announce(&mut self, address: SocketAddr, started_ms: i64) {
        let pid = std::process::id();
        self.sign(&format!("process {pid} ({address})"));
        let card = Card { pid, address: address.to_string(), version: env!("CARGO_PKG_VERSION"), started_ms };
        let new = self.path.join("controller.json.new");
        let written = serde_json::to_string_pretty(&card).map_err(std::io::Error::from);
        let written = written.and_then(|text| std::fs::write(&new, text + "\n")).and_then(|()| std::fs::rename(&new, self.card()));
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.card().display(), "cannot say who serves");
        }
    }

    fn card(&self) -> PathBuf {
        self.path.join("controller.json")
    }

    fn sign(&mut self, text: &str) {
        let written = self.lock.set_len(0).and_then(|()| self.lock.seek(SeekFrom::Start(0))).and_then(|_| writeln!(self.lock, "{text}"));
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.path.display(), "cannot write who holds the data directory");
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // A card that stays behind says nothing wrong for long: the next holder writes its own.
        let _ = std::fs::remove_file(self.card());
    }
}

/// Returns what kind of network file system a directory lies on, if it does.
#[cfg(target_os = "linux")]
fn network_file_system(path: &Path) -> Option<&'static str> {
    use nix::sys::statfs::{FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs};
    // From `linux/magic.h`; nix does not name them.
    const CIFS: FsType = FsType(0xff53_4d42);
    const SMB2: FsType = FsType(0xfe53_4d42);
    const PLAN9: FsType = FsType(0x0102_1997);
    match statfs(path).ok()?.filesystem_type() {
        NFS_SUPER_MAGIC => Some("NFS"),
        SMB_SUPER_MAGIC | CIFS | SMB2 => Some("SMB"),
        PLAN9 => Some("9P"),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}

/// Returns whether a controller has a data directory.
pub(super) fn is_held(path: &Path) -> bool {
    File::open(path.join("lock")).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn file_error(path: &Path, source: std::io::Error) -> ServeError {
    ServeError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_who_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/data");
        let mut first = DataDir::hold(&path).unwrap();
        first.announce("127.0.0.1:7433".parse().unwrap(), 0);
        let refused = DataDir::hold(&path).unwrap_err().to_string();
        let expected = format!("is held by process {} (127.0.0.1:7433)", std::process::id());
        assert!(refused.ends_with(&expected), "{refused}");
        assert!(path.join("controller.json").exists());
        drop(first);
        assert!(!path.join("controller.json").exists());
        DataDir::hold(&path).unwrap();
    }
}
