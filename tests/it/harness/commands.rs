//! Commands of tests: started, waited for with a limit, ended.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything may take; far more than it needs, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The output and exit code of a command.
#[derive(Debug)]
pub(crate) struct CommandResult {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    pub(super) what: String,
    output: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Returns whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("it was started here")
            .is_some()
    }

    /// Returns all it has said so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Kills it at once and takes it away.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("it was started here");
    }

    /// Waits until it ends, and returns its exit code and all it has said.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let code = wait_child(LIMIT, &mut self.child, &self.what, || {
            fs::read_to_string(&self.output).unwrap_or_default()
        });
        (code, self.output())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Polls until there is something, and fails the test when there is nothing for too long.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Returns a command of another program that gets the command `sweep …` as its last arguments, and is in its world.
pub(crate) fn by(mut other: Command, sweep: &Command) -> Command {
    other
        .arg(sweep.get_program())
        .args(sweep.get_args())
        .stdin(Stdio::null());
    if let Some(folder) = sweep.get_current_dir() {
        other.current_dir(folder);
    }
    for (name, value) in sweep.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

/// Runs a command to its end.
pub(crate) fn finish(command: Command) -> CommandResult {
    finish_within(LIMIT, command)
}

/// Runs a command to its end that may take longer than others.
pub(crate) fn finish_within(limit: Duration, mut command: Command) -> CommandResult {
    let what = format!("{command:?}");
    let folder = TempDir::new().expect("the temporary folder can be written");
    // Files, not pipes: a process left behind would hold a pipe open for ever.
    let file = |name: &str| {
        File::create(folder.path().join(name)).expect("the temporary folder can be written")
    };
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is UTF-8");
    let mut child = command
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn()
        .expect("the binary was built");
    let code = wait_child(limit, &mut child, &what, || text("err"));
    CommandResult {
        code,
        stdout: text("out"),
        stderr: text("err"),
    }
}

pub(super) fn start(mut command: Command, output: PathBuf) -> Running {
    let what = format!("{command:?}");
    let file = File::create(&output).expect("the temporary folder can be written");
    let clone = file.try_clone().expect("file handles can be had");
    let child = command
        .stdout(file)
        .stderr(clone)
        .spawn()
        .expect("the binary was built");
    Running {
        child,
        what,
        output,
    }
}

/// Returns the exit code, or 128 + the signal that ended it, as shells do.
fn wait_child(limit: Duration, child: &mut Child, what: &str, said: impl Fn() -> String) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("it was started here") {
            return status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal))
                .expect("it has ended");
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} does not end; it said: {}", said());
        }
        sleep(Duration::from_millis(20));
    }
}
