//! Deletes what deleted sweeps and pruned runs have left, in small parts.
//!
//! `purges` lists the work. An entry without a run is a sweep: all of it goes. One with a run is what was pruned: curves, output and the reports in the
//! log. First go the rows, while `cursor` is missing; then the log is looked through once, from `cursor` on, for all entries that are at the same place.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sweep_lifecycle::state::{AttemptRef, SweepId};

use super::values::int;
use crate::store::StoreError;

/// Pieces of output that are deleted at once, of up to some 100 KiB each.
const LOG_PIECES: i64 = 64;
/// Pages that are given back to the file system at once.
const VACUUM_PAGES: u32 = 512;

/// Entries whose rows are deleted at once.
const ENTRIES: i64 = 200;

/// Records what to delete; rows by which sweeps and agents are listed go at once.
pub(super) fn note(
    transaction: &Transaction<'_>,
    deleted: &[SweepId],
    pruned: &[AttemptRef],
    seq: i64,
) -> Result<(), StoreError> {
    for sweep in deleted {
        transaction.execute("DELETE FROM sweeps WHERE id = ?1", [&sweep.0])?;
        transaction.execute("DELETE FROM agents WHERE sweep = ?1", [&sweep.0])?;
        transaction.execute(
            "INSERT INTO purges (sweep, until) VALUES (?1, ?2)",
            params![sweep.0, seq],
        )?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO purges (sweep, run, attempt, until) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for AttemptRef {
        sweep,
        run,
        attempt,
    } in pruned
    {
        insert.execute(params![sweep.0, int(*run), attempt, seq])?;
    }
    Ok(())
}

struct PurgeEntry {
    id: i64,
    sweep: String,
    /// A run, and the newest of its attempts that were pruned.
    run: Option<(i64, u32)>,
}

/// Deletes about `n` rows. Returns whether there is more to do.
pub(super) fn step(transaction: &Transaction<'_>, rows: usize) -> Result<bool, StoreError> {
    let mut entries = transaction.prepare_cached(
        "SELECT id, sweep, run, attempt FROM purges WHERE cursor IS NULL ORDER BY id LIMIT ?1",
    )?;
    let entries = entries.query_map([ENTRIES], |row| {
        let run = row.get::<_, Option<i64>>(2)?.zip(row.get(3)?);
        Ok(PurgeEntry {
            id: row.get(0)?,
            sweep: row.get(1)?,
            run,
        })
    })?;
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let mut left = rows;
    for entry in &entries {
        let deleted = delete_rows(transaction, entry, left)?;
        if deleted == 0 {
            transaction
                .prepare_cached("UPDATE purges SET cursor = 0 WHERE id = ?1")?
                .execute([entry.id])?;
        }
        left = left.saturating_sub(deleted);
        if left == 0 {
            break;
        }
    }
    if !entries.is_empty() {
        return Ok(true);
    }
    let next = "SELECT run IS NULL, cursor FROM purges ORDER BY cursor, run IS NULL LIMIT 1";
    match transaction
        .prepare_cached(next)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
    {
        Some((is_sweep, cursor)) => delete_events(transaction, is_sweep, cursor, int(rows as u64))?,
        None => return vacuum(transaction),
    }
    Ok(true)
}

/// Deletes at most `n` rows of the tables beside the log. Returns how many it deleted; 0: none were left.
fn delete_rows(
    transaction: &Transaction<'_>,
    PurgeEntry { sweep, run, .. }: &PurgeEntry,
    limit: usize,
) -> Result<usize, StoreError> {
    let limit = int(limit as u64);
    let (first, last, attempt) = run.map_or((0, i64::MAX, u32::MAX), |(run, attempt)| {
        (run, run, attempt)
    });
    let metrics = "DELETE FROM metrics WHERE (sweep, run, attempt, seq) IN (
         SELECT sweep, run, attempt, seq FROM metrics WHERE sweep = ?1 AND run BETWEEN ?2 AND ?3 AND attempt <= ?4 LIMIT ?5)";
    let deleted = transaction
        .prepare_cached(metrics)?
        .execute(params![sweep, first, last, attempt, limit])?;
    if deleted > 0 {
        return Ok(deleted);
    }
    let logs = "DELETE FROM logs WHERE rowid IN (
         SELECT rowid FROM logs WHERE sweep = ?1 AND run BETWEEN ?2 AND ?3 AND attempt <= ?4 LIMIT ?5)";
    let deleted = transaction.prepare_cached(logs)?.execute(params![
        sweep,
        first,
        last,
        attempt,
        limit.min(LOG_PIECES)
    ])?;
    // A piece of output is as long as many rows.
    if deleted > 0 || run.is_some() {
        return Ok(deleted.saturating_mul(16));
    }
    let runs = "DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs WHERE sweep = ?1 LIMIT ?2)";
    let deleted = transaction
        .prepare_cached(runs)?
        .execute(params![sweep, limit])?;
    if deleted == 0 {
        transaction.execute("DELETE FROM run_counts WHERE sweep = ?1", [sweep])?;
        transaction.execute("DELETE FROM environments WHERE sweep = ?1", [sweep])?;
    }
    Ok(deleted)
}

/// Looks through the next part of the log, for all entries of the same kind that are at the same place. The event of a deletion itself stays.
fn delete_events(
    transaction: &Transaction<'_>,
    is_sweep: bool,
    from: i64,
    rows: i64,
) -> Result<(), StoreError> {
    let to = from.saturating_add(rows);
    let events =
        "DELETE FROM events WHERE seq > ?1 AND seq <= ?2 AND type <> 'sweep_deleted' AND sweep IN (
         SELECT sweep FROM purges WHERE run IS NULL AND cursor = ?1)";
    let reports = "DELETE FROM events WHERE seq > ?1 AND seq <= ?2 AND type = 'metrics_reported' AND EXISTS (
         SELECT 1 FROM purges WHERE purges.sweep = events.sweep AND purges.run = json_extract(events.body, '$.attempt.run')
         AND purges.attempt >= json_extract(events.body, '$.attempt.attempt') AND cursor = ?1 AND until >= events.seq)";
    transaction
        .prepare_cached(if is_sweep { events } else { reports })?
        .execute([from, to])?;
    let kind = i64::from(is_sweep);
    transaction
        .prepare_cached(
            "DELETE FROM purges WHERE (run IS NULL) = ?1 AND cursor = ?2 AND until <= ?3",
        )?
        .execute([kind, from, to])?;
    transaction
        .prepare_cached("UPDATE purges SET cursor = ?3 WHERE (run IS NULL) = ?1 AND cursor = ?2")?
        .execute([kind, from, to])?;
    Ok(())
}

/// Gives some free pages back to the file system, where the database can. Returns whether there are more.
fn vacuum(connection: &Connection) -> Result<bool, StoreError> {
    let is_incremental =
        connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, u32>(0))? == 2;
    let free: u32 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    if !is_incremental || free <= VACUUM_PAGES {
        return Ok(false);
    }
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    Ok(true)
}
