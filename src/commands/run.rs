//! `sweep run`: a whole sweep in one command, for a laptop and for CI.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use std::io::Write as _;
use sweep_agent::Interrupt;
use sweep_controller::engine::Terms;
use sweep_controller::serve::{self, AccessPolicy, Controller, ServeOptions};
use sweep_lifecycle::spec::{CodeMode, Method, SweepSpec};
use sweep_proto::v1::Run;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::ci::gate::{Gate, GateJudgement};
use crate::ci::report::Reproduce;
use crate::ci::{CiVerdict, SweepOutcome, SweepRunEnd, junit, report};
use crate::client::{Client, ControllerArgs, request_id};
use crate::commands::agent::{self, PlaceArgs, at_least_one, duration};
use crate::commands::{controller, create, watch as watching};
use crate::display::Constants;
use crate::display::live::Live;
use crate::display::{self, diagnostic, out};
use crate::failure::CommandError;
use crate::pinning::{CodeFolderArgs, TakenSnapshot};
use crate::queries;
use crate::signals::{self, PreemptSignal};
use crate::{discovery, left_data, places, shell};

/// How long the view may lag behind the end of the sweep.
const VIEW_GRACE: Duration = Duration::from_secs(3);
/// No more is said of what the agent had to say.
const NOTES_MAX: usize = 20;

/// Runs a whole sweep on this machine: controller and agents in one process, nothing left behind
///
/// Shows the sweep while it works and ends with the best configuration.
#[derive(Debug, Args)]
#[command(after_help = "Exit status (the first that applies):
  130  interrupted
  4    timed out
  3    no run succeeded, or run after run failed until the sweep was paused
  1    the gate failed (--fail-if)
  2    bad input: nothing was run
  0    done

The gate is a condition under which the build should go red, over best.value, best.<metric>, total, finished, stopped, failed, cancelled, duration_s:
  --fail-if 'best.val_loss > 0.3'
  --fail-if 'failed / total > 0.2 or best.accuracy < 0.9'
What cannot be judged (no run has the metric) fails.

Examples:
  sweep run sweep.yaml
  sweep run sweep.yaml --agents 4 --count 20 --timeout 30m
  sweep run sweep.yaml --count 10 --fail-if 'best.val_loss > 0.3' --junit junit.xml --report report.md")]
pub(crate) struct RunArgs {
    /// The sweep file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// Runs at once; by default one for each GPU (or group of GPUs), one where there are none
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    agents: Option<usize>,

    /// End after this many runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this time in any case: `90s`, `30m`, `2h`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Fail (exit status 1) if this is true of the outcome: `best.val_loss > 0.3`
    #[arg(long, value_name = "EXPR")]
    fail_if: Option<String>,

    /// Write JUnit XML: a test case for each run, one for the gate
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write a Markdown report; also appended to $GITHUB_STEP_SUMMARY when that is set
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,

    /// Where the sweep's data is kept; by default a new directory under $XDG_STATE_HOME/sweep
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Take the code of a sweep with `code: {mode: pin}` even if something in it looks like a secret
    #[arg(long)]
    allow_secrets: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode> {
    let began = Instant::now();
    let text = diagnostic::read(&args.file)?;
    let spec = diagnostic::parse(&args.file, &text)?;
    if spec.method == Method::External {
        let hint = "`sweep create FILE`, `sweep agent` to execute what is offered, and `sweep offer` by the program that searches";
        return Err(CommandError::input("`method: external`: `sweep run` has its own controller, to which no program can offer runs")
            .hint(hint)
            .into());
    }
    let folder = CodeFolderArgs {
        workdir: args.place.workdir.clone(),
        allow_secrets: args.allow_secrets,
    };
    let taken = if spec.code.mode == CodeMode::Pin {
        create::take_code(&folder, &args.file, &spec)?
    } else {
        None
    };
    let gate = args
        .fail_if
        .as_deref()
        .map(Gate::parse)
        .transpose()
        .map_err(|error| CommandError::input(error.to_string()))?;
    for file in [&args.junit, &args.report].into_iter().flatten() {
        writable(file)?;
    }
    let data_dir = args.data_dir.clone().map_or_else(new_data_dir, Ok)?;
    let options = ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: data_dir.clone(),
        terms: Terms::default(),
        grace: Duration::from_secs(2),
        access: AccessPolicy::Token { given: None },
    };
    let controller = serve::start(options).await.map_err(controller::explain)?;
    let _announcement = discovery::announce(controller.address(), &data_dir);
    let outcome = work(args, &spec, (text, taken), &controller, began).await;
    let stopped = controller.stop().await.map_err(controller::explain);
    let outcome = outcome?;
    stopped?;
    left_data::write_end(&data_dir, &display::json::sweep(&outcome.sweep));
    let judgement = gate.as_ref().map(|gate| gate.judge(&outcome));
    conclude(args, &outcome, judgement.as_ref(), &data_dir)
}

/// Finds out before the sweep, not after it, that a file cannot be written.
fn writable(file: &Path) -> Result<()> {
    let opened = std::fs::File::options()
        .create(true)
        .append(true)
        .open(file);
    opened.map_err(|error| {
        CommandError::input(format!("cannot write {}: {error}", file.display()))
    })?;
    Ok(())
}

fn new_data_dir() -> Result<PathBuf> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Ok(places::state_dir()?.join(format!(
        "{}{since}-{}",
        left_data::PREFIX,
        &request_id()?[..6]
    )))
}

async fn work(
    args: &RunArgs,
    spec: &SweepSpec,
    (text, taken): (String, Option<TakenSnapshot>),
    controller: &Controller,
    began: Instant,
) -> Result<SweepOutcome> {
    let token = controller.token().map(|token| token.reveal().to_owned());
    let target = ControllerArgs {
        token,
        ..ControllerArgs::local(controller.address())
    };
    let mut client = target.connect().await?;
    let id = create::create(&client, text, String::new(), taken.as_ref()).await?;
    if spec.run_cap.is_none()
        && args.count.is_none()
        && args.timeout.is_none()
        && spec.space.size().is_none()
    {
        say!("The sweep has no end of its own (run_cap, --count, --timeout): Ctrl-C ends it.");
    }
    say!(
        "Page: {}",
        client.page_link(&target, &format!("/sweeps/{id}")).await
    );
    let view = tokio::spawn(follow(client.clone(), id.clone()));
    let end = agents(args, &target, &id, stalls(client.clone(), id.clone())).await;
    // The view ends by itself with the sweep; otherwise there is nothing more to see.
    let grace = if matches!(end, Ok((SweepRunEnd::Done, _))) {
        VIEW_GRACE
    } else {
        Duration::ZERO
    };
    let abort = view.abort_handle();
    if tokio::time::timeout(grace, view).await.is_err() {
        abort.abort();
    }
    let (end, notes) = end?;
    tell(&notes);
    let sweep = client.sweep(&id).await?;
    let runs = queries::runs(&mut client, &id, Vec::new()).await?;
    Ok(SweepOutcome {
        sweep,
        runs,
        duration: began.elapsed(),
        end,
    })
}

async fn follow(client: Client, id: String) {
    let constants = client.sweep(&id).await.map(|sweep| Constants::of(&sweep));
    let mut live = Live::new(constants.unwrap_or_default());
    // The outcome is read from the controller afterwards: a view that breaks off loses nothing.
    if let Err(error) = watching::follow(client, &id, &mut live).await {
        tracing::debug!(%error, "the view broke off");
    }
    live.close();
}

/// Waits until the controller has paused the sweep because every agent fails. No one mends that while CI waits.
async fn stalls(client: Client, id: String) {
    if watching::until(client, &id, |sweep| sweep.stalled)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

/// One agent with as many slots as runs are wanted at once: it counts runs exactly, and one process has one place for signals.
async fn agents(
    args: &RunArgs,
    target: &ControllerArgs,
    id: &str,
    stalls: impl Future<Output = ()> + Send + 'static,
) -> Result<(SweepRunEnd, Vec<String>)> {
    let mut options = args.place.options(target, id.to_owned()).await?;
    options.count = args.count;
    options.slots = args.agents;
    // The controller in this very process is gone with it, and no agent would take programs over.
    options.ends_alone = true;
    let (interrupts, received) = mpsc::channel(8);
    let (sender, mut caught) = mpsc::channel(8);
    signals::forward(sender, PreemptSignal::Term)?;
    let (notices, quiet) = mpsc::unbounded_channel();
    let chatter = drain(quiet);
    let (ended_by, reason) = watch::channel(SweepRunEnd::Done);
    let timeout = args.timeout;
    let relay = tokio::spawn(async move {
        let limit = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(limit, stalls);
        let (mut timed_out, mut stalled) = (false, false);
        loop {
            let interrupt = tokio::select! {
                Some(interrupt) = caught.recv() => {
                    let ends = *ended_by.borrow() == SweepRunEnd::Done && !matches!(interrupt, Interrupt::PassOn(_));
                    if ends { ended_by.send_replace(SweepRunEnd::Interrupted); }
                    interrupt
                }
                () = &mut limit, if !timed_out => { timed_out = true; ended_by.send_replace(SweepRunEnd::TimedOut); Interrupt::Stop }
                () = &mut stalls, if !stalled => { stalled = true; ended_by.send_if_modified(|end| (*end == SweepRunEnd::Done).then(|| *end = SweepRunEnd::Stalled).is_some()); Interrupt::Stop }
                else => return,
            };
            if interrupts.send(interrupt).await.is_err() {
                return;
            }
        }
    });
    let summary = sweep_agent::run(options, received, notices).await;
    relay.abort();
    let notes = chatter.await.unwrap_or_default();
    if let Err(error) = summary {
        tell(&notes);
        return Err(agent::explain(&error, target));
    }
    let end = *reason.borrow();
    Ok((end, notes))
}

/// Takes what the agent says of its runs, which the view shows, and returns what else it says, each once.
fn drain(mut notices: mpsc::UnboundedReceiver<sweep_agent::Notice>) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut notes: Vec<String> = Vec::new();
        while let Some(notice) = notices.recv().await {
            tracing::debug!(?notice, "agent");
            match notice {
                sweep_agent::Notice::Note(text)
                    if notes.len() < NOTES_MAX && !notes.contains(&text) =>
                {
                    notes.push(text);
                }
                _ => {}
            }
        }
        notes
    })
}

/// Says what the agent has said: below the view, which would paint over it.
fn tell(notes: &[String]) {
    for note in notes {
        say!("Note: {}", display::printable(note));
    }
}

fn conclude(
    args: &RunArgs,
    outcome: &SweepOutcome,
    judgement: Option<&GateJudgement>,
    data_dir: &Path,
) -> Result<ExitCode> {
    let verdict = outcome.verdict(judgement.is_some_and(|judgement| judgement.failed));
    let best = outcome.best();
    let reproduce = Reproduce {
        sweep: this_line(args),
        best: best.and_then(shell::command_line),
    };
    let markdown = report::markdown(outcome, judgement, &reproduce);
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::xml(outcome, judgement)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &args.report {
        std::fs::write(file, &markdown)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
        let opened = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&file);
        let written = opened.and_then(|mut opened| writeln!(opened, "{markdown}"));
        written.with_context(|| {
            format!(
                "cannot append to $GITHUB_STEP_SUMMARY ({})",
                Path::new(&file).display()
            )
        })?;
    }
    if args.json {
        let mut object = display::json::sweep(&outcome.sweep);
        object["verdict"] = verdict.in_words().into();
        object["exit_code"] = verdict.exit_code().into();
        object["duration_s"] = outcome.duration.as_secs_f64().into();
        object["best"] = best.map(display::json::run).unwrap_or_default();
        object["gate"] = judgement
            .map(|judgement| json!({"expression": judgement.text, "failed": judgement.failed, "explanation": judgement.explanation}))
            .unwrap_or_default();
        object["data_dir"] = data_dir.display().to_string().into();
        object["runs"] = outcome.runs.iter().map(display::json::run).collect();
        writeln!(out(), "{object}")?;
    } else {
        print_for_people(outcome, judgement, verdict, data_dir)?;
    }
    Ok(ExitCode::from(verdict.exit_code()))
}

fn print_for_people(
    outcome: &SweepOutcome,
    judgement: Option<&GateJudgement>,
    verdict: CiVerdict,
    data_dir: &Path,
) -> Result<()> {
    let mut out = out();
    // A run that waited for its retry when the end came counts as failed.
    let has_failed = |run: &&Run| match run.state.as_str() {
        "failed" => true,
        "queued" | "assigned" | "running" => {
            run.attempts.iter().any(|attempt| attempt.failure.is_some())
        }
        _ => false,
    };
    let failed: Vec<_> = outcome.runs.iter().filter(has_failed).cloned().collect();
    for group in display::failures(&failed) {
        writeln!(
            out,
            "{} × {}: {}",
            group.runs.len(),
            group.kind,
            display::printable(&group.example)
        )?;
    }
    if let Some(best) = outcome.best() {
        write!(out, "{}", display::best(&outcome.sweep, best))?;
    }
    if let Some(judgement) = judgement {
        writeln!(out, "Gate `{}`: {}", judgement.text, judgement.explanation)?;
    }
    if outcome.end == SweepRunEnd::Stalled {
        writeln!(out, "Paused: {}", display::printable(&outcome.sweep.reason))?;
    }
    if verdict != CiVerdict::Passed {
        writeln!(out, "Result: {}", verdict.in_words())?;
    }
    let seconds = outcome.duration.as_secs();
    say!(
        "Took {}. Look again with `sweep controller --data-dir {}`",
        display::span(1000 * i64::try_from(seconds).unwrap_or(0)),
        shell::line(&[data_dir.display().to_string()])
    );
    Ok(())
}

fn this_line(args: &RunArgs) -> String {
    shell::line(&["sweep".to_owned(), "run".to_owned(), args.file.clone()])
}
