//! Wakes the engine when the next lease or wait ends.
//!
//! The engine blocks on its channel and has no timer; this task sleeps for it. It decides nothing: a tick too many finds nothing.

use crate::engine::{Engine, EngineError};

/// Runs until the engine stops.
pub async fn run(engine: Engine) {
    let mut next = engine.next_tick();
    loop {
        let due = *next.borrow_and_update();
        let rest = due.map(|due| due.saturating_sub(engine.now()));
        let ended = tokio::select! {
            () = sleep(rest) => engine.tick().await == Err(EngineError::Stopped),
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
