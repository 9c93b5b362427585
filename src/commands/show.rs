//! `sweep show`: a sweep or a run in full.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::Sweep;

use crate::client::{Client, ControllerArgs, split_run};
use crate::display::{self, out};
use crate::environments;
use crate::failure::CommandError;
use crate::queries;
use crate::snapshots;

/// Shows the progress of a sweep, or the outcome of a run
///
/// For a sweep: progress, best configuration, where runs fail, which parameters matter, failures grouped by cause with an example of each,
/// agents. For a run: parameters, metrics, attempts and
/// how they ended, with the tail of the output.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep show ab12cd34
  sweep show ab12cd34/7
  sweep show --why ab12cd34/7
  sweep show --environment ab12cd34/7")]
pub(crate) struct ShowArgs {
    /// The sweep (its id, the beginning of its id, or its name), or a run as <SWEEP>/<RUN>
    #[arg(value_name = "SWEEP[/RUN]")]
    target: String,

    /// Say why the run was suggested: what the search expected of it, and from what it knew
    #[arg(long)]
    why: bool,

    /// For a run, show its whole environment: machine, packages, variables, data
    #[arg(long)]
    environment: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &ShowArgs) -> Result<ExitCode> {
    let (target, run) = split_run(&args.target)?;
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&target).await?;
    if let Some(number) = run {
        let run = queries::existing_run(&client, &sweep, number).await?;
        if args.why && !args.json {
            write!(out(), "{}", display::why(&sweep, &run))?;
            return Ok(ExitCode::SUCCESS);
        }
        let environments = environments::of_run(&client, &sweep, &run).await?;
        if args.json {
            let mut object = display::json::run(&run);
            object["environments"] = environments
                .values()
                .map(display::environment::json)
                .collect();
            writeln!(out(), "{object}")?;
        } else {
            let versions = snapshots::versions(&client, &sweep).await?;
            let values = if display::is_seen() {
                queries::objective_values(&mut client, &sweep, number).await?
            } else {
                Vec::new()
            };
            write!(
                out(),
                "{}",
                display::run(
                    &sweep,
                    &run,
                    &values,
                    &environments,
                    &versions,
                    args.environment
                )
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.environment {
        return Err(CommandError::input("`--environment` is about one run")
            .hint(format!(
                "for example `sweep show --environment {}/1`",
                sweep.id
            ))
            .into());
    }
    if args.why {
        return Err(CommandError::input("`--why` is about one run")
            .hint(format!("for example `sweep show --why {}/1`", sweep.id))
            .into());
    }
    let best = queries::best_run(&client, &sweep).await?;
    let failed = queries::runs(&mut client, &sweep.id, vec!["failed".to_owned()]).await?;
    let agents = queries::agents(&client, &sweep.id).await?;
    let analysis = queries::analysis(&client, &sweep).await?;
    if args.json {
        let mut object = display::json::sweep(&sweep);
        object["best"] = best.as_ref().map(display::json::run).unwrap_or_default();
        object["failures"] = display::failures(&failed)
            .iter()
            .map(|group| json!({"kind": group.kind, "blame": group.blame, "runs": group.runs, "example": group.example}))
            .collect();
        object["agents"] = agents.iter().map(display::json::agent).collect();
        object["analysis"] = display::json::analysis(&analysis);
        object["yaml"] = sweep.yaml.as_str().into();
        writeln!(out(), "{object}")?;
    } else {
        let history = if display::is_seen() {
            history(&mut client, &sweep).await?
        } else {
            Vec::new()
        };
        let versions = if best.is_some() {
            snapshots::versions(&client, &sweep).await?
        } else {
            Vec::new()
        };
        let best = best.as_ref().map(|run| (run, &versions[..]));
        write!(
            out(),
            "{}",
            display::sweep(&sweep, best, &history, &failed, &agents, &analysis)
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the best value after each run that has ended.
async fn history(client: &mut Client, sweep: &Sweep) -> Result<Vec<f64>> {
    let ended = queries::runs(
        client,
        &sweep.id,
        vec!["finished".to_owned(), "stopped".to_owned()],
    )
    .await?;
    Ok(display::spark::best_so_far(sweep, ended.iter()))
}
