//! `sweep ask`: a run for a program that executes it itself.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sweep_proto::v1::AskRequest;

use crate::client::{ControllerArgs, request_id};
use crate::display::out;

/// Nothing is left to try.
const EXHAUSTED: u8 = 3;

/// Asks for a run to execute yourself, and prints it as one line of JSON
///
/// For scripts and schedulers that start the training themselves: ask, train, then report the outcome with `sweep tell`. The suggestion rests on everything
/// that was told before. The run is yours for a day, and each ask or tell of the same worker renews that; then the next caller gets it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep ask ab12cd34
  sweep ask ab12cd34 --worker $(hostname) | jq .params

Prints {\"run\": 7, \"attempt\": 1, \"params\": {…}, \"why\": {…}}.

Exit status: 0 a run, 3 nothing is left to try.")]
pub(crate) struct AskArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Name of the worker that asks
    #[arg(long, value_name = "NAME", default_value = "")]
    worker: String,

    /// The code that will execute the run, by any id
    #[arg(long, value_name = "ID", default_value = "")]
    code_version: String,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The controller waits up to a minute for a suggestion.
const ASK: Duration = Duration::from_secs(80);

pub(crate) async fn run(args: &AskArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let request = AskRequest {
        sweep_id: args.sweep.clone(),
        request_id: request_id()?,
        worker: args.worker.clone(),
        code_version: args.code_version.clone(),
    };
    let asked = client
        .call_within(ASK, request, async |mut service, request| {
            service.ask(request).await
        })
        .await?;
    let why = asked.why.unwrap_or_default();
    if asked.exhausted {
        writeln!(
            out(),
            "{}",
            json!({"exhausted": true, "reason": why.reason})
        )?;
        return Ok(ExitCode::from(EXHAUSTED));
    }
    let params: Value = serde_json::from_str(&asked.params_json)?;
    let why = json!({
        "kind": why.kind,
        "reason": why.reason,
        "mean": why.mean,
        "deviation": why.deviation,
        "improvement": why.improvement,
        "success": why.success,
        "observations": why.observations,
        "pending": why.pending,
        "history": why.history,
    });
    writeln!(
        out(),
        "{}",
        json!({"run": asked.run, "attempt": asked.attempt, "params": params, "repeat": asked.repeat, "seed": asked.seed, "why": why})
    )?;
    Ok(ExitCode::SUCCESS)
}
