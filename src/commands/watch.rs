//! `sweep watch`: a live view of a sweep.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use sweep_proto::v1::{Sweep, WatchSweepRequest};

use crate::client::{Client, ControllerArgs};
use crate::display::live::Live;
use crate::display::{json, out};

/// Watches a sweep until it ends
///
/// On a terminal: progress, the best run, what runs, what failed, redrawn in place. Elsewhere: one line for each run that ends.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Print one JSON object a line: the sweep after each change
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &WatchArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    if args.json {
        return watch_json(client, &args.sweep).await;
    }
    let mut live = Live::new();
    follow(client, &args.sweep, &mut live).await?;
    live.close();
    Ok(ExitCode::SUCCESS)
}

/// Shows a sweep until it ends.
pub(crate) async fn follow(mut client: Client, sweep: &str, live: &mut Live) -> Result<()> {
    let stream = client.service.watch_sweep(WatchSweepRequest { sweep_id: sweep.to_owned() }).await;
    let mut stream = stream.map_err(|status| client.explain(&status))?.into_inner();
    while let Some(view) = stream.message().await.map_err(|status| client.explain(&status))? {
        live.show(&view);
    }
    Ok(())
}

/// Waits until something is true of a sweep.
pub(crate) async fn until(mut client: Client, sweep: &str, is_so: impl Fn(&Sweep) -> bool) -> Result<()> {
    let stream = client.service.watch_sweep(WatchSweepRequest { sweep_id: sweep.to_owned() }).await;
    let mut stream = stream.map_err(|status| client.explain(&status))?.into_inner();
    while let Some(view) = stream.message().await.map_err(|status| client.explain(&status))? {
        if view.sweep.as_ref().is_some_and(&is_so) {
            return Ok(());
        }
    }
    Err(anyhow!("the sweep ended first"))
}

async fn watch_json(mut client: Client, sweep: &str) -> Result<ExitCode> {
    let stream = client.service.watch_sweep(WatchSweepRequest { sweep_id: sweep.to_owned() }).await;
    let mut stream = stream.map_err(|status| client.explain(&status))?.into_inner();
    while let Some(view) = stream.message().await.map_err(|status| client.explain(&status))? {
        let Some(sweep) = &view.sweep else { continue };
        let mut object = json::sweep(sweep);
        object["running_runs"] = view.running.iter().map(json::run).collect();
        writeln!(out(), "{object}")?;
    }
    Ok(ExitCode::SUCCESS)
}
