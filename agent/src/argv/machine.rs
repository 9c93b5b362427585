//! The facts about the machine that building a command uses.

/// The facts about the machine that building a command uses.
pub(crate) trait Machine {
    /// The value of a variable of the agent's own environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether a program of that name is on the PATH.
    fn has_program(&self, name: &str) -> bool;
}
