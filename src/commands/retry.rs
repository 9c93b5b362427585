//! `sweep retry`: runs again what a person picks.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::RetryRunsRequest;

use crate::client::{ControllerArgs, request_id};
use crate::display::out;

/// Puts ended runs back into the queue
///
/// Without numbers: all failed ones. A finished sweep goes on for them. What the runs reported before is kept under their earlier attempts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep retry ab12cd34            all failed runs
  sweep retry ab12cd34 3 17       runs 3 and 17, whatever became of them")]
pub(crate) struct RetryArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Numbers of runs
    #[arg(value_name = "RUN")]
    runs: Vec<u64>,

    /// All failed runs: what happens without numbers
    #[arg(long, conflicts_with = "runs")]
    failed: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &RetryArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let request = RetryRunsRequest { sweep_id: args.sweep.clone(), runs: args.runs.clone(), request_id: request_id()? };
    let answer = client.call(request, async |mut service, request| service.retry_runs(request).await).await?;
    if args.json {
        writeln!(out(), "{}", json!({"requeued": answer.requeued, "skipped": answer.skipped}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let numbers: Vec<_> = answer.requeued.iter().map(u64::to_string).collect();
    match numbers.len() {
        0 => writeln!(out(), "nothing to run again")?,
        1 => writeln!(out(), "run {} is queued again", numbers[0])?,
        _ => writeln!(out(), "runs {} are queued again", numbers.join(", "))?,
    }
    for reason in &answer.skipped {
        writeln!(out(), "skipped: {reason}")?;
    }
    Ok(ExitCode::SUCCESS)
}
