//! Reading connections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, params};
use sweep_lifecycle::state::{AttemptRef, Environment, RunState, SweepId};

use super::connection::open_to_read;
use super::reading::{
    best, best_of, bodies, counts, curves, disk_usage, numbered_point, state_of, text,
};
use super::values::{count, int};
use crate::store::thin::evenly;
use crate::store::{
    AgentRow, CodeCounts, CountedSweep, Curves, DiskUsage, FailureGroup, LogPart, LogReader,
    NumberedPoint, Query, RunRange, RunRow, StoreError, Stored, SweepRow, Totals,
};

/// Connections that are kept open for the next question.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// Answers questions from a SQLite file, on its own read-only connections.
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
        Ok(Self {
            path: path.to_owned(),
            idle: Mutex::new(vec![first]),
        })
    }

    /// Reads in one transaction, so that all the answers are of one commit.
    fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A panic elsewhere cannot leave a list of connections half-changed.
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_to_read(&self.path)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let answer = ask(&transaction)?;
        transaction.finish()?;
        let mut idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

impl Query for SqliteQuery {
    fn sweeps(&self) -> Stored<Vec<CountedSweep>> {
        self.read(|connection| {
            let sweeps: Vec<SweepRow> = bodies(
                connection,
                "SELECT body FROM sweeps ORDER BY created_ms DESC, id",
                &[],
            )?;
            sweeps
                .into_iter()
                .map(|row| Ok((row.clone(), counts(connection, &row)?)))
                .collect()
        })
    }

    fn sweep(&self, sweep: &SweepId) -> Stored<Option<CountedSweep>> {
        self.read(|connection| {
            let found: Vec<SweepRow> = bodies(
                connection,
                "SELECT body FROM sweeps WHERE id = ?1",
                &[text(&sweep.0)],
            )?;
            found
                .into_iter()
                .next()
                .map(|row| Ok((row.clone(), counts(connection, &row)?)))
                .transpose()
        })
    }

    fn sweep_page(&self, archived: bool, skip: usize, limit: usize) -> Stored<Vec<CountedSweep>> {
        let sql = "SELECT body FROM sweeps WHERE id IN (
             SELECT id FROM sweeps INDEXED BY sweeps_listed WHERE archived = ?1 ORDER BY created_ms DESC, id LIMIT ?3 OFFSET ?2)
             ORDER BY created_ms DESC, id";
        let values = [
            Sql::Integer(i64::from(archived)),
            Sql::Integer(int(skip as u64)),
            Sql::Integer(int(limit as u64)),
        ];
        self.read(|connection| {
            let sweeps: Vec<SweepRow> = bodies(connection, sql, &values)?;
            sweeps
                .into_iter()
                .map(|row| Ok((row.clone(), counts(connection, &row)?)))
                .collect()
        })
    }

    fn sweep_count(&self, archived: bool) -> Stored<u64> {
        let sql = "SELECT count(*) FROM sweeps INDEXED BY sweeps_listed WHERE archived = ?1";
        self.read(|connection| {
            Ok(count(
                connection
                    .prepare_cached(sql)?
                    .query_row([archived], |row| row.get(0))?,
            ))
        })
    }

    fn totals(&self) -> Stored<Totals> {
        self.read(|connection| {
            let by_state = |sql: &str| -> Stored<BTreeMap<String, u64>> {
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
                Ok(rows.collect::<Result<_, _>>()?)
            };
            let agents = "SELECT count(*), coalesce(sum(slots), 0) FROM agents WHERE alive";
            let (agents, slots) = connection.prepare_cached(agents)?.query_row([], |row| Ok((count(row.get(0)?), count(row.get(1)?))))?;
            Ok(Totals {
                sweeps: by_state("SELECT state, count(*) FROM sweeps GROUP BY state")?,
                // Those of a deleted sweep are there for a moment.
                runs: by_state("SELECT state, sum(runs) FROM run_counts WHERE sweep IN (SELECT id FROM sweeps) GROUP BY state")?,
                agents,
                slots,
            })
        })
    }

    fn codes(&self, sweep: &SweepRow) -> Stored<BTreeMap<String, CodeCounts>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT code, state, runs FROM run_counts WHERE sweep = ?1 AND runs > 0",
            )?;
            let mut rows = statement.query([&sweep.id])?;
            let mut codes: BTreeMap<String, CodeCounts> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (state, runs) = (state_of(row.get_ref(1)?)?, count(row.get(2)?));
                let counts = codes.entry(row.get(0)?).or_default();
                counts.add(state, runs, None, sweep.goal);
            }
            for (code, counts) in &mut codes {
                counts.best = best_of(connection, sweep, code, 1)?.pop();
            }
            Ok(codes)
        })
    }

    fn runs(&self, sweep: &SweepId, states: &[RunState], range: RunRange) -> Stored<Vec<RunRow>> {
        let mut values = vec![
            text(&sweep.0),
            Sql::Integer(int(range.after)),
            Sql::Integer(int(range.limit as u64)),
        ];
        let sql = if states.is_empty() {
            "SELECT body FROM runs WHERE sweep = ?1 AND run > ?2 ORDER BY run LIMIT ?3".to_owned()
        } else {
            let places: Vec<_> = (0..states.len())
                .map(|index| format!("?{}", index + 4))
                .collect();
            values.extend(states.iter().map(|state| text(&state.to_string())));
            // The index has these runs: by default, SQLite looks at the state of each run of the sweep.
            format!(
                "SELECT body FROM runs WHERE sweep = ?1 AND run IN (
                     SELECT run FROM runs INDEXED BY runs_by_state WHERE sweep = ?1 AND run > ?2 AND state IN ({}) ORDER BY run LIMIT ?3)
                 ORDER BY run",
                places.join(",")
            )
        };
        self.read(|connection| bodies(connection, &sql, &values))
    }

    fn numbered_runs(&self, sweep: &SweepId, numbers: &[u64]) -> Stored<Vec<RunRow>> {
        self.read(|connection| {
            let mut runs = Vec::with_capacity(numbers.len());
            for number in numbers {
                let values = [text(&sweep.0), Sql::Integer(int(*number))];
                runs.extend(bodies(
                    connection,
                    "SELECT body FROM runs WHERE sweep = ?1 AND run = ?2",
                    &values,
                )?);
            }
            Ok(runs)
        })
    }

    fn ended_before(&self, sweep: &SweepId, before_ms: i64, range: RunRange) -> Stored<Vec<u64>> {
        let sql = "SELECT run FROM runs WHERE sweep = ?1 AND run > ?2 AND ended_ms > 0 AND ended_ms < ?3 ORDER BY run LIMIT ?4";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let key = params![
                sweep.0,
                int(range.after),
                before_ms,
                int(range.limit as u64)
            ];
            let runs = statement.query_map(key, |row| Ok(count(row.get(0)?)))?;
            Ok(runs.collect::<Result<_, _>>()?)
        })
    }

    fn disk_usage(&self) -> Stored<DiskUsage> {
        self.read(disk_usage)
    }

    fn ended_runs(&self, sweep: &SweepId, limit: usize) -> Stored<Vec<RunRow>> {
        let sql = "SELECT body FROM runs WHERE sweep = ?1 AND ended_ms > 0 ORDER BY ended_ms DESC, run DESC LIMIT ?2";
        self.read(|connection| {
            bodies(
                connection,
                sql,
                &[text(&sweep.0), Sql::Integer(int(limit as u64))],
            )
        })
    }

    fn failures(&self, sweep: &SweepId) -> Stored<Vec<FailureGroup>> {
        let sql = "SELECT cause, host, count(*), min(run) FROM runs INDEXED BY runs_failed
             WHERE sweep = ?1 AND cause IS NOT NULL GROUP BY cause, host";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([&sweep.0])?;
            let mut groups: Vec<FailureGroup> = Vec::new();
            while let Some(row) = rows.next()? {
                let (key, host, runs, first): (String, String, u64, u64) = (
                    row.get(0)?,
                    row.get(1)?,
                    count(row.get(2)?),
                    count(row.get(3)?),
                );
                if groups.last().is_none_or(|group| group.key != key) {
                    groups.push(FailureGroup {
                        key,
                        runs: 0,
                        first,
                        hosts: BTreeMap::new(),
                    });
                }
                let Some(group) = groups.last_mut() else {
                    continue;
                };
                group.runs += runs;
                group.first = group.first.min(first);
                if !host.is_empty() {
                    group.hosts.insert(host, runs);
                }
            }
            groups.sort_by_key(|group| std::cmp::Reverse(group.runs));
            Ok(groups)
        })
    }

    fn failed_runs(&self, sweep: &SweepId, key: &str, limit: usize) -> Stored<Vec<u64>> {
        let sql = "SELECT run FROM runs INDEXED BY runs_failed WHERE sweep = ?1 AND cause = ?2 ORDER BY run LIMIT ?3";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let runs = statement.query_map(params![sweep.0, key, int(limit as u64)], |row| {
                Ok(count(row.get(0)?))
            })?;
            Ok(runs.collect::<Result<_, _>>()?)
        })
    }

    fn best_runs(&self, sweep: &SweepRow, limit: usize) -> Stored<Vec<u64>> {
        self.read(|connection| {
            Ok(best(connection, sweep, limit)?
                .into_iter()
                .map(|(run, _)| run)
                .collect())
        })
    }

    fn values(&self, sweep: &SweepId, limit: usize) -> Stored<Vec<f64>> {
        self.read(|connection| {
            let last: Option<i64> =
                connection.prepare_cached("SELECT max(run) FROM runs WHERE sweep = ?1")?.query_row([&sweep.0], |row| row.get(0))?;
            let last = count(last.unwrap_or(0));
            let mut value =
                connection.prepare_cached("SELECT ended_ms, value FROM runs WHERE sweep = ?1 AND run = ?2 AND value IS NOT NULL")?;
            let mut values: Vec<(i64, u64, f64)> = Vec::new();
            for run in evenly(last, limit) {
                let found = value.query_row(params![sweep.0, int(run)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                values.extend(found.map(|(ended_ms, value)| (ended_ms, run, value)));
            }
            values.sort_by_key(|(ended_ms, run, _)| (*ended_ms, *run));
            Ok(values.into_iter().map(|(_, _, value)| value).collect())
        })
    }

    fn run(&self, sweep: &SweepId, run: u64) -> Stored<Option<RunRow>> {
        let values = [text(&sweep.0), Sql::Integer(int(run))];
        let found = self.read(|connection| {
            bodies(
                connection,
                "SELECT body FROM runs WHERE sweep = ?1 AND run = ?2",
                &values,
            )
        })?;
        Ok(found.into_iter().next())
    }

    fn environment(&self, sweep: &SweepId, digest: &str) -> Stored<Option<Environment>> {
        let sql = "SELECT body FROM environments WHERE sweep = ?1 AND digest = ?2";
        let found =
            self.read(|connection| bodies(connection, sql, &[text(&sweep.0), text(digest)]))?;
        Ok(found.into_iter().next())
    }

    fn metrics(&self, attempt: &AttemptRef, from: u64, limit: usize) -> Stored<Vec<NumberedPoint>> {
        let sql = "SELECT seq, name, step, wall_ms, value FROM metrics
             WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND seq >= ?4 ORDER BY seq LIMIT ?5";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let key = params![
                attempt.sweep.0,
                int(attempt.run),
                attempt.attempt,
                int(from),
                int(limit as u64)
            ];
            let points = statement.query_map(key, numbered_point)?;
            Ok(points.collect::<Result<_, _>>()?)
        })
    }

    fn curves(&self, attempt: &AttemptRef, name: Option<&str>, limit: usize) -> Stored<Curves> {
        self.read(|connection| curves(connection, attempt, name, limit))
    }

    fn log(&self, attempt: &AttemptRef, offset: u64, limit: usize) -> Stored<LogPart> {
        self.read(|connection| {
            // From the piece in which the wanted bytes begin, up to the first one behind them: that tells a gap from the end.
            let mut statement = connection.prepare_cached(
                "SELECT offset, data FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND offset >= coalesce(
                     (SELECT max(offset) FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND offset <= ?4), 0)
                 ORDER BY offset",
            )?;
            let mut rows = statement.query(params![attempt.sweep.0, int(attempt.run), attempt.attempt, int(offset)])?;
            let mut reader = LogReader::new(offset, limit);
            while let Some(row) = rows.next()? {
                let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                if !reader.takes(count(row.get(0)?), data) {
                    break;
                }
            }
            Ok(reader.part())
        })
    }

    fn log_end(&self, attempt: &AttemptRef) -> Stored<u64> {
        let sql = "SELECT offset + length(data) FROM logs WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 ORDER BY offset DESC LIMIT 1";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let end = statement
                .query_row(
                    params![attempt.sweep.0, int(attempt.run), attempt.attempt],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(count(end.unwrap_or(0)))
        })
    }

    fn agents_shown(&self, sweep: Option<&SweepId>, gone: usize) -> Stored<Vec<AgentRow>> {
        let gone = Sql::Integer(int(gone as u64));
        self.read(|connection| {
            let (mut shown, rest): (Vec<AgentRow>, Vec<AgentRow>) = match sweep {
                Some(sweep) => (
                    bodies(
                        connection,
                        "SELECT body FROM agents WHERE sweep = ?1 AND alive = 1 ORDER BY id",
                        &[text(&sweep.0)],
                    )?,
                    bodies(
                        connection,
                        "SELECT body FROM agents WHERE sweep = ?1 AND alive = 0 LIMIT ?2",
                        &[text(&sweep.0), gone],
                    )?,
                ),
                None => (
                    bodies(
                        connection,
                        "SELECT body FROM agents WHERE alive ORDER BY id",
                        &[],
                    )?,
                    bodies(
                        connection,
                        "SELECT body FROM agents WHERE NOT alive LIMIT ?1",
                        &[gone],
                    )?,
                ),
            };
            shown.extend(rest);
            Ok(shown)
        })
    }

    fn agents(&self, sweep: Option<&SweepId>) -> Stored<Vec<AgentRow>> {
        self.read(|connection| match sweep {
            Some(sweep) => bodies(
                connection,
                "SELECT body FROM agents WHERE sweep = ?1 ORDER BY id",
                &[text(&sweep.0)],
            ),
            None => bodies(connection, "SELECT body FROM agents ORDER BY id", &[]),
        })
    }
}
