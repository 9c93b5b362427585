//! `sweep code push`: moves a pinned sweep to the code that is here now.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sweep_lifecycle::spec;
use sweep_proto::v1::MoveCodeRequest;

use super::rerun::{which, words};
use crate::client::{ControllerArgs, request_id};
use crate::display::{self, out};
use crate::pinning::{self, CodeFolderArgs};

/// Moves a pinned sweep to the present code of the working folder
///
/// A snapshot is taken of the working state, uncommitted and untracked files included, and every run that begins from now on executes it, on any agent.
/// Running runs finish on the code they began with. Nothing that was tried is tried again unless --rerun says so; and what is tried again gets new runs,
/// which no `run_cap` counts. The snapshot is refused if something in it looks like a secret.
///
/// A sweep with `code: {mode: track}` has nothing to push, since its agents execute what is on their disks; --pin pins it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep code push ab12cd34
  sweep code push ab12cd34 --rerun best 3
  sweep code push ab12cd34 --rerun all --stop-running
  sweep code push ab12cd34 --pin --workdir ~/project")]
pub(super) struct PushArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Do not wait for running runs: they are ended gracefully and begin again with the new code. It uses up no retry
    #[arg(long)]
    stop_running: bool,

    /// The points to rerun with the new code: `none`, `best N` or `all`
    #[arg(long, value_name = "WHICH", num_args = 1..=2, default_value = "none")]
    rerun: Vec<String>,

    /// Pin a sweep that tracks its agents' code until now
    #[arg(long)]
    pin: bool,

    #[command(flatten)]
    code: CodeFolderArgs,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) async fn run(args: &PushArgs) -> Result<ExitCode> {
    let rerun = which(&args.rerun)?;
    let client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let workdir = args
        .code
        .workdir
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    // The controller has taken it in, so it is right.
    let include = spec::parse(&sweep.yaml)
        .0
        .map(|spec| spec.code.include)
        .unwrap_or_default();
    let taken = pinning::take(&workdir, args.code.allow_secrets, &include)?;
    pinning::send(&client, &sweep.id, &taken).await?;
    let request = MoveCodeRequest {
        sweep_id: sweep.id.clone(),
        request_id: request_id()?,
        code: Some(sweep_agent::code_message(&taken.snapshot)),
        pin: args.pin,
        stop_running: args.stop_running,
        rerun,
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.move_code(request).await
        })
        .await?;
    pinning::tell_notes(&taken.snapshot);
    let mut out = out();
    if args.json {
        let object = json!({"sweep": sweep.id, "number": answer.number, "version": taken.snapshot.version, "moved": answer.moved,
            "stopped": answer.stopped, "again": answer.again, "skipped": answer.skipped});
        writeln!(out, "{object}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let code = sweep_agent::code_message(&taken.snapshot);
    let (number, version, origin) = (
        answer.number,
        display::code::short(&code.version),
        display::code::origin(&code),
    );
    let origin = if origin.is_empty() {
        String::new()
    } else {
        format!(", {origin}")
    };
    let verb = if answer.moved {
        "is pinned to"
    } else {
        "was at that already:"
    };
    writeln!(
        out,
        "Sweep {} {verb} version {number} ({version}{origin})",
        sweep.id
    )?;
    match answer.stopped.len() {
        0 => {}
        1 => writeln!(
            out,
            "Run {} is ended and begins again with it",
            answer.stopped[0]
        )?,
        count => writeln!(
            out,
            "{count} running runs are ended and begin again with it"
        )?,
    }
    write!(out, "{}", words(&answer.again, &answer.skipped))?;
    let ended = matches!(sweep.state.as_str(), "finished" | "stopped" | "cancelled");
    if ended && answer.again.is_empty() {
        say!(
            "The sweep is {}: --rerun best N or --rerun all tries points again with it",
            sweep.state
        );
    }
    Ok(ExitCode::SUCCESS)
}
