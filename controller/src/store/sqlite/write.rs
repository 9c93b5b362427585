//! The writing connection: the log, and the query tables in the same transaction.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use sweep_lifecycle::event::{Event, Recorded};
use sweep_lifecycle::state::Timestamp;

use super::{FORMAT, count, image, int, open_to_write, raise_format, to_json};
use crate::store::{Batch, Block, ImageHead, LogChunk, MetricRow, Store, StoreError, StoredReply};

/// Replies are kept this long: no caller repeats a request after a day.
const REPLIES_KEPT_HOURS: u32 = 48;

/// Old replies are thrown away once in so many commits.
const COMMITS_BETWEEN_PRUNES: u64 = 4096;

/// The event log in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) connection: Connection,
    /// The place of the last event in the log.
    seq: i64,
    /// Commits since it was opened.
    commits: u64,
    /// The disk was full when it was opened: the next commit raises the format.
    has_old_format: bool,
}

impl SqliteStore {
    /// Opens the database, making it where there is none. Only one process may have it open for writing; the lock on the data
    /// directory sees to that.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with_connection(open_to_write(path)?)
    }

    /// Takes a connection that [`open_to_write`] has prepared.
    pub(super) fn with_connection(connection: Connection) -> Result<Self, StoreError> {
        // A full disk is no reason not to start: what is there can be read.
        match prune_replies(&connection) {
            Ok(()) | Err(StoreError::Full) => {}
            Err(error) => return Err(error),
        }
        let seq = last_seq(&connection)?;
        let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(Self { connection, seq, commits: 0, has_old_format: format < FORMAT })
    }

    fn write(&mut self, batch: &Batch) -> Result<i64, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.has_old_format {
            transaction.execute_batch(&raise_format())?;
        }
        let seq = append_events(&transaction, self.seq, &batch.events)?;
        put_rows(&transaction, batch)?;
        for chunk in &batch.logs {
            append_log(&transaction, chunk)?;
        }
        put_replies(&transaction, &batch.replies)?;
        self.commits += 1;
        if self.commits.is_multiple_of(COMMITS_BETWEEN_PRUNES) {
            prune_replies(&transaction)?;
        }
        transaction.commit()?;
        self.has_old_format = false;
        Ok(seq)
    }
}

/// Hands out all events behind a place, in order; each has to fit its checksum.
pub(super) fn read_events(connection: &Connection, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT seq, at_ms, body, checksum FROM events WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([int(after)])?;
    while let Some(row) = rows.next()? {
        let (seq, at_ms, body, sum): (i64, i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if sum != checksum(seq, at_ms, &body) {
            return Err(StoreError::Failed(format!("event {seq} of the log is damaged: its checksum does not fit")));
        }
        let event: Event = serde_json::from_str(&body).map_err(|error| StoreError::Failed(format!("event {seq} of the log: {error}")))?;
        each(Recorded { at: Timestamp(at_ms), event });
    }
    Ok(())
}

#[cfg(test)]
impl SqliteStore {
    /// Returns `journal_mode` and `synchronous` of the writing connection.
    pub(super) fn settings(&self) -> (String, u32) {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        let synchronous = self.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        (pragma("journal_mode"), synchronous)
    }

    /// Lets the file grow to so many pages only, as a full disk does.
    pub(super) fn limit_pages(&self, pages: Option<u32>) {
        let pages = pages.unwrap_or(u32::MAX - 1);
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    }
}

impl Store for SqliteStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.write(batch) {
            Ok(seq) => self.seq = seq,
            // The transaction has been rolled back when it was dropped. "Full" promises that nothing was written: see for ourselves.
            Err(StoreError::Full) if self.connection.is_autocommit() && last_seq(&self.connection)? == self.seq => {
                return Err(StoreError::Full);
            }
            Err(StoreError::Full) => return Err(StoreError::Failed("no space is left, and the transaction did not end".to_owned())),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        read_events(&self.connection, after, each)
    }

    fn keep_image(
        &mut self,
        maker: &str,
        head: Vec<u8>,
        whole: bool,
        blocks: &mut dyn Iterator<Item = (Block, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let head = ImageHead { maker: maker.to_owned(), events: count(self.seq), body: head };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        image::keep(&transaction, &head, whole, blocks)?;
        Ok(transaction.commit()?)
    }

    fn image_head(&mut self) -> Result<Option<ImageHead>, StoreError> {
        image::head(&self.connection)
    }

    fn image_blocks(&mut self, each: &mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError> {
        image::blocks(&self.connection, each)
    }

    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT digest, body FROM replies WHERE request_id = ?1")?;
        let found = statement.query_row([request_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.map(|(digest, body)| StoredReply { request_id: request_id.to_owned(), digest, body }))
    }
}

fn last_seq(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?)
}

/// The first 8 bytes of SHA-256 over place, time and body.
fn checksum(seq: i64, at_ms: i64, body: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(seq.to_le_bytes());
    hash.update(at_ms.to_le_bytes());
    hash.update(body);
    hash.finalize()[..8].to_vec()
}

fn append_events(transaction: &Transaction<'_>, mut seq: i64, events: &[Recorded]) -> Result<i64, StoreError> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO events (seq, sweep, at_ms, type, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for recorded in events {
        seq += 1;
        let body = to_json(&recorded.event)?;
        let at_ms = recorded.at.0;
        // The columns beside the body are for people with an SQLite shell and for queries to come; a replay does not read them.
        let sweep = recorded.event.sweep().map_or("", |sweep| &sweep.0);
        insert.execute(params![seq, sweep, at_ms, recorded.event.kind(), body, checksum(seq, at_ms, &body)])?;
    }
    Ok(seq)
}

/// Not `REPLACE`, which deletes a row and inserts it anew: an update leaves indices alone whose columns stay as they are, and pages that do not change, so
/// that a commit has fewer pages to wait for.
pub(super) fn put_rows(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO sweeps (id, created_ms, goal, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET created_ms = excluded.created_ms, goal = excluded.goal, body = excluded.body",
    )?;
    for row in &batch.sweeps {
        put.execute(params![row.id, row.created_ms, row.goal, to_json(row)?])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO runs (sweep, run, state, value, ended_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET state = excluded.state, value = excluded.value, ended_ms = excluded.ended_ms, body = excluded.body",
    )?;
    for row in &batch.runs {
        put.execute(params![row.sweep, int(row.run), row.state, row.ranked, row.ended_ms, to_json(row)?])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO agents (id, sweep, alive, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET sweep = excluded.sweep, alive = excluded.alive, body = excluded.body",
    )?;
    // An update that names an indexed column writes the index, even where the column keeps its value.
    let mut update = transaction.prepare_cached("UPDATE agents SET body = ?4 WHERE id = ?1 AND sweep = ?2 AND alive = ?3")?;
    for row in &batch.agents {
        let values = params![row.id, row.sweep, row.alive, to_json(row)?];
        if update.execute(values)? == 0 {
            put.execute(values)?;
        }
    }
    let mut put = transaction.prepare_cached("REPLACE INTO environments (sweep, digest, body) VALUES (?1, ?2, ?3)")?;
    for (sweep, known) in &batch.environments {
        put.execute(params![sweep.0, known.digest, to_json(known)?])?;
    }
    put_metrics(transaction, &batch.metrics)
}

/// Inserts metric points; one that is known is ignored.
pub(super) fn put_metrics(transaction: &Transaction<'_>, metrics: &[MetricRow]) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO metrics (sweep, run, attempt, seq, name, step, wall_ms, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO NOTHING",
    )?;
    for (attempt, number, point) in metrics {
        let key = (&attempt.sweep.0, int(attempt.run), attempt.attempt, int(*number));
        insert.execute(params![key.0, key.1, key.2, key.3, point.name, point.step, point.wall.0, point.value])?;
    }
    Ok(())
}

fn append_log(transaction: &Transaction<'_>, chunk: &LogChunk) -> Result<(), StoreError> {
    let attempt = &chunk.attempt;
    let mut end = transaction.prepare_cached(
        "SELECT offset + length(data) FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 ORDER BY offset DESC LIMIT 1",
    )?;
    let known: Option<i64> = end.query_row(params![attempt.sweep.0, int(attempt.run), attempt.attempt], |row| row.get(0)).optional()?;
    let Some((offset, data)) = chunk.news(count(known.unwrap_or(0))) else { return Ok(()) };
    let mut insert = transaction.prepare_cached("INSERT INTO logs (sweep, run, attempt, offset, data) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute(params![attempt.sweep.0, int(attempt.run), attempt.attempt, int(offset), data])?;
    Ok(())
}

fn put_replies(transaction: &Transaction<'_>, replies: &[StoredReply]) -> Result<(), StoreError> {
    let mut put = transaction.prepare_cached("REPLACE INTO replies (request_id, digest, body) VALUES (?1, ?2, ?3)")?;
    for reply in replies {
        put.execute(params![reply.request_id, reply.digest, reply.body])?;
    }
    Ok(())
}

fn prune_replies(connection: &Connection) -> Result<(), StoreError> {
    let mut delete = connection.prepare_cached("DELETE FROM replies WHERE at_ms < (unixepoch() - 3600 * ?1) * 1000")?;
    delete.execute([REPLIES_KEPT_HOURS])?;
    Ok(())
}
