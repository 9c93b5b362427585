//! Broken invariants, in words.

/// Broken invariants, in words.
#[derive(Default)]
pub(super) struct Violations(pub(super) Vec<String>);

impl Violations {
    pub(super) fn must(&mut self, holds: bool, invariant: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{invariant}: {}", what()));
        }
    }
}
