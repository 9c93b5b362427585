//! The agent: takes runs from the controller, executes the training program as it is, captures everything, reports.
//!
//! Modules import leftwards only: `session → executor → runner → fencing → attempt, process`; `runner → monitor, slot, machine → process, argv`; `runner → intake, spool`; `intake → process, held, mlflow`; `process → mlflow → private`; `session → handover, capture, room`; `session → folders, token`;
//! `folders → job, process`; `run_folders → folders, handover`; `handover, job → held → private`; `process, intake, spool, capture → private`; `process, intake → streams`; `slot → gpu`.
//! `attempt` is pure: it decides what to do; `runner` carries it out and decides nothing.

mod argv;
mod attempt;
mod capture;
pub mod channel;
mod executor;
mod fencing;
mod folders;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gpu;
mod handover;
mod held;
mod intake;
mod job;
mod machine;
mod mlflow;
mod monitor;
mod private;
mod process;
mod reproduce;
pub mod reread;
mod room;
mod run_folders;
mod runner;
mod session;
#[cfg(feature = "simulation")]
pub mod simulation;
mod slot;
mod spool;
mod streams;
mod token;
#[cfg(feature = "simulation")]
mod weakness;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use crate::attempt::UserSignal;
pub use crate::capture::data::{DataSet, DataSource};
pub use crate::capture::environment::{CapturedEnvironment, survey};
pub use crate::folders::controller_of;
pub use crate::gpu::{GpuDriver, GpuUse, Nvidia};
pub use crate::reproduce::{Reproduced, Reproduction, reproduce};
pub use crate::run_folders::{RunFolder, run_folders, size_of};
pub use crate::token::TokenSource;

use crate::channel::ControllerTarget;
use crate::executor::Programs;
use crate::process::shims::Shims;
use crate::session::Surroundings;

/// How long a failure waits for a preemption that explains it: schedulers signal agents and programs together, in any order.
pub const SETTLING_TIME: Duration = Duration::from_secs(2);

/// How to work.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The controller.
    pub controller: ControllerTarget,
    /// The token that the controller asks for.
    pub token: TokenSource,
    /// The sweep: id, prefix or name.
    pub sweep: String,
    /// Leave after this many runs have ended.
    pub count: Option<u64>,
    /// Attempts at once; `None`: one per `gpus_per_run` GPUs, or one where there are none.
    pub slots: Option<usize>,
    /// GPUs of each attempt; `None`: 1 where there are any.
    pub gpus_per_run: Option<usize>,
    /// Where it learns which GPUs there are: [`Nvidia`], but in tests.
    pub driver: Arc<dyn GpuDriver>,
    /// Where programs run.
    pub workdir: PathBuf,
    /// Where run folders are made: `<runs_dir>/<sweep>/<run>/<attempt>/`.
    pub runs_dir: PathBuf,
    /// A folder where nobody but this user writes: code is kept there where other users can replace folders in `runs_dir`.
    pub state_dir: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// From the exit of a program to the verdict that it failed by itself: [`SETTLING_TIME`], but in tests.
    pub settle: Duration,
    /// A program that calls [`shim`] first of all.
    pub shim: PathBuf,
    /// How long to wait for a controller that is not there yet; zero: for a few tries.
    pub wait: Duration,
    /// Whether to look which code is executed, with git.
    pub captures: bool,
    /// Programs end with the agent, however it ends, since nobody will come and take them over.
    pub ends_alone: bool,
}

impl AgentOptions {
    /// Returns where code is kept. A folder in `runs_dir` can be replaced right after the check if other users can write there.
    pub(crate) fn code_dir(&self) -> &Path {
        if private::is_replaceable_by_others(&self.runs_dir) { &self.state_dir } else { &self.runs_dir }
    }
}

/// What a person or the machine wants of the agent. Each one goes further than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interrupt {
    /// SIGUSR1 or SIGUSR2, which means nothing to the agent: passed on to the running programs.
    PassOn(UserSignal),
    /// First Ctrl-C: take no more runs, let the running ones end.
    Drain,
    /// SIGTERM: the machine is taken away. End running attempts gracefully and give their runs back.
    Preempt,
    /// Second Ctrl-C: end running attempts gracefully and give their runs back.
    Stop,
    /// Third Ctrl-C: kill.
    Kill,
}

/// Something worth a line on the terminal.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Notice {
    /// Registered with the controller.
    Joined { sweep: String, slots: usize, gpus: usize },
    /// A program was started.
    Started { run: u64, attempt: u32, command: Vec<String> },
    /// A run ended or went back into the queue: its state as the controller says it, the last objective, why.
    Ended { run: u64, attempt: u32, state: String, objective: Option<f64>, message: String },
    /// The controller cannot be reached; tried again in a while.
    Disconnected { reason: String },
    /// The controller can be reached again.
    Reconnected,
    /// Anything else that a person should know.
    Note(String),
}

/// The outcome of the agent's work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSummary {
    /// Runs that ended as finished.
    pub finished: u64,
    /// Runs that ended as stopped early.
    pub stopped: u64,
    /// Runs that ended as failed.
    pub failed: u64,
    /// Attempts whose runs went back into the queue or were cancelled.
    pub other: u64,
    /// Why it ended, in words.
    pub ended_because: String,
    /// Why it ended.
    pub departure: Departure,
    /// Why it got no runs in the end; empty: it was not in quarantine.
    pub quarantine: String,
}

/// Why an agent ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Departure {
    /// The sweep is over, or it has done as many runs as it was asked for.
    #[default]
    Done,
    /// It was interrupted, and its runs have ended by themselves.
    Drained,
    /// It was interrupted, and its runs were ended.
    Stopped,
    /// Its machine was taken away.
    Preempted,
}

/// Why the agent could not work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No such sweep.
    #[error("{0}")]
    Refused(String),
    /// The controller that the agent works for does not have the sweep any more.
    #[error("{0}")]
    SweepGone(String),
    /// The sweep had ended before the agent came.
    #[error("{0}")]
    SweepOver(String),
    /// The token is missing or wrong.
    #[error("{0}")]
    Unauthorized(String),
    /// No controller answers.
    #[error("no controller answers at {address}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        reason: String,
    },
    /// A folder cannot be made or a file not written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The slots do not fit the machine.
    #[error("{0}")]
    Slots(String),
}

/// A command line as an agent would build it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleCommand {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// What is odd about the template.
    pub warnings: Vec<String>,
}

/// Returns the command line of an attempt with a configuration, on this machine: `command` with its macros expanded.
pub fn example_command(
    command: &[String],
    program: &str,
    params: &serde_json::Map<String, serde_json::Value>,
    omits_none: bool,
) -> ExampleCommand {
    let place = argv::example("/path/to/run");
    let template = argv::Template { command, program, params, omits_none, place: &place };
    let argv = argv::build(template, &machine::ThisMachine);
    ExampleCommand { arguments: argv.items, warnings: argv.warnings }
}

/// Looks after one program until it and all that it has started have ended, if that is what this process was started for: each attempt runs under
/// such a process, which outlives its agent. To be called before anything else, with the process's arguments.
pub fn shim(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    (arguments.next()? == process::shims::SHIM_ARGUMENT).then(process::shim::run)
}

/// Works until the sweep ends, `count` runs have ended, or an interrupt says so. When it returns, no process of any attempt is left.
///
/// # Errors
/// See [`AgentError`]. A run that fails is no error.
pub async fn run(
    options: AgentOptions,
    interrupts: mpsc::Receiver<Interrupt>,
    notices: mpsc::UnboundedSender<Notice>,
) -> Result<AgentSummary, AgentError> {
    let driver = options.captures.then(|| Arc::clone(&options.driver));
    let shims = Shims::new(options.shim.clone());
    shims.prepare();
    let (host, controller) = (process::identity::host_name(), options.controller.connect_lazy());
    let surroundings = Surroundings { host, controller, executor: Arc::new(Programs { shims, driver }) };
    let ended = session::run(surroundings, options, interrupts, notices).await;
    sweep_code::end_all_git();
    ended
}
