//! git as a program, led nowhere by the environment.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::CodeError;

/// Variables that would lead git elsewhere.
const MISLEADING: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX"];

/// git, led nowhere by the environment, and quiet.
pub(crate) fn git() -> Command {
    let mut git = Command::new("git");
    for name in MISLEADING {
        git.env_remove(name);
    }
    // Nothing of the user's is locked or refreshed, nobody is asked for a password, no program is started to watch files, and no part of our index is
    // put beside the user's.
    git.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for setting in ["core.fsmonitor=false", "core.quotePath=false", "core.splitIndex=false", "core.untrackedCache=false", "gc.auto=0"] {
        git.args(["-c", setting]);
    }
    git.stdin(Stdio::null());
    git
}

/// Makes a bare repository where there is none. Any number of processes may do so at once: it is made beside its place and moved there whole.
pub(crate) fn make_bare(place: &Path) -> Result<(), CodeError> {
    let exists = || place.join("HEAD").exists();
    if exists() {
        return Ok(());
    }
    let trouble = |source| CodeError::File { path: place.to_owned(), source };
    let beside = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(beside).map_err(trouble)?;
    let made = tempfile::Builder::new().prefix(".new-").tempdir_in(beside).map_err(trouble)?;
    output(git().args(["init", "--quiet", "--bare"]).arg(made.path()))?;
    match fs::rename(made.path(), place) {
        Ok(()) => drop(made.keep()),
        Err(_) if exists() => {}
        // What lies there was begun by one that was killed before it made a `HEAD`.
        Err(_) => drop(output(git().args(["init", "--quiet", "--bare"]).arg(place))?),
    }
    Ok(())
}

pub(crate) fn paths(listed: &[u8]) -> impl Iterator<Item = &[u8]> {
    listed.split(|byte| *byte == 0).filter(|path| !path.is_empty())
}

pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, CodeError> {
    let done = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output().map_err(CodeError::NoGit)?;
    if done.status.success() { Ok(done.stdout) } else { Err(refused(command, &done.stderr)) }
}

/// What a search has found; it ends with 1 where that is nothing.
pub(crate) fn git_found(command: &mut Command) -> Result<Vec<u8>, CodeError> {
    let done = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output().map_err(CodeError::NoGit)?;
    if matches!(done.status.code(), Some(0 | 1)) { Ok(done.stdout) } else { Err(refused(command, &done.stderr)) }
}

pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Result<(), CodeError> {
    answer(command, input).map(drop)
}

/// Returns what one says that was given something to read, all of which it reads first.
pub(crate) fn answer(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, CodeError> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(CodeError::NoGit)?;
    // It reads all of its input before it says much; one that ends early says why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    let done = child.wait_with_output().map_err(CodeError::NoGit)?;
    if done.status.success() { Ok(done.stdout) } else { Err(refused(command, &done.stderr)) }
}

/// Waits for the end of one whose output was read.
pub(crate) fn ended(command: &Command, child: Child) -> Result<(), CodeError> {
    let done = child.wait_with_output().map_err(CodeError::NoGit)?;
    if done.status.success() { Ok(()) } else { Err(refused(command, &done.stderr)) }
}

fn refused(command: &Command, message: &[u8]) -> CodeError {
    let mut arguments = command.get_args().skip_while(|argument| argument.as_bytes() == b"-c" || argument.as_bytes().contains(&b'='));
    let name = arguments.next().unwrap_or_default().to_string_lossy().into_owned();
    let message = String::from_utf8_lossy(message);
    let last = message.lines().rev().find(|line| !line.is_empty()).unwrap_or("it failed without a word");
    CodeError::Git { command: name, message: last.to_owned() }
}

pub(crate) fn line(mut bytes: Vec<u8>) -> String {
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns whether git says yes.
pub(crate) fn quick(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_make_one_repository_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("code/of");
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| make_bare(&place).map(|()| place.join("config").exists()))).collect();
            assert!(makers.into_iter().all(|maker| maker.join().unwrap().unwrap()), "one saw a repository that was not whole");
        });
        assert_eq!(fs::read_dir(folder.path().join("code")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn one_that_was_begun_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("objects/pack")).unwrap();
        make_bare(folder.path()).unwrap();
        assert!(quick(git().current_dir(folder.path()).args(["rev-parse", "--is-bare-repository"])));
    }
}
