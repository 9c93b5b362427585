//! A start right after a controller was killed: the system may need a moment until its lock and its port are free.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::ServeError;
use super::data_dir::DataDir;

/// How long a killed process may take: until its last write to a slow disk has ended.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(20);

/// Takes hold of a data directory; waits for a holder that was killed. Returns also whether the last holder ended without cleaning up.
///
/// # Errors
/// See [`DataDir::hold`].
pub(super) async fn hold(path: &Path) -> Result<(DataDir, bool), ServeError> {
    let began = Instant::now();
    loop {
        match DataDir::hold(path) {
            Ok(held) => {
                let was_killed = held.path().join("controller.json").exists();
                return Ok((held, was_killed));
            }
            Err(ServeError::Held { holder, .. })
                if is_ending(&holder) && began.elapsed() < PATIENCE =>
            {
                sleep(RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Listens on an address; `waits` while the system takes it away from a process that was killed.
///
/// # Errors
/// The address cannot be had.
pub(super) async fn listen(address: SocketAddr, waits: bool) -> io::Result<TcpListener> {
    let began = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && waits
                    && began.elapsed() < PATIENCE =>
            {
                sleep(RETRY).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether the process that the lock file names (`process 4711 (127.0.0.1:7433)`) has ended or was killed.
fn is_ending(holder: &str) -> bool {
    let pid = holder
        .strip_prefix("process ")
        .and_then(|rest| rest.split(' ').next()?.parse::<i32>().ok());
    let Some(pid) = pid.filter(|pid| *pid > 0) else {
        return false;
    };
    if kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH) {
        return true;
    }
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let is_dead = field("State:").is_some_and(|state| state.starts_with(['Z', 'X']));
    let is_killed = |name: &str| {
        let pending = field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        pending.is_some_and(|mask| mask >> (Signal::SIGKILL as i32 - 1) & 1 == 1)
    };
    is_dead || is_killed("ShdPnd:") || is_killed("SigPnd:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_lives_is_not_waited_for() {
        assert!(!is_ending(&format!(
            "process {} (127.0.0.1:7433)",
            std::process::id()
        )));
        assert!(!is_ending("another process"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = format!("process {}", child.id());
        child.wait().unwrap();
        assert!(is_ending(&ended));
    }
}
