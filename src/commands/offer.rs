//! `sweep offer`: runs that a person or their program has chosen.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sweep_proto::v1::{OfferRunsRequest, OfferedRun};

use crate::client::{ControllerArgs, request_id};
use crate::commands::import::read;
use crate::display::out;
use crate::failure::CommandError;

const LINE: &str = r#"a line is {"params": {"lr": 0.01}}, with a "why" if you like"#;

/// Queues runs that you or your program chose
///
/// For a sweep with `method: external`, whose search is a program of yours; random and Bayesian sweeps take runs that you choose, too, and learn
/// from them. Prints the run of each offer, as <SWEEP>/<RUN>: a new one or, since each point is tried once, the one that its point has already.
/// Either all are queued or none: when parameters do not fit the space, or the run cap leaves no room.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep offer ab12cd34 --params '{\"lr\": 0.01, \"layers\": 3}'
  sweep offer ab12cd34 --params '{\"lr\": 0.01}' --why 'as in the paper'
  sweep offer ab12cd34 trials.jsonl           {\"params\": {\"lr\": 0.01}, \"why\": \"trial 7\"} a line
  sweep offer ab12cd34 --end                  the sweep ends when all its runs have

`sweep runs --json` reports their outcomes.")]
pub(crate) struct OfferArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// JSON lines; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["params", "end"])]
    files: Vec<String>,

    /// The parameters of a run; may be given more than once
    #[arg(long, value_name = "JSON")]
    params: Vec<String>,

    /// Why the runs of `--params` are tried
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        requires = "params"
    )]
    why: String,

    /// No more will come: the sweep ends when all its runs have (only with `method: external`)
    #[arg(long)]
    end: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &OfferArgs) -> Result<ExitCode> {
    let mut runs: Vec<_> = args
        .params
        .iter()
        .map(|params| OfferedRun {
            params_json: params.clone(),
            why: args.why.clone(),
        })
        .collect();
    for file in &args.files {
        runs.extend(from_lines(file, &read(file)?)?);
    }
    if runs.is_empty() && !args.end {
        return Err(
            CommandError::input("nothing is offered: the file has no lines")
                .hint(LINE)
                .into(),
        );
    }
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?.id;
    // One call, however many: all or none.
    let request = OfferRunsRequest {
        sweep_id: sweep.clone(),
        request_id: request_id()?,
        runs,
        end: args.end,
    };
    let offered = client
        .call(request, async |mut service, request| {
            service.offer_runs(request).await
        })
        .await?;
    if args.json {
        writeln!(
            out(),
            "{}",
            json!({"sweep": sweep, "runs": offered.runs, "skipped": offered.skipped})
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    for reason in &offered.skipped {
        say!("no new run: {reason}");
    }
    let mut out = out();
    for run in &offered.runs {
        writeln!(out, "{sweep}/{run}")?;
    }
    if args.end {
        say!("No more runs will be offered to {sweep}: it ends when all its runs have");
    }
    Ok(ExitCode::SUCCESS)
}

fn from_lines(file: &str, text: &str) -> Result<Vec<OfferedRun>> {
    let mut runs = Vec::new();
    for (number, line) in (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let wrong =
            |reason: String| CommandError::input(format!("{file}:{number}: {reason}")).hint(LINE);
        let json: Value =
            serde_json::from_str(line).map_err(|error| wrong(format!("no JSON: {error}")))?;
        let params = json
            .get("params")
            .ok_or_else(|| wrong("`params` is missing".to_owned()))?;
        let why = match json.get("why") {
            None => "",
            Some(why) => why
                .as_str()
                .ok_or_else(|| wrong(format!("`why` is {why}, not text")))?,
        };
        runs.push(OfferedRun {
            params_json: params.to_string(),
            why: why.to_owned(),
        });
    }
    Ok(runs)
}
