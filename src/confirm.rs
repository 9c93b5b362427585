//! Asks before something is done.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Result;

use crate::failure::CommandError;

/// Returns whether there is somebody to ask.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question that is answered with yes or no; an empty answer is `otherwise`.
///
/// # Errors
/// There is no terminal.
pub(crate) fn confirmed(question: &str, otherwise: bool) -> Result<bool> {
    if !is_interactive() {
        return Err(CommandError::input("there is no terminal to ask")
            .hint("--yes does it without asking")
            .into());
    }
    let line = asked(&format!(
        "{question} [{}] ",
        if otherwise { "Y/n" } else { "y/N" }
    ))?;
    Ok(match line.trim().to_lowercase().as_str() {
        "" => otherwise,
        word => word == "y" || word == "yes",
    })
}

/// Asks a question and returns the line that was typed.
///
/// # Errors
/// The terminal is gone.
pub(crate) fn asked(question: &str) -> Result<String> {
    let mut terminal = std::io::stderr();
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
