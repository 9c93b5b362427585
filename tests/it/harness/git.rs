//! git for tests: with a name for commits, and any failure is that of the test.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs git in a folder, and returns what it prints.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    git_with(folder, arguments, None)
}

/// As [`git`], with a file as standard input.
pub(crate) fn git_with(folder: &Path, arguments: &[&str], input: Option<&Path>) -> String {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(arguments);
    if let Some(input) = input {
        git.stdin(fs::File::open(input).expect("it was written"));
    }
    let done = git.output().expect("git is there");
    assert!(
        done.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout)
        .expect("it is text")
        .trim()
        .to_owned()
}
