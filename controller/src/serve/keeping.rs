//! What a person does with the data of a controller: copy it, put a copy in place, check it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sweep_code::{CodeError, Store};
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::invariants::broken;
use sweep_lifecycle::state::image::same;
use sweep_lifecycle::state::{AttemptRef, Environment, State, Timestamp};

use super::assembly::{CODE, DATABASE};
use super::data_dir::DataDir;
use super::{ServeError, data_dir, now_ms};
use crate::engine::{draw_controller_id, from_image, record_restore, rows};
use crate::store::{AgentRow, RunRow, SqliteSnapshot, SqliteStore, StoreError, SweepRow, copy, look};
use crate::token;

/// Differences that are named; of more, the number.
const DIFFERENCES_MAX: usize = 100;

/// What a check has found.
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
    /// What is wrong, in words; empty: nothing.
    pub problems: Vec<String>,
    /// Rows of query tables are among what is wrong, and the log is whole: [`rebuild`](super::rebuild) makes them from it again.
    pub can_rebuild: bool,
}

/// Copies the database of a data directory into a file while a controller may be using it, and the code of versions into one beside it, which is
/// returned where there is any.
///
/// # Errors
/// There is no database, one of the files exists, or something cannot be read or written.
pub fn back_up(data_dir: &Path, file: &Path) -> Result<Option<PathBuf>, ServeError> {
    let database = existing(data_dir)?;
    let beside = code_beside(file);
    if let Some(path) = [file, &beside].into_iter().find(|path| path.exists()) {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "it exists, and a backup replaces nothing; give another name");
        return Err(ServeError::File { path: path.to_owned(), source });
    }
    copy(&database, file).map_err(|error| about(file, error))?;
    restrict(file)?;
    // After the database: what that names is there before it is named.
    let code = data_dir.join(CODE);
    if !code.exists() {
        return Ok(None);
    }
    let written = Store::open(&code).and_then(|store| store.back_up(&beside));
    if !written.map_err(|error| about_code(&beside, &error))? {
        return Ok(None);
    }
    restrict(&beside)?;
    Ok(Some(beside))
}

/// Takes the rights of other users on a backup.
fn restrict(file: &Path) -> Result<(), ServeError> {
    let restricted = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
    restricted.map_err(|source| ServeError::File { path: file.to_owned(), source })
}

/// Where the code of a backup is.
fn code_beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".code");
    name.into()
}

fn about_code(file: &Path, error: &CodeError) -> ServeError {
    ServeError::File { path: file.to_owned(), source: io::Error::other(error.to_string()) }
}

/// Puts a copy into a data directory that has no database yet, and the code that lies beside it, if any does.
///
/// # Errors
/// The file is no database that this version can read, the directory has one or is in use, or it cannot be written.
pub fn restore(file: &Path, data_dir: &Path) -> Result<(), ServeError> {
    let trouble = |path: &Path, source| ServeError::File { path: path.to_owned(), source };
    File::open(file).map_err(|source| trouble(file, source))?;
    look(file).map_err(|error| about(file, error))?;
    let held = DataDir::hold(data_dir)?;
    let database = held.path().join(DATABASE);
    if database.exists() {
        let source =
            io::Error::new(io::ErrorKind::AlreadyExists, "there is a database already; restore into another --data-dir, or move it away");
        return Err(trouble(&database, source));
    }
    let beside = code_beside(file);
    if beside.exists() {
        let restored = Store::open(&held.path().join(CODE)).and_then(|store| store.restore(&beside));
        restored.map_err(|error| about_code(&beside, &error))?;
    }
    let new = database.with_extension("new");
    fs::copy(file, &new).map_err(|source| trouble(&new, source))?;
    // Agents that live may hold what the copy does not: they are asked to register again.
    let restored = SqliteStore::open(&new).and_then(|mut store| record_restore(&mut store, draw_controller_id()?, now()));
    restored.map_err(|error| {
        // Nothing of a backup that cannot be used is left in the directory.
        let _ = fs::remove_file(&new);
        about(file, error)
    })?;
    File::open(&new).and_then(|copied| copied.sync_all()).map_err(|source| trouble(&new, source))?;
    fs::rename(&new, &database).map_err(|source| trouble(&database, source))
}

/// Makes a new token for a data directory that no controller holds, and returns it: shown once, since only its hash is kept in the database.
///
/// # Errors
/// There is no database, a controller holds the directory, or something cannot be read or written.
pub fn rotate_token(data_dir: &Path) -> Result<String, ServeError> {
    let database = existing(data_dir)?;
    let held = DataDir::hold(data_dir)?;
    // The store knows whether this version may write to the database at all.
    drop(SqliteStore::open(&database).map_err(|error| about(&database, error))?);
    Ok(token::rotate(held.path(), &database)?.reveal().to_owned())
}

/// Reads the whole log, and compares what follows from it with everything else in the database. A controller may be using it.
///
/// # Errors
/// There is no database, or it cannot be read at all. What is wrong with one that can be read is in the result.
pub fn verify(data_dir: &Path) -> Result<Verified, ServeError> {
    let database = existing(data_dir)?;
    let is_held = data_dir::is_held(data_dir);
    let snapshot = SqliteSnapshot::open(&database)?;
    let mut found = Verified { problems: snapshot.damage()?, ..Verified::default() };
    let mut state = State::default();
    let read = snapshot.events(0, &mut |recorded| {
        found.events += 1;
        evolve(&mut state, &recorded);
    });
    if let Err(error) = read {
        found.problems.push(error.to_string());
        return Ok(found);
    }
    found.problems.extend(broken(&state));
    found.problems.extend(check_image(&snapshot, &state)?);
    let before_rows = found.problems.len();
    let expected = rows(&state);
    let sweeps = |rows: Vec<SweepRow>| -> BTreeMap<String, SweepRow> {
        // When something last happened to it is written with the next change that people see.
        rows.into_iter().map(|row| (format!("sweep {}", row.id), SweepRow { updated_ms: 0, ..row })).collect()
    };
    found.sweeps = expected.sweeps.len();
    let stored = readable(&mut found.problems, snapshot.sweeps());
    compare(&mut found.problems, &sweeps(expected.sweeps), &sweeps(stored));
    // The row of a run that reports may lag behind by a second.
    let runs = |rows: Vec<RunRow>| -> BTreeMap<String, RunRow> {
        let settled = |row: &RunRow| !is_held || row.ended_ms > 0;
        rows.into_iter().filter(settled).map(|row| (format!("run {}/{}", row.sweep, row.run), row)).collect()
    };
    found.runs = expected.runs.len();
    let mut by_sweep: BTreeMap<String, Vec<RunRow>> = BTreeMap::new();
    for row in expected.runs {
        by_sweep.entry(row.sweep.clone()).or_default().push(row);
    }
    for (id, sweep) in &state.sweeps {
        let expected = by_sweep.remove(&id.0).unwrap_or_default();
        let stored = readable(&mut found.problems, snapshot.runs(id));
        compare(&mut found.problems, &runs(expected), &runs(stored));
        let environments = |rows: Vec<Environment>| -> BTreeMap<String, Environment> {
            rows.into_iter().map(|row| (format!("environment {id}/{}", row.digest), row)).collect()
        };
        let stored = readable(&mut found.problems, snapshot.environments(id));
        compare(&mut found.problems, &environments(sweep.environments.clone()), &environments(stored));
    }
    let agents =
        |rows: Vec<AgentRow>| -> BTreeMap<String, AgentRow> { rows.into_iter().map(|row| (format!("agent {}", row.id), row)).collect() };
    found.agents = expected.agents.len();
    let stored = readable(&mut found.problems, snapshot.agents());
    compare(&mut found.problems, &agents(expected.agents), &agents(stored));
    check_points(&mut found, &state, &snapshot)?;
    found.can_rebuild = found.problems.len() > before_rows;
    let count = found.problems.len();
    if count > DIFFERENCES_MAX {
        found.problems.truncate(DIFFERENCES_MAX);
        found.problems.push(format!("and {} more", count - DIFFERENCES_MAX));
    }
    Ok(found)
}

/// Returns what is wrong with the image of the state, if anything: with what came after it, it has to give the very same.
fn check_image(snapshot: &SqliteSnapshot, state: &State) -> Result<Option<String>, ServeError> {
    let trouble = |reason: &str| Some(format!("the image of the state, from which the controller starts: {reason}"));
    let head = match snapshot.image_head() {
        Ok(Some(head)) => head,
        Ok(None) => return Ok(None),
        Err(error) => return Ok(trouble(&error.to_string())),
    };
    let (mut imaged, after) = match from_image(&head, |each| snapshot.image_blocks(each)) {
        Ok(Some(imaged)) => imaged,
        // Nobody starts from it.
        Ok(None) => return Ok(None),
        Err(reason) => return Ok(trouble(&reason)),
    };
    snapshot.events(after, &mut |recorded| evolve(&mut imaged, &recorded))?;
    Ok(match same(&imaged, state) {
        Ok(true) => None,
        Ok(false) => trouble("it does not say what the log says"),
        Err(error) => trouble(&error.to_string()),
    })
}

fn check_points(found: &mut Verified, state: &State, snapshot: &SqliteSnapshot) -> Result<(), ServeError> {
    let mut stored = snapshot.points()?;
    for (id, sweep) in &state.sweeps {
        for (number, run) in sweep.runs.iter() {
            for (attempt, index) in run.attempts.iter().zip(1..) {
                let name = AttemptRef { sweep: id.clone(), run: number, attempt: index };
                let has = stored.remove(&name).unwrap_or_default();
                found.points += has;
                if has != attempt.points {
                    let reported = attempt.points;
                    found
                        .problems
                        .push(format!("run {id}/{number} attempt {index}: {reported} metric points were reported, {has} are there"));
                }
            }
        }
    }
    let strays = stored
        .keys()
        .map(|name| format!("run {}/{} attempt {}: metric points of an attempt that there never was", name.sweep, name.run, name.attempt));
    found.problems.extend(strays);
    Ok(())
}

/// Returns the rows of a table; of one that cannot be read, none, and names the problem.
fn readable<T>(problems: &mut Vec<String>, rows: Result<Vec<T>, StoreError>) -> Vec<T> {
    rows.unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    })
}

fn compare<T: PartialEq>(problems: &mut Vec<String>, expected: &BTreeMap<String, T>, stored: &BTreeMap<String, T>) {
    for (name, row) in expected {
        match stored.get(name) {
            Some(known) if known == row => {}
            Some(_) => problems.push(format!("{name}: its row does not say what the log says")),
            None => problems.push(format!("{name}: its row is missing")),
        }
    }
    problems.extend(
        stored.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name}: a row, and nothing of it in the log")),
    );
}

/// Which file it is, where the store does not say.
fn about(file: &Path, error: StoreError) -> ServeError {
    match error {
        StoreError::Failed(reason) => ServeError::File { path: file.to_owned(), source: io::Error::other(reason) },
        other => other.into(),
    }
}

fn now() -> Timestamp {
    Timestamp(now_ms())
}

/// Returns where the database of a data directory is.
pub(super) fn existing(data_dir: &Path) -> Result<PathBuf, ServeError> {
    let database = data_dir.join(DATABASE);
    match fs::metadata(&database) {
        Ok(_) => Ok(database),
        Err(source) => Err(ServeError::File { path: database, source }),
    }
}
