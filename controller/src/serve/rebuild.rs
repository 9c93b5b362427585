//! Makes the query tables from the event log again.

use std::path::Path;

use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::state::State;

use super::ServeError;
use super::data_dir::DataDir;
use super::keeping::existing;
use crate::engine::{metric_rows, rows};
use crate::store::{RebuiltTable, SqliteStore, Store};

/// The outcome of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Events in the log.
    pub events: u64,
    /// The query tables.
    pub tables: Vec<RebuiltTable>,
}

/// Replaces the rows of all query tables with those that follow from the event log, in one transaction. No controller may hold the data directory.
///
/// # Errors
/// There is no database, a controller holds the directory, the log is damaged, or the disk is full. Then nothing has changed.
pub fn rebuild(data_dir: &Path) -> Result<Rebuilt, ServeError> {
    let database = existing(data_dir)?;
    let _held = DataDir::hold(data_dir)?;
    let mut store = SqliteStore::open(&database)?;
    let (mut state, mut events) = (State::default(), 0);
    store.replay(0, &mut |recorded| {
        events += 1;
        evolve(&mut state, &recorded);
    })?;
    let tables = store.rebuild(&rows(&state), &|event| metric_rows(event).collect())?;
    Ok(Rebuilt { events, tables })
}
