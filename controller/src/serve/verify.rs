//! Checks all data of a controller: each value in each table is compared with the log, or with a checksum where it does not follow from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::invariants::broken;
use sweep_lifecycle::state::image::same;
use sweep_lifecycle::state::{AttemptRef, Environment, State};

use super::ServeError;
use super::keeping::existing;
use crate::engine::{from_image, metric_rows, rows};
use crate::store::{
    AgentRow, Batch, PointsDigest, RunRow, SqliteSnapshot, StoreError, SweepRow, without_lag,
};

/// Differences that are named; of more, the number.
const DIFFERENCES_MAX: usize = 100;
/// Rows whose columns are compared at once.
const ROWS_AT_ONCE: usize = 1000;

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Events in the log, each of which fits its checksum.
    pub events: u64,
    /// Sweeps, runs, agents and metric points.
    pub sweeps: usize,
    /// See [`Verified::sweeps`].
    pub runs: usize,
    /// See [`Verified::sweeps`].
    pub agents: usize,
    /// See [`Verified::sweeps`].
    pub points: u64,
    /// The problems, in words; empty: none.
    pub problems: Vec<String>,
    /// Rows of query tables are among what is wrong, and the log is whole: [`rebuild`](super::rebuild) makes them from it again.
    pub can_rebuild: bool,
}

/// The digest of the metric points of each attempt.
type Points = BTreeMap<AttemptRef, PointsDigest>;

/// Reads the whole log, and compares what follows from it with everything else in the database. A controller may be using it.
///
/// # Errors
/// There is no database, or it cannot be read at all. What is wrong with one that can be read is in the result.
pub fn verify(data_dir: &Path) -> Result<Verified, ServeError> {
    let database = existing(data_dir)?;
    let snapshot = SqliteSnapshot::open(&database)?;
    let mut found = Verified::default();
    let damage = readable(&mut found.problems, snapshot.damage());
    found.problems.extend(damage);
    let (mut state, mut reported) = (State::default(), Points::new());
    let read = snapshot.events(0, &mut |recorded| {
        found.events += 1;
        for (attempt, number, point) in metric_rows(&recorded.event) {
            reported.entry(attempt).or_default().add(number, &point);
        }
        evolve(&mut state, &recorded);
    });
    if let Err(error) = read {
        found.problems.push(error.to_string());
        return Ok(found);
    }
    found.problems.extend(broken(&state));
    found.problems.extend(check_image(&snapshot, &state));
    let damaged = readable(&mut found.problems, snapshot.damaged_rows());
    found.problems.extend(damaged);
    let before_rows = found.problems.len();
    let mut expected = rows(&state);
    found.runs = expected.runs.len();
    let stale = readable(&mut found.problems, snapshot.stale_rows());
    let is_stale = |row: &RunRow| stale.iter().any(|stale| stale.has(&row.sweep, row.run));
    expected.runs.retain(|row| !is_stale(row));
    check_columns(&mut found.problems, &snapshot, &expected);
    check_rows(&mut found, &snapshot, &state, expected, &is_stale);
    check_points(&mut found, &state, reported, &snapshot);
    let differing = readable(&mut found.problems, snapshot.differing_counts());
    found.problems.extend(
        differing
            .iter()
            .map(|sweep| format!("sweep {sweep}: its counts of runs are not those of its rows")),
    );
    found.can_rebuild = found.problems.len() > before_rows;
    let mut named = BTreeSet::new();
    found
        .problems
        .retain(|problem| named.insert(problem.clone()));
    let count = found.problems.len();
    if count > DIFFERENCES_MAX {
        found.problems.truncate(DIFFERENCES_MAX);
        found
            .problems
            .push(format!("and {} more", count - DIFFERENCES_MAX));
    }
    Ok(found)
}

/// Compares the bodies of all rows.
fn check_rows(
    found: &mut Verified,
    snapshot: &SqliteSnapshot,
    state: &State,
    expected: Batch,
    is_stale: &dyn Fn(&RunRow) -> bool,
) {
    let sweeps = |rows: Vec<SweepRow>| -> BTreeMap<String, SweepRow> {
        // When something last happened to it is written with the next change that people see.
        rows.into_iter()
            .map(|row| {
                (
                    format!("sweep {}", row.id),
                    SweepRow {
                        updated_ms: 0,
                        ..row
                    },
                )
            })
            .collect()
    };
    found.sweeps = expected.sweeps.len();
    let stored = readable(&mut found.problems, snapshot.sweeps());
    compare(
        &mut found.problems,
        &sweeps(expected.sweeps),
        &sweeps(stored),
    );
    let runs = |rows: Vec<RunRow>| -> BTreeMap<String, RunRow> {
        let settled = rows.into_iter().filter(|row| !is_stale(row));
        settled
            .map(|row| (format!("run {}/{}", row.sweep, row.run), without_lag(row)))
            .collect()
    };
    let mut by_sweep: BTreeMap<String, Vec<RunRow>> = BTreeMap::new();
    for row in expected.runs {
        by_sweep.entry(row.sweep.clone()).or_default().push(row);
    }
    for (id, sweep) in &state.sweeps {
        let stored = readable(&mut found.problems, snapshot.runs(id));
        compare(
            &mut found.problems,
            &runs(by_sweep.remove(&id.0).unwrap_or_default()),
            &runs(stored),
        );
        let environments = |rows: Vec<Environment>| -> BTreeMap<String, Environment> {
            rows.into_iter()
                .map(|row| (format!("environment {id}/{}", row.digest), row))
                .collect()
        };
        let stored = readable(&mut found.problems, snapshot.environments(id));
        compare(
            &mut found.problems,
            &environments(sweep.environments.clone()),
            &environments(stored),
        );
    }
    let agents = |rows: Vec<AgentRow>| -> BTreeMap<String, AgentRow> {
        rows.into_iter()
            .map(|row| (format!("agent {}", row.id), row))
            .collect()
    };
    found.agents = expected.agents.len();
    let stored = readable(&mut found.problems, snapshot.agents());
    compare(
        &mut found.problems,
        &agents(expected.agents),
        &agents(stored),
    );
}

/// Compares the columns beside the bodies: queries choose and order rows by them.
fn check_columns(problems: &mut Vec<String>, snapshot: &SqliteSnapshot, expected: &Batch) {
    let others = Batch {
        sweeps: expected.sweeps.clone(),
        agents: expected.agents.clone(),
        environments: expected.environments.clone(),
        ..Batch::default()
    };
    let differing = readable(problems, snapshot.differing_columns(&others));
    problems.extend(differing);
    for runs in expected.runs.chunks(ROWS_AT_ONCE) {
        let differing = readable(
            problems,
            snapshot.differing_columns(&Batch {
                runs: runs.to_vec(),
                ..Batch::default()
            }),
        );
        problems.extend(differing);
    }
}

/// Returns what is wrong with the image of the state, if anything: with what came after it, it has to give the very same.
fn check_image(snapshot: &SqliteSnapshot, state: &State) -> Option<String> {
    let trouble = |reason: &str| {
        Some(format!(
            "the image of the state, from which the controller starts: {reason}"
        ))
    };
    let head = match snapshot.image_head() {
        Ok(Some(head)) => head,
        Ok(None) => return None,
        Err(error) => return trouble(&error.to_string()),
    };
    let (mut imaged, after) = match from_image(&head, |each| snapshot.image_blocks(each)) {
        Ok(Some(imaged)) => imaged,
        // No controller starts from it.
        Ok(None) => return None,
        Err(reason) => return trouble(&reason),
    };
    if let Err(error) = snapshot.events(after, &mut |recorded| evolve(&mut imaged, &recorded)) {
        return trouble(&error.to_string());
    }
    match same(&imaged, state) {
        Ok(true) => None,
        Ok(false) => trouble("it does not say what the log says"),
        Err(error) => trouble(&error.to_string()),
    }
}

/// Compares the points of each attempt with those that were `reported`.
fn check_points(
    found: &mut Verified,
    state: &State,
    mut reported: Points,
    snapshot: &SqliteSnapshot,
) {
    let mut stored = match snapshot.points() {
        Ok(stored) => stored,
        Err(error) => {
            found
                .problems
                .push(format!("the metric points cannot be read: {error}"));
            return;
        }
    };
    for (id, sweep) in &state.sweeps {
        for (number, run) in sweep.runs.iter() {
            for (attempt, index) in run.attempts.iter().zip(1..) {
                let name = AttemptRef {
                    sweep: id.clone(),
                    run: number,
                    attempt: index,
                };
                let has = stored.remove(&name).unwrap_or_default();
                found.points += has.count;
                let should = reported.remove(&name).unwrap_or_default();
                // Deleted points go by and by, and their events after them.
                if has == should || run.pruned || attempt.summarised && has.count == 0 {
                    continue;
                }
                let what = if has.count == should.count {
                    "its metric points are not those that were reported".to_owned()
                } else {
                    format!(
                        "{} metric points were reported, {} are there",
                        should.count, has.count
                    )
                };
                found
                    .problems
                    .push(format!("run {id}/{number} attempt {index}: {what}"));
            }
        }
    }
    let purged = readable(
        &mut found.problems,
        snapshot
            .purged_sweeps()
            .map(|sweeps| sweeps.into_iter().collect()),
    );
    let strays = stored
        .keys()
        .filter(|name| !purged.contains(&name.sweep))
        .map(|name| {
            format!(
                "run {}/{} attempt {}: metric points of an attempt that there never was",
                name.sweep, name.run, name.attempt
            )
        });
    found.problems.extend(strays);
}

/// Returns what was read of a table; of one that cannot be read, nothing, and names the problem.
fn readable<T>(problems: &mut Vec<String>, rows: Result<Vec<T>, StoreError>) -> Vec<T> {
    rows.unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    })
}

fn compare<T: PartialEq>(
    problems: &mut Vec<String>,
    expected: &BTreeMap<String, T>,
    stored: &BTreeMap<String, T>,
) {
    let mut name_it = |name: &str, what: &str| problems.push(format!("{name}: {what}"));
    for (name, row) in expected {
        match stored.get(name) {
            Some(known) if known == row => {}
            Some(_) => name_it(name, "its row does not say what the log says"),
            None => name_it(name, "its row is missing"),
        }
    }
    for name in stored.keys().filter(|name| !expected.contains_key(*name)) {
        name_it(name, "a row, and nothing of it in the log");
    }
}
