//! `sweep diff`: what differs between two runs, two versions of the code, or two sweeps.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use sweep_proto::v1::{Environment, Run, Sweep};

use crate::client::{Client, ControllerArgs, split_run};
use crate::display::{self, out};
use crate::environments;
use crate::failure::CommandError;
use crate::queries;
use crate::snapshots::{self, SnapshotStore};

/// Compares two runs: parameters, results, environment, data, code
///
/// Each side is a run (SWEEP/RUN), a version of a sweep's code (SWEEP@2, or SWEEP@ and the beginning of its hash), or a sweep, which means its best run.
/// The code is compared with all that was not committed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep diff ab12cd34/7 ab12cd34/31
  sweep diff ab12cd34@1 ab12cd34@2
  sweep diff --stat ab12cd34 ef56ab78")]
pub(crate) struct DiffArgs {
    /// A run, version or sweep
    #[arg(value_name = "A")]
    left: String,

    /// The other side
    #[arg(value_name = "B")]
    right: String,

    /// Of the code, only which files differ and how much
    #[arg(long)]
    stat: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// One side.
struct DiffSide {
    sweep: Sweep,
    run: Option<Run>,
    /// The version of the code; empty: not known.
    version: String,
}

pub(crate) async fn run(args: &DiffArgs) -> Result<ExitCode> {
    let mut client = args.controller.connect().await?;
    let left = side(&mut client, &args.left).await?;
    let right = side(&mut client, &args.right).await?;
    if let (Some(one), Some(other)) = (&left.run, &right.run) {
        let heads = (head(&left, one), head(&right, other));
        writeln!(
            out(),
            "{}",
            display::compare::runs(
                (&heads.0, &heads.1),
                (&left.sweep.metric, &right.sweep.metric),
                one,
                other
            )
        )?;
        let environments = (
            environment(&client, &left, one).await?,
            environment(&client, &right, other).await?,
        );
        if let (Some(one), Some(other)) = environments {
            writeln!(
                out(),
                "{}\n",
                display::environment::compared((&heads.0, &heads.1), &one, &other)
            )?;
        }
    }
    if left.version.is_empty() || right.version.is_empty() {
        let which = if left.version.is_empty() {
            &args.left
        } else {
            &args.right
        };
        writeln!(
            out(),
            "Code: it is not known which version {which} executed."
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let (from, to) = (
        display::code::short(&left.version),
        display::code::short(&right.version),
    );
    if left.version == right.version {
        writeln!(out(), "Code: the same, version {from}.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut snapshots = SnapshotStore::new()?;
    snapshots
        .fetch(&mut client, &left.sweep, &left.version)
        .await?;
    snapshots
        .fetch(&mut client, &right.sweep, &right.version)
        .await?;
    let color = std::io::stdout().is_terminal() && console::colors_enabled();
    let diff = snapshots
        .store
        .diff(&left.version, &right.version, args.stat, color)?;
    let mut out = out();
    writeln!(out, "Code: from version {from} to {to}")?;
    out.write_all(&diff)?;
    Ok(ExitCode::SUCCESS)
}

fn head(side: &DiffSide, run: &Run) -> String {
    format!("{}/{}", side.sweep.id, run.run)
}

/// Returns the environment of the newest attempt of a run.
async fn environment(client: &Client, side: &DiffSide, run: &Run) -> Result<Option<Environment>> {
    let digest = run
        .attempts
        .last()
        .map(|attempt| attempt.environment.as_str())
        .unwrap_or_default();
    environments::fetch(client, &side.sweep, digest).await
}

async fn side(client: &mut Client, text: &str) -> Result<DiffSide> {
    if let Some((sweep, version)) = text.split_once('@') {
        let sweep = client.sweep(sweep).await?;
        let versions = snapshots::versions(client, &sweep).await?;
        let version = snapshots::find(&sweep, &versions, version)?;
        return Ok(DiffSide {
            sweep,
            run: None,
            version,
        });
    }
    let (target, number) = split_run(text)?;
    let sweep = client.sweep(&target).await?;
    let run = match number {
        Some(number) => queries::existing_run(client, &sweep, number).await?,
        None => queries::best_run(client, &sweep).await?.ok_or_else(|| {
            let failure = CommandError::new(format!("sweep {} has no best run yet", sweep.id));
            failure.hint(format!(
                "name a run ({}/1) or a version of its code ({}@1)",
                sweep.id, sweep.id
            ))
        })?,
    };
    let version = run.code_version.clone();
    Ok(DiffSide {
        sweep,
        run: Some(run),
        version,
    })
}
