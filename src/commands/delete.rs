//! `sweep delete`: deletes sweeps.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::{DeleteSweepRequest, Sweep};

use crate::client::{Client, ControllerArgs, request_id};
use crate::confirm::confirmed;
use crate::display::{counted, out, printable};
use crate::failure::CommandError;

/// A shorter beginning of an id is easily a slip.
const ID_CHARS_MIN: usize = 4;

/// Deletes sweeps with their runs, curves and output
///
/// A sweep that has not ended is refused: `sweep cancel` ends it. A deletion cannot be undone; a backup that was made before still has the sweep. Run
/// folders on machines stay: `sweep prune` deletes them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep delete ab12cd34
  sweep delete --yes ab12cd34 old-baseline")]
pub(crate) struct DeleteArgs {
    /// The sweeps: their ids, the beginnings of their ids, or their names
    #[arg(value_name = "SWEEP", required = true)]
    sweeps: Vec<String>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &DeleteArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let call = async |sweep_id: String, dry_run| {
        let request = DeleteSweepRequest {
            sweep_id,
            dry_run,
            request_id: if dry_run {
                String::new()
            } else {
                request_id()?
            },
        };
        client
            .call(request, async |mut service, request| {
                service.delete_sweep(request).await
            })
            .await
    };
    // All of them are found, and may be deleted, before the first one is.
    let mut found = Vec::new();
    for sweep in &args.sweeps {
        let sweep = meant(&client, sweep).await?;
        call(sweep.id.clone(), true).await?;
        if found.iter().all(|known: &Sweep| known.id != sweep.id) {
            found.push(sweep);
        }
    }
    if !args.yes {
        for sweep in &found {
            let runs = sweep.queued
                + sweep.running
                + sweep.finished
                + sweep.stopped
                + sweep.failed
                + sweep.cancelled;
            let name = if sweep.name.is_empty() {
                String::new()
            } else {
                format!(" ({})", printable(&sweep.name))
            };
            say!("{}{name}: {}", sweep.id, counted(runs, "run"));
        }
        let which = if found.len() == 1 {
            "this sweep".to_owned()
        } else {
            format!("these {} sweeps", found.len())
        };
        if !confirmed(&format!("Delete {which} for good?"), false)? {
            say!("Nothing was deleted.");
            return Ok(ExitCode::SUCCESS);
        }
    }
    for sweep in found {
        call(sweep.id.clone(), false).await?;
        writeln!(out(), "sweep {} is deleted", sweep.id)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the sweep that a text names. What cannot be undone is not done to the only sweep whose id begins with a letter.
async fn meant(client: &Client, text: &str) -> Result<Sweep> {
    let sweep = client.sweep(text).await?;
    if sweep.id != text && sweep.name != text && text.chars().count() < ID_CHARS_MIN {
        let reason = format!(
            "`{}` is too little of the id {} to delete it",
            printable(text),
            sweep.id
        );
        return Err(CommandError::input(reason)
            .hint(format!("`sweep delete {}` deletes this one", sweep.id))
            .into());
    }
    Ok(sweep)
}
