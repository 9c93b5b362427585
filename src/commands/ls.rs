//! `sweep ls`: all sweeps.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::ListSweepsRequest;

use crate::client::ControllerArgs;
use crate::display::{json, out, table};

/// Lists sweeps, newest first
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// List archived sweeps as well
    #[arg(long)]
    archived: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &LsArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let sweeps = client
        .call(ListSweepsRequest { include_archived: args.archived }, async |mut service, request| service.list_sweeps(request).await)
        .await?
        .sweeps;
    let mut out = out();
    if args.json {
        for sweep in &sweeps {
            writeln!(out, "{}", json::sweep(sweep))?;
        }
    } else if sweeps.is_empty() {
        say!("No sweeps yet. `sweep create sweep.yaml` starts one.");
    } else {
        writeln!(out, "{}", table::sweeps(&sweeps))?;
    }
    Ok(ExitCode::SUCCESS)
}
