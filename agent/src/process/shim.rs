//! The small process between an agent and a program. It outlives the agent, so that a killed or
//! upgraded one finds its attempts again: it starts the program, inherits the orphans of it, and
//! writes down how it ended.
//!
//! It runs before anything else of `sweep` does, without threads of a runtime, and waits on its
//! standard input for the folder of its attempt. What it says goes to its standard output, which an
//! agent that lives reads, and into the attempt's folder, where an agent that comes later looks.
//! Its standard input ends when its agent does.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, wait};
use process_wrap::std::{ChildWrapper, CommandWrap, ProcessSession, ResetSigmask};

use super::cgroup::Cgroup;
use super::exit::{Exit, Obstacle};
use super::fence;
use super::identity::ProcessId;
use super::launch::{self, Alone, Launch, LaunchCommand, ORDER_END, PREFLIGHT_OUTPUT, Word};
use super::pump::Pump;
use super::tree::{self, MARKER, Tree};
use super::usage::Children;
use crate::mlflow::{self, Endpoint};
use crate::private;

/// The wrapper's own `wait` would also wait for children; they are `tree`'s business.
type Child = Box<dyn ChildWrapper>;

/// A program that runs.
struct Started {
    program: Child,
    /// The use of earlier children before it was started.
    before: Option<Children>,
    /// Writes its output.
    pump: Pump,
}

/// The name of a shim with an attempt in lists of processes.
#[cfg(target_os = "linux")]
const NAME: &std::ffi::CStr = c"sweep-shim";
/// How long the command before the program may take.
const PREFLIGHT_TIME_MAX: Duration = Duration::from_secs(60);
/// How much longer than an agent the shim lets what the program has left behind live.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(30);
/// How long the rest of the log is tried on a full disk, while an agent waits for it and when none
/// does.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
const ALONE_PATIENCE: Duration = Duration::from_secs(2);
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);
const RETRIES_MAX: u32 = 3600;
/// How often it is looked whether an agent is back, and whether something is left.
const LOOK: Duration = Duration::from_millis(200);
/// How often it is looked whether a later attempt waits, which is on a network file system.
const LOOK_FOR_LATER: Duration = Duration::from_secs(1);

/// Waits to be told the folder of an attempt and looks after that. See [`crate::shim`].
pub(crate) fn run() -> ExitCode {
    outlive_signals();
    tree::adopt_orphans();
    // Ahead of the order, since the kernel takes its time for it.
    let cgroup = Cgroup::enter();
    // An agent that has ended by then has nothing to look after.
    order().map_or(ExitCode::SUCCESS, |folder| attend(&folder, cgroup.as_ref()))
}

fn order() -> Option<PathBuf> {
    let mut order = Vec::new();
    io::stdin().lock().read_until(ORDER_END, &mut order).ok()?;
    (order.pop() == Some(ORDER_END)).then(|| OsString::from_vec(order).into())
}

fn attend(folder: &Path, cgroup: Option<&Cgroup>) -> ExitCode {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(NAME);
    let begun = Launch::read(folder)
        .and_then(|launch| Ok((launch::write_shim(folder, &ProcessId::own())?, launch)));
    let (end, launch) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            say(&Word::Refused(Obstacle::Machine(format!(
                "{}: {error}",
                folder.display()
            ))));
            return ExitCode::FAILURE;
        }
    };
    // Held until this process ends: until then something of the program may live.
    let fence = launch
        .fence
        .as_ref()
        .map(|order| fence::enter(order, &launch.marker, is_deserted))
        .transpose();
    let started = match &fence {
        Err(obstacle) => Err(Word::Refused(obstacle.clone())),
        // One that comes later may already have looked here and found nothing begun.
        Ok(_) if is_deserted() => Err(Word::Refused(Obstacle::Machine(
            "the agent ended before the program was started".to_owned(),
        ))),
        Ok(_) => {
            cgroup
                .into_iter()
                .for_each(|cgroup| launch::write_cgroup(folder, cgroup.folder()));
            start(folder, &launch, cgroup)
        }
    };
    match started {
        Ok(started) => {
            look_after(started, &launch, (folder, &end));
            ExitCode::SUCCESS
        }
        Err(word) => {
            conclude(&end, &word);
            ExitCode::FAILURE
        }
    }
}

/// Whether the agent has ended.
fn is_deserted() -> bool {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut ends, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// Blocks signals that end or warn an agent (`scancel`, `killall sweep`, a closed terminal). They
/// may reach the shim as well, which still has an end to write down.
fn outlive_signals() {
    use Signal::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
    let signals: SigSet = [
        SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU,
    ]
    .into_iter()
    .collect();
    // Where they cannot be blocked, they are not: the agent notices that its shim has died.
    let _ = signals.thread_block();
}

fn start(folder: &Path, launch: &Launch, cgroup: Option<&Cgroup>) -> Result<Started, Word> {
    if let Some(preflight) = &launch.preflight {
        let output = folder.join(PREFLIGHT_OUTPUT);
        let (file, _) =
            private::append(&output).map_err(|error| Word::Refused(no_output(&output, &error)))?;
        let errors = file
            .try_clone()
            .map_err(|error| Word::Refused(no_output(&output, &error)))?;
        let child = spawn(preflight, launch, file, errors).map_err(Word::Refused)?;
        end_well(child, launch).map_err(Word::NotReady)?;
    }
    let endpoint = launch.mlflow.as_ref().and_then(|_| {
        Endpoint::bind()
            .and_then(|endpoint| Ok((endpoint.uri()?, endpoint)))
            .ok()
    });
    let mut program = launch.clone();
    program.variables.extend(
        endpoint
            .iter()
            .map(|(uri, _)| (mlflow::VARIABLE.to_owned(), uri.clone())),
    );
    let before = Children::so_far();
    let (pump, [output, errors]) = Pump::open(&launch.output)
        .map_err(|error| Word::Refused(no_output(&launch.output, &error)))?;
    let moment = pump
        .modified()
        .and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let child = spawn(&launch.command, &program, output, errors).map_err(Word::Refused)?;
    if let Err(error) = pump.start() {
        tree_of(&child, launch).signal(Signal::SIGKILL);
        return Err(Word::Refused(no_output(&launch.output, &error)));
    }
    if let Some(((_, endpoint), name)) = endpoint.zip(launch.mlflow.as_ref()) {
        endpoint.serve(folder, name);
    }
    let started = Word::Started {
        pid: pid(&child),
        moment,
    };
    if let Err(error) = launch::write_started(folder, &started) {
        tree_of(&child, launch).signal(Signal::SIGKILL);
        return Err(Word::Refused(Obstacle::Machine(format!(
            "{}: {error}",
            folder.display()
        ))));
    }
    say(&started);
    cgroup.into_iter().for_each(Cgroup::leave);
    Ok(Started {
        program: child,
        before,
        pump,
    })
}

fn no_output(path: &Path, error: &io::Error) -> Obstacle {
    Obstacle::Machine(format!("{}: {error}", path.display()))
}

/// Starts a command in its own session, so that no signal of a terminal reaches it.
fn spawn(
    what: &LaunchCommand,
    launch: &Launch,
    output: impl Into<Stdio>,
    errors: impl Into<Stdio>,
) -> Result<Child, Obstacle> {
    let mut command = CommandWrap::with_new(&what.executable, |command| {
        use std::os::unix::process::CommandExt;
        command
            .arg0(what.argv.first().map_or("", String::as_str))
            .args(what.argv.iter().skip(1))
            .envs(&launch.variables)
            .env(MARKER, &launch.marker)
            .current_dir(&launch.workdir)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
    });
    command.wrap(ProcessSession).wrap(ResetSigmask);
    command.spawn().map(ChildWrapper::into_inner).map_err(|error| match error.kind() {
        io::ErrorKind::ArgumentListTooLong => Obstacle::Configuration(
            "the arguments and the environment are longer than this system allows; `${args_json_file}` can carry more".to_owned(),
        ),
        _ => Obstacle::Machine(format!("{} in {}: {error}", what.executable.display(), launch.workdir.display())),
    })
}

/// Waits for the command before the program, and for all that it has started.
fn end_well(mut child: Child, launch: &Launch) -> Result<(), String> {
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Exit::from(status),
            Ok(None) if began.elapsed() < PREFLIGHT_TIME_MAX => {
                thread::sleep(Duration::from_millis(5));
            }
            Ok(None) => {
                end(&tree_of(&child, launch), Duration::ZERO);
                return Err(format!(
                    "it had not ended after {} s",
                    PREFLIGHT_TIME_MAX.as_secs()
                ));
            }
            Err(error) => return Err(format!("it cannot be waited for: {error}")),
        }
    };
    end(&tree_of(&child, launch), Duration::ZERO);
    match status {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => Err(format!("it ended with exit status {code}")),
        Exit::Signal(signal) => Err(format!(
            "it was ended by {}",
            super::exit::signal_name(signal)
        )),
    }
}

/// Waits for the program and for everything that it leaves behind.
fn look_after(started: Started, launch: &Launch, (folder, end_file): (&Path, &File)) {
    let Started {
        program,
        before,
        pump,
    } = started;
    let main = pid(&program);
    let tree = tree_of(&program, launch);
    let mut ended = None;
    let (order, deserted, own) = (launch.clone(), tree.clone(), folder.to_owned());
    thread::spawn(move || end_when_deserted(&order, &deserted, &own));
    loop {
        match wait() {
            Ok(status) => {
                let child = match status {
                    WaitStatus::Exited(pid, code) => Some((pid, Exit::Code(code))),
                    WaitStatus::Signaled(pid, signal, _) => {
                        Some((pid, Exit::Signal(signal as i32)))
                    }
                    _ => None,
                };
                if let Some((_, exit)) = child.filter(|(pid, _)| pid.as_raw() == main) {
                    ended = Some(exit);
                    if let Some((before, now)) = before.as_ref().zip(Children::so_far()) {
                        say(&Word::Used(now.since(before)));
                    }
                    conclude(end_file, &Word::Exited(exit));
                    let (grace, leftover) = (launch.grace, tree.clone());
                    // Its agent ends what is left, if it lives.
                    thread::spawn(move || {
                        thread::sleep(grace + LEFTOVER_PATIENCE);
                        end(&leftover, grace);
                    });
                }
            }
            Err(Errno::EINTR) => {}
            // No child is left.
            Err(_) => break,
        }
    }
    // The agent waits for the end of this process before it reads the last of the log.
    if !write_rest(&pump)
        && let Some(exit) = ended
    {
        let _ = launch::write_end(end_file, &Word::Cut(exit));
    }
}

/// Writes the rest of the log, and returns whether the disk has taken it.
fn write_rest(pump: &Pump) -> bool {
    let (began, mut alone) = (Instant::now(), None);
    while !pump.finish() {
        let is_alone =
            is_deserted() && alone.get_or_insert_with(Instant::now).elapsed() >= ALONE_PATIENCE;
        if is_alone || began.elapsed() >= WRITE_PATIENCE {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

/// Ends the program of an agent that is gone for good, or whose run is a later attempt's by now.
fn end_when_deserted(launch: &Launch, tree: &Tree, folder: &Path) {
    // Its end is the agent's.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    match &launch.alone {
        Alone::EndAfter { lock, patience } => {
            let mut held = Instant::now();
            while held.elapsed() < *patience {
                thread::sleep(LOOK.min(*patience));
                let is_held = private::open(lock).is_ok_and(|file| {
                    matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
                });
                if is_held {
                    held = Instant::now();
                }
            }
        }
        Alone::Continue => {
            let Some(order) = &launch.fence else { return };
            while !fence::is_wanted(order) {
                thread::sleep(LOOK_FOR_LATER);
            }
        }
    }
    // Its exit status carries no information for a later agent.
    launch::mark_preempted(folder);
    end(tree, launch.grace);
}

/// Ends what is left: gracefully, then not.
fn end(tree: &Tree, grace: Duration) {
    if !grace.is_zero() {
        tree.signal(Signal::SIGTERM);
    }
    let began = Instant::now();
    while !tree.living().is_empty() {
        if began.elapsed() >= grace {
            tree.signal(Signal::SIGKILL);
        }
        thread::sleep(LOOK.min(Duration::from_millis(20)));
    }
}

/// Says how it ended and writes it down, as soon as the disk lets it.
fn conclude(file: &File, word: &Word) {
    let written = launch::write_end(file, word).is_ok();
    say(word);
    if !written {
        // An agent that lives has heard it. For one that comes later it is worth waiting an hour.
        let mut again = (0..RETRIES_MAX).map(|_| thread::sleep(RETRY));
        let _ = again.find(|()| launch::write_end(file, word).is_ok());
    }
}

/// Sends a message to the agent. There may be no agent any more; the folder has the message too.
fn say(word: &Word) {
    let Ok(mut line) = serde_json::to_vec(word) else {
        return;
    };
    line.push(b'\n');
    let mut out = io::stdout();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

fn tree_of(child: &Child, launch: &Launch) -> Tree {
    Tree {
        main: pid(child),
        shim: ProcessId::own().pid,
        marker: launch.marker.clone(),
        ..Tree::default()
    }
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap_or_default()
}
