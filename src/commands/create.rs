//! `sweep create`: starts a sweep and prints its id.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_lifecycle::spec::{CodeMode, SweepSpec};
use sweep_proto::v1::CreateSweepRequest;

use crate::client::{Client, ControllerArgs, request_id};
use crate::commands::controller;
use crate::display::{self, diagnostic, out};
use crate::failure::CommandError;
use crate::pinning::{self, CodeFolderArgs, TakenSnapshot};

/// Starts a sweep and prints its id
///
/// The id alone goes to standard output, everything else to standard error. When no controller is named and none answers on this machine, one is
/// started in the background; `sweep controller stop` ends it.
///
/// With `code: {mode: pin}` in the file, a snapshot is taken of the code, uncommitted and untracked files included, and every agent executes exactly that. It is
/// refused if something in it looks like a secret: a file by its name, or a key in one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  id=$(sweep create sweep.yaml)
  sweep create sweep.yaml --controller http://gpu-head:7433
  generate-sweep | sweep create -
  sweep create pinned.yaml --workdir ~/project

Exit status: 0 created, 2 the sweep file has a mistake.")]
pub(crate) struct CreateArgs {
    /// The sweep file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// The name of the sweep, in place of the file's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    code: CodeFolderArgs,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &CreateArgs) -> Result<ExitCode> {
    let text = diagnostic::read(&args.file)?;
    let spec = diagnostic::parse(&args.file, &text)?;
    let taken = take_code(&args.code, &args.file, &spec)?;
    if !args.controller.is_named() && !args.controller.answers().await? {
        controller::start_in_background(&args.controller).await?;
    }
    let client = args.controller.connect().await?;
    let name = args.name.clone().unwrap_or_default();
    let id = create(&client, text, name, taken.as_ref()).await?;
    writeln!(out(), "{id}")?;
    if let Some(TakenSnapshot { snapshot, .. }) = &taken {
        let origin = display::code::origin(&sweep_agent::code_message(snapshot));
        let origin = if origin.is_empty() {
            String::new()
        } else {
            format!(", {origin}")
        };
        say!(
            "Pinned to code version {}{origin}",
            display::code::short(&snapshot.version)
        );
        pinning::tell_notes(snapshot);
    }
    say!("Work on it with `sweep agent {id}`, look at it with `sweep watch {id}`");
    say!(
        "Page: {}",
        client
            .page_link(&args.controller, &format!("/sweeps/{id}"))
            .await
    );
    Ok(ExitCode::SUCCESS)
}

/// Creates a sweep and returns its id.
pub(crate) async fn create(
    client: &Client,
    yaml: String,
    name: String,
    taken: Option<&TakenSnapshot>,
) -> Result<String> {
    // The code first: the sweep is refused where its code is not there, so that it never exists without.
    if let Some(taken) = taken {
        pinning::send(client, "", taken).await?;
    }
    let request = CreateSweepRequest {
        yaml,
        request_id: request_id()?,
        name,
        code: taken.map(|taken| sweep_agent::code_message(&taken.snapshot)),
    };
    let created = client
        .call(request, async |mut service, request| {
            service.create_sweep(request).await
        })
        .await?;
    Ok(created.sweep_id)
}

/// Takes the code of a sweep that is pinned.
pub(crate) fn take_code(
    args: &CodeFolderArgs,
    file: &str,
    spec: &SweepSpec,
) -> Result<Option<TakenSnapshot>> {
    if spec.code.mode == CodeMode::Track {
        if args.is_given() {
            let failure = CommandError::input(
                "no code is taken: the agents of this sweep execute what they have",
            );
            return Err(failure.hint("`code: {mode: pin}` in the sweep file has all of them execute a snapshot of the code").into());
        }
        return Ok(None);
    }
    let workdir = args.workdir.clone().unwrap_or_else(|| workdir(file, spec));
    if let Some(program) = spec
        .program
        .as_ref()
        .filter(|program| !workdir.join(program).exists())
    {
        say!(
            "note: there is no {} in {}; --workdir names where programs run",
            display::printable(program),
            workdir.display()
        );
    }
    pinning::take(&workdir, args.allow_secrets, &spec.code.include).map(Some)
}

/// The folder of the program: the current one, unless the program lies beside the sweep file alone.
fn workdir(file: &str, spec: &SweepSpec) -> PathBuf {
    let here = PathBuf::from(".");
    let (Some(program), Some(beside)) = (&spec.program, Path::new(file).parent()) else {
        return here;
    };
    let is_there = |folder: &Path| folder.join(program).exists();
    if file != "-" && !beside.as_os_str().is_empty() && !is_there(&here) && is_there(beside) {
        beside.to_owned()
    } else {
        here
    }
}
