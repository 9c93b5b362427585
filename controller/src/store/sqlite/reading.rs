//! Statements that several questions share.

use std::collections::BTreeMap;

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IntoDeserializer};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{AttemptRef, RunState, Timestamp};
use sweep_search::observation::Goal;

use super::values::{count, int};
use crate::store::counts::by_rank;
use crate::store::thin::Thinned;
use crate::store::{CurvePoints, DiskUsage, StoreError, SweepBytes, SweepCounts, SweepRow};

/// About as much of the disk takes a metric point.
const POINT_BYTES: u64 = 48;

pub(super) fn text(text: &str) -> Sql {
    Sql::Text(text.to_owned())
}

pub(super) fn bodies<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    values: &[Sql],
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        found.push(parsed(&body)?);
    }
    Ok(found)
}

/// Reads the column `state` of a run.
pub(super) fn state_of(column: ValueRef<'_>) -> Result<RunState, StoreError> {
    let state = column.as_str().map_err(rusqlite::Error::from)?;
    let known = RunState::deserialize(state.into_deserializer());
    known.map_err(|error: serde::de::value::Error| {
        StoreError::Failed(format!("the state of a run: {error}"))
    })
}

pub(super) fn parsed<T: DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Failed(format!("a row of a query table: {error}")))
}

pub(super) fn counts(connection: &Connection, sweep: &SweepRow) -> Result<SweepCounts, StoreError> {
    let mut counts = SweepCounts::default();
    let mut statement = connection.prepare_cached(
        "SELECT state, sum(runs) FROM run_counts WHERE sweep = ?1 GROUP BY state",
    )?;
    let mut rows = statement.query([&sweep.id])?;
    while let Some(row) = rows.next()? {
        counts.add(state_of(row.get_ref(0)?)?, count(row.get(1)?));
    }
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM agents WHERE sweep = ?1 AND alive")?;
    counts.agents = count(statement.query_row([&sweep.id], |row| row.get(0))?);
    counts.best = best(connection, sweep, 1)?.pop();
    Ok(counts)
}

/// Returns the best runs with the value of each, the best first; the lower number comes first in a tie.
pub(super) fn best(
    connection: &Connection,
    sweep: &SweepRow,
    limit: usize,
) -> Result<Vec<(u64, f64)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT code FROM run_counts WHERE sweep = ?1")?;
    let codes = statement
        .query_map([&sweep.id], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for code in &codes {
        found.extend(best_of(connection, sweep, code, limit)?);
    }
    found.sort_by(|one, other| by_rank(sweep.goal, *one, *other));
    found.truncate(limit);
    Ok(found)
}

/// As [`best`], of the runs of one version of the code.
pub(super) fn best_of(
    connection: &Connection,
    sweep: &SweepRow,
    code: &str,
    limit: usize,
) -> Result<Vec<(u64, f64)>, StoreError> {
    let order = match sweep.goal {
        Goal::Minimize => "ASC",
        Goal::Maximize => "DESC",
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT value, run FROM runs INDEXED BY runs_ranked WHERE sweep = ?1 AND code = ?2 AND value IS NOT NULL
         ORDER BY value {order}, run LIMIT ?3"
    ))?;
    let found = statement.query_map(params![sweep.id, code, int(limit as u64)], |row| {
        Ok((count(row.get(1)?), row.get(0)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Reads the points of each metric once, keeps the places of evenly spaced ones, and then reads those.
pub(super) fn curves(
    connection: &Connection,
    attempt: &AttemptRef,
    name: Option<&str>,
    limit: usize,
) -> Result<BTreeMap<String, CurvePoints>, StoreError> {
    let key = params![attempt.sweep.0, int(attempt.run), attempt.attempt];
    let mut statement = connection.prepare_cached(
        "SELECT seq, name FROM metrics WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 ORDER BY seq",
    )?;
    let mut rows = statement.query(key)?;
    let mut thinned: Vec<(String, Thinned<u64>)> = Vec::new();
    let mut next = 0;
    while let Some(row) = rows.next()? {
        let found = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        if name.is_some_and(|name| name != found) {
            continue;
        }
        // Programs report their metrics in the same order at each step.
        if thinned.get(next).is_none_or(|(known, _)| known != found) {
            next = match thinned.iter().position(|(known, _)| known == found) {
                Some(place) => place,
                None => {
                    thinned.push((found.to_owned(), Thinned::new(limit)));
                    thinned.len() - 1
                }
            };
        }
        thinned[next].1.push(count(row.get(0)?));
        next = (next + 1) % thinned.len();
    }
    let sql = "SELECT seq, name, step, wall_ms, value FROM metrics WHERE sweep = ?1 AND run = ?2 AND attempt = ?3 AND seq = ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let mut curves = BTreeMap::new();
    for (name, thinned) in thinned {
        let (total, places) = thinned.finish();
        let mut points = Vec::with_capacity(places.len());
        for (index, seq) in places {
            let point = statement.query_row(
                params![attempt.sweep.0, int(attempt.run), attempt.attempt, int(seq)],
                numbered_point,
            )?;
            points.push((index, point.1));
        }
        curves.insert(
            name,
            CurvePoints {
                count: total,
                points,
            },
        );
    }
    Ok(curves)
}

pub(super) fn numbered_point(row: &Row<'_>) -> rusqlite::Result<(u64, MetricPoint)> {
    // SQLite has no NaN: it writes one as NULL.
    let value: Option<f64> = row.get(4)?;
    let point = MetricPoint {
        name: row.get(1)?,
        step: row.get(2)?,
        wall: Timestamp(row.get(3)?),
        value: value.unwrap_or(f64::NAN),
    };
    Ok((count(row.get(0)?), point))
}

/// Returns the disk usage of each sweep. Reads all data.
pub(super) fn disk_usage(connection: &Connection) -> Result<DiskUsage, StoreError> {
    let mut usage = DiskUsage::default();
    let mut sum = |sql: &str, put: fn(&mut SweepBytes, u64)| -> Result<(), StoreError> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            put(
                usage.sweeps.entry(row.get(0)?).or_default(),
                count(row.get(1)?),
            );
        }
        Ok(())
    };
    sum(
        "SELECT sweep, sum(octet_length(body)) FROM events GROUP BY sweep",
        |bytes, sum| bytes.events = sum,
    )?;
    sum(
        "SELECT sweep, count(*) FROM metrics GROUP BY sweep",
        |bytes, points| bytes.curves = points * POINT_BYTES,
    )?;
    sum(
        "SELECT sweep, sum(octet_length(data)) FROM logs GROUP BY sweep",
        |bytes, sum| bytes.output = sum,
    )?;
    sum(
        "SELECT sweep, sum(octet_length(body)) FROM runs GROUP BY sweep",
        |bytes, sum| bytes.rows = sum,
    )?;
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map(count)
    };
    usage.free = pragma("freelist_count")? * pragma("page_size")?;
    usage.is_purging =
        connection.query_row("SELECT EXISTS (SELECT 1 FROM purges)", [], |row| row.get(0))?;
    Ok(usage)
}
