//! `sweep reproduce`: the exact code of a run in a folder, and the run once more.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use sweep_agent::{Notice, Nvidia, Reproduced, Reproduction};
use sweep_proto::v1::{Attempt, DataSet, DataSource, Environment, GetExecutionRequest, Run, Sweep};
use tokio::sync::mpsc;

use super::agent::duration;
use crate::client::{Client, ControllerArgs, split_run};
use crate::display::{self, out};
use crate::environments;
use crate::failure::CommandError;
use crate::queries;
use crate::signals::{self, PreemptSignal};
use crate::snapshots::{self, SnapshotStore};
use crate::{places, shell};

/// Reproduces a run: writes its exact code into a folder and executes it again
///
/// The code is that which the run executed, uncommitted and untracked files included; what is written is read again, and has to have the same tree hash. The
/// folder must be empty or not be there; one that an earlier call for the same run has written is moved aside. With --run the program is executed there as an agent would, with the same parameters and the same seed, and the result is
/// compared with what was recorded; nothing is reported. How this machine differs from the recorded one (interpreter, packages, GPUs), and whether the declared data is
/// the same, is said first.
///
/// Exit status: 0 when the objective is the same to the last bit (without --run: when the code was written), 1 when it is not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sweep reproduce ab12cd34/7                  the code in ./ab12cd34-7, and how to run it
  sweep reproduce ab12cd34/7 --run            and execute it
  sweep reproduce ab12cd34/7 /tmp/again --run --json")]
pub(crate) struct ReproduceArgs {
    /// The run
    #[arg(value_name = "SWEEP/RUN")]
    run: String,

    /// The folder for the code [default: ./<SWEEP>-<RUN>]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The attempt; by default the newest
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,

    /// Execute it, and compare
    #[arg(long = "run")]
    execute: bool,

    /// How long the program may take to end after the first Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    grace: Duration,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) async fn run(args: &ReproduceArgs) -> Result<ExitCode> {
    let (target, Some(number)) = split_run(&args.run)? else {
        let failure = CommandError::input(format!("`{}` names a sweep, not a run", args.run));
        return Err(failure
            .hint(format!("for example `sweep reproduce {}/1`", args.run))
            .into());
    };
    let mut client = args.controller.connect().await?;
    let sweep = client.sweep(&target).await?;
    let run = queries::existing_run(&client, &sweep, number).await?;
    let attempt = chosen(&sweep, &run, args.attempt)?;
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}-{number}", sweep.id)));

    let mark = format!(
        "The code of run {}/{number}, written by `sweep reproduce`. Not part of the code of a folder around it.\n",
        sweep.id
    );
    make_room(&dir, &mark, &args.run)?;
    let mut snapshots = SnapshotStore::new()?;
    snapshots
        .fetch(&mut client, &sweep, &attempt.code_version)
        .await?;
    let written = snapshots
        .store
        .check_out(&attempt.code_version, &dir)
        .with_context(|| format!("the code cannot be written to {}", dir.display()))?;
    // The folder around it does not take it for its own code.
    std::fs::write(dir.join(sweep_code::REPRODUCED), mark)
        .with_context(|| format!("{} cannot be written", dir.display()))?;
    let versions = snapshots::versions(&client, &sweep).await?;
    let about = versions
        .into_iter()
        .filter_map(|version| version.code)
        .find(|code| code.version == attempt.code_version)
        .unwrap_or_default();
    let workdir = below(&dir.canonicalize()?, &about.prefix)?;
    if !args.json {
        let mut out = out();
        let (files, version) = (
            display::counted(written.size.files as u64, "file"),
            display::code::short(&attempt.code_version),
        );
        writeln!(
            out,
            "{}: {files} of code version {version}, and the tree hash is right",
            dir.display()
        )?;
        let origin = display::code::origin(&about);
        if !origin.is_empty() {
            writeln!(out, "  from {origin}")?;
        }
        for pointer in &written.pointers {
            writeln!(
                out,
                "  {} is only a pointer: Git LFS keeps the file elsewhere",
                display::printable(pointer)
            )?;
        }
    }
    let differs = match environments::fetch(&client, &sweep, &attempt.environment).await? {
        Some(recorded) => Some(here_and_then(&recorded, attempt, &workdir).await?),
        None => None,
    };
    if let Some(differs) = differs.as_ref().filter(|_| !args.json) {
        let mut out = out();
        if differs.is_empty() {
            writeln!(out, "  the environment and the data are those of then")?;
        } else {
            writeln!(
                out,
                "  differences from the original run:\n{}",
                display::table::compared(&["", "RECORDED", "HERE"], differs)
            )?;
        }
    }
    let differs = differs.map(|rows| {
        rows.into_iter()
            .map(|[what, then, here]| json!({"what": what, "recorded": then, "here": here}))
            .collect::<Vec<_>>()
    });
    let object = json!({"differs": differs, "sweep": sweep.id, "run": number, "attempt": attempt.attempt, "code_version": attempt.code_version,
        "dir": dir, "workdir": workdir, "files": written.size.files, "lfs_pointers": written.pointers, "command": attempt.command});
    if args.execute {
        return execute(args, &client, (&sweep, number, attempt), workdir, object).await;
    }
    if args.json {
        writeln!(out(), "{object}")?;
    } else if !attempt.command.is_empty() {
        let folder = workdir.display().to_string();
        writeln!(
            out(),
            "\nTo run it with its seed too, and compare, add --run. By hand:\n  cd {}\n  {}",
            shell::line(&[folder]),
            shell::line(&attempt.command)
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How this machine, and the data here, differ from what the attempt was executed in.
async fn here_and_then(
    recorded: &Environment,
    attempt: &Attempt,
    workdir: &Path,
) -> Result<Vec<display::environment::Difference>> {
    let source = |set: &DataSet| DataSource {
        name: set.name.clone(),
        location: set.location.clone(),
    };
    let sources: Vec<_> = recorded.data.iter().map(source).collect();
    let (command, workdir, cache) = (
        attempt.command.clone(),
        workdir.to_owned(),
        made(places::state_dir()?)?,
    );
    let looking = tokio::task::spawn_blocking(move || {
        sweep_agent::survey(
            Arc::new(Nvidia::default()),
            &command,
            &workdir,
            &sources,
            &cache,
        )
    });
    let here = looking.await.context("looking at this machine broke off")?;
    Ok(display::environment::differences(recorded, &here.into()))
}

/// Makes sure that a folder is empty. One that this command has written before for the same run, by its mark, is moved aside: what was changed or made in it stays.
fn make_room(dir: &Path, mark: &str, run: &str) -> Result<()> {
    if std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(());
    }
    if std::fs::read_to_string(dir.join(sweep_code::REPRODUCED)).is_ok_and(|found| found == mark) {
        let name = dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let aside = (1..1000)
            .map(|number| dir.with_file_name(format!("{name}.{number}")))
            .find(|aside| !aside.exists());
        if let Some(aside) = aside.filter(|_| !name.is_empty()) {
            std::fs::rename(dir, &aside)
                .with_context(|| format!("{} cannot be moved aside", dir.display()))?;
            say!(
                "{} was written by an earlier `sweep reproduce`, and is {} now",
                dir.display(),
                aside.display()
            );
            return Ok(());
        }
    }
    let failure = CommandError::new(format!(
        "{} is not empty: the code is written to its own folder",
        dir.display()
    ));
    Err(failure
        .hint(format!("name another one: `sweep reproduce {run} DIR`"))
        .into())
}

fn chosen<'a>(sweep: &Sweep, run: &'a Run, wanted: Option<u32>) -> Result<&'a Attempt> {
    let attempt = match wanted {
        None => run.attempts.last().ok_or_else(|| {
            CommandError::new(format!("run {}/{} has not begun", sweep.id, run.run))
        })?,
        Some(number) => run
            .attempts
            .iter()
            .find(|attempt| attempt.attempt == number)
            .ok_or_else(|| {
                CommandError::input(format!(
                    "run {}/{} has no attempt {number}; it has {}",
                    sweep.id,
                    run.run,
                    run.attempts.len()
                ))
            })?,
    };
    if attempt.code_version.is_empty() {
        let failure = CommandError::new(format!(
            "it is not known which code run {}/{} executed",
            sweep.id, run.run
        ));
        return Err(failure
            .hint("its agent had no git, or found no code; its output said so")
            .into());
    }
    Ok(attempt)
}

/// The folder in the code where the program ran. What the agent said of it may lead out of the code.
fn below(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let workdir = dir.join(prefix);
    let inside = workdir
        .canonicalize()
        .is_ok_and(|workdir| workdir.starts_with(dir));
    if inside {
        Ok(workdir)
    } else {
        Err(CommandError::new(format!(
            "the run's working folder `{}` is not in its code",
            display::printable(prefix)
        ))
        .into())
    }
}

async fn execute(
    args: &ReproduceArgs,
    client: &Client,
    (sweep, run, attempt): (&Sweep, u64, &Attempt),
    workdir: PathBuf,
    mut object: serde_json::Value,
) -> Result<ExitCode> {
    let request = GetExecutionRequest {
        sweep_id: sweep.id.clone(),
        run,
        attempt: attempt.attempt,
    };
    let answer = client
        .call(request, async |mut service, request| {
            service.get_execution(request).await
        })
        .await?;
    let (Some(program), Some(assignment)) = (answer.program, answer.assignment) else {
        return Err(CommandError::new("the controller's answer is empty").into());
    };
    // Beside what agents keep, and new each time.
    let runs_dir = tempfile::Builder::new()
        .prefix("reproduce-")
        .tempdir_in(made(places::state_dir()?)?)?
        .keep();
    let metric = program.metric.clone();
    let (interrupt, interrupts) = mpsc::channel(4);
    signals::forward(interrupt, PreemptSignal::Term)?;
    let (notices, mut heard) = mpsc::unbounded_channel();
    let quiet = args.json;
    let telling = tokio::spawn(async move {
        while let Some(notice) = heard.recv().await {
            match notice {
                Notice::Started { command, .. } if !quiet => {
                    say!("Running {}", display::printable(&shell::line(&command)));
                }
                Notice::Note(text) => say!("{}", display::printable(&text)),
                _ => {}
            }
        }
    });
    let shim = places::own_program()?;
    let what = Reproduction {
        program,
        assignment,
        workdir,
        runs_dir,
        grace: args.grace,
        shim,
    };
    let reproduced = sweep_agent::reproduce(what, interrupts, notices)
        .await
        .map_err(|error| CommandError::new(error.to_string()))?;
    // It ends when all senders are gone.
    let _ = telling.await;
    let same = is_same(&metric, attempt, &reproduced);
    if args.json {
        object["reproduced"] = same.into();
        object["trouble"] = reproduced.trouble.clone().into();
        object["output"] = reproduced.output.display().to_string().into();
        object["metrics"] = display::compare::metrics_json(attempt, &reproduced.metrics);
        writeln!(out(), "{object}")?;
    } else {
        write!(
            out(),
            "{}",
            display::compare::reproduced(&metric, attempt, &reproduced, same)
        )?;
    }
    Ok(if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn made(dir: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    Ok(dir)
}

/// Whether the objective is the same to the last bit; without one, every metric.
fn is_same(metric: &str, attempt: &Attempt, reproduced: &Reproduced) -> bool {
    let bits = |value: Option<&f64>| value.map(|value| value.to_bits());
    let same =
        |name: &String| bits(attempt.metrics.get(name)) == bits(reproduced.metrics.get(name));
    let ended_alike = (attempt.state == "finished") == reproduced.trouble.is_none();
    let metric = metric.to_owned();
    ended_alike
        && if metric.is_empty() {
            display::metrics(attempt).0.into_keys().all(same)
        } else {
            same(&metric)
        }
}
