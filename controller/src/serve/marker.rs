//! A file beside the database that says that there was one: where the database is missing or empty then, no new one is made in its place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::ServeError;
use super::data_dir::DATABASE;
use crate::store::{holds_nothing, rescued_beside, rescued_from};

/// Holds the id of the controller whose database it is.
const MARKER: &str = "sweep.db.id";

/// Refuses to make a new database where there was one.
///
/// # Errors
/// The database is missing or empty, and the marker, a write-ahead log or a copy in or beside the directory says that there was one.
pub(super) fn guard(data_dir: &Path) -> Result<(), ServeError> {
    let database = data_dir.join(DATABASE);
    let found = match fs::metadata(&database) {
        // A young database is all in its write-ahead log: without that it holds nothing.
        Ok(found)
            if found.len() > 0 && !(data_dir.join(MARKER).exists() && holds_nothing(&database)) =>
        {
            return Ok(());
        }
        Ok(found) if found.len() > 0 => "holds nothing",
        Ok(_) => "is empty",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing",
        Err(source) => {
            return Err(ServeError::File {
                path: database,
                source,
            });
        }
    };
    let signs = [
        data_dir.join(MARKER),
        rescued_beside(&database),
        rescued_from(data_dir),
    ];
    let evidence = if let Some(sign) = signs.into_iter().find(|sign| sign.exists()) {
        sign
    } else {
        // SQLite would remove it: it is not the log of an empty database.
        let log = data_dir.join(format!("{DATABASE}-wal"));
        if fs::metadata(&log).map_or(0, |log| log.len()) == 0 {
            return Ok(());
        }
        log
    };
    Err(ServeError::DatabaseLost {
        database,
        found,
        evidence,
    })
}

/// Refuses a database that is empty, and says so where one is missing that was there.
///
/// # Errors
/// See [`guard`]; and the database is empty.
pub(super) fn require(data_dir: &Path) -> Result<(), ServeError> {
    guard(data_dir)?;
    let database = data_dir.join(DATABASE);
    match fs::metadata(&database) {
        Ok(found) if found.len() > 0 => Ok(()),
        Ok(_) => Err(ServeError::File {
            path: database,
            source: io::Error::new(io::ErrorKind::InvalidData, "it is empty, and no database"),
        }),
        Err(source) => Err(ServeError::File {
            path: database,
            source,
        }),
    }
}

/// Notes that the directory has a database. A full disk is no reason not to serve: then the next start notes it.
pub(super) fn put(data_dir: &Path, controller: &str) {
    let path = data_dir.join(MARKER);
    if fs::read_to_string(&path).is_ok_and(|known| known.trim() == controller) {
        return;
    }
    let new = path.with_extension("id.new");
    let written = File::create(&new)
        .and_then(|mut file| writeln!(file, "{controller}").and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| File::open(data_dir)?.sync_all());
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "cannot note that there is a database: a start would not notice that it was removed");
    }
}

/// Moves aside what is left of a database that is gone, so that SQLite does not take it for a part of the one that is restored.
///
/// # Errors
/// A file cannot be moved or removed.
pub(super) fn clear(data_dir: &Path) -> Result<(), ServeError> {
    let trouble = |path: &Path, source| ServeError::File {
        path: path.to_owned(),
        source,
    };
    for suffix in ["-wal", "-journal"] {
        let path = data_dir.join(format!("{DATABASE}{suffix}"));
        let aside = data_dir.join(format!("{DATABASE}{suffix}.old"));
        match fs::rename(&path, aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(trouble(&path, error));
            }
            _ => {}
        }
    }
    let index = data_dir.join(format!("{DATABASE}-shm"));
    match fs::remove_file(&index) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble(&index, error)),
        _ => Ok(()),
    }
}
