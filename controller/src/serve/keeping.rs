//! Maintenance of a controller's data: backup, restore, and changing its token.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sweep_code::{CodeError, CodeStore};

use super::data_dir::{CODE, DATABASE, DataDir};
use super::{ServeError, marker};
use crate::engine::{draw_controller_id, record_restore, wall_time};
use crate::store::{SqliteStore, StoreError, copy, look};
use crate::token;

/// Copies the database of a data directory into a file while a controller may be using it, and the code of versions into one beside it, which is
/// returned where there is any.
///
/// # Errors
/// There is no database, one of the files exists, or something cannot be read or written.
pub fn back_up(data_dir: &Path, file: &Path) -> Result<Option<PathBuf>, ServeError> {
    let database = existing(data_dir)?;
    let beside = code_beside(file);
    if let Some(path) = [file, &beside].into_iter().find(|path| path.exists()) {
        let source = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it exists, and a backup replaces nothing; give another name",
        );
        return Err(ServeError::File {
            path: path.to_owned(),
            source,
        });
    }
    copy(&database, file).map_err(|error| about(file, error))?;
    restrict(file)?;
    // After the database: what that names is there before it is named.
    let code = data_dir.join(CODE);
    if !code.exists() {
        return Ok(None);
    }
    let written = CodeStore::open(&code).and_then(|store| store.back_up(&beside));
    if !written.map_err(|error| about_code(&beside, &error))? {
        return Ok(None);
    }
    restrict(&beside)?;
    Ok(Some(beside))
}

/// Takes the rights of other users on a backup.
fn restrict(file: &Path) -> Result<(), ServeError> {
    let restricted = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
    restricted.map_err(|source| ServeError::File {
        path: file.to_owned(),
        source,
    })
}

/// Where the code of a backup is.
fn code_beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".code");
    name.into()
}

fn about_code(file: &Path, error: &CodeError) -> ServeError {
    ServeError::File {
        path: file.to_owned(),
        source: io::Error::other(error.to_string()),
    }
}

/// Puts a copy into a data directory that has no database yet, and the code that lies beside it, if any does.
///
/// # Errors
/// The file is no database that this version can read, the directory has one or is in use, or it cannot be written.
pub fn restore(file: &Path, data_dir: &Path) -> Result<(), ServeError> {
    let trouble = |path: &Path, source| ServeError::File {
        path: path.to_owned(),
        source,
    };
    File::open(file).map_err(|source| trouble(file, source))?;
    look(file).map_err(|error| about(file, error))?;
    let held = DataDir::hold(data_dir)?;
    let database = held.path().join(DATABASE);
    // One that is empty is none.
    if fs::metadata(&database).is_ok_and(|found| found.len() > 0) {
        let source = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a database already; restore into another --data-dir, or move it away",
        );
        return Err(trouble(&database, source));
    }
    let beside = code_beside(file);
    if beside.exists() {
        let restored =
            CodeStore::open(&held.path().join(CODE)).and_then(|store| store.restore(&beside));
        restored.map_err(|error| about_code(&beside, &error))?;
    }
    let new = database.with_extension("new");
    fs::copy(file, &new).map_err(|source| trouble(&new, source))?;
    // Agents that live may hold what the copy does not: they are asked to register again.
    let restored = SqliteStore::open(&new)
        .and_then(|mut store| record_restore(&mut store, draw_controller_id()?, wall_time()));
    restored.map_err(|error| {
        // Nothing of a backup that cannot be used is left in the directory.
        let _ = fs::remove_file(&new);
        about(file, error)
    })?;
    File::open(&new)
        .and_then(|copied| copied.sync_all())
        .map_err(|source| trouble(&new, source))?;
    marker::clear(held.path())?;
    fs::rename(&new, &database).map_err(|source| trouble(&database, source))
}

/// Makes a new token for a data directory that no controller holds, and returns it: shown once, since only its hash is kept in the database.
///
/// # Errors
/// There is no database, a controller holds the directory, or something cannot be read or written.
pub fn rotate_token(data_dir: &Path) -> Result<String, ServeError> {
    let database = existing(data_dir)?;
    let held = DataDir::hold(data_dir)?;
    // The store knows whether this version may write to the database at all.
    drop(SqliteStore::open(&database).map_err(|error| about(&database, error))?);
    Ok(token::rotate(held.path(), &database)?.reveal().to_owned())
}

/// Which file it is, where the store does not say.
fn about(file: &Path, error: StoreError) -> ServeError {
    match error {
        StoreError::Failed(reason) | StoreError::Damaged(reason) => ServeError::File {
            path: file.to_owned(),
            source: io::Error::other(reason),
        },
        other => other.into(),
    }
}

/// Returns where the database of a data directory is.
pub(super) fn existing(data_dir: &Path) -> Result<PathBuf, ServeError> {
    marker::require(data_dir)?;
    Ok(data_dir.join(DATABASE))
}
