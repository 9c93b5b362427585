//! `sweep best`: the best configuration so far.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::{GetRunRequest, Run, Sweep};

use crate::client::{Client, ControllerArgs};
use crate::display::{self, json, out};
use crate::failure::Failure;
use crate::shell;

/// Prints the best configuration so far
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep best ab12cd34
  sweep best ab12cd34 --json | jq .params
  eval \"$(sweep best ab12cd34 --command)\"      run it again")]
pub(crate) struct BestArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Print JSON
    #[arg(long, conflicts_with = "command")]
    json: bool,

    /// Print the shell line that runs the best configuration again, and nothing else
    #[arg(long)]
    command: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &BestArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let Some(run) = best_run(&client, &sweep).await? else {
        let failure = if sweep.metric.is_empty() {
            Failure::new(format!("sweep {} has no metric to be best by", sweep.id))
                .hint("name one in the sweep file: `metric: {name: val_loss}`")
        } else {
            Failure::new(format!("no run of sweep {} has a value of {} yet", sweep.id, sweep.metric))
                .hint(format!("`sweep show {}` says how far it is", sweep.id))
        };
        return Err(failure.into());
    };
    let mut out = out();
    if args.json {
        writeln!(out, "{}", json::run(&run))?;
    } else if args.command {
        let command = shell::command_line(&run)
            .ok_or_else(|| Failure::new(format!("run {} was not started by an agent, so there is no command", run.run)))?;
        writeln!(out, "{command}")?;
    } else {
        write!(out, "{}", display::best(&sweep, &run))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the best run.
pub(crate) async fn best_run(client: &Client, sweep: &Sweep) -> Result<Option<Run>> {
    let Some(run) = sweep.best_run else { return Ok(None) };
    let request = GetRunRequest { sweep_id: sweep.id.clone(), run };
    Ok(client.call(request, async |mut service, request| service.get_run(request).await).await?.run)
}
