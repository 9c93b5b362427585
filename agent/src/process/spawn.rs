//! Starts programs, each under a shim, and finds those that were started before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;

use super::exit::{Exit, Obstacle};
use super::identity::ProcessId;
use super::launch::{self, Launch, LaunchCommand, Word};
use super::shims::Shims;
use super::tree::{self, Tree};

/// How often it is looked for what a shim has written down.
const LOOK: Duration = Duration::from_millis(100);

/// A program, seen through the shim that looks after it.
#[derive(Debug)]
pub(crate) struct Program {
    folder: PathBuf,
    source: ProgramSource,
    tree: Tree,
    /// Whether it was ever seen running.
    begun: bool,
    /// Whether this process has started its shim.
    is_ours: bool,
}

#[derive(Debug)]
enum ProgramSource {
    /// The shim's messages.
    Voice(Lines<BufReader<ChildStdout>>),
    /// The shim's files: an agent that has ended or stopped responding has started it.
    Folder(ProcessId),
}

impl Program {
    /// Which processes belong to it.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Says so where the shim was killed, and whether all that the program has started can be found
    /// without it.
    pub(crate) fn shim_was_killed(&self) -> Option<&'static str> {
        self.tree.orphans_since?;
        Some(
            if self.tree.cgroup.is_some() || (self.is_ours && tree::adopts_orphans()) {
                "the process that looks after its program (sweep-shim) was killed: the program is ended, and all that it has started"
            } else {
                "the process that looks after its program (sweep-shim) was killed, and this agent did not start it: the program is ended, but a process of it that \
             has left its session and cleared its environment cannot be found; look for one with `ps`"
            },
        )
    }

    /// Whether its shim lives, which may have output to write down.
    pub(crate) fn has_shim(&self) -> bool {
        launch::read_shim(&self.folder).is_some_and(|shim| shim.is_alive())
    }

    /// Whether the end of its output could not be written down.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(launch::read_end(&self.folder), Some(Word::Cut(_)))
    }

    /// How long ago it was begun.
    pub(crate) fn age(&self) -> Duration {
        match &self.source {
            ProgramSource::Voice(_) => Duration::ZERO,
            ProgramSource::Folder(shim) => shim.age(),
        }
    }

    /// Waits for news of its own process: first whether it runs, then that it has ended. Its
    /// children may continue after that. Can be dropped and called again.
    pub(crate) async fn word(&mut self) -> Word {
        let (known, begun) = (self.folder.clone(), self.begun);
        let written = || {
            if begun {
                None
            } else {
                launch::read_started(&known)
            }
            .or_else(|| launch::read_end(&known))
        };
        loop {
            match self.next(written).await {
                Some(Word::Started { pid, moment }) if !begun => {
                    (self.begun, self.tree.main) = (true, pid);
                    self.tree.cgroup = launch::read_cgroup(&self.folder);
                    return Word::Started { pid, moment };
                }
                // It was said and written before.
                Some(Word::Started { .. }) | None => {}
                Some(word) => return word,
            }
        }
    }

    async fn next(&mut self, written: impl Fn() -> Option<Word>) -> Option<Word> {
        match &mut self.source {
            ProgramSource::Voice(lines) => {
                if let Ok(Some(line)) = lines.next_line().await {
                    return serde_json::from_str(&line).ok();
                }
                // It has died, and perhaps its program lives.
                self.source = ProgramSource::Folder(
                    launch::read_shim(&self.folder).unwrap_or_else(ProcessId::none),
                );
                None
            }
            ProgramSource::Folder(shim) => {
                let alive = shim.is_alive();
                if let Some(word) = written() {
                    return Some(word);
                }
                if !alive {
                    // Something has killed the shim. Its processes are orphans.
                    self.tree.orphans_since = Some(shim.start());
                    self.tree.cgroup = launch::read_cgroup(&self.folder);
                    return Some(Word::Exited(Exit::Signal(Signal::SIGKILL as i32)));
                }
                tokio::time::sleep(LOOK).await;
                None
            }
        }
    }
}

/// Starts a program under a shim. Standard input is empty; the shim writes output and errors to one
/// log: neither a slow nor a dead agent can hold the program up. [`Program::word`] says whether it
/// began.
///
/// # Errors
/// See [`Obstacle`].
pub(crate) async fn spawn(
    shims: &Arc<Shims>,
    folder: &Path,
    launch: &Launch,
) -> Result<Program, Obstacle> {
    launch
        .write(folder)
        .map_err(|error| Obstacle::Machine(format!("{}: {error}", folder.display())))?;
    let (pid, voice) = shims.look_after(folder).await?;
    let tree = Tree {
        shim: pid,
        marker: launch.marker.clone(),
        ..Tree::default()
    };
    Ok(Program {
        folder: folder.to_owned(),
        source: ProgramSource::Voice(BufReader::new(voice).lines()),
        tree,
        begun: false,
        is_ours: true,
    })
}

/// Finds a program that an agent before this one has started, and its argv; `None` if none ever
/// was.
pub(crate) fn find(folder: &Path) -> Option<(Program, Vec<String>)> {
    let launch = Launch::read(folder).ok()?;
    let shim = launch::read_shim(folder)?;
    let tree = Tree {
        shim: shim.pid,
        marker: launch.marker,
        cgroup: launch::read_cgroup(folder),
        ..Tree::default()
    };
    // Its number may be another process's by now.
    let tree = if shim.is_alive() {
        tree
    } else {
        Tree { shim: 0, ..tree }
    };
    Some((
        Program {
            folder: folder.to_owned(),
            source: ProgramSource::Folder(shim),
            tree,
            begun: false,
            is_ours: false,
        },
        launch.command.argv,
    ))
}

/// Finds the program of an argv.
///
/// # Errors
/// See [`Obstacle`].
pub(crate) fn resolve(
    argv: &[String],
    script: Option<usize>,
    workdir: &Path,
) -> Result<LaunchCommand, Obstacle> {
    let Some(first) = argv.first() else {
        let message =
            "the command is empty once its macros are expanded; `command:` has to name a program";
        return Err(Obstacle::Configuration(message.to_owned()));
    };
    if let Some(item) = argv.iter().find(|item| item.contains('\0')) {
        let message = format!(
            "the argument {item:?} holds a NUL character, which no argument can; `${{args_json_file}}` can carry it"
        );
        return Err(Obstacle::Configuration(message));
    }
    let executable = find_program(first, workdir).map_err(Obstacle::Machine)?;
    check_what_follows(argv, script, workdir).map_err(Obstacle::Machine)?;
    Ok(LaunchCommand {
        executable,
        argv: argv.to_vec(),
    })
}

/// Returns whether a program of that name is on the PATH.
pub(crate) fn on_path(name: &str) -> bool {
    search_path(name).is_some()
}

/// `env` and interpreters start even where what they are asked to run does not exist. That is the
/// machine's fault and not the configuration's, so it is looked at before.
fn check_what_follows(
    argv: &[String],
    script: Option<usize>,
    workdir: &Path,
) -> Result<(), String> {
    if argv.first().is_some_and(|first| first == "/usr/bin/env") {
        let mut rest = argv[1..]
            .iter()
            .skip_while(|item| item.contains('=') && !item.starts_with('-'));
        if let Some(program) = rest.next().filter(|item| !item.starts_with('-')) {
            find_program(program, workdir)?;
        }
    }
    let Some(script) = script.and_then(|index| argv.get(index)) else {
        return Ok(());
    };
    if workdir.join(script).exists() {
        return Ok(());
    }
    Err(format!(
        "there is no `{script}` in {}; start the agent where the program lies, or give --workdir",
        workdir.display()
    ))
}

fn find_program(name: &str, workdir: &Path) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = workdir.join(name);
        return match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                Err(format!("{} is a folder, not a program", path.display()))
            }
            Ok(_) if is_executable(&path) => Ok(path),
            Ok(_) => Err(format!(
                "{} is not executable; try `chmod +x {name}`",
                path.display()
            )),
            Err(error) => Err(format!(
                "{}: {error}; relative names start from --workdir",
                path.display()
            )),
        };
    }
    if let Some(path) = search_path(name) {
        return Ok(path);
    }
    let hint = if workdir.join(name).exists() {
        format!("; it is in the working folder: did you mean `./{name}`?")
    } else {
        String::new()
    };
    let searched = std::env::var("PATH").unwrap_or_default();
    Err(format!(
        "there is no program `{name}` on the PATH of this machine{hint} (looked in {searched})"
    ))
}

fn search_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
