//! How attempts are executed: by real programs, but in simulations.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::gpu::GpuDriver;
use crate::job::Job;
use crate::process::shims::Shims;
use crate::process::spawn;
use crate::process::tree::Tree;
use crate::runner::{self, AttemptChannels, Begin, ExecutionResult};

/// How long it may take to kill what another agent has left behind.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// Something that takes its time.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An attempt that is executed.
pub(crate) type Execution<'a> = Work<'a, ExecutionResult>;

/// Executes attempts.
pub(crate) trait Executor: Send + Sync {
    /// See [`runner::execute`].
    fn execute<'a>(&'a self, job: &'a Job, begin: Begin, io: AttemptChannels<'a>) -> Execution<'a>;

    /// Returns whether an agent before this one has begun an attempt, however far it has come.
    fn has_begun(&self, job: &Job) -> bool;

    /// Asks all processes that carry a marker to end.
    fn terminate(&self, marker: String) -> Work<'_, ()>;

    /// Kills all processes that carry a marker.
    fn end_all(&self, marker: String) -> Work<'_, ()>;
}

/// Real programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The shims that supervise them.
    pub(crate) shims: Arc<Shims>,
    /// The driver that reports the load of GPUs; `None`: the use of the machine is not monitored.
    pub(crate) driver: Option<Arc<dyn GpuDriver>>,
}

impl Executor for Programs {
    fn execute<'a>(&'a self, job: &'a Job, begin: Begin, io: AttemptChannels<'a>) -> Execution<'a> {
        Box::pin(runner::execute(
            job,
            begin,
            &self.shims,
            io,
            self.driver.clone(),
        ))
    }

    fn has_begun(&self, job: &Job) -> bool {
        spawn::find(&job.folder()).is_some()
    }

    fn terminate(&self, marker: String) -> Work<'_, ()> {
        let tree = Tree {
            marker,
            ..Tree::default()
        };
        Box::pin(async move {
            // A task that neither panics nor is aborted.
            let _ = tokio::task::spawn_blocking(move || tree.signal(Signal::SIGTERM)).await;
        })
    }

    fn end_all(&self, marker: String) -> Work<'_, ()> {
        let tree = Tree {
            marker,
            ..Tree::default()
        };
        let kill = move || {
            let began = Instant::now();
            while tree.signal(Signal::SIGKILL) > 0 && began.elapsed() < END_TIME_MAX {
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        Box::pin(async move {
            // A task that neither panics nor is aborted.
            let _ = tokio::task::spawn_blocking(kill).await;
        })
    }
}
