//! A cgroup (version 2) for the processes of one attempt, where the agent may create one. All
//! processes that a program starts are born in it and stay in it, with any session, parent and
//! environment. They are found even after the shim was killed.
//!
//! The shim enters the cgroup before it starts the program and leaves it afterwards. Making one
//! needs a cgroup file system that can be written: root, or a subtree that systemd has delegated to
//! the user. Elsewhere there is none, and [`tree`](super::tree) finds processes by the other signs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

const PREFIX: &str = "sweep-";
/// The processes of a cgroup, one a line; what is written to it moves there.
const PROCESSES: &str = "cgroup.procs";

/// The cgroup of an attempt, made by its shim and removed when that ends.
#[derive(Debug)]
pub(super) struct Cgroup {
    folder: PathBuf,
    outer: PathBuf,
}

impl Cgroup {
    /// Makes a cgroup below that of this process and enters it; `None` where that may not be done.
    pub(super) fn enter() -> Option<Self> {
        let outer = own()?;
        let pid = Pid::this();
        remove_abandoned(&outer);
        let folder = outer.join(format!("{PREFIX}{pid}"));
        // One of that name is left of a process with the same number.
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        let cgroup = Self { folder, outer };
        fs::write(cgroup.folder.join(PROCESSES), pid.to_string()).ok()?;
        Some(cgroup)
    }

    /// Returns where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves this process back; those that it has started stay.
    pub(super) fn leave(&self) {
        let _ = fs::write(self.outer.join(PROCESSES), Pid::this().to_string());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.leave();
        remove(&self.folder);
    }
}

/// Returns the processes of a cgroup and of those below it.
pub(super) fn processes(folder: &Path) -> BTreeSet<i32> {
    let text = fs::read_to_string(folder.join(PROCESSES)).unwrap_or_default();
    // 0 means a process that cannot be seen from here.
    let mut found: BTreeSet<i32> = text
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 0)
        .collect();
    for below in below(folder) {
        found.extend(processes(&below));
    }
    found
}

/// Removes a cgroup and those below it, as far as they are empty.
pub(super) fn remove(folder: &Path) {
    below(folder).iter().for_each(|below| remove(below));
    if let Err(error) = fs::remove_dir(folder) {
        tracing::debug!(%error, folder = %folder.display(), "a cgroup is not removed");
    }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes what shims that were killed have left behind.
fn remove_abandoned(outer: &Path) {
    for folder in below(outer) {
        let maker = folder
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix(PREFIX)?.parse().ok());
        if maker
            .is_some_and(|pid: i32| pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
        {
            // One in which something lives stays.
            remove(&folder);
        }
    }
}

/// Returns the cgroup that this process is in.
fn own() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (root, mount) = mounts.lines().find_map(mount_of)?;
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let path = if root == "/" {
        path
    } else {
        path.strip_prefix(root)?
    };
    Some(Path::new(mount).join(path.trim_start_matches('/')))
}

/// `id parent device root mount options … - type source options`; returns root and mount where the
/// type is that of version 2.
fn mount_of(line: &str) -> Option<(&str, &str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut fields = place.split(' ').skip(3);
    kind.starts_with("cgroup2 ").then_some(())?;
    Some((fields.next()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_version_2_is_found() {
        let line = "35 24 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mount_of(line), Some(("/", "/sys/fs/cgroup/unified")));
        assert_eq!(
            mount_of("36 24 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"),
            None
        );
    }

    #[test]
    fn processes_below_are_counted_and_those_elsewhere_are_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join(PROCESSES), "7\n0\n").unwrap();
        fs::write(folder.path().join("below").join(PROCESSES), "8\n").unwrap();
        assert_eq!(processes(folder.path()), BTreeSet::from([7, 8]));
        assert_eq!(processes(&folder.path().join("gone")), BTreeSet::new());
    }
}
