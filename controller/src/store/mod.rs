//! Where events and the tables made from them live. No store knows what a run means.

#[cfg(test)]
mod conformance;
mod counts;
mod memory;
mod output;
mod rows;
mod sqlite;
mod thin;

pub use counts::{CodeCounts, SweepCounts, Totals};
pub use memory::{MemoryQuery, MemoryStore};
use output::LogReader;
pub use output::{LOG_HEAD_BYTES, LOG_TAIL_BYTES, LogChunk, LogPart};
pub(crate) use rows::word;
pub use rows::{
    AgentRow, AttemptRow, CurvePoints, DiskUsage, FailureCause, FailureGroup, RepeatsRow,
    RevisionRow, RunRow, SweepBytes, SweepRow,
};
pub use sqlite::{
    FORMAT, PointsDigest, RebuiltTable, SqliteQuery, SqliteSnapshot, SqliteStore, copy,
    has_zeroed_pages, holds_nothing, look, make_room, rescued_beside, rescued_from, token_checksum,
    without_lag,
};

use std::collections::BTreeMap;

use sweep_lifecycle::event::{MetricPoint, Recorded};
pub use sweep_lifecycle::state::image::Block;
use sweep_lifecycle::state::{AttemptRef, Environment, RunState, SweepId};

/// A metric point with its attempt and its number in the attempt.
pub type MetricRow = (AttemptRef, u64, MetricPoint);

/// The content of one commit, all or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Events in order, appended to the log.
    pub events: Vec<Recorded>,
    /// Rows of the query tables that the events changed, whole; each takes the place of the row with the same key.
    pub sweeps: Vec<SweepRow>,
    /// See `sweeps`.
    pub runs: Vec<RunRow>,
    /// See `sweeps`.
    pub agents: Vec<AgentRow>,
    /// Environments of runs, by sweep and digest; see `sweeps`.
    pub environments: Vec<(SweepId, Environment)>,
    /// Metric points with the number of each in its attempt; a number already known is ignored.
    pub metrics: Vec<MetricRow>,
    /// Pieces of output; bytes already known are ignored. The first [`LOG_HEAD_BYTES`] and the last [`LOG_TAIL_BYTES`] are kept. A gap in the first part
    /// reads as zero bytes.
    pub logs: Vec<LogChunk>,
    /// Replies by request id, for calls that are repeated.
    pub replies: Vec<StoredReply>,
    /// Runs whose rows are older than the log; takes the place of the list of before.
    pub stale: Option<Vec<StaleRows>>,
    /// Sweeps whose rows are deleted now, and whose events, curves and output are deleted by [`Store::purge`].
    pub deleted: Vec<SweepId>,
    /// Runs whose curves and output, and the reports of them in the log, are deleted by [`Store::purge`]: the newest attempt of each.
    pub pruned: Vec<AttemptRef>,
}

/// Runs whose rows are older than the log: the engine writes them by and by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleRows {
    /// Their sweep.
    pub sweep: SweepId,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

impl StaleRows {
    /// Returns whether the row of a run is one of them.
    pub fn has(&self, sweep: &str, run: u64) -> bool {
        self.sweep.0 == sweep && (self.first..=self.last).contains(&run)
    }
}

/// The reply to a call, kept so that a repeat gets the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// Made by the caller.
    pub request_id: String,
    /// SHA-256 of the request: a repeat with another body is refused.
    pub digest: [u8; 32],
    /// The reply or refusal as JSON.
    pub body: String,
}

/// Everything of an image of the state but its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageHead {
    /// The program that made it: no other reads it.
    pub maker: String,
    /// How many events of the log are in it.
    pub events: u64,
    /// See [`State::write_head`](sweep_lifecycle::state::State::write_head).
    pub body: Vec<u8>,
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space is left; nothing was written, and it may work later.
    #[error("no space is left for the database")]
    Full,
    /// Whether it was written is unknown: stop, start again and replay.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The content of the database differs from what was written.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Files of the database were removed or replaced while it was in use.
    #[error("{0}")]
    Removed(String),
    /// The data was written by a newer version.
    #[error(
        "the data has format {found}, and this version of sweep reads formats up to {known}: install {version}, or restore a backup that was made \
         before the upgrade"
    )]
    TooNew {
        /// The format of the data.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
        /// The version to install, in words.
        version: String,
    },
}

/// An answer of the store.
pub type Stored<T> = Result<T, StoreError>;

/// A sweep with the counts of its runs.
pub type CountedSweep = (SweepRow, SweepCounts);

/// A metric point with its number in the attempt.
pub type NumberedPoint = (u64, MetricPoint);

/// The metrics of an attempt by name.
pub type Curves = BTreeMap<String, CurvePoints>;

/// Runs in the order of their numbers: at most `limit` of those above `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRange {
    /// The number of the last run before them.
    pub after: u64,
    /// How many at most.
    pub limit: usize,
}

impl RunRange {
    /// Returns the first `limit` runs.
    pub fn first(limit: usize) -> Self {
        Self { after: 0, limit }
    }
}

/// An image of the state, or of what has changed since the last one.
pub struct NewImage<'a> {
    /// The program that makes it.
    pub maker: &'a str,
    /// The body of its new [`ImageHead`].
    pub head: Vec<u8>,
    /// Its blocks replace all others, not only those of the same name.
    pub whole: bool,
    /// Its blocks, with their names.
    pub blocks: &'a mut dyn Iterator<Item = (Block, Vec<u8>)>,
}

/// Keeps the event log. Owned by the engine's thread.
pub trait Store: Send {
    /// Makes a batch durable: when it returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// `Full`: nothing was written. Anything else: the outcome is unknown.
    fn append(&mut self, batch: &Batch) -> Stored<()>;

    /// Hands out all events but the first `after`, in order.
    ///
    /// # Errors
    /// The log cannot be read or holds something that is no event.
    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Stored<()>;

    /// Keeps an image of what all events so far come to. A store need not: the log says it all.
    ///
    /// # Errors
    /// See [`Store::append`].
    fn keep_image(&mut self, image: NewImage<'_>) -> Stored<()> {
        let _ = image;
        Ok(())
    }

    /// Returns the head of the image, where there is one.
    ///
    /// # Errors
    /// It is damaged, or the database failed; so for the blocks.
    fn image_head(&mut self) -> Stored<Option<ImageHead>> {
        Ok(None)
    }

    /// Hands out the blocks of the image.
    ///
    /// # Errors
    /// See [`Store::image_head`].
    fn image_blocks(&mut self, each: &mut dyn FnMut(Block, &[u8])) -> Stored<()> {
        let _ = each;
        Ok(())
    }

    /// Returns which of these rows of the query tables have other values in the store, in words. What may lag behind is not compared.
    ///
    /// # Errors
    /// The database failed.
    fn differing(&mut self, rows: &Batch) -> Stored<Vec<String>> {
        let _ = rows;
        Ok(Vec::new())
    }

    /// Looks whether what was written is still there. Cheap: it may be called several times a second.
    ///
    /// # Errors
    /// It is not: stop.
    fn check(&mut self) -> Stored<()> {
        Ok(())
    }

    /// Returns the runs whose rows are older than the log.
    ///
    /// # Errors
    /// The database failed.
    fn stale_rows(&mut self) -> Stored<Vec<StaleRows>> {
        Ok(Vec::new())
    }

    /// Returns whether deleted sweeps or pruned runs have left anything.
    ///
    /// # Errors
    /// The database failed.
    fn is_purging(&mut self) -> Stored<bool> {
        Ok(false)
    }

    /// Deletes about `n` leftover rows of deleted sweeps and pruned runs. Returns whether more is left.
    ///
    /// # Errors
    /// See [`Store::append`].
    fn purge(&mut self, rows: usize) -> Stored<bool> {
        let _ = rows;
        Ok(false)
    }

    /// Returns the reply stored under a request id.
    ///
    /// # Errors
    /// The database failed.
    fn reply(&mut self, request_id: &str) -> Stored<Option<StoredReply>>;
}

/// Answers questions from the query tables. Shared by all readers; never sees half a commit.
pub trait Query: Send + Sync {
    /// All sweeps, newest first, with their counts.
    ///
    /// # Errors
    /// The database failed; so for all below.
    fn sweeps(&self) -> Stored<Vec<CountedSweep>>;
    /// One sweep by its full id.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn sweep(&self, sweep: &SweepId) -> Stored<Option<CountedSweep>>;
    /// Sweeps that are archived, or those that are not, newest first with their counts: at most `limit` after the first `skip`.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn sweep_page(&self, archived: bool, skip: usize, limit: usize) -> Stored<Vec<CountedSweep>>;
    /// How many sweeps are archived, or are not.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn sweep_count(&self, archived: bool) -> Stored<u64>;
    /// Totals over all sweeps.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn totals(&self) -> Stored<Totals>;
    /// Counts of runs for each version of a sweep's code, by version; `""` where it is not known.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn codes(&self, sweep: &SweepRow) -> Stored<BTreeMap<String, CodeCounts>>;
    /// Runs in order; only in one of `states` unless that is empty.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn runs(&self, sweep: &SweepId, states: &[RunState], range: RunRange) -> Stored<Vec<RunRow>>;
    /// Those runs of some numbers that there are, in the order of the numbers.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn numbered_runs(&self, sweep: &SweepId, numbers: &[u64]) -> Stored<Vec<RunRow>>;
    /// The numbers of runs that ended before a time, in order.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn ended_before(&self, sweep: &SweepId, before_ms: i64, range: RunRange) -> Stored<Vec<u64>>;
    /// Returns the disk usage of each sweep. Reads all data.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn disk_usage(&self) -> Stored<DiskUsage>;
    /// The runs that ended last, newest first.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn ended_runs(&self, sweep: &SweepId, limit: usize) -> Stored<Vec<RunRow>>;
    /// Failed runs by cause, the most frequent first.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn failures(&self, sweep: &SweepId) -> Stored<Vec<FailureGroup>>;
    /// The numbers of the first failed runs with a cause, at most `limit`.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn failed_runs(&self, sweep: &SweepId, key: &str, limit: usize) -> Stored<Vec<u64>>;
    /// The best runs, the best first: those of points that can be the best.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn best_runs(&self, sweep: &SweepRow, limit: usize) -> Stored<Vec<u64>>;
    /// The values of runs that can be the best, in the order of their numbers: of all where there are at most `limit` runs, else of `limit` evenly
    /// spaced ones.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn values(&self, sweep: &SweepId, limit: usize) -> Stored<Vec<f64>>;
    /// One run.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn run(&self, sweep: &SweepId, run: u64) -> Stored<Option<RunRow>>;
    /// Returns an environment of a sweep's runs by its digest.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn environment(&self, sweep: &SweepId, digest: &str) -> Stored<Option<Environment>>;
    /// Metric points of an attempt with a number from `from` on, in order, at most `limit`.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn metrics(&self, attempt: &AttemptRef, from: u64, limit: usize) -> Stored<Vec<NumberedPoint>>;
    /// The metrics of an attempt by name, or the only one of a name, each with between half of `limit` and `limit` points, or all where there are fewer.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn curves(&self, attempt: &AttemptRef, name: Option<&str>, limit: usize) -> Stored<Curves>;
    /// Output of an attempt from a byte on, at most `limit` bytes.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn log(&self, attempt: &AttemptRef, offset: u64, limit: usize) -> Stored<LogPart>;
    /// How long the output of an attempt is, with what of it is not kept.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn log_end(&self, attempt: &AttemptRef) -> Stored<u64>;
    /// Agents that are alive, of one sweep or of all, and at most `gone` others.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn agents_shown(&self, sweep: Option<&SweepId>, gone: usize) -> Stored<Vec<AgentRow>>;
    /// Agents, of one sweep or of all.
    ///
    /// # Errors
    /// See [`Query::sweeps`].
    fn agents(&self, sweep: Option<&SweepId>) -> Stored<Vec<AgentRow>>;
}
