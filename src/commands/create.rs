//! `sweep create`: starts a sweep and prints its id.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::CreateSweepRequest;

use crate::client::{ControllerArgs, request_id};
use crate::commands::controller;
use crate::display::{diagnostic, out};

/// Starts a sweep and prints its id
///
/// The id alone goes to standard output, everything else to standard error. When no controller is named and none answers on this machine, one is
/// started in the background; `sweep controller stop` ends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  id=$(sweep create sweep.yaml)
  sweep create sweep.yaml --controller http://gpu-head:7433
  generate-sweep | sweep create -

Exit status: 0 created, 2 the sweep file has a mistake.")]
pub(crate) struct CreateArgs {
    /// The sweep file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// The name of the sweep, in place of the file's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &CreateArgs) -> Result<ExitCode> {
    let text = diagnostic::read(&args.file)?;
    diagnostic::parse(&args.file, &text)?;
    if !args.controller.is_named() && !args.controller.answers().await {
        controller::start_in_background(&args.controller).await?;
    }
    let client = args.controller.connect().await?;
    let request = CreateSweepRequest { yaml: text, request_id: request_id()?, name: args.name.clone().unwrap_or_default() };
    let created = client.call(request, async |mut service, request| service.create_sweep(request).await).await?;
    writeln!(out(), "{}", created.sweep_id)?;
    eprintln!("Work on it with `sweep agent {0}`, look at it with `sweep watch {0}`", created.sweep_id);
    Ok(ExitCode::SUCCESS)
}
