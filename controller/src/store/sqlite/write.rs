//! The writing connection: the log, and the query tables in the same transaction.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use sweep_lifecycle::event::{Event, Recorded};
use sweep_lifecycle::state::{SweepId, Timestamp};

use super::checksum::{self, Part};
use super::connection::{FORMAT, open_to_write, raise_format};
use super::presence::{Presence, read_back};
use super::values::{count, int, to_json};
use super::{image, purge};
use crate::store::{
    Batch, Block, ImageHead, LOG_HEAD_BYTES, LOG_TAIL_BYTES, LogChunk, MetricRow, RunRow,
    StaleRows, Store, StoreError, StoredReply, word,
};

/// Replies are kept this long: no caller repeats a request after a day.
const REPLIES_KEPT_HOURS: u32 = 48;

/// Commits between deletions of old replies.
const COMMITS_BETWEEN_PRUNES: u64 = 4096;

/// How often the last commit is read back.
const READ_BACK_EVERY: Duration = Duration::from_secs(1);

/// The event log in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) connection: Connection,
    /// The place of the last event in the log.
    seq: i64,
    /// Commits since it was opened.
    commits: u64,
    /// The disk was full when it was opened: the next commit raises the format.
    pub(super) has_old_format: bool,
    /// The file that is watched while it is open; `None` for a connection that has no file.
    watched: Option<Watched>,
}

/// A database of which it is seen when it is not what was written any more.
#[derive(Debug)]
struct Watched {
    database: PathBuf,
    presence: Presence,
    /// The place and the checksum of the last event that was written since it was opened.
    last: Option<(i64, Vec<u8>)>,
    read_back: Instant,
}

impl SqliteStore {
    /// Opens the database, making it where there is none. Only one process may have it open for writing; the lock on the data
    /// directory sees to that.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut store = Self::with_connection(open_to_write(path)?)?;
        let presence = Presence::of(path)?;
        store.watched = Some(Watched {
            database: path.to_owned(),
            presence,
            last: None,
            read_back: Instant::now(),
        });
        Ok(store)
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
        Ok(Self {
            connection,
            seq,
            commits: 0,
            has_old_format: format < FORMAT,
            watched: None,
        })
    }

    /// Looks whether the files are still those that were opened.
    fn look(&mut self) -> Result<(), StoreError> {
        self.watched
            .as_mut()
            .map_or(Ok(()), |watched| watched.presence.check(&self.connection))
    }

    fn write(&mut self, batch: &Batch) -> Result<i64, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.has_old_format {
            raise_format(&transaction)?;
        }
        let (seq, last) = append_events(&transaction, self.seq, &batch.events)?;
        put_rows(&transaction, batch)?;
        for chunk in &batch.logs {
            append_log(&transaction, chunk)?;
        }
        put_replies(&transaction, &batch.replies)?;
        if let Some(stale) = &batch.stale {
            put_stale(&transaction, stale)?;
        }
        purge::note(&transaction, &batch.deleted, &batch.pruned, seq)?;
        self.commits += 1;
        if self.commits.is_multiple_of(COMMITS_BETWEEN_PRUNES) {
            prune_replies(&transaction)?;
        }
        transaction.commit()?;
        self.has_old_format = false;
        if let (Some(watched), Some(sum)) = (&mut self.watched, last) {
            watched.last = Some((seq, sum));
        }
        Ok(seq)
    }
}

pub(super) fn stale_rows(connection: &Connection) -> Result<Vec<StaleRows>, StoreError> {
    let mut statement =
        connection.prepare("SELECT sweep, first, last FROM stale_rows ORDER BY rowid")?;
    let rows = statement.query_map([], |row| {
        Ok(StaleRows {
            sweep: SweepId(row.get(0)?),
            first: count(row.get(1)?),
            last: count(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

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

#[cfg(test)]
impl SqliteStore {
    /// Returns `journal_mode` and `synchronous` of the writing connection.
    pub(super) fn settings(&self) -> (String, u32) {
        let pragma = |name| {
            self.connection
                .pragma_query_value(None, name, |row| row.get(0))
                .unwrap()
        };
        let synchronous = self
            .connection
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        (pragma("journal_mode"), synchronous)
    }

    /// Limits the file to a number of pages, as a full disk does.
    pub(super) fn limit_pages(&self, pages: Option<u32>) {
        let pages = pages.unwrap_or(u32::MAX - 1);
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    }
}

impl Store for SqliteStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.write(batch) {
            Ok(seq) => {
                self.seq = seq;
                // Before anybody is told that it is on disk.
                self.look()?;
            }
            // The transaction has been rolled back when it was dropped. "Full" promises that nothing was written: see for ourselves.
            Err(StoreError::Full)
                if self.connection.is_autocommit() && last_seq(&self.connection)? == self.seq =>
            {
                return Err(StoreError::Full);
            }
            Err(StoreError::Full) => {
                return Err(StoreError::Failed(
                    "no space is left, and the transaction did not end".to_owned(),
                ));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn differing(&mut self, rows: &Batch) -> Result<Vec<String>, StoreError> {
        self.differing_rows(rows)
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.look()?;
        let Some(watched) = self
            .watched
            .as_mut()
            .filter(|watched| watched.read_back.elapsed() >= READ_BACK_EVERY)
        else {
            return Ok(());
        };
        watched.read_back = Instant::now();
        watched
            .last
            .as_ref()
            .map_or(Ok(()), |(seq, sum)| read_back(&watched.database, *seq, sum))
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
        let head = ImageHead {
            maker: maker.to_owned(),
            events: count(self.seq),
            body: head,
        };
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        image::keep(&transaction, &head, whole, blocks)?;
        Ok(transaction.commit()?)
    }

    fn image_head(&mut self) -> Result<Option<ImageHead>, StoreError> {
        image::head(&self.connection)
    }

    fn image_blocks(&mut self, each: &mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError> {
        image::blocks(&self.connection, each)
    }

    fn stale_rows(&mut self) -> Result<Vec<StaleRows>, StoreError> {
        // On a full disk a database of an earlier version has none yet.
        if self.has_old_format {
            Ok(Vec::new())
        } else {
            stale_rows(&self.connection)
        }
    }

    fn is_purging(&mut self) -> Result<bool, StoreError> {
        if self.has_old_format {
            return Ok(false);
        }
        Ok(self
            .connection
            .query_row("SELECT EXISTS (SELECT 1 FROM purges)", [], |row| row.get(0))?)
    }

    fn purge(&mut self, rows: usize) -> Result<bool, StoreError> {
        if self.has_old_format {
            return Ok(false);
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let has_more = purge::step(&transaction, rows)?;
        transaction.commit()?;
        Ok(has_more)
    }

    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT digest, body FROM replies WHERE request_id = ?1")?;
        let found = statement
            .query_row([request_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.map(|(digest, body)| StoredReply {
            request_id: request_id.to_owned(),
            digest,
            body,
        }))
    }
}

fn last_seq(connection: &Connection) -> Result<i64, StoreError> {
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
fn append_events(
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

fn put_stale(transaction: &Transaction<'_>, stale: &[StaleRows]) -> Result<(), StoreError> {
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

fn append_log(transaction: &Transaction<'_>, chunk: &LogChunk) -> Result<(), StoreError> {
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
    // No piece is in both parts, so that those of the last part can be deleted whole.
    let head = usize::try_from(LOG_HEAD_BYTES.saturating_sub(offset))
        .unwrap_or(usize::MAX)
        .min(data.len());
    for (offset, data) in [
        (offset, &data[..head]),
        (offset + head as u64, &data[head..]),
    ] {
        if !data.is_empty() {
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

fn put_replies(transaction: &Transaction<'_>, replies: &[StoredReply]) -> Result<(), StoreError> {
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

fn prune_replies(connection: &Connection) -> Result<(), StoreError> {
    let mut delete = connection
        .prepare_cached("DELETE FROM replies WHERE at_ms < (unixepoch() - 3600 * ?1) * 1000")?;
    delete.execute([REPLIES_KEPT_HOURS])?;
    Ok(())
}
