//! The files that processes have open for writing, and the folders they work in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// More open files of one process are not looked at.
#[cfg(target_os = "linux")]
const FILES_MAX: usize = 4096;

/// The files and folders that some processes have open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// Regular files that are open for writing, each with a process that has it open.
    pub(crate) written: BTreeMap<PathBuf, i32>,
    /// Current folders.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Files of W&B's library that several processes have open for writing: they overwrite each
    /// other.
    pub(crate) contested: BTreeSet<PathBuf>,
}

impl OpenFiles {
    /// Looks at processes. For a blocking thread.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(pids: &BTreeSet<i32>) -> Self {
        use std::fs;
        let mut found = Self::default();
        for pid in pids {
            found
                .folders
                .extend(fs::read_link(format!("/proc/{pid}/cwd")));
            let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok).take(FILES_MAX) {
                let Ok(path) = fs::read_link(entry.path()) else {
                    continue;
                };
                let number = entry.file_name().to_string_lossy().into_owned();
                let is_file =
                    path.is_absolute() && !path.starts_with("/dev") && !path.starts_with("/proc");
                let other = found.written.get(&path).is_some_and(|writer| writer != pid);
                let may_be_contested = other && path.extension().is_some_and(|end| end == "wandb");
                if !is_file
                    || (!may_be_contested && found.written.contains_key(&path))
                    || !is_written(*pid, &number)
                {
                    continue;
                }
                if other {
                    found.contested.insert(path);
                } else {
                    found.written.insert(path, *pid);
                }
            }
        }
        found
    }

    /// Open files cannot be seen.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: &BTreeSet<i32>) -> Self {
        Self::default()
    }
}

/// Returns whether a process has a file open for writing: the last two bits of the flags say so.
#[cfg(target_os = "linux")]
fn is_written(pid: i32, number: &str) -> bool {
    let Ok(about) = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")) else {
        return false;
    };
    let flags = about
        .lines()
        .find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 != 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn files_of_wandb_that_several_processes_write_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("run-x.wandb");
        let file = File::create(&path).unwrap();
        let own = std::process::id().cast_signed();
        assert!(OpenFiles::of(&BTreeSet::from([own])).contested.is_empty());
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .stdout(file.try_clone().unwrap())
            .spawn()
            .unwrap();
        let found = OpenFiles::of(&BTreeSet::from([own, other.id().cast_signed()]));
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(found.contested, BTreeSet::from([path]));
    }

    #[test]
    fn files_that_are_only_read_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (written, read) = (folder.join("written"), folder.join("read"));
        let _writer = File::create(&written).unwrap();
        std::fs::write(&read, "x").unwrap();
        let _reader = File::open(&read).unwrap();
        let found = OpenFiles::of(&BTreeSet::from([std::process::id().cast_signed()]));
        assert!(
            found.written.contains_key(&written) && !found.written.contains_key(&read),
            "{found:?}"
        );
        assert!(found.folders.contains(&std::env::current_dir().unwrap()));
    }
}
