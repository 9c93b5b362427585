//! Everything in the database as of one commit, for a check of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use rusqlite::Connection;
use sweep_lifecycle::event::{MetricPoint, Recorded};
use sweep_lifecycle::state::{AttemptRef, Environment, SweepId, Timestamp};

use super::checksum::{Extent, damaged_rows};
use super::connection::open_to_read;
use super::copy::known_format;
use super::image;
use super::log::read_events;
use super::reading::bodies;
use super::rows::differing_columns;
use super::values::count;
use super::write::stale_rows;
use crate::store::{AgentRow, Batch, Block, ImageHead, RunRow, StaleRows, StoreError, SweepRow};

/// The digest of the metric points of an attempt, independent of their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointsDigest {
    /// How many there are.
    pub count: u64,
    /// The sum of a hash of each.
    sum: u64,
}

impl PointsDigest {
    /// Adds a point with its number in the attempt.
    pub fn add(&mut self, number: u64, point: &MetricPoint) {
        let mut hasher = DefaultHasher::new();
        // SQLite has no NaN, and one of several comes back.
        let bits = if point.value.is_nan() {
            f64::NAN.to_bits()
        } else {
            point.value.to_bits()
        };
        (number, &point.name, point.step, point.wall.0, bits).hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// One commit's view of the database. A controller may write meanwhile.
#[derive(Debug)]
pub struct SqliteSnapshot {
    connection: Connection,
}

impl SqliteSnapshot {
    /// Opens the database for reading.
    ///
    /// # Errors
    /// It cannot be opened, or was written by a newer version; so for all below.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open_to_read(path)?;
        known_format(&connection)?;
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection })
    }

    /// Returns what SQLite itself finds wrong with the file.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn damage(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let lines = statement
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Hands out all events but the first `after` in order, each compared with its checksum.
    ///
    /// # Errors
    /// See [`Store::replay`](crate::store::Store::replay).
    pub fn events(&self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        read_events(&self.connection, after, each)
    }

    /// Returns the head of the image of the state, where there is one.
    ///
    /// # Errors
    /// See [`Store::image_head`](crate::store::Store::image_head); so for the blocks.
    pub fn image_head(&self) -> Result<Option<ImageHead>, StoreError> {
        image::head(&self.connection)
    }

    /// Hands out the blocks of the image.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::image_head`].
    pub fn image_blocks(&self, each: &mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError> {
        image::blocks(&self.connection, each)
    }

    /// Returns the rows of sweeps by id.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn sweeps(&self) -> Result<Vec<SweepRow>, StoreError> {
        bodies(&self.connection, "SELECT body FROM sweeps ORDER BY id", &[])
    }

    /// Returns the rows of a sweep's runs by number.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn runs(&self, sweep: &SweepId) -> Result<Vec<RunRow>, StoreError> {
        bodies(
            &self.connection,
            "SELECT body FROM runs WHERE sweep = ?1 ORDER BY run",
            &[sweep.0.clone().into()],
        )
    }

    /// Returns the rows of agents by id.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        bodies(&self.connection, "SELECT body FROM agents ORDER BY id", &[])
    }

    /// Returns what runs of a sweep were executed in, by digest.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn environments(&self, sweep: &SweepId) -> Result<Vec<Environment>, StoreError> {
        bodies(
            &self.connection,
            "SELECT body FROM environments WHERE sweep = ?1 ORDER BY digest",
            &[sweep.0.clone().into()],
        )
    }

    /// Returns the runs whose rows are older than the log.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn stale_rows(&self) -> Result<Vec<StaleRows>, StoreError> {
        if !self.has_table("stale_rows")? {
            return Ok(Vec::new());
        }
        stale_rows(&self.connection)
    }

    /// Returns the deleted sweeps whose data is still being deleted.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn purged_sweeps(&self) -> Result<BTreeSet<SweepId>, StoreError> {
        if !self.has_table("purges")? {
            return Ok(BTreeSet::new());
        }
        let mut statement = self
            .connection
            .prepare("SELECT sweep FROM purges WHERE run IS NULL")?;
        let found = statement.query_map([], |row| Ok(SweepId(row.get(0)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// A database of an earlier version lacks some.
    fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
        Ok(self.connection.query_row(sql, [name], |row| row.get(0))?)
    }

    /// Returns the rows beside those that follow from the log, output and replies for instance, that do not fit their checksums, in words.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn damaged_rows(&self) -> Result<Vec<String>, StoreError> {
        damaged_rows(&self.connection, Extent::All)
    }

    /// Returns the sweeps whose counted runs are not as many as their rows say.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn differing_counts(&self) -> Result<Vec<SweepId>, StoreError> {
        if !self.has_table("run_counts")? {
            return Ok(Vec::new());
        }
        let sql = "WITH counted AS (SELECT sweep, code, state, runs FROM run_counts),
             there AS (SELECT sweep, code, state, count(*) FROM runs GROUP BY sweep, code, state)
             SELECT sweep FROM (SELECT * FROM counted EXCEPT SELECT * FROM there)
             UNION SELECT sweep FROM (SELECT * FROM there EXCEPT SELECT * FROM counted)";
        let mut statement = self.connection.prepare(sql)?;
        let found = statement.query_map([], |row| Ok(SweepId(row.get(0)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Returns for which of these rows a column beside the body has another value, or none, in words.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn differing_columns(&self, rows: &Batch) -> Result<Vec<String>, StoreError> {
        differing_columns(&self.connection, rows)
    }

    /// Returns what the metric points of each attempt come to.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn points(&self) -> Result<BTreeMap<AttemptRef, PointsDigest>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT sweep, run, attempt, seq, name, step, wall_ms, value FROM metrics")?;
        let mut rows = statement.query([])?;
        let mut digests: BTreeMap<AttemptRef, PointsDigest> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let attempt = AttemptRef {
                sweep: SweepId(row.get(0)?),
                run: count(row.get(1)?),
                attempt: row.get(2)?,
            };
            let value: Option<f64> = row.get(7)?;
            let point = MetricPoint {
                name: row.get(4)?,
                step: row.get(5)?,
                wall: Timestamp(row.get(6)?),
                value: value.unwrap_or(f64::NAN),
            };
            digests
                .entry(attempt)
                .or_default()
                .add(count(row.get(3)?), &point);
        }
        Ok(digests)
    }
}
