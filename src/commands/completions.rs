//! `sweep completions`: completion scripts for shells.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::display::out;

/// Prints a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep completions bash > ~/.local/share/bash-completion/completions/sweep
  sweep completions zsh > ~/.zfunc/_sweep
  sweep completions fish > ~/.config/fish/completions/sweep.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script; `whole` is the command line that it completes.
pub(crate) fn run(args: &CompletionsArgs, mut whole: Command) -> Result<ExitCode> {
    clap_complete::generate(args.shell, &mut whole, "sweep", &mut out());
    Ok(ExitCode::SUCCESS)
}
