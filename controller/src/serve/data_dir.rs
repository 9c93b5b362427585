//! The data directory: made, and held by one controller at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use nix::unistd::geteuid;
use sweep_access::{CARD_FILE, Card, LOCK_FILE};

use super::ServeError;

/// The database in the data directory.
pub(super) const DATABASE: &str = "sweep.db";
/// The snapshots of code in the data directory.
pub(super) const CODE: &str = "code.git";

/// A data directory that this process holds. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory where there is none, and takes hold of it.
    pub(super) fn hold(path: &Path) -> Result<Self, ServeError> {
        // What sweeps say of code and data is for their owner alone.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| file_error(path, source))?;
        // Kept absolute: the directory is shown to users, whose working folder is another one.
        let path = path
            .canonicalize()
            .map_err(|source| file_error(path, source))?;
        restrict(&path, true)?;
        let lock_path = path.join(LOCK_FILE);
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW)
            .open(&lock_path);
        let mut lock = open.map_err(|source| file_error(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // With any content, the directory is held.
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() {
                    "another process"
                } else {
                    holder
                }
                .to_owned();
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

    /// Takes the rights of other users on what this start has made.
    pub(super) fn restrict(&self) -> Result<(), ServeError> {
        restrict(&self.path, false)
    }

    /// Returns where it is, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the process and its address into the directory. A full disk is no reason not to serve: then nothing is written.
    pub(super) fn announce(&mut self, address: SocketAddr, started_ms: i64) {
        let pid = std::process::id();
        self.sign(&format!("process {pid} ({address})"));
        let card = Card {
            pid,
            address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms,
        };
        let new = self.path.join(format!("{CARD_FILE}.new"));
        let written = serde_json::to_string_pretty(&card).map_err(std::io::Error::from);
        let write = |text: String| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(O_NOFOLLOW)
                .open(&new)?;
            writeln!(file, "{text}")
        };
        let written = written
            .and_then(write)
            .and_then(|()| fs::rename(&new, self.card()));
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.card().display(), "cannot record the process that serves");
        }
    }

    fn card(&self) -> PathBuf {
        self.path.join(CARD_FILE)
    }

    fn sign(&mut self, text: &str) {
        let written = self
            .lock
            .set_len(0)
            .and_then(|()| self.lock.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(self.lock, "{text}"));
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.path.display(), "cannot record the holder of the data directory");
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // A card that stays behind is wrong only until the next holder writes its own.
        let _ = fs::remove_file(self.card());
    }
}

/// Checks that a data directory and what is directly in it belong to this user, and takes the rights of other users on them.
fn restrict(path: &Path, is_told: bool) -> Result<(), ServeError> {
    let owner = geteuid().as_raw();
    let check = |path: &Path| {
        let found = fs::symlink_metadata(path).map_err(|source| file_error(path, source))?;
        if found.uid() != owner {
            return Err(ServeError::Foreign {
                path: path.to_owned(),
                owner: found.uid(),
            });
        }
        // The mode of a link counts nowhere.
        if found.is_symlink() || found.mode() & 0o077 == 0 {
            return Ok(());
        }
        let mode = if found.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|source| file_error(path, source))?;
        if is_told {
            let was = format!("{:o}", found.mode() & 0o7777);
            tracing::warn!(path = %path.display(), was, now = format!("{mode:o}"), "other users could reach the data; the mode is repaired");
        }
        Ok(())
    };
    check(path)?;
    for entry in fs::read_dir(path).map_err(|source| file_error(path, source))? {
        let entry = entry.map_err(|source| file_error(path, source))?.path();
        match check(&entry) {
            // It was a file of a moment.
            Err(ServeError::File { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound => {}
            checked => checked?,
        }
    }
    Ok(())
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

fn file_error(path: &Path, source: std::io::Error) -> ServeError {
    ServeError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use sweep_access::card;

    use super::*;

    #[test]
    fn other_users_lose_their_rights_on_a_directory_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        fs::create_dir_all(path.join("code.git")).unwrap();
        fs::write(path.join("sweep.db"), "").unwrap();
        for (name, mode) in [("", 0o755), ("code.git", 0o755), ("sweep.db", 0o644)] {
            fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
        }
        let held = DataDir::hold(&path).unwrap();
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().mode() & 0o777;
        assert_eq!(
            (mode(""), mode("code.git"), mode("sweep.db"), mode("lock")),
            (0o700, 0o700, 0o600, 0o600)
        );
        drop(held);
    }

    #[test]
    fn a_card_counts_only_while_its_controller_lives() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = DataDir::hold(dir.path()).unwrap();
        held.announce("127.0.0.1:7433".parse().unwrap(), 5);
        assert_eq!(
            card(dir.path()).unwrap().address,
            "127.0.0.1:7433".parse().unwrap()
        );
        let left = fs::read(dir.path().join(CARD_FILE)).unwrap();
        drop(held);
        assert_eq!(card(dir.path()), None);
        fs::write(dir.path().join(CARD_FILE), left).unwrap();
        assert_eq!(card(dir.path()), None, "another program may have its port");
    }

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
