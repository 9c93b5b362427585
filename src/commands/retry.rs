//! `sweep retry`: runs again what a person picks.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::RetryRunsRequest;

use crate::client::{Client, ControllerArgs, request_id, split_run};

use crate::display::{failures, out};
use crate::failure::CommandError;
use crate::queries;

/// Puts ended runs back into the queue
///
/// Without numbers: all failed ones. A finished sweep is resumed for them. What the runs reported before is kept under their earlier attempts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep retry ab12cd34            all failed runs
  sweep retry ab12cd34/7          run 7, in any state
  sweep retry ab12cd34 3 17       runs 3 and 17
  sweep retry ab12cd34 --kind out_of_memory
                                  those that failed of it; `sweep show` names the kinds")]
pub(crate) struct RetryArgs {
    /// The sweep: its id, the beginning of its id, or its name; or one run as <SWEEP>/<RUN>
    #[arg(value_name = "SWEEP[/RUN]")]
    target: String,

    /// Numbers of runs
    #[arg(value_name = "RUN")]
    runs: Vec<u64>,

    /// All failed runs: what happens without numbers
    #[arg(long, conflicts_with = "runs")]
    failed: bool,

    /// Those whose last failure is of this kind: `crashed`, `signal`, `max_runtime` and so on
    #[arg(long, value_name = "KIND", conflicts_with_all = ["runs", "failed"])]
    kind: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &RetryArgs) -> Result<ExitCode> {
    let (sweep, run) = split_run(&args.target)?;
    if run.is_some() && (args.failed || args.kind.is_some()) {
        return Err(CommandError::input(format!(
            "`{}` is one run; --failed and --kind choose among those of a sweep",
            args.target
        ))
        .into());
    }
    let mut client = args.controller.connect().await?;
    let mut runs: Vec<_> = run.into_iter().chain(args.runs.iter().copied()).collect();
    let are_named = !runs.is_empty();
    if let Some(kind) = &args.kind {
        runs = of_kind(&mut client, &sweep, kind).await?;
    }
    let request = RetryRunsRequest {
        sweep_id: sweep,
        runs,
        request_id: request_id()?,
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.retry_runs(request).await
        })
        .await?;
    // A user who names runs means them: a number without a run is a mistake, such as a typo.
    if answer.requeued.is_empty() && are_named && !args.json {
        return Err(CommandError::input(format!(
            "nothing to run again: {}",
            answer.skipped.join("; ")
        ))
        .into());
    }
    if args.json {
        writeln!(
            out(),
            "{}",
            json!({"requeued": answer.requeued, "skipped": answer.skipped})
        )?;
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

/// The failed runs whose last failure is of a kind. None at all is a mistake: without numbers, the call would mean all of them.
async fn of_kind(client: &mut Client, sweep: &str, kind: &str) -> Result<Vec<u64>> {
    let failed = queries::runs(client, sweep, vec!["failed".to_owned()]).await?;
    let groups = failures(&failed);
    let fitting: Vec<u64> = groups
        .iter()
        .filter(|group| group.kind == kind)
        .flat_map(|group| group.runs.iter().copied())
        .collect();
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let mut kinds: Vec<&str> = groups.iter().map(|group| group.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let there = if kinds.is_empty() {
        "no run has failed".to_owned()
    } else {
        format!("failed runs are of the kinds {}", kinds.join(", "))
    };
    Err(CommandError::input(format!("no failed run of the kind `{kind}`: {there}")).into())
}
