//! Snapshots of real repositories of every kind.

mod description;
mod hostile;
mod limits;
mod outputs;
#[path = "../../tests/fixture/project.rs"]
mod project;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use self::project::{ODD_NAMES, ProjectFolder, git_in};
use crate::{Snapshot, Working};

impl ProjectFolder {
    fn code(&self) -> Working {
        Working::find(&self.root(), &self.folder.path().join("runs")).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        self.code().snapshot().unwrap()
    }
}

/// All files below a folder with what they hold.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap_or_default();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_clean_repository_has_the_tree_of_its_commit() {
    let place = ProjectFolder::repository();
    let snapshot = place.snapshot();
    assert_eq!(snapshot.version, place.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!(snapshot.commit, place.git(&["rev-parse", "HEAD"]));
    assert_eq!(
        (
            snapshot.branch.as_str(),
            snapshot.subject.as_str(),
            snapshot.changed
        ),
        ("main", "Begin", (0, 0, 0))
    );
    assert_eq!(snapshot.notes, [""; 0]);
}

#[test]
fn whatever_is_not_committed_is_part_of_the_version() {
    let place = ProjectFolder::repository();
    let mut code = place.code();
    let clean = code.snapshot().unwrap();
    place.write("train.py", "print('loss: 0.4')\nprint('accuracy: 1')\n");
    let edited = code.snapshot().unwrap();
    assert_ne!(edited.version, clean.version);
    assert_eq!(edited.changed, (1, 2, 1));
    place.write("helper.py", "x = 1\n");
    let added = code.snapshot().unwrap();
    assert_eq!(added.changed, (2, 3, 1));
    fs::remove_file(place.root().join("train.py")).unwrap();
    let removed = code.snapshot().unwrap();
    assert_eq!(removed.changed, (2, 1, 1));
    // Another agent, another folder for what it needs: the same version.
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(
        Working::find(&place.root(), elsewhere.path())
            .unwrap()
            .snapshot()
            .unwrap(),
        removed
    );
    fs::remove_file(place.root().join("helper.py")).unwrap();
    place.git(&["checkout", "--quiet", "train.py"]);
    assert_eq!(code.snapshot().unwrap(), clean);
    // What is staged and gone, or staged and changed again, is what lies there.
    place.write("staged.py", "a\n");
    place.git(&["add", "staged.py"]);
    place.write("staged.py", "b\n");
    let staged = code.snapshot().unwrap();
    fs::remove_file(place.root().join("staged.py")).unwrap();
    assert_eq!(code.snapshot().unwrap().version, clean.version);
    assert_ne!(staged.version, clean.version);
}

#[test]
fn an_edit_that_keeps_size_and_time_within_the_clock_is_seen() {
    let place = ProjectFolder::repository();
    let mut code = place.code();
    let before = code.snapshot().unwrap();
    for digit in 0..8 {
        place.write("train.py", &format!("print('loss: 0.{digit}')\n"));
        let same = digit == 5;
        assert_eq!(
            code.snapshot().unwrap().version == before.version,
            same,
            "{digit}"
        );
    }
}

#[test]
fn an_edit_in_the_second_of_the_last_add_is_seen_later() {
    let place = ProjectFolder::repository();
    let (train, index) = (
        place.root().join("train.py"),
        place.root().join(".git/index"),
    );
    // As it is where the second in which git has noted the file is the one in which it was changed again, to the same length.
    place.git(&["config", "core.trustctime", "false"]);
    let noted = std::time::SystemTime::now() - std::time::Duration::from_secs(10);
    let at = |path: &Path| {
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(noted)
            .unwrap();
    };
    at(&train);
    place.git(&["add", "train.py"]);
    at(&index);
    let before = place.snapshot();
    place.write("train.py", "print('loss: 0.4')\n");
    at(&train);
    assert_ne!(place.snapshot().version, before.version);
}

#[test]
fn the_users_repository_stays_as_it_was() {
    let place = ProjectFolder::repository();
    place.write("stashed.py", "x\n");
    place.git(&["stash", "--include-untracked", "--quiet"]);
    place.write("train.py", "changed\n");
    place.write("staged.py", "new\n");
    place.git(&["add", "staged.py"]);
    place.write("untracked.py", "new\n");
    let before = files(&place.root());
    let mut code = place.code();
    code.snapshot().unwrap();
    place.write("other.py", "1\n");
    code.snapshot().unwrap();
    fs::remove_file(place.root().join("other.py")).unwrap();
    code.snapshot().unwrap();
    let after = files(&place.root());
    assert!(
        before == after,
        "{:?}",
        after
            .iter()
            .filter(|file| !before.contains(file))
            .map(|(path, _)| path)
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_folder_that_is_no_repository_has_a_version_too() {
    let place = ProjectFolder::bare();
    let before = files(&place.root());
    let mut code = place.code();
    let first = code.snapshot().unwrap();
    assert_eq!(
        (
            first.version.len(),
            first.commit.as_str(),
            first.branch.as_str()
        ),
        (40, "", "")
    );
    assert_eq!(code.snapshot().unwrap(), first);
    place.write("train.py", "other\n");
    assert_ne!(code.snapshot().unwrap().version, first.version);
    place.write("train.py", "print('loss: 0.5')\n");
    assert_eq!(code.snapshot().unwrap().version, first.version);
    assert!(files(&place.root()) == before);
    // The same files in a repository are the same version.
    assert_eq!(
        ProjectFolder::repository().snapshot().version,
        first.version
    );
}

#[test]
fn without_a_commit_and_with_a_detached_head_and_in_a_shallow_clone_it_works() {
    let place = ProjectFolder::bare();
    place.git(&["init", "--quiet", "--initial-branch", "trunk"]);
    let unborn = place.snapshot();
    assert_eq!(
        (unborn.commit.as_str(), unborn.branch.as_str()),
        ("", "trunk")
    );
    place.commit("One");
    place.write("b.py", "b\n");
    place.commit("Two");
    place.git(&["checkout", "--quiet", "HEAD~1"]);
    let detached = place.snapshot();
    assert_eq!(
        (detached.version, detached.branch, detached.subject),
        (unborn.version, String::new(), "One".to_owned())
    );
    let shallow = ProjectFolder {
        folder: tempfile::tempdir().unwrap(),
    };
    let origin = format!("file://{}", place.root().display());
    git_in(
        shallow.folder.path(),
        &[
            "clone", "--quiet", "--depth", "1", "--branch", "trunk", &origin, "project",
        ],
    );
    let snapshot = shallow.snapshot();
    assert_eq!(
        (snapshot.subject.as_str(), snapshot.remote),
        ("Two", origin)
    );
    shallow.write("train.py", "changed\n");
    assert_eq!(shallow.snapshot().changed, (1, 1, 1));
}

#[test]
fn it_is_the_same_from_a_folder_below_and_in_another_worktree() {
    let place = ProjectFolder::repository();
    place.write("src/model.py", "m\n");
    place.commit("Model");
    let runs = place.folder.path().join("runs");
    let below = Working::find(&place.root().join("src"), &runs)
        .unwrap()
        .snapshot()
        .unwrap();
    assert_eq!(below.prefix, "src");
    assert_eq!(
        Snapshot {
            prefix: String::new(),
            ..below.clone()
        },
        place.snapshot()
    );
    let tree = place.folder.path().join("tree");
    place.git(&[
        "worktree",
        "add",
        "--quiet",
        "--detach",
        tree.to_str().unwrap(),
    ]);
    fs::write(tree.join("train.py"), "changed\n").unwrap();
    let other = Working::find(&tree, &runs).unwrap().snapshot().unwrap();
    assert_eq!((other.changed, other.branch.as_str()), ((1, 1, 1), ""));
    assert_eq!(place.snapshot().version, below.version);
}

#[test]
fn names_of_any_kind_are_taken_in() {
    let place = ProjectFolder::repository();
    let mut code = place.code();
    let mut versions = vec![code.snapshot().unwrap().version];
    for name in ODD_NAMES {
        place.write(OsStr::from_bytes(name), "x\n");
        versions.push(code.snapshot().unwrap().version);
    }
    symlink("train.py", place.root().join("link.py")).unwrap();
    versions.push(code.snapshot().unwrap().version);
    symlink("/nowhere/at/all", place.root().join("dangling")).unwrap();
    versions.push(code.snapshot().unwrap().version);
    let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
    assert_eq!(distinct.len(), versions.len());
    place.git(&["add", "--all"]);
    assert_eq!(
        *versions.last().unwrap(),
        place.git(&["write-tree"]),
        "what git itself makes of it"
    );
}

#[test]
fn what_is_ignored_secret_large_or_written_by_programs_is_left_out() {
    let place = ProjectFolder::repository();
    let clean = place.snapshot();
    place.write(".env", "TOKEN=1\n");
    place.write("keys/id_rsa", "secret\n");
    place.write("wandb/run-1/files/output.log", "x\n");
    place.write("model.pt", "x\n");
    place.write("data/sweep.db-wal", "x\n");
    git_in(
        place.folder.path(),
        &[
            "init",
            "--quiet",
            "--bare",
            place.root().join("data/code.git").to_str().unwrap(),
        ],
    );
    place.write("__pycache__/train.cpython-312.pyc", "x\n");
    fs::File::create(place.root().join("data.bin"))
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    let snapshot = place.snapshot();
    assert_eq!(snapshot.version, clean.version);
    assert_eq!(
        snapshot.notes,
        [
            ".env, keys/id_rsa: not part of the code version, by name a secret (a line `!PATH` in .sweepignore keeps one that is none)",
            "data.bin: not part of the code version, since it has more than 10 MB and git does not track it",
        ]
    );
    place.write(".gitignore", "*.tmp\n");
    let ignoring = place.snapshot();
    place.write("a.tmp", "x\n");
    assert_eq!(place.snapshot().version, ignoring.version);
    place.write(".sweepignore", "results/\n");
    let more = place.snapshot();
    assert_ne!(
        more.version, ignoring.version,
        "the list itself belongs to the code"
    );
    place.write("results/1.json", "x\n");
    assert_eq!(place.snapshot().version, more.version);
    // What people track is theirs.
    place.git(&["add", "--force", "model.pt"]);
    assert_ne!(place.snapshot().version, more.version);
}

#[test]
fn what_was_taken_in_and_is_ignored_later_goes() {
    let place = ProjectFolder::repository();
    let mut code = place.code();
    place.write("notes/a.txt", "x\n");
    let with = code.snapshot().unwrap();
    place.write("notes/.gitignore", "*\n");
    let without = code.snapshot().unwrap();
    assert_ne!(with.version, without.version);
    assert_eq!(
        without.version,
        ProjectFolder::repository().snapshot().version,
        "the file that ignores ignores itself as well"
    );
}

#[test]
fn run_folders_below_the_code_are_none() {
    let place = ProjectFolder::repository();
    let runs = place.root().join("my runs");
    let mut code = Working::find(&place.root(), &runs).unwrap();
    let before = code.snapshot().unwrap();
    place.write("my runs/k3x9q2ab/1/1/output.log.txt", "x\n");
    assert_eq!(code.snapshot().unwrap(), before);
}

#[test]
fn repositories_inside_are_part_of_it_clean_and_dirty() {
    let library = ProjectFolder::repository();
    let place = ProjectFolder::repository();
    let origin = library.root().to_str().unwrap().to_owned();
    place.git(&["submodule", "--quiet", "add", &origin, "lib"]);
    place.commit("Take the library");
    git_in(&place.root(), &["clone", "--quiet", &origin, "cloned copy"]);
    let before = files(&place.root());
    let mut code = place.code();
    let clean = code.snapshot().unwrap();
    assert_eq!(code.snapshot().unwrap(), clean);
    let listed = git_in(&place.root(), &["submodule", "status"]);
    assert!(listed.contains("lib"), "{listed}");
    place.write("lib/train.py", "changed\n");
    let dirty = code.snapshot().unwrap();
    assert_ne!(dirty.version, clean.version);
    assert_eq!((clean.changed, dirty.changed), ((0, 0, 0), (1, 1, 1)));
    assert!(
        clean.patch.is_empty()
            && dirty
                .patch
                .contains("\n--- a/lib/train.py\n+++ b/lib/train.py\n"),
        "{}",
        dirty.patch
    );
    place.write("cloned copy/new.py", "new\n");
    let dirtier = code.snapshot().unwrap();
    assert_ne!(dirtier.version, dirty.version);
    place.write("lib/train.py", "print('loss: 0.5')\n");
    fs::remove_file(place.root().join("cloned copy/new.py")).unwrap();
    assert_eq!(code.snapshot().unwrap().version, clean.version);
    assert!(files(&place.root()) == before);
    // The same files without any repository inside are the same version.
    let plain = ProjectFolder::bare();
    for (path, bytes) in before {
        let path = path.strip_prefix(place.root()).unwrap().to_owned();
        if !path.components().any(|part| part.as_os_str() == ".git") {
            plain.write(&path, std::str::from_utf8(&bytes).unwrap());
        }
    }
    assert_eq!(plain.snapshot().version, clean.version);
}
