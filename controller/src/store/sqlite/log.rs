//! The event log: appended to, and read back with a checksum of each event.

use rusqlite::{Connection, Row, Transaction, params};
use sha2::{Digest, Sha256};
use sweep_lifecycle::event::{Event, Recorded};
use sweep_lifecycle::state::Timestamp;

use super::values::{int, to_json};
use crate::store::StoreError;

/// Hands out all events behind a place, in order; each has to fit its checksum.
pub(super) fn read_events(
    connection: &Connection,
    after: u64,
    each: &mut dyn FnMut(Recorded),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(
        "SELECT seq, at_ms, body, checksum, sweep, type FROM events WHERE seq > ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([int(after)])?;
    let (mut expected, last_deletion) = (int(after) + 1, last_deletion(connection)?);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let recorded = event_of(row)?;
        if seq != expected && seq > last_deletion {
            return Err(StoreError::Damaged(format!(
                "event {expected} of the log is missing; the next one is event {seq}"
            )));
        }
        expected = seq + 1;
        each(recorded);
    }
    Ok(())
}

/// Returns the place of the last event that deletes earlier ones; 0: none does, and the log has no gaps.
pub(super) fn last_deletion(connection: &Connection) -> Result<i64, StoreError> {
    let sql =
        "SELECT coalesce(max(seq), 0) FROM events WHERE type IN ('sweep_deleted', 'runs_pruned')";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Returns the event at a place of the log, which has to fit its checksum.
pub(super) fn event_at(connection: &Connection, seq: i64) -> Result<Option<Recorded>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at_ms, body, checksum, sweep, type FROM events WHERE seq = ?1",
    )?;
    let mut rows = statement.query([seq])?;
    rows.next()?.map(event_of).transpose()
}

fn event_of(row: &Row<'_>) -> Result<Recorded, StoreError> {
    let (seq, at_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
    let damaged =
        |reason: &str| StoreError::Damaged(format!("event {seq} of the log is damaged: {reason}"));
    let text = |index| {
        row.get_ref(index)?
            .as_str()
            .map_err(|_| damaged("it is not text"))
    };
    let (body, sum) = (text(2)?, row.get_ref(3)?.as_blob().unwrap_or_default());
    if sum != checksum(seq, at_ms, body) {
        return Err(damaged("its checksum does not fit"));
    }
    let event: Event = serde_json::from_str(body)
        .map_err(|error| StoreError::Failed(format!("event {seq} of the log: {error}")))?;
    if text(4)? != event.sweep().map_or("", |sweep| &sweep.0) || text(5)? != event.kind() {
        return Err(damaged(
            "the columns beside its body do not say what that says",
        ));
    }
    Ok(Recorded {
        at: Timestamp(at_ms),
        event,
    })
}

pub(super) fn last_seq(connection: &Connection) -> Result<i64, StoreError> {
    Ok(
        connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
            row.get(0)
        })?,
    )
}

/// The first 8 bytes of SHA-256 over place, time and body.
pub(super) fn checksum(seq: i64, at_ms: i64, body: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(seq.to_le_bytes());
    hash.update(at_ms.to_le_bytes());
    hash.update(body);
    hash.finalize()[..8].to_vec()
}

/// Returns the place and the checksum of the last event.
pub(super) fn append_events(
    transaction: &Transaction<'_>,
    mut seq: i64,
    events: &[Recorded],
) -> Result<(i64, Option<Vec<u8>>), StoreError> {
    let mut last = None;
    let mut insert =
        transaction.prepare_cached("INSERT INTO events (seq, sweep, at_ms, type, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for recorded in events {
        seq += 1;
        let body = to_json(&recorded.event)?;
        let at_ms = recorded.at.0;
        // The columns beside the body are for people with an SQLite shell and for queries to come; a replay does not read them.
        let sweep = recorded.event.sweep().map_or("", |sweep| &sweep.0);
        let sum = checksum(seq, at_ms, &body);
        insert.execute(params![seq, sweep, at_ms, recorded.event.kind(), body, sum])?;
        last = Some(sum);
    }
    Ok((seq, last))
}
