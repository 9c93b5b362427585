//! Notices that somebody removes, replaces or cuts the files of a database that is in use.
//!
//! SQLite keeps writing to a file that has no name any more, and what it writes there is gone when the process ends. So the files are looked at after
//! each commit and before it is acknowledged, and several times a second while nothing is written.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::{BUSY_TIMEOUT, JOURNAL_SIZE_LIMIT, open_to_read};
use super::log::checksum;
use crate::store::StoreError;

/// Copies of a removed database beside which no more are made.
const RESCUES_MAX: u32 = 100;

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Presence {
    database: PathBuf,
    files: Vec<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
    /// How long it was when it was last looked at.
    bytes: u64,
    /// The length to which it can be cut safely.
    spare_bytes: u64,
}

impl Presence {
    /// Remembers the files of a database that is open.
    ///
    /// # Errors
    /// One of them is not there.
    pub(super) fn of(database: &Path) -> Result<Self, StoreError> {
        // SQLite itself cuts the write-ahead log to its limit.
        let spared = [
            ("", u64::MAX),
            ("-wal", u64::from(JOURNAL_SIZE_LIMIT)),
            ("-shm", u64::MAX),
        ];
        let files = spared.into_iter().map(|(suffix, spare_bytes)| {
            let path = beside(database, suffix);
            let found = fs::metadata(&path)
                .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
            Ok(OpenFile {
                path,
                id: (found.dev(), found.ino()),
                bytes: found.len(),
                spare_bytes,
            })
        });
        Ok(Self {
            database: database.to_owned(),
            files: files.collect::<Result<_, StoreError>>()?,
        })
    }

    /// Looks at the files, a few microseconds' work.
    ///
    /// # Errors
    /// `Removed`: one is gone or another one is in its place. `Damaged`: the database was cut.
    pub(super) fn check(&mut self, connection: &Connection) -> Result<(), StoreError> {
        for index in 0..self.files.len() {
            let file = &mut self.files[index];
            let what = match fs::metadata(&file.path) {
                Ok(found) if (found.dev(), found.ino()) == file.id => {
                    let before = std::mem::replace(&mut file.bytes, found.len());
                    if found.len() < before.min(file.spare_bytes) {
                        self.check_cut(index, found.len())?;
                    }
                    continue;
                }
                Ok(_) => "was replaced".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed".to_owned(),
                Err(error) => format!("cannot be looked at any more ({error})"),
            };
            let path = self.files[index].path.display().to_string();
            let saved = self.save(index, connection);
            return Err(StoreError::Removed(format!(
                "{path} {what} while the controller was using it; nothing is acknowledged since; {saved}"
            )));
        }
        Ok(())
    }

    /// A file became shorter: a person may have cleaned up with SQLite's own tools, which is no harm.
    fn check_cut(&self, index: usize, bytes: u64) -> Result<(), StoreError> {
        let problem = if index == 0 && bytes == 0 {
            // SQLite would open it as a new database, and remove the log of the old one.
            "it is empty".to_owned()
        } else {
            match open_to_read(&self.database).and_then(|connection| quick_check(&connection)) {
                Ok(None) => return Ok(()),
                Ok(Some(problem)) => problem,
                Err(error) => error.to_string(),
            }
        };
        let path = self.files[index].path.display();
        Err(StoreError::Damaged(format!(
            "{path} was cut while the controller was using it: {problem}"
        )))
    }

    /// Saves what was acknowledged, as long as the files are still open; says where it is.
    fn save(&self, index: usize, connection: &Connection) -> String {
        let is_database_there = index > 0;
        if is_database_there && is_checkpointed(connection) {
            return "all that was acknowledged is in the database: start the controller again"
                .to_owned();
        }
        match rescue(connection, &self.database) {
            Ok(copy) => format!(
                "all that was acknowledged was copied to {}: restore that",
                copy.display()
            ),
            Err(error) => format!("it could not be copied ({error}): restore a backup"),
        }
    }
}

/// Returns the path of a database's file with a suffix.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns where the copy of a database is put whose folder was removed while a controller used it.
pub fn rescued_from(folder: &Path) -> PathBuf {
    beside(folder, ".rescued.db")
}

/// Returns where the copy of a database is put that was removed from its folder while a controller used it.
pub fn rescued_beside(database: &Path) -> PathBuf {
    beside(database, ".rescued")
}

/// Returns the first thing that SQLite finds wrong with the structure of a database.
pub(super) fn quick_check(connection: &Connection) -> Result<Option<String>, StoreError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// Copies the write-ahead log into the database; returns whether all of it is there now.
fn is_checkpointed(connection: &Connection) -> bool {
    let copied = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
        ))
    });
    copied.is_ok_and(|(busy, frames, copied)| busy == 0 && frames == copied)
}

/// Writes a copy beside the database, or beside its folder where that is gone.
fn rescue(connection: &Connection, database: &Path) -> Result<PathBuf, StoreError> {
    let folder = database.parent().unwrap_or(Path::new("."));
    let copy = if folder.exists() {
        rescued_beside(database)
    } else {
        rescued_from(folder)
    };
    let mut names = (0..RESCUES_MAX).map(|number| {
        if number == 0 {
            copy.clone()
        } else {
            beside(&copy, &format!("-{number}"))
        }
    });
    let free = names
        .find(|name| !name.exists())
        .ok_or_else(|| StoreError::Failed(format!("{} and others exist", copy.display())))?;
    // SQLite fills an empty file: no other user may ever read it, even in a folder that no other user can enter.
    let made = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&free);
    made.map_err(|error| StoreError::Failed(error.to_string()))?;
    connection.execute("VACUUM INTO ?1", [free.to_string_lossy()])?;
    fs::File::open(&free)
        .and_then(|copied| copied.sync_all())
        .map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(free)
}

/// Reads the last event on a new connection, which has nothing of the database in memory, and compares it with what was written.
///
/// # Errors
/// `Damaged`: it is not there, or another one.
pub(super) fn read_back(database: &Path, seq: i64, written: &[u8]) -> Result<(), StoreError> {
    let read = || -> rusqlite::Result<bool> {
        let connection = Connection::open_with_flags(
            database,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let mut statement =
            connection.prepare("SELECT at_ms, body, checksum FROM events WHERE seq = ?1")?;
        statement.query_row([seq], |row| {
            let (at_ms, body, sum): (i64, String, Vec<u8>) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(sum == written && checksum(seq, at_ms, &body) == sum)
        })
    };
    let reason = match read() {
        Ok(true) => return Ok(()),
        Ok(false) => "it is another one".to_owned(),
        Err(rusqlite::Error::QueryReturnedNoRows) => "it is not there".to_owned(),
        Err(error) => match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure,
            ) => error.to_string(),
            // That files or memory run out just now is no fault of the database.
            _ => {
                tracing::warn!(%error, "the last commit could not be read back");
                return Ok(());
            }
        },
    };
    Err(StoreError::Damaged(format!(
        "event {seq}, the last one that was written, cannot be read back: {reason}"
    )))
}
