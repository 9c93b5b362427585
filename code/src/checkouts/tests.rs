//! One folder for each version, independently of what programs do in it, also with concurrent users.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::{Checkouts, CodeStore, Working, folder_in};
use tempfile::TempDir;

/// Code that changes, and the checkouts of an agent.
struct CheckoutFixture {
    folder: TempDir,
    checkouts: Checkouts,
}

impl CheckoutFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let checkouts = Checkouts::open(&folder.path().join("pinned")).unwrap();
        fs::create_dir_all(folder.path().join("project/src")).unwrap();
        Self { folder, checkouts }
    }

    /// Writes the program, and has the version of it come in; returns that.
    fn version(&self, text: &str) -> String {
        fs::write(self.folder.path().join("project/src/train.py"), text).unwrap();
        let mut working = Working::find(
            &self.folder.path().join("project"),
            &self.folder.path().join("runs"),
        )
        .unwrap();
        let version = working.snapshot().unwrap().version;
        let bundle = self.checkouts.file().unwrap();
        working
            .source()
            .bundle(&version, &self.checkouts.have(), &bundle)
            .unwrap();
        self.checkouts.receive(&version, &bundle).unwrap();
        version
    }

    fn trees(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("pinned/trees")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn age(&self, version: &str) {
        let stamp = fs::File::options()
            .write(true)
            .open(self.folder.path().join("pinned/used").join(version))
            .unwrap();
        stamp
            .set_modified(SystemTime::now() - Duration::from_secs(48 * 3600))
            .unwrap();
    }
}

fn program(tree: &Path) -> String {
    fs::read_to_string(tree.join("src/train.py")).unwrap()
}

#[test]
fn a_version_is_written_once_and_stays_as_it_is() {
    let place = CheckoutFixture::new();
    let version = place.version("one\n");
    assert!(place.checkouts.holds(&version) && place.checkouts.have().is_empty());
    let tree = place.checkouts.take(&version).unwrap();
    assert_eq!(
        (program(&tree).as_str(), place.checkouts.have()),
        ("one\n", vec![version.clone()])
    );
    // What a program adds stays, and so does the folder.
    fs::write(tree.join("src/result.json"), "{}").unwrap();
    assert_eq!(place.checkouts.take(&version).unwrap(), tree);
    assert!(tree.join("src/result.json").exists());
    // Where it changes the code, the next one gets a new folder.
    fs::write(tree.join("src/train.py"), "two\n").unwrap();
    assert_eq!(program(&place.checkouts.take(&version).unwrap()), "one\n");
    assert!(!tree.join("src/result.json").exists());
    fs::remove_file(tree.join("src/train.py")).unwrap();
    assert_eq!(program(&place.checkouts.take(&version).unwrap()), "one\n");
    // Another one opens what is there.
    let other = Checkouts::open(&place.folder.path().join("pinned")).unwrap();
    assert_eq!(other.take(&version).unwrap(), tree);
}

#[test]
fn a_folder_that_somebody_runs_in_is_moved_aside_and_goes_later() {
    let place = CheckoutFixture::new();
    let version = place.version("one\n");
    let tree = place.checkouts.take(&version).unwrap();
    let mut program = Command::new("sleep")
        .arg("60")
        .current_dir(&tree)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    fs::write(tree.join("src/train.py"), "two\n").unwrap();
    place.checkouts.take(&version).unwrap();
    place.checkouts.take(&version).unwrap();
    let aside: Vec<_> = place
        .trees()
        .into_iter()
        .filter(|name| name.starts_with(".old-"))
        .collect();
    assert_eq!((aside.len(), place.trees().len()), (1, 2));
    assert!(
        fs::read_link(format!("/proc/{}/cwd", program.id()))
            .unwrap()
            .join("src/train.py")
            .exists()
    );
    program.kill().unwrap();
    program.wait().unwrap();
    place.checkouts.take(&version).unwrap();
    assert_eq!(place.trees(), [version]);
}

#[test]
fn what_was_begun_and_not_finished_is_never_used() {
    let place = CheckoutFixture::new();
    let version = place.version("one\n");
    // An agent was killed while it wrote: beside the place, and before the place had its notes.
    let half = place.folder.path().join("pinned/trees/.new-1/files/src");
    fs::create_dir_all(&half).unwrap();
    fs::create_dir_all(place.folder.path().join("pinned/trees").join(&version)).unwrap();
    assert_eq!(program(&place.checkouts.take(&version).unwrap()), "one\n");
    place.checkouts.take(&version).unwrap();
    assert_eq!(place.trees(), [version]);
    assert!(place.checkouts.take("../../etc").is_err());
    assert!(
        place.checkouts.take(&"a".repeat(40)).is_err(),
        "what was never fetched"
    );
}

#[test]
fn a_few_versions_are_kept_and_others_go_when_they_are_old() {
    let place = CheckoutFixture::new();
    let versions: Vec<_> = (0..6)
        .map(|number| place.version(&format!("{number}\n")))
        .collect();
    for version in &versions {
        place.checkouts.take(version).unwrap();
    }
    assert_eq!(place.trees().len(), 6, "all were used just now");
    versions[..4].iter().for_each(|version| place.age(version));
    place.checkouts.take(&versions[5]).unwrap();
    let mut kept = versions[4..].to_vec();
    kept.sort();
    let trees = place.trees();
    assert!(
        trees.len() == 3 && kept.iter().all(|version| trees.contains(version)),
        "{trees:?}"
    );
    // It comes back from the store.
    assert_eq!(program(&place.checkouts.take(&versions[0]).unwrap()), "0\n");
}

#[test]
fn many_at_once_get_the_same_folder() {
    let place = CheckoutFixture::new();
    let version = place.version("one\n");
    let taking: Vec<_> = (0..8)
        .map(|_| {
            let (dir, version) = (place.folder.path().join("pinned"), version.clone());
            std::thread::spawn(move || Checkouts::open(&dir).unwrap().take(&version).unwrap())
        })
        .collect();
    let trees: Vec<PathBuf> = taking
        .into_iter()
        .map(|taking| taking.join().unwrap())
        .collect();
    assert!(
        trees
            .iter()
            .all(|tree| *tree == trees[0] && program(tree) == "one\n")
    );
    assert_eq!(place.trees(), [version]);
}

#[test]
fn a_folder_of_the_code_does_not_lead_out_of_it() {
    let place = CheckoutFixture::new();
    let root = place.folder.path().join("project");
    symlink("/etc", root.join("out")).unwrap();
    let inside = root.canonicalize().unwrap();
    assert_eq!(
        (folder_in(&root, ""), folder_in(&root, "src")),
        (Some(inside.clone()), Some(inside.join("src")))
    );
    for wrong in ["..", "/etc", "out", "src/../..", "nowhere"] {
        assert_eq!(folder_in(&root, wrong), None, "{wrong}");
    }
}

#[test]
fn changes_are_counted() {
    let place = CheckoutFixture::new();
    let first = place.version("one\n");
    fs::write(place.folder.path().join("project/new.py"), "a\nb\n").unwrap();
    let second = place.version("two\n");
    let store = CodeStore::open(&place.folder.path().join("pinned/store.git")).unwrap();
    let changes = store.changes(&first, &second).unwrap();
    assert_eq!((changes.files, changes.added, changes.removed), (2, 3, 1));
    assert_eq!(
        store.changes(&second, &second).unwrap(),
        crate::Changes::default()
    );
}
