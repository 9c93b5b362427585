//! `sweep ls`: all sweeps.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use sweep_proto::v1::{ListSweepsRequest, Sweep};

use crate::client::ControllerArgs;
use crate::display::{json, out, table};
use crate::{discovery, left_data, places, shell};

/// How many ended sweeps of `sweep run` are listed.
const ENDED_MAX: usize = 20;
/// Sweeps of one place that are named; the others are counted.
const IDS_MAX: usize = 4;

/// Lists sweeps, newest first
///
/// Unless the controller is on another machine, those of `sweep run` on this one follow, which has its own controller: running ones, and the last 20 that have ended.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// List archived sweeps as well
    #[arg(long)]
    archived: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Sweeps of another controller than the usual one.
struct LocalSweeps {
    sweeps: Vec<Sweep>,
    /// Which key of a JSON object says where they are, and what it says.
    place: (&'static str, String),
    /// How to look at them.
    how: String,
}

pub(crate) async fn run(args: &LsArgs) -> Result<ExitCode> {
    let own = list(&args.controller, args.archived).await;
    let elsewhere = if args.controller.is_loopback() {
        elsewhere(args).await?
    } else {
        Vec::new()
    };
    let sweeps = match own {
        Ok(sweeps) => sweeps,
        Err(error) if elsewhere.is_empty() => return Err(error),
        Err(error) => {
            tracing::debug!(%error, "no sweeps of the usual controller");
            Vec::new()
        }
    };
    let mut out = out();
    if args.json {
        for sweep in &sweeps {
            writeln!(out, "{}", json::sweep(sweep))?;
        }
        for LocalSweeps {
            sweeps,
            place: (key, place),
            ..
        } in &elsewhere
        {
            for sweep in sweeps {
                let mut object = json::sweep(sweep);
                object[*key] = Value::from(place.as_str());
                writeln!(out, "{object}")?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !sweeps.is_empty() {
        writeln!(out, "{}", table::sweeps(&sweeps))?;
    } else if elsewhere.is_empty() {
        say!("No sweeps yet. `sweep create sweep.yaml` starts one.");
    }
    if !elsewhere.is_empty() {
        let lead = if sweeps.is_empty() { "" } else { "\n" };
        let all: Vec<_> = elsewhere
            .iter()
            .flat_map(|place| &place.sweeps)
            .cloned()
            .collect();
        writeln!(
            out,
            "{lead}Of `sweep run` and of other controllers on this machine:\n{}",
            table::sweeps(&all)
        )?;
        for LocalSweeps { sweeps, how, .. } in &elsewhere {
            let ids: Vec<_> = sweeps.iter().map(|sweep| sweep.id.as_str()).collect();
            let which = if ids.len() > IDS_MAX {
                format!(
                    "{} and {} more",
                    ids[..IDS_MAX].join(", "),
                    ids.len() - IDS_MAX
                )
            } else {
                ids.join(", ")
            };
            writeln!(out, "  {which}: {how}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(controller: &ControllerArgs, archived: bool) -> Result<Vec<Sweep>> {
    let client = controller.connect().await?;
    let request = ListSweepsRequest {
        include_archived: archived,
    };
    Ok(client
        .call(request, async |mut service, request| {
            service.list_sweeps(request).await
        })
        .await?
        .sweeps)
}

/// Returns the sweeps of `sweep run` on this machine, running ones first.
async fn elsewhere(args: &LsArgs) -> Result<Vec<LocalSweeps>> {
    let usual = discovery::find(args.controller.address()).map(|found| found.address);
    let mut found = Vec::new();
    for address in discovery::all()
        .into_iter()
        .filter(|address| Some(*address) != usual)
    {
        // One that ends in this moment has nothing to list.
        let sweeps = list(&ControllerArgs::local(address), args.archived)
            .await
            .unwrap_or_default();
        let id = sweeps
            .first()
            .map(|sweep: &Sweep| sweep.id.clone())
            .unwrap_or_default();
        let how = format!("sweep show {id} --controller {address}");
        found.push(LocalSweeps {
            sweeps,
            place: ("controller", address.to_string()),
            how,
        });
    }
    for left in left_data::all(&places::state_dir()?)?
        .into_iter()
        .rev()
        .take(ENDED_MAX)
    {
        let end = left.end();
        let read = end.iter().filter_map(json::read_sweep);
        let sweeps = read.map(interrupted).collect();
        let data_dir = left.path.display().to_string();
        let how = shell::line(&[
            "sweep".to_owned(),
            "controller".to_owned(),
            "--data-dir".to_owned(),
            data_dir.clone(),
        ]);
        found.push(LocalSweeps {
            sweeps,
            place: ("data_dir", data_dir),
            how,
        });
    }
    found.retain(|place| !place.sweeps.is_empty());
    Ok(found)
}

/// Returns a sweep as its `sweep run` left it: without a process it runs no more.
fn interrupted(sweep: Sweep) -> Sweep {
    if !["running", "paused"].contains(&sweep.state.as_str()) {
        return sweep;
    }
    Sweep {
        state: "interrupted".to_owned(),
        ..sweep
    }
}
