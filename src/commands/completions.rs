//! `sweep completions`: completion scripts for shells.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory as _};
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

pub(crate) fn run(args: &CompletionsArgs) -> Result<ExitCode> {
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "sweep", &mut out());
    Ok(ExitCode::SUCCESS)
}
