//! git as a program, led nowhere by the environment.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::CodeError;
use crate::private_file;

/// How long a call may take; and one that packs or unpacks whole versions.
const TIME_MAX: Duration = Duration::from_secs(60);
const PACK_TIME_MAX: Duration = Duration::from_secs(600);
/// Bytes kept of standard output, and of standard error.
const OUTPUT_BYTES_MAX: u64 = 256 << 20;
const MESSAGE_BYTES_MAX: u64 = 64 << 10;
/// Processes at once; others wait for their turn.
const AT_ONCE: usize = 4;
/// Seconds on processors and KiB of memory that a process may take: beyond that the kernel ends it. `sh` sets both, since nothing else can without
/// unsafe code.
const LIMITED: &str = r#"[ -z "$SWEEP_UMASK" ] || umask "$SWEEP_UMASK"; ulimit -t 900 2>/dev/null; ulimit -d 2097152 2>/dev/null; exec git "$@""#;
/// A variable of that script: the rights that files do not get.
pub(crate) const UMASK: &str = "SWEEP_UMASK";
/// The arguments before the settings: `-c`, the script, and the name of `sh`.
const BEFORE_SETTINGS: usize = 3;
/// Templates may hold hooks.
const INIT: [&str; 4] = ["init", "--quiet", "--bare", "--template="];
/// The exit status of `sh` where there is no program of that name.
const NOT_FOUND: i32 = 127;

/// The only git variables of the user that are passed on. Others could redirect it.
const KEPT_VARIABLES: [&str; 8] = [
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
];
/// Settings of each call: nothing of anybody is executed, fetched, watched or tidied up, no part of our index is put beside the user's, and memory
/// is bounded.
const SETTINGS: [&str; 17] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.maxTreeDepth=512",
    "core.bigFileThreshold=64m",
    "core.deltaBaseCacheLimit=32m",
    "pack.threads=1",
    "pack.windowMemory=64m",
    "pack.deltaCacheSize=32m",
    "protocol.allow=never",
    "submodule.recurse=false",
    "diff.ignoreSubmodules=all",
    "log.showSignature=false",
    "maintenance.auto=false",
    "gc.auto=0",
];

/// git in our own repositories: led nowhere by the environment or by configuration of the user, and quiet. Configuration is where programs to
/// execute are named (filters, drivers, hooks, helpers), so that attributes of the files name none.
pub(crate) fn git() -> Command {
    let mut git = any_git();
    git.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for name in [
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_SYSTEM",
    ] {
        git.env_remove(name);
    }
    git
}

/// The same in what is kept for this user alone, independently of the umask.
pub(crate) fn private_git() -> Command {
    let mut git = git();
    git.env(UMASK, "077");
    git
}

/// git with the configuration of the user, to be asked for that and for where a repository is, and for nothing that looks at files or objects.
pub(crate) fn users_git() -> Command {
    any_git()
}

fn any_git() -> Command {
    let mut git = Command::new("sh");
    git.args(["-c", LIMITED, "git"]);
    for (name, _) in std::env::vars_os() {
        let is_kept = || KEPT_VARIABLES.iter().any(|kept| name == *kept) || is_setting(&name);
        if name.as_bytes().starts_with(b"GIT_") && !is_kept() {
            git.env_remove(name);
        }
    }
    // Nothing of the user's is locked or refreshed, no password is asked for, and what is missing is not fetched.
    git.env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("LC_ALL", "C");
    for setting in SETTINGS {
        git.args(["-c", setting]);
    }
    git.stdin(Stdio::null());
    git
}

/// Whether a variable is one of those that `GIT_CONFIG_COUNT` counts.
fn is_setting(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"GIT_CONFIG_KEY_")
        || name.as_bytes().starts_with(b"GIT_CONFIG_VALUE_")
}

/// Turns of processes: what wants one waits while as many run as may.
struct ProcessTurns {
    free: Mutex<usize>,
    changed: Condvar,
}

static TURNS: ProcessTurns = ProcessTurns {
    free: Mutex::new(AT_ONCE),
    changed: Condvar::new(),
};

/// The turn of one process.
struct ProcessTurn;

impl ProcessTurn {
    fn wait() -> Self {
        let free = TURNS.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = TURNS
            .changed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for ProcessTurn {
    fn drop(&mut self) {
        *TURNS.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        TURNS.changed.notify_one();
    }
}

/// The groups of processes that run now.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends every git process of this one, for when this one ends: a file of the user's may keep git waiting for ever.
pub fn end_all() {
    for group in running().iter() {
        let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
    }
}

/// How a process has ended.
pub(crate) struct ProcessEnd {
    status: ExitStatus,
    message: Vec<u8>,
    /// It was ended, since it took longer than this.
    took_longer_than: Option<Duration>,
}

impl ProcessEnd {
    /// # Errors
    /// It has not ended well.
    pub(crate) fn checked(self, command: &Command) -> Result<(), CodeError> {
        self.checked_for(command, &[0])
    }

    fn checked_for(self, command: &Command, codes: &[i32]) -> Result<(), CodeError> {
        if let Some(time) = self.took_longer_than {
            let command = name_of(command);
            return Err(CodeError::TooLong(format!(
                "git {command} took longer than {} s and was ended",
                time.as_secs()
            )));
        }
        match self.status.code() {
            Some(code) if codes.contains(&code) => Ok(()),
            Some(NOT_FOUND) => Err(CodeError::NoGit(io::ErrorKind::NotFound.into())),
            None => {
                let message = format!(
                    "it was ended by the system ({}), mostly since it needs too much memory",
                    self.status
                );
                Err(CodeError::Git {
                    command: name_of(command),
                    message,
                })
            }
            Some(_) => Err(refused(command, &self.message)),
        }
    }
}

/// Runs it, with something to read on its standard input. `read` takes what it says; where it leaves some of that, the process is ended.
///
/// # Errors
/// It cannot be started.
pub(crate) fn run<T>(
    command: &mut Command,
    input: Option<&[u8]>,
    time_max: Duration,
    read: impl FnOnce(&mut ChildStdout) -> T,
) -> Result<(T, ProcessEnd), CodeError> {
    let _turn = ProcessTurn::wait();
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    // All processes that it has started end with it.
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().map_err(CodeError::NoGit)?;
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    running().insert(group.as_raw());
    let (over, is_over) = mpsc::channel::<()>();
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut stdout = child
        .stdout
        .take()
        .ok_or_else(|| CodeError::NoGit(io::ErrorKind::BrokenPipe.into()))?;
    thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.unwrap_or_default())));
        let complaining = scope.spawn(move || {
            let mut message = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr)
                    .take(MESSAGE_BYTES_MAX)
                    .read_to_end(&mut message);
                let _ = io::copy(&mut stderr, &mut io::sink());
            }
            message
        });
        let watching = scope.spawn(move || {
            let is_late = is_over.recv_timeout(time_max) == Err(mpsc::RecvTimeoutError::Timeout);
            if is_late {
                let _ = killpg(group, Signal::SIGKILL);
            }
            is_late
        });
        let said = read(&mut stdout);
        if !matches!(stdout.read(&mut [0]), Ok(0)) {
            let _ = killpg(group, Signal::SIGKILL);
        }
        drop(stdout);
        // Before its number can be that of another one.
        running().remove(&group.as_raw());
        let status = wait(&mut child);
        drop(over);
        let is_late = watching.join().unwrap_or(false);
        let message = complaining.join().unwrap_or_default();
        Ok((
            said,
            ProcessEnd {
                status: status?,
                message,
                took_longer_than: is_late.then_some(time_max),
            },
        ))
    })
}

fn wait(child: &mut Child) -> Result<ExitStatus, CodeError> {
    child.wait().map_err(CodeError::NoGit)
}

fn said(
    command: &mut Command,
    input: Option<&[u8]>,
    time_max: Duration,
    codes: &[i32],
) -> Result<Vec<u8>, CodeError> {
    let mut said = Vec::new();
    let (read, ended) = run(command, input, time_max, |stdout| {
        stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut said)
    })?;
    if said.len() as u64 > OUTPUT_BYTES_MAX {
        let command = name_of(command);
        return Err(CodeError::TooLarge(format!(
            "git {command} printed more than {} MB: too much for code",
            OUTPUT_BYTES_MAX >> 20
        )));
    }
    ended.checked_for(command, codes)?;
    read.map_err(CodeError::NoGit)?;
    Ok(said)
}

/// Makes a bare repository where there is none. Any number of processes may do so at once: it is made beside its place and moved there whole.
pub(crate) fn make_bare(place: &Path, format: &str) -> Result<(), CodeError> {
    let exists = || place.join("HEAD").exists();
    if exists() {
        return Ok(());
    }
    let trouble = |source| CodeError::File {
        path: place.to_owned(),
        source,
    };
    let init = || {
        let mut init = private_git();
        init.args(INIT);
        if format != "sha1" {
            init.arg(format!("--object-format={format}"));
        }
        init
    };
    let beside = place.parent().unwrap_or(Path::new("."));
    private_file::make_folder(beside).map_err(trouble)?;
    let for_us = fs::Permissions::from_mode(0o700);
    let made = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(for_us)
        .tempdir_in(beside)
        .map_err(trouble)?;
    output(init().arg(made.path()))?;
    match fs::rename(made.path(), place) {
        Ok(()) => drop(made.keep()),
        Err(_) if exists() => {}
        // What lies there was begun by one that was killed before it made a `HEAD`.
        Err(_) => drop(output(init().arg(place))?),
    }
    Ok(())
}

pub(crate) fn paths(listed: &[u8]) -> impl Iterator<Item = &[u8]> {
    listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
}

pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, CodeError> {
    said(command, None, TIME_MAX, &[0])
}

/// As [`output`], of a call that packs or unpacks whole versions.
pub(crate) fn packed(command: &mut Command, input: Option<&[u8]>) -> Result<Vec<u8>, CodeError> {
    said(command, input, PACK_TIME_MAX, &[0])
}

/// Returns the matches of a search; it ends with 1 where there are none.
pub(crate) fn git_found(command: &mut Command) -> Result<Vec<u8>, CodeError> {
    said(command, None, TIME_MAX, &[0, 1])
}

pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Result<(), CodeError> {
    answer(command, input).map(drop)
}

/// Returns what one says that was given something to read.
pub(crate) fn answer(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, CodeError> {
    said(command, Some(input), TIME_MAX, &[0])
}

/// Runs one whose output is read piece by piece. What `read` leaves is not waited for.
pub(crate) fn pieces<T>(
    command: &mut Command,
    input: Option<&[u8]>,
    read: impl FnOnce(&mut ChildStdout) -> T,
) -> Result<(T, ProcessEnd), CodeError> {
    run(command, input, TIME_MAX, read)
}

fn refused(command: &Command, message: &[u8]) -> CodeError {
    let message = String::from_utf8_lossy(message);
    // What is wrong with an object stands before what failed since.
    let of_object = message
        .lines()
        .find(|line| line.starts_with("error: object "));
    let last = || message.lines().rev().find(|line| !line.is_empty());
    CodeError::Git {
        command: name_of(command),
        message: of_object
            .or_else(last)
            .unwrap_or("it failed without a word")
            .to_owned(),
    }
}

/// The name of a subcommand.
fn name_of(command: &Command) -> String {
    let is_setting =
        |argument: &&OsStr| argument.as_bytes() == b"-c" || argument.as_bytes().contains(&b'=');
    let mut arguments = command
        .get_args()
        .skip(BEFORE_SETTINGS)
        .skip_while(is_setting);
    arguments
        .next()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

pub(crate) fn line(mut bytes: Vec<u8>) -> String {
    while bytes
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        bytes.pop();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns whether git says yes.
pub(crate) fn quick(command: &mut Command) -> bool {
    said(command, None, TIME_MAX, &[0]).is_ok()
}
