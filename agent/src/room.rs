//! Whether the disk with the folders of runs has room for another attempt.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

/// The most bytes that the files of a new attempt take.
const ATTEMPT_BYTES: usize = 128 << 10;

/// The number of files and folders that an attempt needs, with some to spare.
const ATTEMPT_FILES: u64 = 64;

/// With this much free space, in bytes, nothing is written for a while to see whether it can be.
const AMPLE_BYTES: u64 = 64 << 20;
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The room on a disk, as far as it was looked at.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    was_full: AtomicBool,
    /// When something could last be written.
    probed: Mutex<Option<Instant>>,
    /// When an attempt found no room though there seemed to be some.
    refused: Mutex<Option<Instant>>,
}

/// The result of a check of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomLook {
    /// Why no attempt can begin; `None`: one can.
    pub(crate) obstacle: Option<String>,
    /// A message to the user, where the result differs from that of the last check.
    pub(crate) news: Option<String>,
}

impl Room {
    /// Room in a folder that was not checked yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            was_full: AtomicBool::new(false),
            probed: Mutex::new(None),
            refused: Mutex::new(None),
        }
    }

    /// Looks whether an attempt can begin: writes a file and removes it, since a quota does not
    /// show in the free space.
    pub(crate) fn look(&self) -> RoomLook {
        let is_full = self.is_full();
        let was_full = self.was_full.swap(is_full, Ordering::Relaxed);
        let folder = self.folder.display();
        let full = if has_few_files_left(&self.folder) {
            "has no room for more files (inodes)"
        } else {
            "is full"
        };
        let obstacle = is_full.then(|| format!("the disk with {folder} {full}"));
        let news = match (was_full, is_full) {
            (false, true) => Some(format!(
                "the disk with {folder} {full}: no run is taken until there is space again; running programs continue"
            )),
            (true, false) => Some(format!(
                "there is space on the disk with {folder} again: runs are taken again"
            )),
            _ => None,
        };
        RoomLook { obstacle, news }
    }

    /// Records that an attempt found no room. No other one begins for [`PROBE_EVERY`], even if a
    /// look finds room.
    pub(crate) fn note_refusal(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_full(&self) -> bool {
        if self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|at| at.elapsed() < PROBE_EVERY)
        {
            return true;
        }
        let mut probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if probed.is_some_and(|probed| probed.elapsed() < PROBE_EVERY)
            && free_bytes(&self.folder).is_some_and(|free| free >= AMPLE_BYTES)
        {
            return false;
        }
        let is_full = is_full(&self.folder);
        *probed = (!is_full).then(Instant::now);
        is_full
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    // The types differ between systems.
    #[allow(
        clippy::unnecessary_cast,
        clippy::allow_attributes,
        reason = "u32 on some systems"
    )]
    Some(disk.blocks_available() as u64 * disk.fragment_size() as u64)
}

/// Returns whether the file system has a limit of files and few are left.
fn has_few_files_left(folder: &Path) -> bool {
    // The types differ between systems.
    #[allow(
        clippy::unnecessary_cast,
        clippy::allow_attributes,
        reason = "u32 on some systems"
    )]
    statvfs(folder)
        .is_ok_and(|disk| disk.files() > 0 && (disk.files_available() as u64) < ATTEMPT_FILES)
}

/// Whether an error says that there is no room.
pub(crate) fn says_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn is_full(folder: &Path) -> bool {
    if has_few_files_left(folder) {
        return true;
    }
    let path = folder.join(format!(".room-{}", std::process::id()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| File::create(&path))
        .and_then(|mut file| file.write_all(&[0; ATTEMPT_BYTES]));
    let _ = fs::remove_file(&path);
    // What else is wrong with the folder shows where an attempt begins, and ends the agent.
    written.is_err_and(|error| says_full(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_room_is_no_obstacle_and_nothing_stays_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(folder.path().to_owned());
        assert_eq!(
            room.look(),
            RoomLook {
                obstacle: None,
                news: None
            }
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_is_said_once() {
        // Every write to it fails, since no space is left.
        let device = Path::new("/dev/full");
        if !device.exists() {
            return;
        }
        assert!(
            File::create(device)
                .and_then(|mut file| file.write_all(b"x"))
                .is_err_and(|error| says_full(&error))
        );
    }
}
