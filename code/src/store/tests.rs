//! Snapshots go from a working folder to a store and from there into another folder, and what is not what it says goes nowhere.

mod forged;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{CodeError, CodeStore, Working, is_version};
use tempfile::TempDir;

/// A repository with uncommitted work, and a store elsewhere.
struct StoreFixture {
    folder: TempDir,
    store: CodeStore,
}

impl StoreFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::open(&folder.path().join("code.git")).unwrap();
        let place = Self { folder, store };
        fs::create_dir(place.root()).unwrap();
        place.git(&["init", "--quiet", "--initial-branch", "main"]);
        place.write("train.py", "print('loss: 0.5')\n");
        place.write(
            "big.txt",
            &(0..20_000)
                .map(|line| format!("{}\n", line * 7919 % 10_007))
                .collect::<String>(),
        );
        place.git(&["add", "--all"]);
        place.git(&["commit", "--quiet", "--message", "Begin"]);
        place
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        for setting in [
            "user.name=ann",
            "user.email=ann@example.org",
            "commit.gpgSign=false",
        ] {
            git.args(["-c", setting]);
        }
        let done = git
            .args(arguments)
            .current_dir(self.root())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Looks, and writes a bundle of what is there.
    fn bundle(&self, have: &[String], name: &str) -> (String, PathBuf) {
        let mut working = Working::find(&self.root(), &self.path("runs")).unwrap();
        let version = working.snapshot().unwrap().version;
        let bundle = self.path(name);
        working.source().bundle(&version, have, &bundle).unwrap();
        (version, bundle)
    }

    /// Sends what is there to the store.
    fn send(&self, have: &[String], name: &str) -> (String, u64) {
        let (version, bundle) = self.bundle(have, name);
        self.store.receive(&version, &bundle).unwrap();
        assert!(self.store.holds(&version));
        (version, fs::metadata(bundle).unwrap().len())
    }

    /// A bundle of a commit that somebody made by hand, under the name of a version.
    fn forged(&self, commit: &str, version: &str) -> PathBuf {
        self.git(&["update-ref", &format!("refs/sweep/{version}"), commit]);
        let bundle = self.path("forged");
        self.git(&[
            "bundle",
            "create",
            "--quiet",
            bundle.to_str().unwrap(),
            &format!("refs/sweep/{version}"),
        ]);
        bundle
    }

    fn refuses(&self, version: &str, bundle: &Path) -> CodeError {
        let error = self.store.receive(version, bundle).unwrap_err();
        assert!(!self.store.holds(version));
        error
    }
}

fn git_in_store(place: &StoreFixture, arguments: &[&str]) {
    assert!(
        Command::new("git")
            .arg("--git-dir")
            .arg(place.path("code.git"))
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
}

/// All below a folder: path, whether it can be executed, contents; of links where they lead.
fn contents(root: &Path) -> Vec<(Vec<u8>, bool, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_owned();
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_symlink() {
                found.push((
                    name,
                    false,
                    fs::read_link(&path)
                        .unwrap()
                        .as_os_str()
                        .as_bytes()
                        .to_owned(),
                ));
            } else if kind.is_dir() {
                folders.extend((name != b".git").then_some(path));
            } else {
                found.push((
                    name,
                    kind.permissions().mode() & 0o100 != 0,
                    fs::read(&path).unwrap(),
                ));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_snapshot_is_written_elsewhere_as_it_was() {
    let place = StoreFixture::new();
    place.write("train.py", "print('loss: 0.4')\n");
    place.write("with space/and\nline.py", "pass\n");
    place.write(OsStr::from_bytes(b"caf\xe9.py"), "latin\n");
    place.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(
        place.root().join("run.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    symlink("/etc/passwd", place.root().join("out")).unwrap();
    let (version, _) = place.send(&[], "bundle");
    let dir = place.path("elsewhere");
    let written = place.store.check_out(&version, &dir).unwrap();
    assert_eq!(contents(&dir), contents(&place.root()));
    assert_eq!(
        (written.size.files, written.pointers),
        (6, Vec::<String>::new())
    );
    assert!(
        place.git(&["for-each-ref", "refs/sweep"]).is_empty(),
        "nothing is written into the user's repository"
    );
    let again = place
        .store
        .check_out(&version, &dir)
        .unwrap_err()
        .to_string();
    assert!(again.contains("not empty"), "{again}");
}

#[test]
fn one_bundle_builds_on_another_and_a_version_is_the_same_everywhere() {
    let place = StoreFixture::new();
    let (first, whole) = place.send(&[], "first");
    place.write("train.py", "print('loss: 0.3')\n");
    let (second, more) = place.send(std::slice::from_ref(&first), "second");
    assert!(whole > 20_000 && more < 1000, "{whole} {more}");
    // What the other side claims to have and was never seen here is no base.
    let unknown = "a".repeat(40);
    let (_, all) = place.bundle(std::slice::from_ref(&unknown), "third");
    assert!(fs::metadata(all).unwrap().len() > 20_000);
    // From store to store, and nothing of it depends on its maker.
    let other = CodeStore::open(&place.path("other.git")).unwrap();
    let bundle = place.path("handed");
    place.store.bundle(&second, &[unknown], &bundle).unwrap();
    other.receive(&second, &bundle).unwrap();
    let diff = String::from_utf8(place.store.diff(&first, &second, false, false).unwrap()).unwrap();
    assert!(
        diff.contains("-print('loss: 0.5')\n+print('loss: 0.3')\n"),
        "{diff}"
    );
    let missing = other
        .diff(&first, &second, true, false)
        .unwrap_err()
        .to_string();
    assert!(missing.contains(&first[..8]), "{missing}");
}

#[test]
fn a_folder_that_is_no_repository_can_be_sent_too() {
    let place = StoreFixture::new();
    fs::remove_dir_all(place.root().join(".git")).unwrap();
    let (version, _) = place.send(&[], "bundle");
    place
        .store
        .check_out(&version, &place.path("elsewhere"))
        .unwrap();
    assert_eq!(contents(&place.path("elsewhere")), contents(&place.root()));
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let place = StoreFixture::new();
    let (version, bundle) = place.bundle(&[], "bundle");
    let other = "b".repeat(40);
    place.refuses(&other, &bundle);
    for name in [
        "",
        "HEAD",
        "../../etc/passwd",
        "--upload-pack=touch /tmp/x",
        &"A".repeat(40),
        &version[..39],
    ] {
        assert!(
            !is_version(name) && matches!(place.refuses(name, &bundle), CodeError::NoVersion(_)),
            "{name}"
        );
    }
    let bytes = fs::read(&bundle).unwrap();
    for (damage, name) in [
        (bytes[..bytes.len() / 2].to_vec(), "torn"),
        (b"no bundle at all".to_vec(), "text"),
        (Vec::new(), "empty"),
    ] {
        fs::write(place.path(name), damage).unwrap();
        place.refuses(&version, &place.path(name));
    }
    let mut flipped = bytes;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(place.path("flipped"), flipped).unwrap();
    place.refuses(&version, &place.path("flipped"));
    // The right tree under a commit of somebody's own, which could carry anything along.
    let tree = place.git(&["rev-parse", "HEAD^{tree}"]);
    assert_eq!(tree, version);
    let error = place.refuses(&version, &place.forged("HEAD", &version));
    assert!(matches!(&error, CodeError::Mismatch(_)), "{error}");
    assert!(
        Command::new("git")
            .arg("--git-dir")
            .arg(place.path("code.git"))
            .args(["for-each-ref"])
            .output()
            .unwrap()
            .stdout
            .is_empty()
    );
    place.store.receive(&version, &bundle).unwrap();
}

#[test]
fn a_tree_that_leads_out_of_its_folder_is_refused() {
    let place = StoreFixture::new();
    let object = |name: &str| -> Vec<u8> {
        let hash = place.git(&["rev-parse", name]);
        (0..20)
            .map(|byte| u8::from_str_radix(&hash[2 * byte..2 * byte + 2], 16).unwrap())
            .collect()
    };
    for (mode, name) in [
        ("100644", ".."),
        ("100644", ".git"),
        ("100644", "a/../../b"),
        ("100644", ".GIT"),
        ("40000", ".."),
    ] {
        let object = object(if mode == "40000" {
            "HEAD^{tree}"
        } else {
            "HEAD:train.py"
        });
        let entry = [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &object].concat();
        fs::write(place.path("entry"), entry).unwrap();
        let tree = place.git(&[
            "hash-object",
            "-t",
            "tree",
            "--literally",
            "-w",
            place.path("entry").to_str().unwrap(),
        ]);
        let commit = place.git(&["commit-tree", "-m", "x", &tree]);
        let bundle = place.forged(&commit, &tree);
        place.refuses(&tree, &bundle);
    }
    assert!(!place.folder.path().join("b").exists());
}

#[test]
fn all_versions_go_into_a_backup_and_come_out_of_it() {
    let place = StoreFixture::new();
    let backup = place.path("backup.code");
    assert!(!place.store.back_up(&backup).unwrap() && !backup.exists());
    let (first, _) = place.send(&[], "first");
    place.write("train.py", "print('loss: 0.3')\n");
    let (second, _) = place.send(std::slice::from_ref(&first), "second");
    assert!(place.store.back_up(&backup).unwrap());
    let other = CodeStore::open(&place.path("other.git")).unwrap();
    other.restore(&backup).unwrap();
    assert!(other.holds(&first) && other.holds(&second));
    other.check_out(&second, &place.path("elsewhere")).unwrap();
    assert_eq!(contents(&place.path("elsewhere")), contents(&place.root()));
    // The target of a name has changed.
    let forged = place.forged("HEAD", &"c".repeat(40));
    assert!(matches!(
        CodeStore::open(&place.path("third.git"))
            .unwrap()
            .restore(&forged),
        Err(CodeError::Mismatch(_))
    ));
}

#[test]
fn files_that_lie_elsewhere_are_named() {
    let place = StoreFixture::new();
    place.write(
        "weights.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    );
    let (version, _) = place.send(&[], "bundle");
    assert_eq!(
        place
            .store
            .check_out(&version, &place.path("elsewhere"))
            .unwrap()
            .pointers,
        ["weights.bin"]
    );
}

#[test]
fn keys_are_hidden_in_differences() {
    let place = StoreFixture::new();
    let (first, _) = place.send(&[], "first");
    let key = format!("ghp_{}", "aB3dE5gH7jK9".repeat(3));
    place.write("keys.py", &format!("key = '{key}'\nx = 1\n"));
    let mut working = Working::find(&place.root(), &place.path("runs"))
        .unwrap()
        .taking_secrets();
    let version = working.snapshot().unwrap().version;
    working
        .source()
        .bundle(&version, &[], &place.path("second"))
        .unwrap();
    place
        .store
        .receive(&version, &place.path("second"))
        .unwrap();
    let diff =
        String::from_utf8(place.store.diff(&first, &version, false, false).unwrap()).unwrap();
    assert!(diff.contains("+key = '[hidden]'\n+x = 1\n"), "{diff}");
}
