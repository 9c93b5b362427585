//! Reading connections.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{AttemptRef, Environment, SweepId, Timestamp};

use super::{count, int, open_to_read};
use crate::store::{AgentRow, CodeCounts, LOG_BYTES_MAX, Query, RunRow, StoreError, SweepCounts, SweepRow};

/// Connections that are kept open for the next question.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// Answers questions from a SQLite file, on read-only connections of its own.
#[derive(Debug)]
pub struct SqliteQuery {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteQuery {
    /// Opens the database for reading. A [`SqliteStore`](super::SqliteStore) must have made it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let first = open_to_read(path)?;
        Ok(Self { path: path.to_owned(), idle: Mutex::new(vec![first]) })
    }

    /// Reads in one transaction, so that all the answers are of one commit.
    fn read<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A panic elsewhere cannot leave a list of connections half-changed.
        let idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_to_read(&self.path)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let answer = ask(&transaction)?;
        transaction.finish()?;
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

impl Query for SqliteQuery {
    fn sweeps(&self) -> Result<Vec<(SweepRow, SweepCounts)>, StoreError> {
        self.read(|connection| {
            let sweeps: Vec<SweepRow> = bodies(connection, "SELECT body FROM sweeps ORDER BY created_ms DESC, id", &[])?;
            sweeps.into_iter().map(|row| Ok((row.clone(), counts(connection, &row)?))).collect()
        })
    }

    fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepRow, SweepCounts)>, StoreError> {
        self.read(|connection| {
            let found: Vec<SweepRow> = bodies(connection, "SELECT body FROM sweeps WHERE id = ?1", &[text(&sweep.0)])?;
            found.into_iter().next().map(|row| Ok((row.clone(), counts(connection, &row)?))).transpose()
        })
    }

    fn codes(&self, sweep: &SweepRow) -> Result<BTreeMap<String, CodeCounts>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT run, state, value, body FROM runs WHERE sweep = ?1 ORDER BY run")?;
            let mut rows = statement.query(params![sweep.id])?;
            let mut codes: BTreeMap<String, CodeCounts> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let Code { code } = parsed(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
                let run = count(row.get(0)?);
                let best = row.get::<_, Option<f64>>(2)?.map(|value| (run, value));
                let state = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
                // Nearly all runs are of a code that is known: no name is made for each.
                match codes.get_mut(&*code) {
                    Some(counts) => counts.add(state, 1, best, &sweep.goal),
                    None => codes.entry(code.into_owned()).or_default().add(state, 1, best, &sweep.goal),
                }
            }
            Ok(codes)
        })
    }

    fn runs(&self, sweep: &SweepId, states: &[String], after: u64, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let mut values = vec![text(&sweep.0), Sql::Integer(int(after)), Sql::Integer(int(limit as u64))];
        let sql = if states.is_empty() {
            "SELECT body FROM runs WHERE sweep = ?1 AND run > ?2 ORDER BY run LIMIT ?3".to_owned()
        } else {
            let places: Vec<_> = (0..states.len()).map(|index| format!("?{}", index + 4)).collect();
            values.extend(states.iter().map(|state| text(state)));
            // Which runs these are stands in the index: SQLite, left alone, looks at the state of each run of the sweep.
            format!(
                "SELECT body FROM runs WHERE sweep = ?1 AND run IN (
                     SELECT run FROM runs INDEXED BY runs_by_state WHERE sweep = ?1 AND run > ?2 AND state IN ({}) ORDER BY run LIMIT ?3)
                 ORDER BY run",
                places.join(",")
            )
        };
        self.read(|connection| bodies(connection, &sql, &values))
    }

    fn ended_runs(&self, sweep: &SweepId, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let sql = "SELECT body FROM runs WHERE sweep = ?1 AND ended_ms > 0 ORDER BY ended_ms DESC, run DESC LIMIT ?2";
        self.read(|connection| bodies(connection, sql, &[text(&sweep.0), Sql::Integer(int(limit as u64))]))
    }

    fn values(&self, sweep: &SweepId) -> Result<Vec<f64>, StoreError> {
        let sql = "SELECT value FROM runs WHERE sweep = ?1 AND ended_ms > 0 AND value IS NOT NULL ORDER BY ended_ms, run";
        self.read(|connection| Ok(connection.prepare_cached(sql)?.query_map([&sweep.0], |row| row.get(0))?.collect::<Result<_, _>>()?))
    }

    fn run(&self, sweep: &SweepId, run: u64) -> Result<Option<RunRow>, StoreError> {
        let values = [text(&sweep.0), Sql::Integer(int(run))];
        let found = self.read(|connection| bodies(connection, "SELECT body FROM runs WHERE sweep = ?1 AND run = ?2", &values))?;
        Ok(found.into_iter().next())
    }

    fn environment(&self, sweep: &SweepId, digest: &str) -> Result<Option<Environment>, StoreError> {
        let sql = "SELECT body FROM environments WHERE sweep = ?1 AND digest = ?2";
        let found = self.read(|connection| bodies(connection, sql, &[text(&sweep.0), text(digest)]))?;
        Ok(found.into_iter().next())
    }

    fn metrics(&self, attempt: &AttemptRef, from: u64, limit: usize) -> Result<Vec<(u64, MetricPoint)>, StoreError> {
        let sql = "SELECT seq, name, step, wall_ms, value FROM metrics
             WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND seq >= ?4 ORDER BY seq LIMIT ?5";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let key = params![attempt.sweep.0, int(attempt.run), attempt.attempt, int(from), int(limit as u64)];
            let points = statement.query_map(key, numbered_point)?;
            Ok(points.collect::<Result<_, _>>()?)
        })
    }

    fn log(&self, attempt: &AttemptRef, offset: u64, limit: usize) -> Result<Vec<u8>, StoreError> {
        let limit = limit.min(usize::try_from(LOG_BYTES_MAX).unwrap_or(usize::MAX));
        let end = offset.saturating_add(limit as u64);
        self.read(|connection| {
            // From the piece in which the wanted bytes begin, up to the first one behind them: that tells a gap from the end.
            let mut statement = connection.prepare_cached(
                "SELECT offset, data FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND offset >= coalesce(
                     (SELECT max(offset) FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND offset <= ?4), 0)
                 ORDER BY offset",
            )?;
            let mut rows = statement.query(params![attempt.sweep.0, int(attempt.run), attempt.attempt, int(offset)])?;
            let mut output = Vec::new();
            while let Some(row) = rows.next()?.filter(|_| output.len() < limit) {
                let start = count(row.get(0)?);
                let data: Vec<u8> = row.get(1)?;
                // All places are below `LOG_BYTES_MAX` or cut by `end`, so they fit.
                let gap = start.min(end).saturating_sub(offset) as usize;
                output.resize(output.len().max(gap), 0);
                let skip = offset.saturating_sub(start) as usize;
                if start < end {
                    output.extend_from_slice(data.get(skip..).unwrap_or_default());
                }
            }
            output.truncate(limit);
            Ok(output)
        })
    }

    fn agents(&self, sweep: Option<&SweepId>) -> Result<Vec<AgentRow>, StoreError> {
        self.read(|connection| match sweep {
            Some(sweep) => bodies(connection, "SELECT body FROM agents WHERE sweep = ?1 ORDER BY id", &[text(&sweep.0)]),
            None => bodies(connection, "SELECT body FROM agents ORDER BY id", &[]),
        })
    }
}

fn text(text: &str) -> Sql {
    Sql::Text(text.to_owned())
}

pub(super) fn bodies<T: DeserializeOwned>(connection: &Connection, sql: &str, values: &[Sql]) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        found.push(parsed(&body)?);
    }
    Ok(found)
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Failed(format!("a row of a query table: {error}")))
}

/// What is read of a run where only its code is asked for: SQLite's own way to look into its body takes four times as long.
#[derive(Deserialize)]
struct Code<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
}

fn counts(connection: &Connection, sweep: &SweepRow) -> Result<SweepCounts, StoreError> {
    let mut counts = SweepCounts::default();
    let mut statement = connection.prepare_cached("SELECT state, count(*) FROM runs WHERE sweep = ?1 GROUP BY state")?;
    let mut rows = statement.query([&sweep.id])?;
    while let Some(row) = rows.next()? {
        let state: String = row.get(0)?;
        counts.add(&state, count(row.get(1)?));
    }
    let mut statement = connection.prepare_cached("SELECT count(*) FROM agents WHERE sweep = ?1 AND alive")?;
    counts.agents = count(statement.query_row([&sweep.id], |row| row.get(0))?);
    let order = if sweep.goal == "maximize" { "DESC" } else { "ASC" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT run, value FROM runs WHERE sweep = ?1 AND value IS NOT NULL
         ORDER BY value {order}, run LIMIT 1"
    ))?;
    let best = statement.query_row([&sweep.id], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    counts.best = best.map(|(run, value)| (count(run), value));
    Ok(counts)
}

fn numbered_point(row: &Row<'_>) -> rusqlite::Result<(u64, MetricPoint)> {
    // SQLite has no NaN: it writes one as NULL.
    let value: Option<f64> = row.get(4)?;
    let point = MetricPoint { name: row.get(1)?, step: row.get(2)?, wall: Timestamp(row.get(3)?), value: value.unwrap_or(f64::NAN) };
    Ok((count(row.get(0)?), point))
}
