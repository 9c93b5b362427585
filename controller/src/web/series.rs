//! The course of metrics and the output of runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{AttemptRef, SweepId};

use crate::store::{Query, RunRow, StoreError};

/// More curves than these are no picture any more.
const CURVES_MAX: usize = 200;
/// Points of a curve that are sent; of more, evenly chosen ones and the last.
const POINTS_MAX: usize = 1_000;
/// Points that are read of one attempt.
const READ_MAX: usize = 200_000;
const LOG_BYTES_MAX: usize = 1 << 20;

/// Which curves are wanted.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Numbers of runs, separated by commas.
    #[serde(default)]
    runs: String,
    /// Which metric; absent: the objective.
    #[serde(default)]
    metric: String,
}

/// Which attempt is meant; absent: the newest.
#[derive(Deserialize)]
pub(super) struct Attempt {
    attempt: Option<u32>,
}

/// Which part of the output is wanted.
#[derive(Deserialize)]
pub(super) struct LogAsked {
    attempt: Option<u32>,
    /// From this byte on; negative: so many bytes before the end.
    #[serde(default)]
    offset: i64,
}

/// One metric of one attempt.
#[derive(Default, Serialize)]
pub(super) struct Curve {
    run: u64,
    /// The step, or where the program gives none the number of the value.
    steps: Vec<f64>,
    /// Milliseconds since 1970.
    walls: Vec<i64>,
    /// `null`: no number.
    values: Vec<f64>,
}

/// Returns one curve for each run that was asked for and has any values.
pub(super) fn curves(query: &dyn Query, sweep: &SweepId, asked: &Asked) -> Result<Option<Vec<Curve>>, StoreError> {
    let Some((row, _)) = query.sweep(sweep)? else { return Ok(None) };
    let metric = if asked.metric.is_empty() { &row.metric } else { &asked.metric };
    let numbers = asked.runs.split(',').filter_map(|number| number.trim().parse().ok()).take(CURVES_MAX);
    let mut curves = Vec::new();
    for number in numbers {
        let Some(run) = query.run(sweep, number)? else { continue };
        let Some(attempt) = attempt(&run, None) else { continue };
        let mut found = all(query, &attempt)?;
        if let Some(curve) = found.remove(metric) {
            curves.push(Curve { run: number, ..thinned(curve) });
        }
    }
    Ok(Some(curves))
}

/// Returns every metric of an attempt by its name.
pub(super) fn of_run(query: &dyn Query, sweep: &SweepId, run: u64, asked: &Attempt) -> Result<Option<BTreeMap<String, Curve>>, StoreError> {
    let Some(row) = query.run(sweep, run)? else { return Ok(None) };
    let Some(attempt) = attempt(&row, asked.attempt) else { return Ok(Some(BTreeMap::new())) };
    let named = |(name, curve): (String, Curve)| (name, Curve { run, ..thinned(curve) });
    Ok(Some(all(query, &attempt)?.into_iter().map(named).collect()))
}

/// Returns a part of the output of an attempt.
pub(super) fn log(query: &dyn Query, sweep: &SweepId, run: u64, asked: &LogAsked) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(row) = query.run(sweep, run)? else { return Ok(None) };
    let Some(attempt) = attempt(&row, asked.attempt) else { return Ok(Some(Vec::new())) };
    match u64::try_from(asked.offset) {
        Ok(offset) => query.log(&attempt, offset, LOG_BYTES_MAX).map(Some),
        Err(_) => tail(query, &attempt, asked.offset.unsigned_abs().try_into().unwrap_or(usize::MAX)).map(Some),
    }
}

/// Returns the last bytes of the output of an attempt.
pub(super) fn tail(query: &dyn Query, attempt: &AttemptRef, bytes: usize) -> Result<Vec<u8>, StoreError> {
    let (mut end, mut kept) = (0, Vec::new());
    loop {
        let piece = query.log(attempt, end, LOG_BYTES_MAX)?;
        end += piece.len() as u64;
        let last = piece.len() < LOG_BYTES_MAX;
        kept.extend(piece);
        kept.drain(..kept.len().saturating_sub(bytes.min(LOG_BYTES_MAX)));
        if last {
            return Ok(kept);
        }
    }
}

/// Names an attempt of a run: the given one, or the newest.
pub(super) fn attempt(row: &RunRow, number: Option<u32>) -> Option<AttemptRef> {
    let found = match number {
        Some(number) => row.attempts.iter().find(|attempt| attempt.attempt == number),
        None => row.attempts.last(),
    };
    found.map(|found| AttemptRef { sweep: SweepId(row.sweep.clone()), run: row.run, attempt: found.attempt })
}

fn all(query: &dyn Query, attempt: &AttemptRef) -> Result<BTreeMap<String, Curve>, StoreError> {
    let mut curves: BTreeMap<String, Curve> = BTreeMap::new();
    for (_, MetricPoint { name, step, wall, value }) in query.metrics(attempt, 0, READ_MAX)? {
        let curve = curves.entry(name).or_default();
        curve.steps.push(step.map_or(curve.values.len() as f64, |step| step as f64));
        curve.walls.push(wall.0);
        curve.values.push(value);
    }
    Ok(curves)
}

fn thinned(curve: Curve) -> Curve {
    let count = curve.values.len();
    if count <= POINTS_MAX {
        return curve;
    }
    let places: Vec<usize> = (0..POINTS_MAX).map(|index| index * (count - 1) / (POINTS_MAX - 1)).collect();
    Curve {
        run: curve.run,
        steps: places.iter().map(|place| curve.steps[*place]).collect(),
        walls: places.iter().map(|place| curve.walls[*place]).collect(),
        values: places.iter().map(|place| curve.values[*place]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_ends() {
        let long = Curve {
            run: 1,
            steps: (0..5_000).map(f64::from).collect(),
            walls: vec![0; 5_000],
            values: (0..5_000).map(f64::from).collect(),
        };
        let short = thinned(long);
        assert_eq!((short.values.len(), short.values[0], short.values[POINTS_MAX - 1]), (POINTS_MAX, 0.0, 4_999.0));
    }
}
