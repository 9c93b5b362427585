//! Starts programs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use tokio::process::Command;

use super::exit::{Exit, Obstacle};
use super::tree;

/// The variable that marks each process of an attempt, its children included.
pub(crate) const MARKER: &str = "SWEEP_ATTEMPT_ID";
/// Variables of the agent's own environment that would mislead a program, or are none of its business.
const REMOVED: [&str; 2] = ["WANDB_SERVICE", "SWEEP_TOKEN"];

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// argv.
    pub(crate) argv: Vec<String>,
    /// Where in `argv` a script stands that an interpreter is asked to read.
    pub(crate) script: Option<usize>,
    /// Variables beyond the agent's own.
    pub(crate) variables: BTreeMap<String, String>,
    /// The value of [`MARKER`].
    pub(crate) marker: String,
    /// Where it runs.
    pub(crate) workdir: PathBuf,
    /// Where its output goes.
    pub(crate) output: PathBuf,
}

/// A started program.
#[derive(Debug)]
pub(crate) struct Program {
    child: Box<dyn ChildWrapper>,
    pid: i32,
}

impl Program {
    /// The id of its process, and of its session.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for its own process to end; its children may go on.
    ///
    /// # Errors
    /// The operating system does not say how it ended.
    pub(crate) async fn wait(&mut self) -> io::Result<Exit> {
        let status = self.child.wait().await;
        tree::forget_main(self.pid);
        Ok(status?.into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        tree::forget_main(self.pid);
    }
}

/// Starts a program in a session of its own, so that no signal of the agent's terminal reaches it. Standard input is empty; output and errors go
/// to one file in the order they are written, straight from the program: neither a slow nor a dead agent can hold it up.
///
/// # Errors
/// See [`Obstacle`].
pub(crate) fn spawn(launch: &Launch) -> Result<Program, Obstacle> {
    let Some(first) = launch.argv.first() else {
        let message = "the command is empty once its macros are expanded; `command:` has to name a program";
        return Err(Obstacle::Configuration(message.to_owned()));
    };
    if let Some(item) = launch.argv.iter().find(|item| item.contains('\0')) {
        let message = format!("the argument {item:?} holds a NUL character, which no argument can; `${{args_json_file}}` can carry it");
        return Err(Obstacle::Configuration(message));
    }
    let executable = find_program(first, &launch.workdir).map_err(Obstacle::Machine)?;
    check_what_follows(launch).map_err(Obstacle::Machine)?;
    let no_output = |error: io::Error| Obstacle::Machine(format!("{}: {error}", launch.output.display()));
    let output = open_output(&launch.output).map_err(no_output)?;
    let errors = output.try_clone().map_err(no_output)?;
    let mut command = Command::new(&executable);
    command
        .arg0(first)
        .args(&launch.argv[1..])
        .envs(&launch.variables)
        .env(MARKER, &launch.marker)
        .current_dir(&launch.workdir)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .kill_on_drop(true);
    for name in REMOVED {
        command.env_remove(name);
    }
    let mut command = CommandWrap::from(command);
    command.wrap(ProcessSession);
    // The wrapper's own `wait` would also wait for, and reap, children; they are `tree`'s business.
    let started = tree::spawn_main(|| {
        let child = command.spawn()?.into_inner();
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        Ok::<_, io::Error>((child, pid))
    });
    let (child, pid) = started.map_err(|error| match error.kind() {
        io::ErrorKind::ArgumentListTooLong => Obstacle::Configuration(
            "the arguments and the environment are longer than this system allows; `${args_json_file}` can carry more".to_owned(),
        ),
        _ => Obstacle::Machine(format!("{} in {}: {error}", executable.display(), launch.workdir.display())),
    })?;
    Ok(Program { child, pid })
}

/// Returns whether a program of that name is on the PATH.
pub(crate) fn on_path(name: &str) -> bool {
    search_path(name).is_some()
}

fn open_output(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// `env` and interpreters start even where what they are asked to run does not exist. That is the machine's fault and not the configuration's, so
/// it is looked at before.
fn check_what_follows(launch: &Launch) -> Result<(), String> {
    if launch.argv[0] == "/usr/bin/env" {
        let mut rest = launch.argv[1..].iter().skip_while(|item| item.contains('=') && !item.starts_with('-'));
        if let Some(program) = rest.next().filter(|item| !item.starts_with('-')) {
            find_program(program, &launch.workdir)?;
        }
    }
    let Some(script) = launch.script.and_then(|index| launch.argv.get(index)) else { return Ok(()) };
    if launch.workdir.join(script).exists() {
        return Ok(());
    }
    Err(format!("there is no `{script}` in {}; start the agent where the program lies, or give --workdir", launch.workdir.display()))
}

fn find_program(name: &str, workdir: &Path) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = workdir.join(name);
        return match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(format!("{} is a folder, not a program", path.display())),
            Ok(_) if is_executable(&path) => Ok(path),
            Ok(_) => Err(format!("{} is not executable; try `chmod +x {name}`", path.display())),
            Err(error) => Err(format!("{}: {error}; relative names start from --workdir", path.display())),
        };
    }
    if let Some(path) = search_path(name) {
        return Ok(path);
    }
    let hint = if workdir.join(name).exists() { format!("; it is in the working folder: did you mean `./{name}`?") } else { String::new() };
    let searched = std::env::var("PATH").unwrap_or_default();
    Err(format!("there is no program `{name}` on the PATH of this machine{hint} (looked in {searched})"))
}

fn search_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
