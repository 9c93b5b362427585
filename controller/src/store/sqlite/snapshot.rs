//! Everything in the database as of one commit, for a check of all of it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::state::{AttemptRef, Environment, SweepId};

use super::copy::known_format;
use super::query::bodies;
use super::write::read_events;
use super::{count, image, open_to_read};
use crate::store::{AgentRow, Block, ImageHead, RunRow, StoreError, SweepRow};

/// One commit's view of the database. A controller may go on writing meanwhile.
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
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
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
        bodies(&self.connection, "SELECT body FROM runs WHERE sweep = ?1 ORDER BY run", &[sweep.0.clone().into()])
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
        bodies(&self.connection, "SELECT body FROM environments WHERE sweep = ?1 ORDER BY digest", &[sweep.0.clone().into()])
    }

    /// Returns how many metric points each attempt has.
    ///
    /// # Errors
    /// See [`SqliteSnapshot::open`].
    pub fn points(&self) -> Result<BTreeMap<AttemptRef, u64>, StoreError> {
        let mut statement = self.connection.prepare("SELECT sweep, run, attempt, count(*) FROM metrics GROUP BY sweep, run, attempt")?;
        let found = statement.query_map([], |row| {
            let attempt = AttemptRef { sweep: SweepId(row.get(0)?), run: count(row.get(1)?), attempt: row.get(2)? };
            Ok((attempt, count(row.get(3)?)))
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}
