//! `sweep tell`: reports the outcome of a run that `sweep ask` returned.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::tell_request::Outcome;
use sweep_proto::v1::{GetRunRequest, TellRequest};

use crate::client::{ControllerArgs, request_id, split_run};
use crate::display::out;
use crate::failure::CommandError;

/// Reports the outcome of a run that `sweep ask` returned
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep tell ab12cd34/7 0.31
  sweep tell ab12cd34/7 -3.2e-05
  sweep tell ab12cd34/7 0.31 --metric epochs=20 --metric gpu_mem_gb=11.5
  sweep tell ab12cd34/7 --failed 'CUDA out of memory'")]
pub(crate) struct TellArgs {
    /// The run
    #[arg(value_name = "SWEEP/RUN")]
    target: String,

    /// The value of the objective
    #[arg(
        value_name = "VALUE",
        allow_hyphen_values = true,
        required_unless_present = "failed",
        conflicts_with = "failed"
    )]
    value: Option<f64>,

    /// The run failed, because of its parameters: why
    #[arg(long, value_name = "REASON")]
    failed: Option<String>,

    /// Another metric; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = metric)]
    metric: Vec<(String, f64)>,

    /// The attempt that `sweep ask` named; the newest by default
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    #[command(flatten)]
    controller: ControllerArgs,
}

fn metric(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text
        .rsplit_once('=')
        .ok_or("write it as name=value, for example accuracy=0.9")?;
    let value = value
        .parse()
        .map_err(|_| format!("`{value}` is not a number"))?;
    Ok((name.to_owned(), value))
}

pub(crate) async fn run(args: &TellArgs) -> Result<ExitCode> {
    let (sweep, Some(run)) = split_run(&args.target)? else {
        let hint = "write it as `sweep ask` names it: <sweep>/<run>, for example ab12cd34/7";
        return Err(
            CommandError::input(format!("`{}` names a sweep, not a run", args.target))
                .hint(hint)
                .into(),
        );
    };
    let outcome = match (&args.failed, args.value) {
        (Some(reason), _) => Outcome::Failure(reason.clone()),
        (None, Some(value)) => Outcome::Value(value),
        (None, None) => return Err(CommandError::input("a value or --failed is needed").into()),
    };
    let client = args.controller.connect().await?;
    let attempt = match args.attempt {
        Some(attempt) => attempt,
        None => {
            let request = GetRunRequest {
                sweep_id: sweep.clone(),
                run,
            };
            let found = client
                .call(request, async |mut service, request| {
                    service.get_run(request).await
                })
                .await?
                .run;
            found
                .and_then(|run| run.attempts.last().map(|newest| newest.attempt))
                .unwrap_or(1)
        }
    };
    let is_finite = matches!(&outcome, Outcome::Value(value) if value.is_finite());
    let metrics: HashMap<String, f64> = args.metric.iter().cloned().collect();
    let request = TellRequest {
        sweep_id: sweep,
        run,
        attempt,
        request_id: request_id()?,
        outcome: Some(outcome),
        metrics,
    };
    client
        .call(request, async |mut service, request| {
            service.tell(request).await
        })
        .await?;
    let what = if is_finite { "finished" } else { "failed" };
    writeln!(out(), "{} is {what}", args.target)?;
    Ok(ExitCode::SUCCESS)
}
