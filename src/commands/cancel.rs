//! `sweep cancel`: ends a sweep or one run and kills what runs.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::CancelRunRequest;

use crate::client::{ControllerArgs, request_id, split_run};
use crate::commands::set_state::{self, Action};
use crate::display::out;

/// Cancels a sweep or a run; ends running programs with all their child processes
///
/// A program gets SIGTERM and its grace period, then SIGKILL. To let running runs end, use `sweep stop`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep cancel ab12cd34        the whole sweep
  sweep cancel ab12cd34/7      run 7 alone")]
pub(crate) struct CancelArgs {
    /// The sweep, or one run as <SWEEP>/<RUN>
    #[arg(value_name = "SWEEP[/RUN]")]
    target: String,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &CancelArgs) -> Result<ExitCode> {
    let (sweep, run) = split_run(&args.target)?;
    let client = args.controller.connect().await?;
    let state = match run {
        None => set_state::set(&client, &sweep, Action::Cancel).await?,
        Some(run) => {
            let request = CancelRunRequest {
                sweep_id: sweep.clone(),
                run,
                request_id: request_id()?,
            };
            client
                .call(request, async |mut service, request| {
                    service.cancel_run(request).await
                })
                .await?
                .state
        }
    };
    if args.json {
        writeln!(
            out(),
            "{}",
            json!({"sweep": sweep, "run": run, "state": state})
        )?;
    } else if run.is_some() && state != "cancelled" {
        writeln!(out(), "{} is being ended (still {state})", args.target)?;
    } else {
        writeln!(out(), "{} is {state}", args.target)?;
    }
    Ok(ExitCode::SUCCESS)
}
