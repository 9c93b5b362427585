//! How an agent works, and what interrupts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::UserSignal;
use crate::channel::ControllerTarget;
use crate::gpu::GpuDriver;
use crate::private;
use crate::token::TokenSource;

/// How long a failure waits for a preemption that explains it: schedulers signal agents and
/// programs together, in any order.
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
    /// Where it learns which GPUs there are: [`Nvidia`](crate::Nvidia), but in tests.
    pub driver: Arc<dyn GpuDriver>,
    /// Where programs run.
    pub workdir: PathBuf,
    /// Where run folders are made: `<runs_dir>/<sweep>/<run>/<attempt>/`.
    pub runs_dir: PathBuf,
    /// A folder that only this user can write to. Code is kept there where other users can replace
    /// folders in `runs_dir`.
    pub state_dir: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// From the exit of a program to the verdict that it failed by itself: [`SETTLING_TIME`], but
    /// in tests.
    pub settle: Duration,
    /// A program that calls [`shim`](crate::shim) first of all.
    pub shim: PathBuf,
    /// How long to wait for a controller that is not there yet; zero: for a few tries.
    pub wait: Duration,
    /// Whether to look which code is executed, with git.
    pub captures: bool,
    /// Whether programs end with the agent in all cases, since no later agent will adopt them.
    pub ends_alone: bool,
}

impl AgentOptions {
    /// Returns where code is kept. A folder in `runs_dir` can be another user's a moment after it
    /// was looked at, if other users write there.
    pub(crate) fn code_dir(&self) -> &Path {
        if private::is_replaceable_by_others(&self.runs_dir) {
            &self.state_dir
        } else {
            &self.runs_dir
        }
    }
}

/// A request of the user or the machine to the agent. Each one goes further than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interrupt {
    /// SIGUSR1 or SIGUSR2, which means nothing to the agent: passed on to the running programs.
    PassOn(UserSignal),
    /// First Ctrl-C: take no more runs, let the running ones end.
    Drain,
    /// SIGTERM: the machine is taken away. End running attempts gracefully and give their runs
    /// back.
    Preempt,
    /// Second Ctrl-C: end running attempts gracefully and give their runs back.
    Stop,
    /// Third Ctrl-C: kill.
    Kill,
}
