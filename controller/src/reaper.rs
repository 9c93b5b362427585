//! Wakes the engine when the next lease or wait ends.
//!
//! The engine blocks on its channel and has no timer; this task sleeps for it. It decides nothing: a tick too many finds nothing.

use crate::engine::{Engine, EngineError, PULSE};

/// Runs until the engine stops.
pub async fn run(engine: Engine) {
    let mut next = engine.next_tick();
    loop {
        let due = *next.borrow_and_update();
        // Looking at the clock now and then is how it notices that the process stood still.
        let rest = due.map(|due| due.saturating_sub(engine.now()));
        let ended = tokio::select! {
            () = sleep(rest.map(|rest| rest.min(PULSE))) => {
                due.is_some_and(|due| engine.now() >= due) && engine.tick().await == Err(EngineError::Stopped)
            }
            changed = next.changed() => changed.is_err(),
        };
        if ended {
            return;
        }
    }
}

async fn sleep(rest: Option<std::time::Duration>) {
    match rest {
        Some(rest) => tokio::time::sleep(rest).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::{Bench, LEASE, agent};
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn a_silent_agent_is_lost_without_anybody_asking() {
        let bench = Bench::with_sweep(MemoryStore::new()).await;
        bench.clock.advance(LEASE);
        let reaper = tokio::spawn(run(bench.engine.clone()));
        let mut commits = bench.engine.commits();
        while bench.state().await.agents[&agent("a")].alive {
            commits.changed().await.unwrap();
        }
        bench.stop().await;
        reaper.await.unwrap();
    }
}
