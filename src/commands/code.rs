//! `sweep code`: the versions of the code that a sweep has seen.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_proto::v1::{ListAgentsRequest, ListCodeRequest};

use crate::client::ControllerArgs;
use crate::display::{self, out};

/// Lists the versions of the code that runs of a sweep were executed with
///
/// A version is the tree hash that git gives to all that is executed, uncommitted and untracked files included. Agents look before each run; nothing
/// has to be committed, and a folder need not be a repository.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep code ab12cd34
  sweep code ab12cd34 --json")]
pub(crate) struct CodeArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &CodeArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let request = ListCodeRequest { sweep_id: sweep.id.clone() };
    let answer = client.call(request, async |mut service, request| service.list_code(request).await).await?;
    let learnt = super::best::analysis(&client, &sweep).await?;
    let mut out = out();
    if args.json {
        for version in &answer.versions {
            let agreement = learnt.agreements.iter().find(|agreement| agreement.older == version.number);
            let mut object = display::json::code(version);
            object["agreement"] = agreement.map(display::json::agreement).into();
            writeln!(out, "{object}")?;
        }
        if answer.unknown > 0 {
            writeln!(out, "{}", json!({"number": null, "version": null, "runs": answer.unknown}))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let request = ListAgentsRequest { sweep_id: sweep.id.clone() };
    let agents = client.call(request, async |mut service, request| service.list_agents(request).await).await?.agents;
    write!(out, "{}", display::code(&sweep, &answer, &agents, &learnt.agreements))?;
    Ok(ExitCode::SUCCESS)
}
