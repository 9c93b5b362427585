//! Keeps suggestions ready: takes a snapshot, calls the search on a blocking thread, offers what it found.
//!
//! It looks at the engine for what is needed and takes no other input. Losing it loses nothing: a new one finds the same needs.

use std::collections::BTreeSet;

use sweep_lifecycle::command::Command;
use sweep_lifecycle::state::SweepId;
use sweep_search::suggest::{Request, Suggestions, suggest};
use tokio::task::JoinSet;

use crate::engine::{Computed, Engine, EngineError, Need};

/// Returns how many searches go well at once here: half of the processors, since agents and the controller may share the machine.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2))
}

/// Runs until the engine stops. One computation for a sweep at a time, and at most `threads` at once.
pub async fn run(engine: Engine, threads: usize) {
    // The end of the engine is how this ends.
    let Err(reason) = plan(&engine, threads).await;
    tracing::debug!(%reason, "the planner ends");
}

async fn plan(engine: &Engine, threads: usize) -> Result<std::convert::Infallible, EngineError> {
    let mut hungry = engine.hungry();
    let threads = threads.max(1);
    let mut busy = BTreeSet::new();
    let mut last = SweepId(String::new());
    let mut searches: JoinSet<(SweepId, Result<(), EngineError>)> = JoinSet::new();
    loop {
        hungry.borrow_and_update();
        if busy.len() < threads {
            for need in engine.needs(busy.iter().cloned().collect(), last.clone(), threads - busy.len()).await? {
                last = need.sweep.clone();
                busy.insert(need.sweep.clone());
                searches.spawn(search(engine.clone(), need));
            }
        }
        tokio::select! {
            changed = hungry.changed() => changed.map_err(|_| EngineError::Stopped)?,
            Some(ended) = searches.join_next() => match ended {
                Ok((sweep, outcome)) => {
                    busy.remove(&sweep);
                    outcome.or_else(|error| if error == EngineError::Stopped { Err(error) } else { Ok(()) })?;
                }
                // Which one is not known: better to compute twice than never again. A search that panics is caught in `search`.
                Err(error) => {
                    tracing::error!(%error, "a search was lost");
                    busy.clear();
                }
            },
        }
    }
}

async fn search(engine: Engine, need: Need) -> (SweepId, Result<(), EngineError>) {
    let sweep = need.sweep.clone();
    let (next_index, history, observed) = (need.next_index, need.history, need.observed);
    let found = tokio::task::spawn_blocking(move || suggest_for(&need)).await;
    let Suggestions { suggestions, exhausted } = found.unwrap_or_else(|error| {
        tracing::error!(sweep = sweep.0, %error, "the search has failed; it is tried again when the history has changed");
        Suggestions::default()
    });
    let is_end = exhausted && suggestions.is_empty();
    let computed = Computed { sweep: sweep.clone(), next_index, history, observed, suggestions, exhausted };
    let mut outcome = engine.offer(computed).await;
    if is_end && outcome.is_ok() {
        outcome = engine.command("", Command::ExhaustSpace { sweep: sweep.clone(), history }).await.map(|_| ());
    }
    (sweep, outcome)
}

fn suggest_for(need: &Need) -> Suggestions {
    let goal = need.spec.objective.as_ref().map(|objective| objective.goal).unwrap_or_default();
    suggest(&Request {
        space: &need.spec.space,
        method: need.spec.method,
        goal,
        seed: need.seed,
        observations: &need.observations,
        pending: &need.pending,
        taken: &need.taken,
        next_index: need.next_index,
        count: need.count,
    })
}
