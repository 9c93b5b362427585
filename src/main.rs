//! The command line of `sweep`: parse, dispatch, print what went wrong, exit.
//!
//! Modules import rightwards only: `commands → watch, pinning, snapshots, environments → queries → ci, client → figures, discovery →
//! display, places, confirm → failure, shell, signals, batch_job, left_data`.

// `eprintln!` panics when the reader has gone; `say!` does not.
#![warn(clippy::print_stderr)]
#![cfg_attr(
    not(feature = "full"),
    expect(
        dead_code,
        unused_imports,
        reason = "commands of the full build use it"
    )
)]

/// Prints a line to standard error. Where its reader has gone, the command continues: an agent outlives the `tee` that it was piped into.
macro_rules! say {
    ($($words:tt)*) => {{
        $crate::display::live::say(format_args!($($words)*));
    }};
}

mod batch_job;
#[cfg(feature = "full")]
mod ci;
mod client;
mod commands;
mod confirm;
mod discovery;
mod display;
mod environments;
mod failure;
#[cfg(feature = "full")]
mod figures;
mod left_data;
#[cfg(feature = "full")]
mod pinning;
mod places;
mod queries;
mod shell;
mod signals;
mod snapshots;
#[cfg(feature = "full")]
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use crate::commands::CliCommand;

/// Runs hyperparameter sweeps over many machines, built for the day when runs crash and code changes.
///
/// A W&B sweep file works unchanged, with no account and no cloud. A controller holds the search, agents run the training program as it is.
#[derive(Debug, Parser)]
#[command(name = "sweep", version, max_term_width = 110)]
#[cfg_attr(
    not(feature = "full"),
    command(
        after_help = "This build is for machines that execute runs. The full build has the controller and all other commands."
    )
)]
#[cfg_attr(
    feature = "full",
    command(after_help = "Quick start:
  sweep run sweep.yaml                 everything on this machine, in one command
  id=$(sweep create sweep.yaml)        or: start a sweep …
  sweep agent $id                      … and work on it, on as many machines as you like
  sweep watch $id                      … and look at it")
)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

/// Requests are made by the threads that serve the network and dropped by the engine's: glibc's allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = sweep_agent::shim(std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    start_log(&cli.command);
    match commands::dispatch(cli.command, Cli::command()) {
        Ok(code) => code,
        Err(error) => failure::print(&error),
    }
}

/// Logs go to standard error; at the default level they are warnings alone.
fn start_log(command: &CliCommand) {
    use tracing_subscriber::EnvFilter;
    let default = match command {
        #[cfg(feature = "full")]
        CliCommand::Controller(_) => "info",
        _ => "error",
    };
    let filter = EnvFilter::try_from_env("SWEEP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(console::colors_enabled_stderr());
    // What cannot be logged would be reported with `eprintln!`.
    log.log_internal_errors(false).init();
}
