//! Folders of every kind survive the way from where they lie to where they are executed, and lie there afterwards as they did before.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

#[path = "fixture/project.rs"]
mod project;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use sweep_code::{Checkouts, Snapshot, Working};

use self::project::{ODD_NAMES, ProjectFolder, git_in};

/// Path, mode and contents of all below a folder; of links where they lead.
type Contents = BTreeMap<Vec<u8>, (u32, Vec<u8>)>;

impl ProjectFolder {
    /// Takes the folder to where an agent executes it; returns the snapshot and what lies there.
    fn travel(&self) -> (Snapshot, Contents) {
        let before = contents(&self.root(), true);
        let mut working = Working::find(&self.root(), &self.folder.path().join("runs")).unwrap();
        let snapshot = working.snapshot().unwrap();
        let source = working.source();
        source.suspects(&snapshot.version).unwrap();
        let checkouts = Checkouts::open(&self.folder.path().join("elsewhere")).unwrap();
        let bundle = checkouts.file().unwrap();
        source
            .bundle(&snapshot.version, &checkouts.have(), &bundle)
            .unwrap();
        checkouts.receive(&snapshot.version, &bundle).unwrap();
        let arrived = contents(&checkouts.take(&snapshot.version).unwrap(), false);
        let after = contents(&self.root(), true);
        let changed: Vec<_> = after
            .keys()
            .filter(|path| before.get(*path) != after.get(*path))
            .collect();
        assert!(
            before == after,
            "the user's folder and repository are as they were: {changed:?}"
        );
        (snapshot, arrived)
    }

    /// Takes it there, where all of it has to be found, but what is named.
    fn survives(&self, without: &[&str]) -> Snapshot {
        let (snapshot, arrived) = self.travel();
        let mut here = contents(&self.root(), false);
        here.retain(|path, _| !without.iter().any(|name| path == name.as_bytes()));
        assert!(
            here == arrived,
            "{:?} became {:?}",
            here.keys().collect::<Vec<_>>(),
            arrived.keys().collect::<Vec<_>>()
        );
        snapshot
    }
}

/// Returns what lies below a folder; what belongs to git only where it is asked for.
fn contents(root: &Path, with_git: bool) -> Contents {
    let mut found = Contents::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.metadata().unwrap());
            if entry.file_name() == ".git" && !with_git {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = if kind.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_owned()
            } else if kind.len() > 1 << 30 {
                kind.mtime_nsec().to_le_bytes().to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let mode = if kind.is_symlink() {
                0
            } else {
                kind.permissions().mode() & 0o100
            };
            found.insert(
                path.strip_prefix(root)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_owned(),
                (mode, bytes),
            );
        }
    }
    found
}

#[test]
fn what_is_clean_dirty_staged_stashed_or_detached() {
    let place = ProjectFolder::repository();
    place.survives(&[]);
    place.write("stashed.py", "x\n");
    place.git(&["stash", "--include-untracked", "--quiet"]);
    place.write("train.py", "changed\n");
    place.write("staged.py", "new\n");
    place.git(&["add", "staged.py"]);
    place.write("staged.py", "and changed again\n");
    place.write("untracked.py", "new\n");
    assert_eq!(place.survives(&[]).changed.0, 3);
    place.commit("All of it");
    place.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    place.write("train.py", "another way\n");
    assert_eq!(place.survives(&[]).branch, "");
}

#[test]
fn what_has_no_commit_or_is_no_repository() {
    let place = ProjectFolder::bare();
    let alone = place.survives(&[]);
    place.git(&["init", "--quiet", "--initial-branch", "trunk"]);
    let unborn = place.survives(&[]);
    assert_eq!(
        (
            unborn.version,
            unborn.branch.as_str(),
            unborn.commit.as_str()
        ),
        (alone.version, "trunk", "")
    );
}

#[test]
fn a_shallow_clone_and_a_worktree() {
    let origin = ProjectFolder::repository();
    origin.write("b.py", "b\n");
    origin.commit("Two");
    let url = format!("file://{}", origin.root().display());
    let shallow = ProjectFolder {
        folder: tempfile::tempdir().unwrap(),
    };
    git_in(
        shallow.folder.path(),
        &["clone", "--quiet", "--depth", "1", &url, "project"],
    );
    shallow.write("b.py", "changed\n");
    assert_eq!(shallow.survives(&[]).changed, (1, 1, 1));
    let tree = ProjectFolder {
        folder: tempfile::tempdir().unwrap(),
    };
    origin.git(&[
        "worktree",
        "add",
        "--quiet",
        "--detach",
        tree.root().to_str().unwrap(),
    ]);
    tree.write("train.py", "changed\n");
    tree.survives(&[]);
    assert_eq!(origin.git(&["status", "--porcelain"]), "");
}

#[test]
fn submodules_clean_and_dirty_and_never_checked_out() {
    let library = ProjectFolder::repository();
    let place = ProjectFolder::repository();
    let origin = library.root().to_str().unwrap().to_owned();
    place.git(&["submodule", "--quiet", "add", &origin, "lib"]);
    place.commit("Take the library");
    place.survives(&[]);
    place.write("lib/train.py", "changed\n");
    place.write("lib/new.py", "new\n");
    place.survives(&[]);
    let clone = ProjectFolder {
        folder: tempfile::tempdir().unwrap(),
    };
    git_in(
        clone.folder.path(),
        &[
            "clone",
            "--quiet",
            place.root().to_str().unwrap(),
            "project",
        ],
    );
    let (_, arrived) = clone.travel();
    assert_eq!(
        arrived.keys().collect::<Vec<_>>(),
        [b".gitmodules".as_slice(), b"train.py"]
    );
}

#[test]
fn pointers_of_git_lfs_stay_pointers() {
    let place = ProjectFolder::with_lfs_pointer();
    place.survives(&[]);
}

#[test]
fn names_of_any_kind_links_and_modes() {
    let place = ProjectFolder::repository();
    let nested: [&[u8]; 2] = ["ümläüt/☃.py".as_bytes(), b"a b\n/\xff/c.py"];
    for name in ODD_NAMES.into_iter().chain(nested) {
        place.write(OsStr::from_bytes(name), "x\n");
    }
    symlink("train.py", place.root().join("link.py")).unwrap();
    symlink("/nowhere/at/all", place.root().join("dangling")).unwrap();
    symlink("..", place.root().join("up")).unwrap();
    place.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(
        place.root().join("run.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    place.write(".gitattributes", "*.txt text eol=crlf\n");
    place.write("lines.txt", "a\r\nb\r\n");
    place.survives(&[]);
    place.commit("All");
    place.survives(&[]);
}

#[test]
fn twenty_thousand_files_and_two_gigabytes_beside_them() {
    let place = ProjectFolder::repository();
    for number in 0..20_000 {
        place.write(
            format!("d{}/f{number}.py", number / 200),
            &number.to_string(),
        );
    }
    fs::File::create(place.root().join("data.bin"))
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    let snapshot = place.survives(&["data.bin"]);
    assert_eq!(snapshot.changed.0, 20_000);
    assert_eq!(
        snapshot.notes,
        [
            "data.bin: not part of the code version, since it has more than 10 MB and git does not track it"
        ]
    );
}
