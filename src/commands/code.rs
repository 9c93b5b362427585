//! `sweep code`: the versions of the code that a sweep has seen, and what people do with them.

mod mark;
mod push;
mod rerun;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;
use sweep_proto::v1::{GetPatchRequest, ListCodeRequest, Sweep};

use crate::client::{Client, ControllerArgs};
use crate::display::{self, out};
use crate::failure::CommandError;
use crate::queries;
use crate::snapshots;

/// Lists the code versions of a sweep; moves it to other code, reruns points, marks versions
///
/// A version is the tree hash that git gives to all that is executed, uncommitted and untracked files included. Nothing has to be committed, and a folder
/// need not be a repository. With `code: {mode: track}`, the default, agents look before each run at what they have; with `code: {mode: pin}` all of them
/// execute the snapshot that `sweep create` has taken, or the one that `sweep code push` has moved the sweep to.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  sweep code ab12cd34
  sweep code ab12cd34 --json
  sweep code ab12cd34 --diff @2
  sweep code push ab12cd34 --rerun best 3
  sweep code rerun ab12cd34 all
  sweep code mark ab12cd34 @2 same-as @1
  sweep code mark ab12cd34 @3 unusable")]
pub(crate) struct CodeArgs {
    #[command(subcommand)]
    action: Option<CodeAction>,

    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP", required = true)]
    sweep: Option<String>,

    /// Print what in a version was not committed, as `git diff` does: @2, 2, or the beginning of its hash
    #[arg(long, value_name = "VERSION", conflicts_with = "json")]
    diff: Option<String>,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Actions on code versions.
#[derive(Debug, Subcommand)]
enum CodeAction {
    Push(push::PushArgs),
    Rerun(rerun::RerunArgs),
    Mark(mark::MarkArgs),
}

pub(crate) async fn run(args: &CodeArgs) -> Result<ExitCode> {
    match &args.action {
        None => list(args).await,
        Some(CodeAction::Push(args)) => push::run(args).await,
        Some(CodeAction::Rerun(args)) => rerun::run(args).await,
        Some(CodeAction::Mark(args)) => mark::run(args).await,
    }
}

async fn list(args: &CodeArgs) -> Result<ExitCode> {
    let named = args
        .sweep
        .as_deref()
        .ok_or_else(|| CommandError::input("no sweep is named"))?;
    let client = args.controller.connect().await?;
    let sweep = client.sweep(named).await?;
    if let Some(version) = &args.diff {
        return diff(&client, &sweep, version).await;
    }
    let request = ListCodeRequest {
        sweep_id: sweep.id.clone(),
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.list_code(request).await
        })
        .await?;
    let learnt = queries::analysis(&client, &sweep).await?;
    let mut out = out();
    if args.json {
        for version in &answer.versions {
            let agreement = learnt
                .agreements
                .iter()
                .find(|agreement| agreement.older == version.number);
            let mut object = display::json::code(version);
            object["agreement"] = agreement.map(display::json::agreement).into();
            writeln!(out, "{object}")?;
        }
        if answer.unknown > 0 {
            writeln!(
                out,
                "{}",
                json!({"number": null, "version": null, "runs": answer.unknown})
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let agents = queries::agents(&client, &sweep.id).await?;
    write!(
        out,
        "{}",
        display::code(&sweep, &answer, &agents, &learnt.agreements)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what in a version was not committed.
async fn diff(client: &Client, sweep: &Sweep, named: &str) -> Result<ExitCode> {
    let versions = snapshots::versions(client, sweep).await?;
    let name = snapshots::find(sweep, &versions, named)?;
    let version = versions.iter().find(|version| {
        version
            .code
            .as_ref()
            .is_some_and(|code| code.version == name)
    });
    let code = version
        .and_then(|version| version.code.clone())
        .unwrap_or_default();
    let short = display::code::short(&name);
    if !version.is_some_and(|version| version.has_patch) {
        let why = match (code.commit.as_str(), code.files) {
            ("", _) => format!(
                "version {short} has no commit that it could be compared with; `sweep diff` compares versions"
            ),
            (commit, 0) => format!(
                "version {short} is what commit {} holds: all was committed",
                display::code::short(commit)
            ),
            _ => format!("the controller does not have what was not committed in version {short}"),
        };
        say!("{why}");
        return Ok(ExitCode::SUCCESS);
    }
    let request = GetPatchRequest {
        sweep_id: sweep.id.clone(),
        version: name,
    };
    let patch = client
        .call(request, async |mut service, request| {
            service.get_patch(request).await
        })
        .await?
        .patch;
    write!(out(), "{}", display::code::patch(&patch))?;
    Ok(ExitCode::SUCCESS)
}
