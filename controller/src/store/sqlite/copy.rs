//! A copy of the database while it is in use.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;

use super::connection::{FORMAT, open_to_read, too_new};
use crate::store::StoreError;

/// Writes a copy of the database as it is now into one file, which must not exist, while a controller may be writing to it. The copy is on disk when this returns, and
/// before that there is no file of that name.
///
/// # Errors
/// One of the two cannot be read or written.
pub fn copy(database: &Path, file: &Path) -> Result<(), StoreError> {
    let connection = open_to_read(database)?;
    // It has to write, though not to this database.
    connection.pragma_update(None, "query_only", false)?;
    let failed = |error: std::io::Error| StoreError::Failed(error.to_string());
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    // What an interrupted copy has left.
    let _ = fs::remove_file(new);
    let outcome = connection
        .execute("VACUUM INTO ?1", [new.to_string_lossy()])
        .map_err(StoreError::from);
    if let Err(error) = outcome {
        let _ = fs::remove_file(new);
        return Err(error);
    }
    File::open(new)
        .and_then(|copied| copied.sync_all())
        .and_then(|()| fs::rename(new, file))
        .map_err(failed)?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

/// Looks whether a file is a database that this version can read.
///
/// # Errors
/// It is none, or was written by a newer version.
pub fn look(file: &Path) -> Result<(), StoreError> {
    known_format(&open_to_read(file)?)
}

/// As [`look`], for a database that is open.
pub(super) fn known_format(connection: &Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => Err(StoreError::Failed("it is no database of sweep".to_owned())),
        found if found > FORMAT => Err(too_new(connection, found)),
        _ => Ok(()),
    }
}
