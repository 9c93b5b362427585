//! A bounded look through folders, the shallow ones first. Links are not followed.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Entries that are looked at in one walk.
const ENTRIES_MAX: usize = 20_000;
/// Folders below the first one.
const DEPTH_MAX: usize = 10;
/// Folders in which no framework logs.
const SKIPPED: [&str; 4] = ["node_modules", "__pycache__", "site-packages", "venv"];
/// The folder in which W&B's library keeps a folder for each run.
const WANDB: &str = "wandb";
/// Files by which folders of packages and caches are known.
const MARKS: [&str; 2] = ["pyvenv.cfg", "CACHEDIR.TAG"];

/// Calls `visit` with each file below a folder, but not below those that are `left_out`. Of W&B's
/// runs, only those that began or ended after `since` are visited. Returns whether all were.
pub(crate) fn files(
    root: &Path,
    left_out: &[PathBuf],
    since: SystemTime,
    mut visit: impl FnMut(PathBuf),
) -> bool {
    let mut folders = VecDeque::from([(root.to_owned(), 0)]);
    let mut left = ENTRIES_MAX;
    let mut is_complete = true;
    while let Some((folder, depth)) = folders.pop_front() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            if left == 0 {
                return false;
            }
            left -= 1;
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_file() {
                visit(entry.path());
            } else if kind.is_dir() {
                let (name, path) = (entry.file_name(), entry.path());
                let name = name.to_string_lossy();
                let is_old = folder.ends_with(WANDB)
                    && !entry
                        .metadata()
                        .and_then(|about| about.modified())
                        .is_ok_and(|changed| changed >= since);
                let is_run = folder
                    .parent()
                    .is_some_and(|parent| parent.ends_with(WANDB));
                let is_skipped = name.starts_with('.')
                    || SKIPPED.contains(&&*name)
                    || left_out.contains(&path)
                    || is_old
                    || is_run;
                let is_skipped = is_skipped || MARKS.iter().any(|mark| path.join(mark).exists());
                if !is_skipped && depth < DEPTH_MAX {
                    folders.push_back((path, depth + 1));
                } else {
                    is_complete &= is_skipped;
                }
            }
        }
    }
    is_complete
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn links_and_folders_of_packages_are_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "a/b/log.csv",
            ".git/log.csv",
            "env/lib/log.csv",
            "out/log.csv",
            "left/log.csv",
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "").unwrap();
        }
        fs::write(root.join("env/pyvenv.cfg"), "").unwrap();
        std::os::unix::fs::symlink(root.join("out"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("out/log.csv"), root.join("link.csv")).unwrap();
        let future = SystemTime::now() + Duration::from_secs(60);
        fs::create_dir_all(root.join("wandb/run-1/files")).unwrap();
        fs::write(root.join("wandb/run-1/run-1.wandb"), "").unwrap();
        fs::write(root.join("wandb/run-1/files/log.csv"), "").unwrap();
        let mut runs = Vec::new();
        files(&root.join("wandb"), &[], SystemTime::UNIX_EPOCH, |path| {
            runs.push(path);
        });
        assert_eq!(runs, [root.join("wandb/run-1/run-1.wandb")]);
        files(&root.join("wandb"), &[], future, |path| {
            panic!("{} is old", path.display())
        });
        fs::remove_dir_all(root.join("wandb")).unwrap();
        let mut found = Vec::new();
        assert!(files(
            root,
            &[root.join("left")],
            SystemTime::UNIX_EPOCH,
            |path| found.push(path.strip_prefix(root).unwrap().display().to_string())
        ));
        found.sort();
        assert_eq!(found, ["a/b/log.csv", "out/log.csv"]);
    }
}
