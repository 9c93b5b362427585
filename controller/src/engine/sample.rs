//! Compares some rows of the query tables with the state at each start. `sweep controller verify` compares all.

use sweep_lifecycle::state::State;

use super::group::Touched;
use super::projection::{environments_of, project};
use crate::store::{Batch, Store, StoreError};

/// Rows of runs that are compared, and as many of sweeps, agents and environments.
const ROWS: usize = 200;
/// Problems that are named.
const NAMED_MAX: usize = 5;

/// Compares rows with the state, and says what is wrong. The log is the truth: rows that do not fit it end nothing.
///
/// # Errors
/// The database failed.
pub(super) fn check_rows(state: &State, store: &mut dyn Store) -> Result<(), StoreError> {
    let mut touched = Touched {
        sweeps: state.sweeps.keys().take(ROWS).cloned().collect(),
        agents: state.agents.keys().take(ROWS).cloned().collect(),
        ..Touched::default()
    };
    touched.environments = state
        .sweeps
        .iter()
        .flat_map(environments_of)
        .take(ROWS)
        .collect();
    let runs: usize = state
        .sweeps
        .values()
        .map(|sweep| sweep.runs.numbers().count())
        .sum();
    // Others at the next start: the log has grown by then.
    let step = (runs / ROWS).max(1);
    let all = state
        .sweeps
        .iter()
        .flat_map(|(id, sweep)| sweep.runs.numbers().map(move |run| (id, run)));
    touched.runs = all
        .skip(first(step))
        .step_by(step)
        .map(|(id, run)| (id.clone(), run))
        .collect();
    let mut rows = Batch::default();
    project(&mut rows, &touched, state);
    complain(&store.differing(&rows)?);
    Ok(())
}

/// Draws which of `step` runs is the first one; without random numbers the first.
fn first(step: usize) -> usize {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_or(0, |()| usize::from_le_bytes(bytes) % step)
}

/// Says which rows are damaged, and what to do.
pub(crate) fn complain(problems: &[String]) {
    for problem in problems.iter().take(NAMED_MAX) {
        tracing::error!(
            problem,
            "the database is damaged beside its log: stop the controller, and `sweep controller verify` says how far"
        );
    }
    if problems.len() > NAMED_MAX {
        tracing::error!("and {} more", problems.len() - NAMED_MAX);
    }
    if !problems.is_empty() {
        tracing::error!(
            "rows of tables are made from the log again by `sweep controller rebuild`; output of runs is in their folders and in backups"
        );
    }
}
