//! `sweep runs`: the runs of a sweep.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::{ListRunsRequest, Run, Sweep};

use crate::client::{Client, ControllerArgs};
use crate::display::{self, json, out, table};
use crate::queries;

/// Runs whose curves are drawn: the last ones of the list, which a terminal shows.
const COURSES_MAX: usize = 100;
/// The time limit for loading curves.
const COURSES_WAIT: Duration = Duration::from_secs(1);

/// Lists the runs of a sweep
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep runs ab12cd34
  sweep runs ab12cd34 --state failed
  sweep runs ab12cd34 --tag paper
  sweep runs ab12cd34 --json | jq 'select(.state == \"finished\") | [.run, .value]'")]
pub(crate) struct RunsArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Only runs in this state; may be given more than once
    #[arg(long, value_name = "STATE", value_parser = ["queued", "assigned", "running", "finished", "stopped", "failed", "cancelled"])]
    state: Vec<String>,

    /// Only runs with this tag, see `sweep note`; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// Print one JSON object a line, in the order of the runs' numbers: run, state, params, value, attempts (how many) and more
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &RunsArgs) -> Result<ExitCode> {
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    if args.json {
        return stream(args, &mut client, &sweep.id).await;
    }
    let mut runs = queries::runs(&mut client, &sweep.id, args.state.clone()).await?;
    runs.retain(|run| args.tag.iter().all(|tag| run.tags.contains(tag)));
    // Pinned runs come first.
    runs.sort_by_key(|run| !run.pinned);
    let mut out = out();
    if runs.is_empty() {
        say!(
            "No runs{}.",
            if args.state.is_empty() && args.tag.is_empty() {
                " yet"
            } else {
                " like that"
            }
        );
    } else {
        let courses = if display::is_seen() {
            courses(&mut client, &sweep, &runs).await
        } else {
            BTreeMap::new()
        };
        writeln!(out, "{}", table::runs(&sweep, &runs, &courses))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints runs as they come, in the order of their numbers: a sweep may have more than fit into memory.
async fn stream(args: &RunsArgs, client: &mut Client, sweep: &str) -> Result<ExitCode> {
    let request = ListRunsRequest {
        sweep_id: sweep.to_owned(),
        states: args.state.clone(),
    };
    let stream = client.service.list_runs(request).await;
    let mut stream = stream
        .map_err(|status| client.explain(&status))?
        .into_inner();
    while let Some(page) = stream
        .message()
        .await
        .map_err(|status| client.explain(&status))?
    {
        let mut out = std::io::BufWriter::new(out());
        for run in page
            .runs
            .iter()
            .filter(|run| args.tag.iter().all(|tag| run.tags.contains(tag)))
        {
            writeln!(out, "{}", json::run(run))?;
        }
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads how the objective of the last runs of a list went, as far as there is time.
async fn courses(client: &mut Client, sweep: &Sweep, runs: &[Run]) -> BTreeMap<u64, Vec<f64>> {
    let mut courses = BTreeMap::new();
    let read = async {
        for run in runs
            .iter()
            .rev()
            .take(COURSES_MAX)
            .filter(|run| !run.attempts.is_empty())
        {
            let Ok(course) = queries::objective_values(client, sweep, run.run).await else {
                return;
            };
            courses.insert(run.run, course);
        }
    };
    // They are a nicety: without them the list says the same.
    let _ = tokio::time::timeout(COURSES_WAIT, read).await;
    courses
}
