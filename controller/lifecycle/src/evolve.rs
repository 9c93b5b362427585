//! Events into state: total, and the only place that changes it.

use crate::event::Recorded;
use crate::state::State;

/// Folds one event into the state.
pub fn evolve(state: &mut State, recorded: &Recorded) {
    let _ = (state, recorded);
}
