//! `sweep controller`: serves in the foreground; starts, looks at and stops the one in the background.

mod args;
mod data;
mod process;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use nix::sys::stat::{Mode, umask};

use self::args::{BackupArgs, DataDirArgs, ServeArgs, StatusArgs, VerifyArgs};
use self::data::{back_up, rebuild, restore, rotate_token, verify};
pub(crate) use self::process::{explain, start_in_background};
use self::process::{foreground, start, status, stop};
use crate::client::ControllerArgs;

/// Serves sweeps to agents and clients
///
/// Without a subcommand it serves in the foreground until Ctrl-C. Everything that was acknowledged is on disk; after a crash, start it again on the
/// same data directory and all continues.
///
/// Every caller shows a token. The first start makes one, in the file `token` of the data directory; commands and agents of the same user on this machine
/// find it there, and elsewhere it is given in $SWEEP_TOKEN.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  sweep controller                                  on this machine alone
  sweep controller --listen 0.0.0.0:7433            for agents on other machines
  sweep controller start                            in the background
  sweep controller status
  sweep controller stop
  sweep controller backup ~/sweep-2026-11-23.db
  sweep controller restore ~/sweep-2026-11-23.db --data-dir ~/restored
  sweep controller verify
  sweep controller rebuild                          after verify found rows that do not fit the log")]
pub(crate) struct ControllerCommandArgs {
    #[command(subcommand)]
    command: Option<ControllerCommand>,

    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum ControllerCommand {
    /// Starts a controller in the background
    Start(ServeArgs),
    /// Says whether a controller answers, and what it is doing
    Status(StatusArgs),
    /// Stops the controller in good order; agents continue and wait for it to come back
    Stop(ControllerArgs),
    /// Copies all data into one file, and the code of runs into another one beside it, also while the controller runs
    Backup(BackupArgs),
    /// Puts a backup into a data directory that has no data yet
    Restore(BackupArgs),
    /// Makes a new token for a controller that is stopped; agents and users need it from its next start on
    RotateToken(DataDirArgs),
    /// Checks all data: reads the whole log, and compares everything else with what follows from it
    Verify(VerifyArgs),
    /// Makes the tables that commands and the page read from the event log again, while no controller runs
    Rebuild(VerifyArgs),
}

pub(crate) async fn run(args: ControllerCommandArgs) -> Result<ExitCode> {
    // All that these commands write is for this user alone.
    umask(Mode::from_bits_truncate(0o077));
    match args.command {
        None => foreground(&args.serve).await,
        Some(ControllerCommand::Start(serve)) => start(&serve).await,
        Some(ControllerCommand::Status(args)) => status(&args).await,
        Some(ControllerCommand::Stop(args)) => stop(&args).await,
        Some(ControllerCommand::Backup(args)) => back_up(&args),
        Some(ControllerCommand::Restore(args)) => restore(&args),
        Some(ControllerCommand::RotateToken(args)) => rotate_token(args),
        Some(ControllerCommand::Verify(args)) => verify(&args),
        Some(ControllerCommand::Rebuild(args)) => rebuild(&args),
    }
}
