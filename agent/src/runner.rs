//! Executes one attempt: makes its folder, starts its program, feeds what happens to [`crate::attempt`] and carries out what that says.
//! Decides nothing, and knows no controller: it is told what is wanted and sends out what it sees.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::argv::{self, Argv, Machine, Place, Project, Template};
use crate::attempt::{Action, AttemptState, Input, Limits, Outcome, Want};
use crate::intake::Reading;
use crate::intake::metrics_file::MetricsFile;
use crate::intake::stdout::{Output, Pattern};
use crate::process::exit::Exit;
use crate::process::memory::Kills;
use crate::process::spawn::{Launch, Program, on_path, spawn};
use crate::process::tree::Tree;
use crate::slot::Slot;

/// How often output, metrics, timers and processes are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Readings waiting to be sent out; with more than this, no more are read from the files until some are gone.
const PENDING_MAX: usize = 10_000;
/// Readings sent out at once.
const BATCH: usize = 1000;

/// What to execute.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Which agent executes it.
    pub(crate) agent: String,
    /// The sweep's full id.
    pub(crate) sweep: String,
    /// The run's number.
    pub(crate) run: u64,
    /// The attempt's number.
    pub(crate) attempt: u32,
    /// Which repeat of its point it is, from 1, and the seed for it.
    pub(crate) repeat: u32,
    /// See [`Job::repeat`].
    pub(crate) seed: u32,
    /// The configuration as the program sees it.
    pub(crate) params: Map<String, Value>,
    /// The items of `command:`, macros unexpanded.
    pub(crate) command: Vec<String>,
    /// The value of `${program}`.
    pub(crate) program: String,
    /// The objective; empty where the sweep has none.
    pub(crate) objective: String,
    /// What is looked for in the output.
    pub(crate) patterns: Vec<Pattern>,
    /// For W&B's library.
    pub(crate) project: String,
    /// For W&B's library.
    pub(crate) entity: String,
    /// Which GPUs it may use.
    pub(crate) slot: Slot,
    /// Where it runs; absolute.
    pub(crate) workdir: PathBuf,
    /// Where run folders are made; absolute.
    pub(crate) runs_dir: PathBuf,
    /// How long it may take.
    pub(crate) limits: Limits,
}

/// Something seen while an attempt runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// Its program was started with this argv.
    Started(Vec<String>),
    /// Metrics, in order.
    Points(Vec<Point>),
    /// Something a person should know.
    Note(String),
}

/// A metric with the time it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// What the program gave.
    pub(crate) reading: Reading,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: i64,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The last value of the objective.
    pub(crate) objective: Option<f64>,
}

impl Job {
    /// The attempt's own folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.run_folder().join(self.attempt.to_string())
    }

    /// Where the program's output goes.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder().join("output.log")
    }

    fn run_folder(&self) -> PathBuf {
        self.runs_dir.join(&self.sweep).join(self.run.to_string())
    }
}

/// Executes an attempt to its end. When it returns, no process of the attempt is left.
///
/// # Errors
/// A folder or file of the attempt cannot be made or read: the path and why.
pub(crate) async fn execute(
    job: &Job,
    wants: &mut mpsc::UnboundedReceiver<Want>,
    seen: mpsc::Sender<Seen>,
) -> Result<Ended, (PathBuf, io::Error)> {
    let place = make_place(job)?;
    let argv = build_argv(job, &place);
    for warning in &argv.warnings {
        let _ = seen.send(Seen::Note(warning.clone())).await;
    }
    let mut attempt = AttemptState::new(&job.objective, job.limits);
    let kills = Kills::so_far();
    let launch = launch(job, &place, &argv);
    let program = match spawn(&launch) {
        Ok(program) => program,
        Err(reason) => {
            let actions = attempt.handle(Input::CouldNotStart(reason), Duration::ZERO);
            let outcome = actions.into_iter().find_map(|action| if let Action::Finish(outcome) = action { Some(outcome) } else { None });
            return Ok(Ended { outcome: outcome.expect("an attempt that could not start has ended"), objective: None });
        }
    };
    let _ = seen.send(Seen::Started(argv.items)).await;
    let tree = Tree { main: program.pid(), marker: launch.marker };
    let output = Output::new(launch.output, job.patterns.clone());
    let metrics = MetricsFile::new(PathBuf::from(&place.metrics_file));
    Watch {
        began: Instant::now(),
        kills,
        attempt,
        tree,
        output,
        metrics,
        pending: Vec::new(),
        complaints: BTreeSet::new(),
        seen,
        outcome: None,
    }
    .run(program, wants)
    .await
    .map_err(|error| (job.folder(), error))
}

/// An attempt whose program was started.
struct Watch {
    began: Instant,
    /// As they were when it began.
    kills: Kills,
    attempt: AttemptState,
    tree: Tree,
    output: Output,
    metrics: MetricsFile,
    /// Readings that have not been sent out.
    pending: Vec<Point>,
    complaints: BTreeSet<String>,
    seen: mpsc::Sender<Seen>,
    outcome: Option<Outcome>,
}

impl Watch {
    async fn run(mut self, mut program: Program, wants: &mut mpsc::UnboundedReceiver<Want>) -> io::Result<Ended> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut exited, mut wants_open) = (false, true);
        while self.outcome.is_none() {
            tokio::select! {
                want = wants.recv(), if wants_open => match want {
                    Some(want) => self.handle(Input::Want(want)).await?,
                    None => wants_open = false,
                },
                exit = program.wait(), if !exited => {
                    exited = true;
                    if let Some(evidence) = Kills::so_far().since(&self.kills) {
                        self.handle(Input::OutOfMemory(evidence)).await?;
                    }
                    self.handle(Input::Exited(exit.unwrap_or(Exit::Signal(0)))).await?;
                }
                permit = reserve(&self.seen), if !self.pending.is_empty() => {
                    let count = self.pending.len().min(BATCH);
                    let points = self.pending.drain(..count).collect();
                    match permit {
                        Ok(permit) => drop(permit.send(Seen::Points(points))),
                        // Nobody listens any more: the agent is being killed.
                        Err(_) => self.pending.clear(),
                    }
                }
                _ = look.tick() => {
                    self.read(false).await?;
                    if self.attempt.awaits_empty() && self.is_empty().await {
                        self.handle(Input::Empty).await?;
                    }
                    self.handle(Input::Tick).await?;
                }
            }
        }
        while !self.pending.is_empty() {
            let count = self.pending.len().min(BATCH);
            if self.seen.send(Seen::Points(self.pending.drain(..count).collect())).await.is_err() {
                break;
            }
        }
        let objective = self.attempt.objective();
        Ok(Ended { outcome: self.outcome.expect("the loop ends with an outcome"), objective })
    }

    async fn handle(&mut self, input: Input) -> io::Result<()> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for action in self.attempt.handle(input, self.began.elapsed()) {
                match action {
                    Action::Terminate => self.signal(Signal::SIGTERM).await,
                    Action::Kill => self.signal(Signal::SIGKILL).await,
                    Action::Note(text) => self.note(text),
                    Action::Drain => {
                        self.drain().await?;
                        inputs.push(Input::Drained);
                    }
                    Action::Finish(outcome) => self.outcome = Some(outcome),
                }
            }
        }
        Ok(())
    }

    /// Reads what is new and returns whether there may be more.
    async fn read(&mut self, last: bool) -> io::Result<bool> {
        if !last && self.pending.len() >= PENDING_MAX {
            return Ok(true);
        }
        let output = self.output.read(last).await?;
        for line in output.lines {
            self.attempt.handle(Input::Line(line), self.began.elapsed());
        }
        let metrics = self.metrics.read(last).await?;
        if let Some(complaint) = metrics.complaint {
            self.note(complaint);
        }
        let wall_ms = wall_ms();
        for reading in output.readings.into_iter().chain(metrics.readings) {
            let input = Input::Metric { name: reading.name.clone(), value: reading.value };
            self.attempt.handle(input, self.began.elapsed());
            self.pending.push(Point { reading, wall_ms });
        }
        Ok(output.more || metrics.more)
    }

    /// Reads everything that is left, now that nobody can write any more.
    async fn drain(&mut self) -> io::Result<()> {
        while self.read(true).await? {
            while self.pending.len() >= PENDING_MAX {
                let points = self.pending.drain(..BATCH).collect();
                if self.seen.send(Seen::Points(points)).await.is_err() {
                    self.pending.clear();
                }
            }
        }
        Ok(())
    }

    async fn signal(&self, signal: Signal) {
        let tree = self.tree.clone();
        let count = tokio::task::spawn_blocking(move || tree.signal(signal)).await;
        tracing::debug!(%signal, processes = ?count.ok(), main = self.tree.main, "signalled the processes of an attempt");
    }

    async fn is_empty(&self) -> bool {
        let tree = self.tree.clone();
        tokio::task::spawn_blocking(move || tree.members().is_empty()).await.unwrap_or(false)
    }

    /// Says something once. Nothing waits for it: a note is not worth holding up a program's end.
    fn note(&mut self, text: String) {
        if self.complaints.insert(text.clone()) {
            let _ = self.seen.try_send(Seen::Note(text));
        }
    }
}

/// `Sender::reserve` of a clone, so that waiting for room borrows nothing of the watch.
async fn reserve(seen: &mpsc::Sender<Seen>) -> Result<mpsc::OwnedPermit<Seen>, mpsc::error::SendError<()>> {
    seen.clone().reserve_owned().await
}

fn make_place(job: &Job) -> Result<Place, (PathBuf, io::Error)> {
    let folder = job.folder();
    let checkpoints = job.run_folder().join("checkpoint");
    for path in [&folder, &checkpoints] {
        fs::create_dir_all(path).map_err(|error| (path.clone(), error))?;
    }
    let files = [
        ("params.json", argv::params_json(&job.params)),
        ("wandb-config.yaml", argv::wandb_config(&job.params)),
        ("metrics.jsonl", String::new()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| (path, error))?;
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Place {
        sweep: job.sweep.clone(),
        run: job.run,
        attempt: job.attempt,
        repeat: job.repeat,
        seed: job.seed,
        params_file: text(&folder.join("params.json")),
        wandb_file: text(&folder.join("wandb-config.yaml")),
        metrics_file: text(&folder.join("metrics.jsonl")),
        checkpoints: text(&checkpoints),
        folder: text(&folder),
    })
}

fn build_argv(job: &Job, place: &Place) -> Argv {
    let template = Template { command: &job.command, program: &job.program, params: &job.params, params_file: &place.params_file };
    argv::build(template, &ThisMachine)
}

fn launch(job: &Job, place: &Place, argv: &Argv) -> Launch {
    let project = Project { project: &job.project, entity: &job.entity };
    let mut variables = argv::variables(place, &job.params, project, &ThisMachine);
    if let Some(devices) = &job.slot.devices {
        variables.insert("CUDA_VISIBLE_DEVICES".to_owned(), devices.clone());
    }
    if job.slot.driver_order && ThisMachine.variable("CUDA_DEVICE_ORDER").is_none() {
        variables.insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
    }
    Launch {
        argv: argv.items.clone(),
        script: argv.script,
        variables,
        marker: format!("{}:{}/{}/{}", job.agent, job.sweep, job.run, job.attempt),
        workdir: job.workdir.clone(),
        output: job.output(),
    }
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The machine that the agent works on.
struct ThisMachine;

impl Machine for ThisMachine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn has_program(&self, name: &str) -> bool {
        on_path(name)
    }
}
