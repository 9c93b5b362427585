//! Opens the database: its tables, its settings and its format.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{checksum, tables};
use crate::store::StoreError;

/// The format that this version writes, kept in `user_version`. It rises with each change that an older version cannot read: a new kind of
/// event, a new word in an event. `docs/explanation/compatibility.md` has the rules.
pub const FORMAT: u32 = 3;

/// How long a statement waits for another process, a backup for instance.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages that the write-ahead log may hold before they are copied into the database: 16 MB. A page that changed many times is copied once.
pub(super) const CHECKPOINT_PAGES: u32 = 4096;

/// The size of the write-ahead log once it has been copied, in bytes: a first image of a large state makes it long.
pub(super) const JOURNAL_SIZE_LIMIT: u32 = 64 * 1024 * 1024;

/// Pages that the writer keeps in memory, as a negative number of KiB. What it changes lies at the ends of the tables.
const WRITER_CACHE: i32 = -16_384;

/// No foreign keys: the query tables are made from the state as a whole, and a row that the engine forgot must not end the
/// controller.
const SCHEMA: &str = "
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    sweep TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE sweeps (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, goal TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    sweep TEXT NOT NULL,
    run INTEGER NOT NULL,
    state TEXT NOT NULL,
    value REAL,
    ended_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (sweep, run)
);
CREATE INDEX runs_by_state ON runs (sweep, state, value, run);
CREATE TABLE agents (id TEXT PRIMARY KEY, sweep TEXT NOT NULL, alive INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX agents_by_sweep ON agents (sweep, alive);
CREATE TABLE metrics (
    sweep TEXT NOT NULL,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    step INTEGER,
    wall_ms INTEGER NOT NULL,
    value REAL,
    PRIMARY KEY (sweep, run, attempt, seq)
) WITHOUT ROWID;
CREATE TABLE logs (
    sweep TEXT NOT NULL,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (sweep, run, attempt, offset)
);
CREATE TABLE replies (
    request_id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL DEFAULT (unixepoch() * 1000),
    digest BLOB NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX replies_by_time ON replies (at_ms);
";

/// Tables that a database of an earlier version lacks: added beside the others, so that this version still reads it.
const ADDED: &str = "
CREATE TABLE IF NOT EXISTS environments (
    sweep TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (sweep, digest)
) WITHOUT ROWID;
";

/// Indices that have changed since. A run is written often before it ends, and has no place among the ends until then.
const INDICES: &str = "
DROP INDEX IF EXISTS runs_by_end;
CREATE INDEX IF NOT EXISTS runs_ended ON runs (sweep, ended_ms, run) WHERE ended_ms > 0;
";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Makes all tables of this format in an empty database.
pub(super) fn make_tables(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(&format!("{SCHEMA} {ADDED}"))?;
    tables::add_columns(connection)
}

pub(super) fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Err(too_new(&connection, found));
    }
    if found == 0 {
        // Only an empty database can be told to; one of an earlier version keeps its free pages for what comes.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    if found == 0 {
        // All of it or nothing: a crash leaves no database without a format.
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {ADDED}"))?;
        raise_format(&connection)?;
        connection.execute_batch("COMMIT")?;
    }
    connection.execute_batch(ADDED)?;
    checksum::add_columns(&connection)?;
    // On a full disk the old ones do: queries name no indices.
    if_there_is_room(&connection, |connection| {
        Ok(connection.execute_batch(INDICES)?)
    })?;
    // On a full disk the first commit that has room does it.
    if (1..FORMAT).contains(&found) {
        if_there_is_room(&connection, raise_format)?;
    }
    Ok(connection)
}

/// Makes a change as one transaction, which a full disk rolls back.
fn if_there_is_room(
    connection: &Connection,
    change: fn(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let outcome = change(connection).and_then(|()| Ok(connection.execute_batch("COMMIT")?));
    if outcome.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    match outcome {
        Ok(()) | Err(StoreError::Full) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives the data this format: an older version then refuses it, and names the version to install.
pub(super) fn raise_format(connection: &Connection) -> Result<(), StoreError> {
    tables::add_columns(connection)?;
    let version = env!("CARGO_PKG_VERSION");
    let sum = checksum::of(&[
        checksum::Part::Number(i64::from(FORMAT)),
        checksum::Part::Bytes(version.as_bytes()),
    ]);
    Ok(connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS formats (format INTEGER PRIMARY KEY, version TEXT NOT NULL, checksum INTEGER);
         INSERT OR IGNORE INTO formats (format, version, checksum) VALUES ({FORMAT}, '{version}', {sum});
         PRAGMA user_version = {FORMAT};"
    ))?)
}

/// Returns the refusal of data of a newer format, with the version that raised the format where the data names it.
pub(super) fn too_new(connection: &Connection, found: u32) -> StoreError {
    let named = connection.query_row(
        "SELECT version FROM formats WHERE format = ?1",
        [found],
        |row| row.get::<_, String>(0),
    );
    let version = named.map_or_else(
        |_| "the version of sweep that wrote it".to_owned(),
        |version| format!("sweep {version} or newer"),
    );
    StoreError::TooNew {
        found,
        known: FORMAT,
        version,
    }
}

/// Returns whether a file is a database in which nothing was ever made. What cannot be read is none.
pub fn holds_nothing(path: &Path) -> bool {
    let look = || -> rusqlite::Result<bool> {
        // To read a write-ahead log, SQLite has to write.
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| row.get(0),
        )
    };
    look().unwrap_or(false)
}

pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}
