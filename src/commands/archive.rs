//! `sweep archive`: hides sweeps from lists.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::ArchiveSweepRequest;

use crate::client::{ControllerArgs, request_id};
use crate::display::out;

/// Hides sweeps that have ended from `sweep ls` and the page
///
/// Nothing is deleted: `sweep ls --archived` lists them, and all commands know them. `sweep resume` shows a sweep again, too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep archive ab12cd34 old-baseline
  sweep archive --undo ab12cd34")]
pub(crate) struct ArchiveArgs {
    /// The sweeps: their ids, the beginnings of their ids, or their names
    #[arg(value_name = "SWEEP", required = true)]
    sweeps: Vec<String>,

    /// Show them again
    #[arg(long)]
    undo: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &ArchiveArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    for sweep in &args.sweeps {
        let request = ArchiveSweepRequest {
            sweep_id: sweep.clone(),
            archived: !args.undo,
            request_id: request_id()?,
        };
        client
            .call(request, async |mut service, request| {
                service.archive_sweep(request).await
            })
            .await?;
        writeln!(
            out(),
            "sweep {sweep} is {}",
            if args.undo {
                "not archived any more"
            } else {
                "archived"
            }
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
