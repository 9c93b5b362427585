//! `sweep report`: what came of a sweep, for a pull request.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::ci::report::{self, Learnt, Reproduce};
use crate::ci::{End, Outcome};
use crate::client::ControllerArgs;
use crate::commands::{best, gate, runs};
use crate::display::out;
use crate::failure::Failure;
use crate::{shell, snapshots};

/// Writes what came of a sweep as Markdown, for a pull request
///
/// Question, budget, the best configuration and how sure that is, what matters, failures by cause, versions of the code, and how to reproduce it. The sweep need not
/// have ended. `sweep run --report` writes a shorter one at its end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep report ab12cd34 --out report.md
  sweep report ef56gh78 --baseline ab12cd34 | gh pr comment --body-file -")]
pub(crate) struct ReportArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Compare it with another sweep, or with a file as `sweep gate` takes it
    #[arg(long, value_name = "SWEEP|FILE")]
    baseline: Option<String>,

    /// Write it into a file instead of the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &ReportArgs) -> Result<ExitCode> {
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&args.sweep).await?;
    let compared = match &args.baseline {
        Some(baseline) => gate::against(&mut client, &sweep, baseline).await?,
        None => String::new(),
    };
    let learnt = Learnt {
        analysis: best::analysis(&client, &sweep).await?,
        versions: snapshots::versions(&client, &sweep).await?,
        compared,
        yaml: sweep.yaml.clone(),
    };
    let best = best::best_run(&client, &sweep).await?;
    // Without a known version of the code the line that was executed is all there is.
    let again = best.as_ref().and_then(|best| match best.code_version.as_str() {
        "" => shell::command_line(best),
        _ => Some(format!("sweep reproduce {}/{} --run", sweep.id, best.run)),
    });
    let reproduce = Reproduce { sweep: "sweep create sweep.yaml".to_owned(), best: again };
    let runs = runs::list(&mut client, &sweep.id, Vec::new()).await?;
    let last = runs.iter().map(|run| run.ended_ms).max().unwrap_or(sweep.created_ms);
    let duration = Duration::from_millis(u64::try_from(last - sweep.created_ms).unwrap_or(0));
    let markdown = report::account(&Outcome { sweep, runs, duration, end: End::Done }, &learnt, &reproduce);
    match &args.out {
        Some(path) => std::fs::write(path, markdown).map_err(|error| Failure::input(format!("{}: {error}", path.display())))?,
        None => write!(out(), "{markdown}")?,
    }
    Ok(ExitCode::SUCCESS)
}
