//! Looks for damage when a database is opened: all of a small one, a sample of a large one. `sweep controller verify` looks at everything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::{OptionalExtension, params};
use serde::de::DeserializeOwned;
use sweep_lifecycle::event::{Event, MetricPoint};
use sweep_lifecycle::state::{AttemptRef, Environment, Timestamp};

use super::checksum::{self, Extent};
use super::log::{event_at, last_deletion};
use super::presence::quick_check;
use super::rows::{differing_columns, without_lag};
use super::values::{count, int};
use super::write::{SqliteStore, stale_rows};
use crate::store::{AgentRow, Batch, MetricRow, StoreError, SweepRow};

/// The structure of a database up to this size is checked as a whole, which takes a few milliseconds.
const STRUCTURE_BYTES_MAX: u64 = 16 << 20;
/// Events of the log that are read.
const EVENTS: i64 = 1000;
/// Rows that are read of each table with checksums.
const ROWS: u32 = 200;
/// Pages of a large database that are checked.
const PAGES: u64 = 1000;
/// SQLite's default, and ours.
const PAGE_BYTES: u64 = 4096;

/// Whether pages of a database file, some at random places, hold nothing but zeros. That is no proof of damage: a page that is not in use may. The
/// database must not be open in this process, whose locks would be lost.
///
/// # Errors
/// The file cannot be read.
pub fn has_zeroed_pages(database: &Path) -> io::Result<bool> {
    let file = match File::open(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let pages = file.metadata()?.len() / PAGE_BYTES;
    let mut page = [0; PAGE_BYTES as usize];
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let offset = u64::from_le_bytes(seed);
    let looked_at = pages.min(PAGES);
    for index in 0..looked_at {
        // One at a random place of each of as many parts.
        let (from, until) = (pages * index / looked_at, pages * (index + 1) / looked_at);
        let number = from + offset % (until - from).max(1);
        file.read_exact_at(&mut page, number * PAGE_BYTES)?;
        if page.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether a body that is there cannot be read, or does not fit.
fn differs<T: DeserializeOwned>(body: Option<String>, fits: impl FnOnce(T) -> bool) -> bool {
    body.is_some_and(|body| !serde_json::from_str(&body).is_ok_and(fits))
}

impl SqliteStore {
    /// Looks for damage in a database that was just opened; `suspect`: also in all of the structure of a large one. Returns what is wrong with rows beside
    /// the log, in words.
    ///
    /// # Errors
    /// `Damaged`: the file or the log is.
    pub fn check_sample(
        &self,
        suspect: bool,
        metrics: &dyn Fn(&Event) -> Vec<MetricRow>,
    ) -> Result<Vec<String>, StoreError> {
        let connection = &self.connection;
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        if (suspect || count(pages) * PAGE_BYTES <= STRUCTURE_BYTES_MAX)
            && let Some(problem) = quick_check(connection)?
        {
            return Err(StoreError::Damaged(problem));
        }
        let mut problems = Vec::new();
        let last: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
                row.get(0)
            })?;
        let (step, last_deletion) = ((last / EVENTS).max(1), last_deletion(connection)?);
        let mut seq = 1;
        while seq <= last {
            let within: i64 =
                connection.query_row("SELECT abs(random() % ?1)", [step], |row| row.get(0))?;
            let place = (seq + within).min(last);
            seq += step;
            let Some(recorded) = event_at(connection, place)? else {
                if place < last_deletion {
                    continue;
                }
                return Err(StoreError::Damaged(format!(
                    "event {place} of the log is missing"
                )));
            };
            problems.extend(
                metrics(&recorded.event)
                    .iter()
                    .filter_map(|row| self.differing_point(row).transpose())
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
        problems.extend(checksum::damaged_rows(connection, Extent::Sample(ROWS))?);
        problems.sort();
        problems.dedup();
        Ok(problems)
    }

    /// Returns the body of a row, where there is one.
    fn body(
        &self,
        sql: &str,
        key: &dyn rusqlite::ToSql,
        number: Option<i64>,
    ) -> rusqlite::Result<Option<String>> {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        match number {
            Some(number) => self
                .connection
                .query_row(sql, params![key, number], read)
                .optional(),
            None => self
                .connection
                .query_row(sql, params![key], read)
                .optional(),
        }
    }

    /// Returns which of these rows have other values in the database.
    pub(super) fn differing_rows(&self, rows: &Batch) -> Result<Vec<String>, StoreError> {
        let stale = if self.has_old_format {
            Vec::new()
        } else {
            stale_rows(&self.connection)?
        };
        let mut rows = rows.clone();
        rows.runs
            .retain(|row| !stale.iter().any(|stale| stale.has(&row.sweep, row.run)));
        let rows = &rows;
        let mut problems = differing_columns(&self.connection, rows)?;
        for row in &rows.runs {
            let text = self.body(
                "SELECT body FROM runs WHERE sweep = ?1 AND run = ?2",
                &row.sweep,
                Some(int(row.run)),
            )?;
            if differs(text, |found| without_lag(row.clone()) == without_lag(found)) {
                problems.push(format!(
                    "run {}/{}: its row does not say what the log says",
                    row.sweep, row.run
                ));
            }
        }
        for row in &rows.agents {
            let text = self.body("SELECT body FROM agents WHERE id = ?1", &row.id, None)?;
            if differs(text, |found: AgentRow| found == *row) {
                problems.push(format!(
                    "agent {}: its row does not say what the log says",
                    row.id
                ));
            }
        }
        for (sweep, known) in &rows.environments {
            let sql = "SELECT body FROM environments WHERE sweep = ?1 AND digest = ?2";
            let text = self
                .connection
                .query_row(sql, [&sweep.0, &known.digest], |row| {
                    row.get::<_, String>(0)
                })
                .optional()?;
            if differs(text, |found: Environment| found == *known) {
                problems.push(format!(
                    "environment {}/{}: its row does not say what the log says",
                    sweep.0, known.digest
                ));
            }
        }
        for row in &rows.sweeps {
            let text = self.body("SELECT body FROM sweeps WHERE id = ?1", &row.id, None)?;
            // When something last happened to it is written with the next change that people see.
            if differs(text, |found| {
                SweepRow {
                    updated_ms: row.updated_ms,
                    ..found
                } == *row
            }) {
                problems.push(format!(
                    "sweep {}: its row does not say what the log says",
                    row.id
                ));
            }
        }
        Ok(problems)
    }

    /// Says what is wrong with the row of a point that the log has, if anything.
    fn differing_point(
        &self,
        (attempt, number, point): &MetricRow,
    ) -> Result<Option<String>, StoreError> {
        let connection = &self.connection;
        let AttemptRef {
            sweep,
            run,
            attempt,
        } = attempt;
        let is_purged =
            "SELECT EXISTS (SELECT 1 FROM purges WHERE sweep = ?1 AND (run IS NULL OR run = ?2))";
        if !self.has_old_format
            && connection
                .prepare_cached(is_purged)?
                .query_row(params![sweep.0, int(*run)], |row| row.get(0))?
        {
            return Ok(None);
        }
        let sql = "SELECT name, step, wall_ms, value FROM metrics WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND seq = ?4";
        let mut statement = connection.prepare_cached(sql)?;
        let found =
            statement.query_row(params![sweep.0, int(*run), attempt, int(*number)], |row| {
                let value: Option<f64> = row.get(3)?;
                Ok(MetricPoint {
                    name: row.get(0)?,
                    step: row.get(1)?,
                    wall: Timestamp(row.get(2)?),
                    value: value.unwrap_or(f64::NAN),
                })
            });
        let is_same = found.optional()?.is_some_and(|found| {
            (found.name == point.name && found.step == point.step && found.wall == point.wall)
                && (found.value.to_bits() == point.value.to_bits()
                    || (found.value.is_nan() && point.value.is_nan()))
        });
        Ok((!is_same).then(|| {
            format!(
                "run {sweep}/{run} attempt {attempt}: its metric points are not those of the log"
            )
        }))
    }
}
