//! The writing connection: the log, and the query tables in the same transaction.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::state::SweepId;

use super::connection::{FORMAT, open_to_write, raise_format};
use super::log::{append_events, last_seq, read_events};
use super::presence::{Presence, read_back};
use super::put::{append_log, prune_replies, put_replies, put_rows, put_stale};
use super::values::count;
use super::{image, purge};
use crate::store::{
    Batch, Block, ImageHead, NewImage, StaleRows, Store, StoreError, Stored, StoredReply,
};

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

    fn keep_image(&mut self, image: NewImage<'_>) -> Stored<()> {
        let head = ImageHead {
            maker: image.maker.to_owned(),
            events: count(self.seq),
            body: image.head,
        };
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        image::keep(&transaction, &head, image.whole, image.blocks)?;
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
