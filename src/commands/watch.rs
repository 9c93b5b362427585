//! `sweep watch`: a live view of a sweep.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use sweep_proto::v1::Sweep;

use crate::client::{Client, ControllerArgs};
use crate::display::Constants;
use crate::display::live::Live;
use crate::display::{json, out};
use crate::queries::SweepViews;
use crate::watch;

/// Shows the progress of a sweep live
///
/// On a terminal: a full screen with progress, the best run, agents, what runs, what failed, and from there to each run and its output; `?` lists the keys. It stays
/// until you leave it with `q`, and waits for the controller when that goes away. Elsewhere: one line for each run that ends, until the sweep ends.
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
    // A sweep that is not there is said before the screen is taken.
    let sweep = client.sweep(&args.sweep).await?;
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return watch::full_screen(&args.controller, &sweep).await;
    }
    let mut live = Live::new(Constants::of(&sweep));
    follow(client, &args.sweep, &mut live).await?;
    live.close();
    Ok(ExitCode::SUCCESS)
}

/// Shows a sweep until it ends.
pub(crate) async fn follow(client: Client, sweep: &str, live: &mut Live) -> Result<()> {
    let mut views = SweepViews::of(client, sweep).await?;
    while let Some(view) = views.next().await? {
        live.show(&view);
    }
    Ok(())
}

/// Waits until something is true of a sweep.
pub(crate) async fn until(
    client: Client,
    sweep: &str,
    is_so: impl Fn(&Sweep) -> bool,
) -> Result<()> {
    let mut views = SweepViews::of(client, sweep).await?;
    while let Some(view) = views.next().await? {
        if view.sweep.as_ref().is_some_and(&is_so) {
            return Ok(());
        }
    }
    Err(anyhow!("the sweep ended first"))
}

async fn watch_json(client: Client, sweep: &str) -> Result<ExitCode> {
    let mut views = SweepViews::of(client, sweep).await?;
    while let Some(view) = views.next().await? {
        let Some(sweep) = &view.sweep else { continue };
        let mut object = json::sweep(sweep);
        object["running_runs"] = view.running.iter().map(json::run).collect();
        writeln!(out(), "{object}")?;
    }
    Ok(ExitCode::SUCCESS)
}
