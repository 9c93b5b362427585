//! `sweep history`: what a sweep's file and code have been, and when.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::{ListRevisionsRequest, ListRevisionsResponse};

use crate::client::ControllerArgs;
use crate::display::{self, out};
use crate::failure::CommandError;
use crate::snapshots;

/// Lists the changes of a sweep: edits of its file, code versions and actions on them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep history ab12cd34
  sweep history ab12cd34 --yaml 1 > sweep.yaml    the file as it was first
  sweep history ab12cd34 --json")]
pub(crate) struct HistoryArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Print the file of one revision
    #[arg(long, value_name = "REVISION", conflicts_with = "json")]
    yaml: Option<u32>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &HistoryArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let request = ListRevisionsRequest {
        sweep_id: sweep.id.clone(),
    };
    let listed = client
        .call(request, async |mut service, request| {
            service.list_revisions(request).await
        })
        .await?;
    let ListRevisionsResponse {
        revisions,
        code_steps,
    } = listed;
    if let Some(number) = args.yaml {
        let found = revisions
            .iter()
            .find(|revision| revision.revision == number);
        let found = found.ok_or_else(|| {
            let failure =
                CommandError::input(format!("sweep {} has no revision {number}", sweep.id));
            failure.hint(format!(
                "it has {}; `sweep history {}` lists them",
                revisions.len(),
                sweep.id
            ))
        })?;
        write!(out(), "{}", found.yaml)?;
        return Ok(ExitCode::SUCCESS);
    }
    let versions = snapshots::versions(&client, &sweep).await?;
    if args.json {
        for line in display::edit::history_json(&revisions, &versions, &code_steps) {
            writeln!(out(), "{line}")?;
        }
    } else {
        write!(
            out(),
            "{}",
            display::edit::history(&revisions, &versions, &code_steps)
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
