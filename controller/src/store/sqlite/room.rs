//! Room for the write-ahead log, made before it is needed.
//!
//! A commit that overwrites what is already there is on the disk in about half the time of one that makes the file longer, since the file
//! system has no metadata to write then. SQLite goes round in its log from one checkpoint to the next, but the first time it
//! would make it longer with each commit.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::connection::CHECKPOINT_PAGES;

/// A page in the log with what stands before it, in bytes.
const FRAME: u64 = 4096 + 24;

/// How long the log is made, in bytes: as long as it gets before a checkpoint, and what the last commit before that may add.
pub(super) const ROOM: u64 = (CHECKPOINT_PAGES as u64 + 256) * FRAME;

/// On a disk with less space than this no room is made, in bytes.
const LEAST_FREE: u64 = 64 * ROOM;

/// Makes the write-ahead log of a database as long as it gets, unless the disk is nearly full. Returns how many bytes were added. The database must be
/// open, and nothing may be writing to it.
///
/// # Errors
/// The log cannot be read or written; it is as long as before then.
pub fn make_room(database: &Path) -> io::Result<u64> {
    let disk = statvfs(database)?;
    if disk.blocks_available() * disk.fragment_size() < LEAST_FREE {
        return Ok(0);
    }
    fill(database)
}

/// Lengthens the log with zeros, which SQLite takes for the end of what is in it.
pub(super) fn fill(database: &Path) -> io::Result<u64> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let log = OpenOptions::new().append(true).open(log)?;
    let length = log.metadata()?.len();
    let missing = ROOM.saturating_sub(length);
    if missing == 0 {
        return Ok(0);
    }
    lengthen(&log, missing).or_else(|error| log.set_len(length).and(Err(error)))
}

fn lengthen(mut log: &File, missing: u64) -> io::Result<u64> {
    let written = io::copy(&mut io::repeat(0).take(missing), &mut log)?;
    log.sync_all()?;
    Ok(written)
}
