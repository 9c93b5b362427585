//! The agent: takes runs from the controller, executes the training program as it is, captures
//! everything, reports.
//!
//! Modules import rightwards only: `reproduce, simulation → session → executor, run_folders →
//! capture, folders, runner → fencing, fuzzing, job, monitor, options, reread → attempt → intake,
//! machine → handover, process → held, mlflow, slot, spool → argv, channel, gpu, outcome, private,
//! room, streams, token, weakness`. `attempt` is pure: it decides what to do; `runner` carries it
//! out and decides nothing.

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
mod options;
mod outcome;
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
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::mpsc;

pub use crate::attempt::UserSignal;
pub use crate::capture::code_message;
pub use crate::capture::environment::{CapturedEnvironment, survey};
pub use crate::folders::controller_of;
pub use crate::gpu::{GpuDriver, GpuUse, Nvidia};
pub use crate::options::{AgentOptions, Interrupt, SETTLING_TIME};
pub use crate::outcome::{AgentError, AgentSummary, Departure, Notice};
pub use crate::reproduce::{Reproduced, Reproduction, reproduce};
pub use crate::run_folders::{RunFolder, run_folders, size_of};
pub use crate::token::TokenSource;

use crate::executor::Programs;
use crate::process::shims::Shims;
use crate::session::Surroundings;

/// A command line as an agent would build it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleCommand {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Warnings about the template.
    pub warnings: Vec<String>,
}

/// Returns the command line of an attempt with a configuration, on this machine: `command` with its
/// macros expanded.
pub fn example_command(
    command: &[String],
    program: &str,
    params: &serde_json::Map<String, serde_json::Value>,
    omits_none: bool,
) -> ExampleCommand {
    let place = argv::example("/path/to/run");
    let template = argv::Template {
        command,
        program,
        params,
        omits_none,
        place: &place,
    };
    let argv = argv::build(template, &machine::ThisMachine);
    ExampleCommand {
        arguments: argv.items,
        warnings: argv.warnings,
    }
}

/// Looks after one program until it and all that it has started have ended, if that is what this
/// process was started for: each attempt runs under such a process, which outlives its agent. To be
/// called before anything else, with the process's arguments.
pub fn shim(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    (arguments.next()? == process::shims::SHIM_ARGUMENT).then(process::shim::run)
}

/// Works until the sweep ends, `count` runs have ended, or an interrupt says so. When it returns,
/// no process of any attempt is left.
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
    let (host, controller) = (
        process::identity::host_name(),
        options.controller.connect_lazy(),
    );
    let surroundings = Surroundings {
        host,
        controller,
        executor: Arc::new(Programs { shims, driver }),
    };
    let ended = session::run(surroundings, options, interrupts, notices).await;
    sweep_code::end_all_git();
    ended
}
