//! `sweep disk`: what takes how much of the disk, and where.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use sweep_agent::run_folders;
use sweep_proto::v1::GetDiskUsageRequest;

use crate::client::ControllerArgs;
use crate::display::{bytes, out, table};
use crate::left_data;
use crate::places;

/// Shows disk usage: the controller's data, and run folders on this machine
///
/// Curves are estimated from the number of points. Indices, and what belongs to no sweep, count as part of the database alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep disk
  sweep disk --json | jq '.sweeps | sort_by(-.output_bytes) | .[0]'")]
pub(crate) struct DiskArgs {
    /// The folder of run folders; by default $XDG_STATE_HOME/sweep
    #[arg(long, value_name = "DIR")]
    runs_dir: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The controller reads all of its data.
const READ_ALL: Duration = Duration::from_secs(80);

pub(crate) async fn run(args: &DiskArgs) -> Result<ExitCode> {
    let client = args.controller.connect().await?;
    let usage = client
        .call_within(
            READ_ALL,
            GetDiskUsageRequest {},
            async |mut service, request| service.get_disk_usage(request).await,
        )
        .await?;
    let runs_dir = args.runs_dir.clone().map_or_else(places::state_dir, Ok)?;
    let folders = run_folders(&runs_dir)
        .with_context(|| format!("the run folders in {} cannot be read", runs_dir.display()))?;
    let mut by_sweep: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for folder in &folders {
        let (count, bytes) = by_sweep.entry(folder.sweep.clone()).or_default();
        (*count, *bytes) = (*count + 1, *bytes + folder.bytes);
    }
    let left = left_data::all(&places::state_dir()?)?;
    let left_bytes: u64 = left.iter().map(|left| left.bytes).sum();
    let folder_bytes: u64 = folders.iter().map(|folder| folder.bytes).sum();
    let rows: Vec<_> = usage
        .sweeps
        .iter()
        .map(|sweep| (sweep, by_sweep.remove(&sweep.sweep_id).unwrap_or_default()))
        .collect();
    if args.json {
        let sweeps = rows.iter().map(|(sweep, (count, bytes))| {
            json!({
                "sweep": sweep.sweep_id, "name": sweep.name, "state": sweep.state, "archived": sweep.archived, "runs": sweep.runs,
                "event_bytes": sweep.event_bytes, "curve_bytes": sweep.curve_bytes, "output_bytes": sweep.output_bytes,
                "row_bytes": sweep.row_bytes, "run_folders": count, "run_folder_bytes": bytes,
            })
        });
        let unknown =
            by_sweep.iter().map(|(sweep, (count, bytes))| json!({"sweep": sweep, "run_folders": count, "run_folder_bytes": bytes}));
        let all = json!({
            "data_dir": usage.data_dir, "database_bytes": usage.database_bytes, "free_bytes": usage.free_bytes, "code_bytes": usage.code_bytes,
            "is_purging": usage.is_purging, "runs_dir": runs_dir, "run_folder_bytes": folder_bytes,
            "sweep_run_bytes": left_bytes, "sweep_runs": left.iter().map(|left| json!({"path": left.path, "bytes": left.bytes})).collect::<Vec<_>>(),
            "sweeps": sweeps.collect::<Vec<_>>(), "unknown_sweeps": unknown.collect::<Vec<_>>(),
        });
        writeln!(out(), "{all}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = out();
    let purging = if usage.is_purging {
        "; deleted data is still being removed"
    } else {
        ""
    };
    writeln!(out, "Controller, {}:", usage.data_dir)?;
    writeln!(
        out,
        "  database {}, of which {} are free for new data{purging}",
        bytes(usage.database_bytes),
        bytes(usage.free_bytes)
    )?;
    writeln!(out, "  code of runs {}", bytes(usage.code_bytes))?;
    writeln!(
        out,
        "This machine, {}: {} in {} run folders",
        runs_dir.display(),
        bytes(folder_bytes),
        folders.len()
    )?;
    if !left.is_empty() {
        writeln!(
            out,
            "  left by `sweep run`: {} in {} data directories",
            bytes(left_bytes),
            left.len()
        )?;
    }
    let mut lines: Vec<_> = rows
        .iter()
        .map(|(sweep, folders)| table::usage(sweep, *folders))
        .collect();
    lines.extend(
        by_sweep
            .into_iter()
            .map(|(sweep, folders)| table::unknown_usage(&sweep, folders)),
    );
    if !lines.is_empty() {
        writeln!(out, "\n{}", table::usages(lines))?;
    }
    Ok(ExitCode::SUCCESS)
}
