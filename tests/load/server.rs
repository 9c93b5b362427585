//! The controller under load: the real binary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::processor::processor_time;

const START_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A controller that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Removed at the end, unless it was named.
    _folder: TempDir,
    data: PathBuf,
    said: PathBuf,
    address: String,
}

impl Server {
    pub(crate) async fn start(data: Option<&Path>) -> Result<Self> {
        // Not the folder for temporary files: that may be in memory, where a commit costs nothing.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let data = data.map_or_else(|| folder.path().join("data"), Path::to_owned);
        let said = folder.path().join("said");
        let child = spawn(&data, "127.0.0.1:0", &said)?;
        let mut server = Self {
            child,
            _folder: folder,
            data,
            said,
            address: String::new(),
        };
        server.address = server.listening().await?;
        Ok(server)
    }

    /// Kills the controller and starts it again at the same place.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(&self.data, &self.address, &self.said)?;
        self.listening().await?;
        Ok(())
    }

    /// Waits until it says where it listens.
    async fn listening(&mut self) -> Result<String> {
        let deadline = Instant::now() + START_MAX;
        while Instant::now() < deadline {
            let text = fs::read_to_string(&self.said)?;
            let address = text
                .lines()
                .find_map(|line| line.strip_prefix("Listening on ")?.split(',').next());
            if let Some(address) = address.filter(|_| text.ends_with('\n')) {
                return Ok(address.to_owned());
            }
            ensure!(
                self.child.try_wait()?.is_none(),
                "the controller has ended: {text}"
            );
            tokio::time::sleep(LOOK).await;
        }
        bail!(
            "the controller does not listen: {}",
            fs::read_to_string(&self.said)?
        )
    }

    /// Returns a connection that is made when it is first used.
    pub(crate) fn channel(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?;
        Ok(endpoint
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .tcp_nodelay(true)
            .connect_lazy())
    }

    pub(crate) fn processor_time(&self) -> Result<Duration> {
        processor_time(&self.child.id().to_string())
    }

    /// Returns how much of its memory is resident, in megabytes (10⁶ bytes).
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS in /proc/…/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
    }

    /// Returns the size of all it has written, in megabytes.
    pub(crate) fn disk(&self) -> Result<f64> {
        let files = fs::read_dir(&self.data)?;
        let bytes = files
            .map(|file| Ok(file?.metadata()?.len()))
            .sum::<Result<u64>>()?;
        Ok(bytes as f64 / 1e6)
    }
}

fn spawn(data: &Path, listen: &str, said: &Path) -> Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
    command
        .args(["controller", "--no-token", "--listen", listen, "--data-dir"])
        .arg(data);
    command
        .env_remove("SWEEP_TOKEN")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(said)?);
    command.spawn().context("the binary cannot be started")
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
