//! The files that processes have open for writing, and the folders they work in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// More open files of one process are not looked at.
#[cfg(target_os = "linux")]
const FILES_MAX: usize = 4096;

/// What some processes hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// Regular files that are open for writing, each with a process that has it open.
    pub(crate) written: BTreeMap<PathBuf, i32>,
    /// Current folders.
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl OpenFiles {
    /// Looks at processes. For a blocking thread.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(pids: &BTreeSet<i32>) -> Self {
        use std::fs;
        let mut found = Self::default();
        for pid in pids {
            found.folders.extend(fs::read_link(format!("/proc/{pid}/cwd")));
            let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
            for entry in entries.filter_map(Result::ok).take(FILES_MAX) {
                let Ok(path) = fs::read_link(entry.path()) else { continue };
                let number = entry.file_name().to_string_lossy().into_owned();
                let is_file = path.is_absolute() && !path.starts_with("/dev") && !path.starts_with("/proc");
                if is_file && !found.written.contains_key(&path) && is_written(*pid, &number) {
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
    let Ok(about) = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")) else { return false };
    let flags = about.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 != 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn files_that_are_only_read_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (written, read) = (folder.join("written"), folder.join("read"));
        let _writer = File::create(&written).unwrap();
        std::fs::write(&read, "x").unwrap();
        let _reader = File::open(&read).unwrap();
        let found = OpenFiles::of(&BTreeSet::from([std::process::id().cast_signed()]));
        assert!(found.written.contains_key(&written) && !found.written.contains_key(&read), "{found:?}");
        assert!(found.folders.contains(&std::env::current_dir().unwrap()));
    }
}
