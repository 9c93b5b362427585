//! `sweep stop`, `pause`, `resume`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::SetSweepStateRequest;
pub(crate) use sweep_proto::v1::set_sweep_state_request::Action;

use crate::client::{Client, ControllerArgs, request_id};
use crate::display::out;

/// The sweep.
#[derive(Debug, Args)]
pub(crate) struct SetStateArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &SetStateArgs, action: Action) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let state = set(&client, &args.sweep, action).await?;
    if args.json {
        writeln!(out(), "{}", json!({"sweep": args.sweep, "state": state}))?;
    } else {
        writeln!(out(), "sweep {} is {state}", args.sweep)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for a state and returns the one the sweep is in then.
pub(crate) async fn set(client: &Client, sweep: &str, action: Action) -> Result<String> {
    let request = SetSweepStateRequest {
        sweep_id: sweep.to_owned(),
        action: action.into(),
        request_id: request_id()?,
    };
    let response = client
        .call(request, async |mut service, request| {
            service.set_sweep_state(request).await
        })
        .await?;
    Ok(response.state)
}
