//! `sweep prune`: deletes what old runs take of the disk.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use sweep_agent::{RunFolder, run_folders};
use sweep_proto::v1::{GetSweepRequest, ListSweepsRequest, PruneSweepRequest, Sweep};
use tonic::Code;

use crate::client::{Client, ControllerArgs, request_id};
use crate::commands::agent::duration;
use crate::confirm::confirmed;
use crate::display::{bytes, counted, out};
use crate::left_data::{self, LeftData};
use crate::places;

/// Deletes curves, output and run folders of old runs
///
/// In the controller's data: the curves and the output of runs that ended before, of sweeps that have ended. Their configurations and results stay, so
/// that the search, `sweep runs` and reports know them. On this machine: run folders, with checkpoints, in which nothing was written since; those of
/// sweeps that have not ended stay, and so do those that a program or an agent uses; and what `sweep run` has left, as a whole. `sweep delete` deletes
/// whole sweeps. Without a controller only what is on this machine is looked at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep prune --older-than 30d --dry-run
  sweep prune --older-than 30d --keep best
  sweep prune --older-than 7d --keep none --yes ab12cd34")]
pub(crate) struct PruneArgs {
    /// The sweeps: their ids, the beginnings of their ids, or their names; by default all
    #[arg(value_name = "SWEEP")]
    sweeps: Vec<String>,

    /// The least time since runs ended: `12h`, `30d`
    #[arg(long, value_name = "TIME", value_parser = age)]
    older_than: Duration,

    /// The data to keep of each sweep: everything of its best run, or nothing
    #[arg(long, value_enum, default_value_t = Keep::Best)]
    keep: Keep,

    /// The folder of run folders; by default $XDG_STATE_HOME/sweep
    #[arg(long, value_name = "DIR")]
    runs_dir: Option<PathBuf>,

    /// Say what would be deleted, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Print JSON; implies --yes
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// The data to keep of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// The best run
    Best,
    /// Nothing
    None,
}

/// Reads a time that may be days: `30d`.
fn age(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d').map(str::parse::<u32>) {
        Some(Ok(days)) => Ok(Duration::from_secs(u64::from(days) * 24 * 3600)),
        Some(Err(_)) => Err("days are a whole number: `30d`".to_owned()),
        None => duration(text),
    }
}

/// The data to delete.
struct Plan {
    /// Sweeps, with the number of runs that lose curves and output.
    sweeps: Vec<(Sweep, u64)>,
    folders: Vec<RunFolder>,
    /// Leftover data of `sweep run`.
    left: Vec<LeftData>,
}

impl Plan {
    /// Returns how much of this machine's disk it frees.
    fn freed(&self) -> u64 {
        self.folders.iter().map(|folder| folder.bytes).sum::<u64>()
            + self.left.iter().map(|left| left.bytes).sum::<u64>()
    }
}

pub(crate) async fn run(args: &PruneArgs) -> Result<ExitCode> {
    let client = match args.controller.connect().await {
        Ok(client) => Some(client),
        Err(error) if args.controller.is_named() || !args.sweeps.is_empty() => return Err(error),
        Err(_) => {
            say!("No controller runs here: only what `sweep run` has left is looked at.");
            None
        }
    };
    let plan = plan(args, client.as_ref()).await?;
    let runs: u64 = plan.sweeps.iter().map(|(_, runs)| runs).sum();
    let freed = plan.freed();
    if args.dry_run || !args.json {
        shown(args, &plan, args.dry_run)?;
    }
    if args.dry_run || (runs == 0 && plan.folders.is_empty() && plan.left.is_empty()) {
        return Ok(ExitCode::SUCCESS);
    }
    let left = if plan.left.is_empty() {
        String::new()
    } else {
        format!(
            ", and all of {}",
            counted(plan.left.len() as u64, "`sweep run`")
        )
    };
    let folders = counted(plan.folders.len() as u64, "run folder");
    let what = format!(
        "curves and output of {}, and {folders}{left}",
        counted(runs, "run")
    );
    let question = format!("Delete {what}?");
    if !args.yes && !args.json && !confirmed(&question, false)? {
        say!("Nothing was deleted.");
        return Ok(ExitCode::SUCCESS);
    }
    for (sweep, _) in plan.sweeps.iter().filter(|(_, runs)| *runs > 0) {
        if let Some(client) = &client {
            prune(args, client, &sweep.id, false).await?;
        }
    }
    for folder in &plan.folders {
        folder.delete().with_context(|| {
            format!("the run folder {} cannot be deleted", folder.path.display())
        })?;
    }
    for left in &plan.left {
        left.delete()
            .with_context(|| format!("{} cannot be deleted", left.path.display()))?;
    }
    if args.json {
        shown(args, &plan, false)?;
    } else {
        writeln!(out(), "Deleted {what} ({}).", bytes(freed))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds the files to delete.
async fn plan(args: &PruneArgs, client: Option<&Client>) -> Result<Plan> {
    let runs_dir = args.runs_dir.clone().map_or_else(places::state_dir, Ok)?;
    let folders = run_folders(&runs_dir)
        .with_context(|| format!("the run folders in {} cannot be read", runs_dir.display()))?;
    let folders: Vec<_> = folders
        .into_iter()
        .filter(|folder| folder.is_older_than(args.older_than))
        .collect();
    let mut plan = match client {
        Some(client) => of_controller(args, client, (&runs_dir, &folders)).await?,
        None => Plan {
            sweeps: Vec::new(),
            folders: Vec::new(),
            left: Vec::new(),
        },
    };
    if args.sweeps.is_empty() {
        let left = left_data::all(&places::state_dir()?)?;
        plan.left = left
            .into_iter()
            .filter(|left| left.is_older_than(args.older_than))
            .collect();
        let of_left = folders
            .into_iter()
            .filter(|folder| plan.left.iter().any(|left| left.has(&runs_dir, folder)));
        plan.folders.extend(of_left);
    }
    Ok(plan)
}

/// Finds what to delete of a controller's sweeps.
async fn of_controller(
    args: &PruneArgs,
    client: &Client,
    (runs_dir, folders): (&Path, &[RunFolder]),
) -> Result<Plan> {
    let mut sweeps = Vec::new();
    if args.sweeps.is_empty() {
        let request = ListSweepsRequest {
            include_archived: true,
        };
        sweeps = client
            .call(request, async |mut service, request| {
                service.list_sweeps(request).await
            })
            .await?
            .sweeps;
    }
    for sweep in &args.sweeps {
        sweeps.push(client.sweep(sweep).await?);
    }
    let mut plan = Plan {
        sweeps: Vec::new(),
        folders: Vec::new(),
        left: Vec::new(),
    };
    let mut best = BTreeMap::new();
    for sweep in sweeps.into_iter().filter(has_ended) {
        best.insert(sweep.id.clone(), sweep.best_run);
        let runs = prune(args, client, &sweep.id, true).await?;
        plan.sweeps.push((sweep, runs));
    }
    let mut unknown: BTreeMap<String, bool> = BTreeMap::new();
    for folder in folders {
        let is_wanted = match best.get(&folder.sweep) {
            Some(best) => args.keep == Keep::None || *best != Some(folder.run),
            None if !args.sweeps.is_empty() => false,
            None => match unknown.get(&folder.sweep) {
                Some(is_unknown) => *is_unknown,
                None => {
                    let is_unknown = is_deleted(client, runs_dir, &folder.sweep).await?;
                    unknown.insert(folder.sweep.clone(), is_unknown);
                    is_unknown
                }
            },
        };
        if is_wanted {
            plan.folders.push(folder.clone());
        }
    }
    Ok(plan)
}

/// Nothing of it is queued or runs, and its end is no pause.
fn has_ended(sweep: &Sweep) -> bool {
    matches!(sweep.state.as_str(), "finished" | "stopped" | "cancelled") && sweep.running == 0
}

/// Returns whether a sweep was deleted from this controller. The sweeps of other controllers are none of its business.
async fn is_deleted(client: &Client, runs_dir: &Path, sweep: &str) -> Result<bool> {
    let ours = client.controller_id().await?;
    if ours.is_empty() || sweep_agent::controller_of(runs_dir, sweep).as_ref() != Some(&ours) {
        return Ok(false);
    }
    let request = GetSweepRequest {
        sweep_id: sweep.to_owned(),
    };
    match client.service.clone().get_sweep(request).await {
        Ok(_) => Ok(false),
        Err(status) if status.code() == Code::NotFound => Ok(true),
        Err(status) => Err(client.explain(&status)),
    }
}

async fn prune(args: &PruneArgs, client: &Client, sweep: &str, dry_run: bool) -> Result<u64> {
    let until = SystemTime::now()
        .checked_sub(args.older_than)
        .and_then(|until| until.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let (mut runs, mut after) = (0, 0);
    loop {
        let request = PruneSweepRequest {
            sweep_id: sweep.to_owned(),
            ended_before_ms: i64::try_from(until.as_millis()).unwrap_or(i64::MAX),
            keep_best: args.keep == Keep::Best,
            dry_run,
            request_id: request_id()?,
            after,
        };
        let pruned = client
            .call(request, async |mut service, request| {
                service.prune_sweep(request).await
            })
            .await?;
        runs += pruned.runs;
        after = pruned.next;
        if after == 0 {
            return Ok(runs);
        }
    }
}

fn shown(args: &PruneArgs, plan: &Plan, is_plan: bool) -> Result<()> {
    let mut out = out();
    if args.json {
        let sweeps: Vec<_> = plan
            .sweeps
            .iter()
            .filter(|(_, runs)| *runs > 0)
            .map(|(sweep, runs)| json!({"sweep": sweep.id, "runs": runs}))
            .collect();
        let folders: Vec<_> = plan
            .folders
            .iter()
            .map(|folder| json!({"path": folder.path, "bytes": folder.bytes}))
            .collect();
        let left: Vec<_> = plan
            .left
            .iter()
            .map(|left| json!({"path": left.path, "bytes": left.bytes}))
            .collect();
        writeln!(
            out,
            "{}",
            json!({"dry_run": is_plan, "sweeps": sweeps, "run_folders": folders, "sweep_runs": left})
        )?;
        return Ok(());
    }
    for (sweep, runs) in plan.sweeps.iter().filter(|(_, runs)| *runs > 0) {
        writeln!(
            out,
            "sweep {}: curves and output of {}",
            sweep.id,
            counted(*runs, "run")
        )?;
    }
    for folder in &plan.folders {
        writeln!(out, "{}: {}", folder.path.display(), bytes(folder.bytes))?;
    }
    for left in &plan.left {
        writeln!(
            out,
            "{}, of `sweep run`: {}",
            left.path.display(),
            bytes(left.bytes)
        )?;
    }
    if plan.folders.is_empty()
        && plan.left.is_empty()
        && plan.sweeps.iter().all(|(_, runs)| *runs == 0)
    {
        writeln!(out, "Nothing is that old.")?;
    } else {
        let freed = plan.freed();
        writeln!(
            out,
            "{} would be freed on this machine, and space in the controller's database.",
            bytes(freed)
        )?;
    }
    Ok(())
}
