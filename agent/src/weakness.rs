//! Guards of agents that a simulation takes away, one at a time, to see that it would notice.

use std::cell::Cell;

/// A guard of agents that a simulation takes away, to see that it would notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakness {
    /// None.
    #[default]
    None,
    /// Any error ends an attempt, whichever server answers.
    AnyAnswerEnds,
    /// Points that the controller lacks are passed over, and the result is reported all the same.
    PointsPassedOver,
    /// A failure is judged at once: a preemption that is announced after it comes too late.
    JudgesAtOnce,
    /// An attempt does not wait for another one that still writes the checkpoint folder.
    OpenFence,
}

thread_local! {
    static WEAKNESS: Cell<Weakness> = const { Cell::new(Weakness::None) };
}

/// Takes a guard away from the agents of this thread.
pub fn weaken(weakness: Weakness) {
    WEAKNESS.set(weakness);
}

/// Returns whether a guard was taken away.
pub(crate) fn has(weakness: Weakness) -> bool {
    WEAKNESS.get() == weakness
}
