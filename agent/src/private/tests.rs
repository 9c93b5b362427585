use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn refused<T: std::fmt::Debug>(outcome: io::Result<T>) -> Obstruction {
    Obstruction::of(&outcome.unwrap_err())
        .expect("something is in the way")
        .clone()
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

#[test]
fn folders_are_for_their_user_alone() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("new/runs");
    PrivateDir::make(&runs, Path::new("sweep/1/2")).unwrap();
    for path in ["", "sweep", "sweep/1", "sweep/1/2"] {
        assert_eq!(mode(&runs.join(path)), 0o700, "{path}");
    }
    fs::set_permissions(runs.join("sweep/1"), fs::Permissions::from_mode(0o777)).unwrap();
    PrivateDir::make(&runs, Path::new("sweep/1/2")).unwrap();
    assert_eq!(
        mode(&runs.join("sweep/1")),
        0o755,
        "no other user can put anything there"
    );
    assert!(PrivateDir::make(&runs, Path::new("sweep/../../other")).is_err());
}

#[test]
fn links_are_never_followed() {
    let root = tempfile::tempdir().unwrap();
    let (runs, other) = (root.path().join("runs"), root.path().join("other"));
    fs::create_dir_all(&runs).unwrap();
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("file"), "theirs").unwrap();
    symlink(&other, runs.join("sweep")).unwrap();
    let obstruction = refused(PrivateDir::make(&runs, Path::new("sweep/1")));
    assert_eq!(
        obstruction.to_string(),
        format!(
            "{} is a link, not a folder; it is neither followed nor opened",
            runs.join("sweep").display()
        )
    );
    assert!(!other.join("1").exists());
    let folder = PrivateDir::make(&runs, Path::new("mine")).unwrap();
    symlink(other.join("file"), runs.join("mine/file")).unwrap();
    refused(folder.open_file(name("file")));
    refused(folder.append(name("file")));
    folder
        .replace(name("file"), b"mine", Durability::Synced)
        .unwrap();
    assert_eq!(read(&runs.join("mine/file")).unwrap(), b"mine");
    assert_eq!(fs::read(other.join("file")).unwrap(), b"theirs");
}

#[test]
fn whatever_lies_there_nothing_waits() {
    let root = tempfile::tempdir().unwrap();
    let folder = PrivateDir::make(root.path(), Path::new("mine")).unwrap();
    let at = |name: &str| root.path().join("mine").join(name);
    nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("/dev/zero", at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    for (path, kind) in [
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
        ("folder", "a folder"),
        ("link", "a link"),
        ("dangling", "a link"),
    ] {
        let expected = Obstruction::Kind {
            path: at(path),
            found: kind,
            expected: "a regular file",
        };
        assert_eq!(refused(folder.open_file(name(path))), expected);
        assert_eq!(refused(folder.append(name(path))), expected);
        let (mut file, moved) = open_or_create(&at(path)).unwrap();
        assert_eq!(moved, Some(expected));
        file.write_all(b"x").unwrap();
        assert_eq!(read(&at(path)).unwrap(), b"x");
        assert!(fs::symlink_metadata(at(&format!("{path}.replaced"))).is_ok());
        assert_eq!(mode(&at(path)), 0o600);
    }
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/x"), "").unwrap();
    folder
        .replace(name("full"), b"y", Durability::Cached)
        .unwrap();
    assert_eq!(read(&at("full")).unwrap(), b"y");
    let left = fs::read_dir(root.path().join("mine"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension() == Some(name("new")))
        .count();
    assert_eq!(left, 0);
}

#[test]
fn folders_of_another_user_are_refused() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a folder to another user");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("agents")).unwrap();
    nix::unistd::chown(&root.path().join("agents"), Some(12345.into()), None).unwrap();
    let obstruction = refused(PrivateDir::make(root.path(), Path::new("agents")));
    assert_eq!(
        obstruction,
        Obstruction::Owner {
            path: root.path().join("agents"),
            owner: 12345,
            own: 0
        }
    );
    assert_eq!(
        fs::read_dir(root.path()).unwrap().count(),
        1,
        "nothing is left of the check of owners"
    );
}
