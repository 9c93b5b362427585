//! A controller to be measured: the real binary on a free port, with a data folder on the disk of this checkout.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::processor::processor_time;

const START_MAX: Duration = Duration::from_secs(20);
/// How often a controller that starts is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Without a tick for so long, nothing is being computed.
const QUIET: Duration = Duration::from_millis(50);

/// A controller that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    address: String,
}

/// Resident memory in megabytes (10⁶ bytes).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) most: f64,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        // Not the folder for temporary files: that may be in memory, where a commit costs nothing.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let said = folder.path().join("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
        command
            .args(["controller", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"));
        command
            .env_remove("SWEEP_TOKEN")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said)?);
        let child = command.spawn().context("the binary cannot be started")?;
        let mut server = Self {
            child,
            folder,
            address: String::new(),
        };
        server.address = server.listening(said).await?;
        Ok(server)
    }

    /// Waits until it says where it listens.
    async fn listening(&mut self, said: PathBuf) -> Result<String> {
        let deadline = Instant::now() + START_MAX;
        while Instant::now() < deadline {
            let text = fs::read_to_string(&said)?;
            let address = text
                .lines()
                .find_map(|line| line.strip_prefix("Listening on ")?.split(',').next());
            if let Some(address) = address.filter(|_| text.ends_with('\n')) {
                return Ok(format!("http://{address}"));
            }
            ensure!(
                self.child.try_wait()?.is_none(),
                "the controller has ended: {text}"
            );
            sleep(LOOK).await;
        }
        bail!(
            "the controller does not listen: {}",
            fs::read_to_string(&said)?
        )
    }

    pub(crate) async fn connect(&self) -> Result<Channel> {
        Ok(Channel::from_shared(self.address.clone())?
            .connect()
            .await?)
    }

    /// Returns the processor time that all its threads have used, those that have ended included.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        processor_time(&self.child.id().to_string())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let megabytes = |field: &str| -> Result<f64> {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .with_context(|| format!("no {field} in /proc/…/status"))?;
            Ok(line
                .trim_start_matches(':')
                .trim()
                .trim_end_matches(" kB")
                .parse::<f64>()?
                * 1024.0
                / 1e6)
        };
        Ok(Memory {
            now: megabytes("VmRSS")?,
            most: megabytes("VmHWM")?,
        })
    }

    /// Waits until it computes nothing.
    pub(crate) async fn quiet(&self) -> Result<()> {
        let mut before = self.processor_time()?;
        loop {
            sleep(QUIET).await;
            let now = self.processor_time()?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
    }

    /// Returns the size of all it has written, in megabytes.
    pub(crate) fn disk(&self) -> Result<f64> {
        let files = fs::read_dir(self.folder.path().join("data"))?;
        let bytes = files
            .map(|file| Ok(file?.metadata()?.len()))
            .sum::<Result<u64>>()?;
        Ok(bytes as f64 / 1e6)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
