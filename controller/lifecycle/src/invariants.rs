//! I1 to I9 of the design, as far as they can be seen in one state: one file for each part of the state.
//!
//! I1 (acknowledged facts are on disk), I4 (a repeated request), I8 (processes) and I9 (history only grows) show in no single
//! state: the store, the engine, the agent and replays are tested for them.

mod agents;
mod attempts;
mod index;
mod points;
mod runs;
mod sweeps;
mod violations;

use std::collections::BTreeMap;

use self::violations::Violations;
use crate::state::{AttemptRef, State};

/// Returns every broken invariant, in words. Empty: all hold.
pub fn broken(state: &State) -> Vec<String> {
    let mut found = Violations::default();
    let mut held = BTreeMap::new();
    for (id, sweep) in &state.sweeps {
        sweeps::check(&mut found, id, sweep, state.identity.is_settling);
        index::check(&mut found, id, sweep);
        points::check(&mut found, id, sweep);
        for (number, run) in sweep.runs.iter() {
            let name = format!("run {id}/{number}");
            runs::check(&mut found, &name, sweep, &run);
            attempts::check(&mut found, &name, &run);
            if let Some(owner) = run.attempts.last().filter(|owner| owner.state.is_live()) {
                held.insert(
                    AttemptRef {
                        sweep: id.clone(),
                        run: number,
                        attempt: run.newest(),
                    },
                    owner.agent.clone(),
                );
            }
        }
    }
    agents::check(&mut found, state, &held);
    found.0
}
