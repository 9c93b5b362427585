//! The machine that the agent works on, as far as commands depend on it.

use crate::argv::Machine;
use crate::process::spawn::on_path;

/// The machine that the agent works on.
pub(crate) struct ThisMachine;

impl Machine for ThisMachine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn has_program(&self, name: &str) -> bool {
        on_path(name)
    }
}
