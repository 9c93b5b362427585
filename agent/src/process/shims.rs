//! The shims of an agent, one of them started ahead: no attempt waits for a process to begin.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdout;

use super::exit::Obstacle;
use super::launch::ORDER_END;
use super::tree;

/// The argument that makes the `sweep` binary a shim.
pub(crate) const SHIM_ARGUMENT: &str = "__shim";
/// Variables of the agent's own environment that would mislead a program, or are none of its
/// business.
const REMOVED: [&str; 2] = ["WANDB_SERVICE", "SWEEP_TOKEN"];
/// The program that was just started comes first, then the shim of the next one.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts shims and has them look after attempts.
#[derive(Debug)]
pub(crate) struct Shims {
    /// A program that calls [`crate::shim`] first of all.
    program: PathBuf,
    ahead: Mutex<Option<Shim>>,
}

/// One that looks after nothing yet.
#[derive(Debug)]
struct Shim {
    pid: i32,
    child: Box<dyn ChildWrapper>,
}

impl Shims {
    /// None is started.
    pub(crate) fn new(program: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            program,
            ahead: Mutex::new(None),
        })
    }

    /// Starts one ahead, where none is.
    pub(crate) fn prepare(&self) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.is_none() {
            // The next attempt tries it again, and says what is wrong.
            *ahead = self
                .start()
                .inspect_err(|error| tracing::debug!(%error, "no shim could be started ahead"))
                .ok();
        }
    }

    /// Has one look after the attempt of a folder, where its launch is written down. Returns its
    /// process and what it says.
    ///
    /// # Errors
    /// There is none and none can be started.
    pub(crate) async fn look_after(
        self: &Arc<Self>,
        folder: &Path,
    ) -> Result<(i32, ChildStdout), Obstacle> {
        let told = match self.told_ahead(folder).await {
            Some(told) => Ok(told),
            None => self.told_now(folder).await,
        };
        let (pid, voice) = told.map_err(|error| {
            Obstacle::Machine(format!(
                "{} cannot be started: {error}",
                self.program.display()
            ))
        })?;
        let shims = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            shims.prepare();
        });
        Ok((
            pid,
            voice.ok_or_else(|| Obstacle::Machine("the shim has no standard output".to_owned()))?,
        ))
    }

    /// `None` where none waits, or it was killed.
    async fn told_ahead(&self, folder: &Path) -> Option<(i32, Option<ChildStdout>)> {
        let mut ahead = self
            .ahead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let told = ahead.tell(folder).await;
        let released = ahead.release();
        told.is_ok().then_some(released)
    }

    async fn told_now(&self, folder: &Path) -> io::Result<(i32, Option<ChildStdout>)> {
        let mut shim = self.start()?;
        let told = shim.tell(folder).await;
        let released = shim.release();
        told.map(|()| released)
    }

    fn start(&self) -> io::Result<Shim> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .arg(SHIM_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for name in REMOVED {
            command.env_remove(name);
        }
        let mut command = CommandWrap::from(command);
        // No signal of the agent's terminal reaches it.
        command.wrap(ProcessSession);
        let started = tree::spawn_main(|| {
            let child = command.spawn()?.into_inner();
            let pid = child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .unwrap_or_default();
            Ok::<_, io::Error>((child, pid))
        });
        started.map(|(child, pid)| Shim { pid, child })
    }
}

impl Shim {
    async fn tell(&mut self, folder: &Path) -> io::Result<()> {
        let order = [folder.as_os_str().as_bytes(), &[ORDER_END]].concat();
        let orders = self
            .child
            .stdin()
            .as_mut()
            .ok_or(io::ErrorKind::BrokenPipe)?;
        orders.write_all(&order).await?;
        orders.flush().await
    }

    /// Lets it live as long as it likes. It reads its standard input to learn of the agent's death.
    fn release(mut self) -> (i32, Option<ChildStdout>) {
        let (pid, voice) = (self.pid, self.child.stdout().take());
        tokio::spawn(async move {
            let _held = self.child.stdin().take();
            let status = self.child.wait().await;
            tree::forget_main(pid);
            tracing::debug!(?status, pid, "the shim of an attempt has ended");
        });
        (pid, voice)
    }
}
