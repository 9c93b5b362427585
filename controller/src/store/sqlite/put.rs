//! The rows of a commit: query tables, metric points, output and replies.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::checksum::{self, Part};
use super::values::{count, int, to_json};
use crate::store::output::parts;
use crate::store::{
    Batch, LOG_HEAD_BYTES, LOG_TAIL_BYTES, LogChunk, MetricRow, RunRow, StaleRows, StoreError,
    StoredReply, word,
};

/// Replies are kept this long: no caller repeats a request after a day.
const REPLIES_KEPT_HOURS: u32 = 48;

/// Not `REPLACE`, which deletes a row and inserts it again: an update leaves indices alone whose columns stay as they are, and pages that do not change, so
/// that a commit has fewer pages to wait for.
pub(super) fn put_rows(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO sweeps (id, created_ms, goal, body, state, archived) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET created_ms = excluded.created_ms, goal = excluded.goal, body = excluded.body,
             state = excluded.state, archived = excluded.archived",
    )?;
    // An update that names an indexed column writes the index, even where the column keeps its value.
    let mut update = transaction
        .prepare_cached("UPDATE sweeps SET body = ?4 WHERE id = ?1 AND created_ms = ?2 AND goal = ?3 AND state = ?5 AND archived = ?6")?;
    for row in &batch.sweeps {
        let values = params![
            row.id,
            row.created_ms,
            word(row.goal),
            to_json(row)?,
            word(row.state),
            row.archived
        ];
        if update.execute(values)? == 0 {
            put.execute(values)?;
        }
    }
    put_runs(transaction, &batch.runs)?;
    let mut put = transaction.prepare_cached(
        "INSERT INTO agents (id, sweep, alive, body, slots) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET sweep = excluded.sweep, alive = excluded.alive, body = excluded.body, slots = excluded.slots",
    )?;
    let mut update = transaction.prepare_cached(
        "UPDATE agents SET body = ?4 WHERE id = ?1 AND sweep = ?2 AND alive = ?3 AND slots = ?5",
    )?;
    for row in &batch.agents {
        let values = params![row.id, row.sweep, row.alive, to_json(row)?, row.slots];
        if update.execute(values)? == 0 {
            put.execute(values)?;
        }
    }
    let mut put = transaction
        .prepare_cached("REPLACE INTO environments (sweep, digest, body) VALUES (?1, ?2, ?3)")?;
    for (sweep, known) in &batch.environments {
        put.execute(params![sweep.0, known.digest, to_json(known)?])?;
    }
    put_metrics(transaction, &batch.metrics)
}

/// Most rows are written since a run has reported something: then no column changes that an index has.
fn put_runs(transaction: &Transaction<'_>, runs: &[RunRow]) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO runs (sweep, run, state, value, ended_ms, body, code, cause, host) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET state = excluded.state, value = excluded.value, ended_ms = excluded.ended_ms, body = excluded.body,
             code = excluded.code, cause = excluded.cause, host = excluded.host",
    )?;
    let mut update = transaction.prepare_cached(
        "UPDATE runs SET body = ?6 WHERE sweep = ?1 AND run = ?2 AND state = ?3 AND value IS ?4 AND ended_ms = ?5 AND code = ?7 AND cause IS ?8
             AND host = ?9",
    )?;
    for row in runs {
        let cause = row.failure_cause();
        let (key, host) = (
            cause.as_ref().map(|cause| &cause.key),
            cause.as_ref().map_or("", |cause| &cause.host),
        );
        let values = params![
            row.sweep,
            int(row.run),
            word(row.state),
            row.ranked,
            row.ended_ms,
            to_json(row)?,
            row.code,
            key,
            host
        ];
        if update.execute(values)? == 0 {
            put.execute(values)?;
        }
    }
    Ok(())
}

pub(super) fn put_stale(
    transaction: &Transaction<'_>,
    stale: &[StaleRows],
) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM stale_rows", [])?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO stale_rows (sweep, first, last) VALUES (?1, ?2, ?3)")?;
    for rows in stale {
        insert.execute(params![rows.sweep.0, int(rows.first), int(rows.last)])?;
    }
    Ok(())
}

/// Inserts metric points; one that is known is ignored.
pub(super) fn put_metrics(
    transaction: &Transaction<'_>,
    metrics: &[MetricRow],
) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO metrics (sweep, run, attempt, seq, name, step, wall_ms, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO NOTHING",
    )?;
    for (attempt, number, point) in metrics {
        let key = (
            &attempt.sweep.0,
            int(attempt.run),
            attempt.attempt,
            int(*number),
        );
        insert.execute(params![
            key.0,
            key.1,
            key.2,
            key.3,
            point.name,
            point.step,
            point.wall.0,
            point.value
        ])?;
    }
    Ok(())
}

pub(super) fn append_log(
    transaction: &Transaction<'_>,
    chunk: &LogChunk,
) -> Result<(), StoreError> {
    let attempt = &chunk.attempt;
    let mut end = transaction.prepare_cached(
        "SELECT offset + length(data) FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 ORDER BY offset DESC LIMIT 1",
    )?;
    let known: Option<i64> = end
        .query_row(
            params![attempt.sweep.0, int(attempt.run), attempt.attempt],
            |row| row.get(0),
        )
        .optional()?;
    let Some((offset, data)) = chunk.news(count(known.unwrap_or(0))) else {
        return Ok(());
    };
    let mut insert =
        transaction.prepare_cached("INSERT INTO logs (sweep, run, attempt, offset, data, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (offset, data) in parts(offset, data) {
        let key = [
            Part::Bytes(attempt.sweep.0.as_bytes()),
            Part::Number(int(attempt.run)),
            Part::Number(i64::from(attempt.attempt)),
        ];
        let sum = checksum::of(
            &key.into_iter()
                .chain([Part::Number(int(offset)), Part::Bytes(data)])
                .collect::<Vec<_>>(),
        );
        insert.execute(params![
            attempt.sweep.0,
            int(attempt.run),
            attempt.attempt,
            int(offset),
            data,
            sum
        ])?;
    }
    let end = offset + data.len() as u64;
    if end > LOG_HEAD_BYTES + LOG_TAIL_BYTES {
        let mut trim = transaction.prepare_cached(
            "DELETE FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND offset >= ?4 AND offset + length(data) <= ?5",
        )?;
        let kept = (int(LOG_HEAD_BYTES), int(end - LOG_TAIL_BYTES));
        trim.execute(params![
            attempt.sweep.0,
            int(attempt.run),
            attempt.attempt,
            kept.0,
            kept.1
        ])?;
    }
    Ok(())
}

pub(super) fn put_replies(
    transaction: &Transaction<'_>,
    replies: &[StoredReply],
) -> Result<(), StoreError> {
    if replies.is_empty() {
        return Ok(());
    }
    let mut put =
        transaction.prepare_cached("REPLACE INTO replies (request_id, at_ms, digest, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let at_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    for StoredReply {
        request_id,
        digest,
        body,
    } in replies
    {
        let sum = checksum::of(&[
            Part::Bytes(request_id.as_bytes()),
            Part::Number(at_ms),
            Part::Bytes(digest),
            Part::Bytes(body.as_bytes()),
        ]);
        put.execute(params![request_id, at_ms, digest, body, sum])?;
    }
    Ok(())
}

pub(super) fn prune_replies(connection: &Connection) -> Result<(), StoreError> {
    let mut delete = connection
        .prepare_cached("DELETE FROM replies WHERE at_ms < (unixepoch() - 3600 * ?1) * 1000")?;
    delete.execute([REPLIES_KEPT_HOURS])?;
    Ok(())
}
