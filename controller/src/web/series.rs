//! The history of metrics and the output of runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{AttemptRef, SweepId};

use crate::store::{CurvePoints, Query, RunRow, StoreError};

/// More curves than these are no picture any more.
const CURVES_MAX: usize = 200;
/// Points of a curve that are sent; of more, evenly spaced ones with the first and the last.
const POINTS_MAX: usize = 1_000;
const LOG_BYTES_MAX: usize = 1 << 20;

/// Which curves are wanted.
#[derive(Deserialize)]
pub(super) struct CurvesQuery {
    /// Numbers of runs, separated by commas.
    #[serde(default)]
    runs: String,
    /// Which metric; absent: the objective.
    #[serde(default)]
    metric: String,
}

/// Which attempt is meant; absent: the newest.
#[derive(Deserialize)]
pub(super) struct AttemptQuery {
    attempt: Option<u32>,
}

/// Which part of the output is wanted.
#[derive(Deserialize)]
pub(super) struct LogAsked {
    attempt: Option<u32>,
    /// From this byte on; negative: counted from the end.
    #[serde(default)]
    offset: i64,
}

/// One metric of one attempt.
#[derive(Default, Serialize)]
pub(super) struct MetricCurve {
    run: u64,
    /// The step, or where the program gives none the number of the value.
    steps: Vec<f64>,
    /// Milliseconds since 1970.
    walls: Vec<i64>,
    /// `null`: no number.
    values: Vec<f64>,
    /// How many points there are.
    count: u64,
}

/// Returns one curve for each run that was asked for and has any values.
pub(super) fn curves(
    query: &dyn Query,
    sweep: &SweepId,
    asked: &CurvesQuery,
) -> Result<Option<Vec<MetricCurve>>, StoreError> {
    let Some((row, _)) = query.sweep(sweep)? else {
        return Ok(None);
    };
    let metric = if asked.metric.is_empty() {
        &row.metric
    } else {
        &asked.metric
    };
    let numbers = asked
        .runs
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .take(CURVES_MAX);
    let mut curves = Vec::new();
    for number in numbers {
        let Some(run) = query.run(sweep, number)? else {
            continue;
        };
        let Some(attempt) = attempt(&run, None) else {
            continue;
        };
        let found = query.curves(&attempt, Some(metric), POINTS_MAX)?;
        curves.extend(found.into_values().map(|points| curve(number, points)));
    }
    Ok(Some(curves))
}

/// Returns every metric of an attempt by its name.
pub(super) fn of_run(
    query: &dyn Query,
    sweep: &SweepId,
    run: u64,
    asked: &AttemptQuery,
) -> Result<Option<BTreeMap<String, MetricCurve>>, StoreError> {
    let Some(row) = query.run(sweep, run)? else {
        return Ok(None);
    };
    let Some(attempt) = attempt(&row, asked.attempt) else {
        return Ok(Some(BTreeMap::new()));
    };
    let named = |(name, points): (String, CurvePoints)| (name, curve(run, points));
    Ok(Some(
        query
            .curves(&attempt, None, POINTS_MAX)?
            .into_iter()
            .map(named)
            .collect(),
    ))
}

/// Returns a part of the output of an attempt.
pub(super) fn log(
    query: &dyn Query,
    sweep: &SweepId,
    run: u64,
    asked: &LogAsked,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(row) = query.run(sweep, run)? else {
        return Ok(None);
    };
    let Some(attempt) = attempt(&row, asked.attempt) else {
        return Ok(Some(Vec::new()));
    };
    match u64::try_from(asked.offset) {
        Ok(offset) => query
            .log(&attempt, offset, LOG_BYTES_MAX)
            .map(|part| Some(part.data)),
        Err(_) => tail(
            query,
            &attempt,
            asked.offset.unsigned_abs().try_into().unwrap_or(usize::MAX),
        )
        .map(Some),
    }
}

/// Returns the last bytes of the output of an attempt.
pub(super) fn tail(
    query: &dyn Query,
    attempt: &AttemptRef,
    bytes: usize,
) -> Result<Vec<u8>, StoreError> {
    let bytes = bytes.min(LOG_BYTES_MAX);
    let end = query.log_end(attempt)?;
    Ok(query
        .log(attempt, end.saturating_sub(bytes as u64), bytes)?
        .data)
}

/// Names an attempt of a run: the given one, or the newest.
pub(super) fn attempt(row: &RunRow, number: Option<u32>) -> Option<AttemptRef> {
    let found = match number {
        Some(number) => row
            .attempts
            .iter()
            .find(|attempt| attempt.attempt == number),
        None => row.attempts.last(),
    };
    found.map(|found| AttemptRef {
        sweep: SweepId(row.sweep.clone()),
        run: row.run,
        attempt: found.attempt,
    })
}

fn curve(run: u64, found: CurvePoints) -> MetricCurve {
    let mut curve = MetricCurve {
        run,
        count: found.count,
        ..MetricCurve::default()
    };
    for (
        index,
        MetricPoint {
            step, wall, value, ..
        },
    ) in found.points
    {
        curve
            .steps
            .push(step.map_or(index as f64, |step| step as f64));
        curve.walls.push(wall.0);
        curve.values.push(value);
    }
    curve
}
