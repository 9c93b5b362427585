//! The columns, counts and lists that format 3 added to the tables of earlier formats.

use rusqlite::{Connection, params};

use super::values::count;
use crate::store::{RunRow, StoreError};

/// Lists of work that is done by and by, and where the log has gaps.
const LISTS: &str = "
CREATE TABLE IF NOT EXISTS stale_rows (
    sweep TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS purges (
    id INTEGER PRIMARY KEY,
    sweep TEXT NOT NULL,
    run INTEGER,
    attempt INTEGER,
    cursor INTEGER,
    until INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS purges_by_run ON purges (sweep, run);
CREATE INDEX IF NOT EXISTS purges_by_cursor ON purges (cursor, id);
CREATE INDEX IF NOT EXISTS events_deleting ON events (seq) WHERE type IN ('sweep_deleted', 'runs_pruned');
";

/// Columns that are read without the bodies of rows. `cause` and `host` are those of the last failure of a failed run.
const COLUMNS: &str = "
ALTER TABLE runs ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN cause TEXT;
ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE sweeps ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE sweeps ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN slots INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET code = json_extract(body, '$.code') WHERE json_extract(body, '$.code') IS NOT NULL;
UPDATE sweeps SET state = json_extract(body, '$.state');
UPDATE agents SET slots = json_extract(body, '$.slots');
";

/// The numbers of runs by code and state, kept in step by triggers, and indices.
const COUNTS: &str = "
CREATE TABLE run_counts (
    sweep TEXT NOT NULL,
    code TEXT NOT NULL,
    state TEXT NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (sweep, code, state)
) WITHOUT ROWID;
INSERT INTO run_counts SELECT sweep, code, state, count(*) FROM runs GROUP BY sweep, code, state;
CREATE TRIGGER runs_count_insert AFTER INSERT ON runs BEGIN
    INSERT INTO run_counts VALUES (new.sweep, new.code, new.state, 1) ON CONFLICT DO UPDATE SET runs = runs + 1;
END;
CREATE TRIGGER runs_count_update AFTER UPDATE OF state, code ON runs WHEN old.state <> new.state OR old.code <> new.code BEGIN
    UPDATE run_counts SET runs = runs - 1 WHERE sweep = old.sweep AND code = old.code AND state = old.state;
    DELETE FROM run_counts WHERE sweep = old.sweep AND code = old.code AND state = old.state AND runs = 0;
    INSERT INTO run_counts VALUES (new.sweep, new.code, new.state, 1) ON CONFLICT DO UPDATE SET runs = runs + 1;
END;
CREATE TRIGGER runs_count_delete AFTER DELETE ON runs BEGIN
    UPDATE run_counts SET runs = runs - 1 WHERE sweep = old.sweep AND code = old.code AND state = old.state;
    DELETE FROM run_counts WHERE sweep = old.sweep AND code = old.code AND state = old.state AND runs = 0;
END;
CREATE INDEX runs_ranked ON runs (sweep, code, value, run) WHERE value IS NOT NULL;
CREATE INDEX runs_failed ON runs (sweep, cause, host, run) WHERE cause IS NOT NULL;
CREATE INDEX sweeps_listed ON sweeps (archived, created_ms, id);
CREATE INDEX sweeps_by_state ON sweeps (state);
CREATE INDEX agents_alive ON agents (slots) WHERE alive;
";

/// Adds what a database of an earlier format lacks. Reads the body of each run once.
pub(super) fn add_columns(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(LISTS)?;
    let known: u32 = connection.query_row(
        "SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'cause'",
        [],
        |row| row.get(0),
    )?;
    if known > 0 {
        return Ok(());
    }
    connection.execute_batch(COLUMNS)?;
    let mut put = connection
        .prepare("UPDATE runs SET cause = ?3, host = ?4 WHERE sweep = ?1 AND run = ?2")?;
    let mut failed =
        connection.prepare("SELECT sweep, run, body FROM runs WHERE state = 'failed'")?;
    let mut rows = failed.query([])?;
    while let Some(row) = rows.next()? {
        let (sweep, run, body): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let parsed: RunRow = serde_json::from_str(&body).map_err(|error| {
            StoreError::Failed(format!(
                "the row of run {sweep}/{} cannot be read: {error}",
                count(run)
            ))
        })?;
        let cause = parsed.failure_cause();
        put.execute(params![
            sweep,
            run,
            cause.as_ref().map(|cause| &cause.key),
            cause.as_ref().map_or("", |cause| &cause.host)
        ])?;
    }
    Ok(connection.execute_batch(COUNTS)?)
}
