//! The folders of runs on this machine: how large they are, and which of them may be deleted.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::folders::is_running;
use crate::handover::Held;
use crate::job::FILE;

/// The folder of a run, with those of its attempts and its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    /// The sweep's id.
    pub sweep: String,
    /// The run's number.
    pub run: u64,
    /// Where it is.
    pub path: PathBuf,
    /// How much of the disk it takes.
    pub bytes: u64,
    /// When something in it was last written.
    pub changed: SystemTime,
    /// A program runs in it, or an agent has not reported its result yet.
    pub is_in_use: bool,
}

/// Returns the folders of runs in a folder for runs. What is no folder of a run is left out.
///
/// # Errors
/// The folder cannot be read. One that does not exist has no runs.
pub fn run_folders(runs_dir: &Path) -> io::Result<Vec<RunFolder>> {
    let held = held(runs_dir)?;
    let mut found = Vec::new();
    for sweep in entries(runs_dir)? {
        let name = sweep
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let is_id = name.len() == 8
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_id || !sweep.is_dir() {
            continue;
        }
        for path in entries(&sweep)? {
            // A folder that was moved aside has the incarnation behind the number.
            let number = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.split('.').next()?.parse().ok());
            let Some(run) = number.filter(|_| path.is_dir()) else {
                continue;
            };
            let attempts: Vec<_> = entries(&path)?
                .into_iter()
                .filter(|attempt| attempt.join(FILE).is_file())
                .collect();
            if attempts.is_empty() {
                continue;
            }
            let is_in_use = held.contains(&(name.clone(), run))
                || attempts.iter().any(|attempt| is_running(attempt));
            let (bytes, changed) = size_of(&path)?;
            found.push(RunFolder {
                sweep: name.clone(),
                run,
                path,
                bytes,
                changed,
                is_in_use,
            });
        }
    }
    found.sort_by(|a, b| (&a.sweep, a.run, &a.path).cmp(&(&b.sweep, b.run, &b.path)));
    Ok(found)
}

impl RunFolder {
    /// Returns whether nothing in it was written for a time, and no process uses it.
    pub fn is_older_than(&self, age: Duration) -> bool {
        !self.is_in_use && self.changed.elapsed().is_ok_and(|since| since >= age)
    }

    /// Deletes the folder, and that of its sweep with the last of its runs.
    ///
    /// # Errors
    /// Something in it cannot be deleted.
    pub fn delete(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)?;
        let Some(sweep) = self.path.parent() else {
            return Ok(());
        };
        let is_last = entries(sweep)?.iter().all(|left| !left.is_dir());
        if is_last {
            fs::remove_dir_all(sweep)
        } else {
            Ok(())
        }
    }
}

/// Returns the runs that agents of this folder hold, those that were killed included.
fn held(runs_dir: &Path) -> io::Result<BTreeSet<(String, u64)>> {
    let lists = entries(&runs_dir.join("agents"))?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let mut held = BTreeSet::new();
    for list in lists {
        let read: Option<Held> = fs::read(&list)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // A list that cannot be read may name any run: nothing is deleted then.
        let Held {
            sweep, attempts, ..
        } = read.ok_or_else(|| {
            io::Error::other(format!(
                "{} does not say which runs its agent holds",
                list.display()
            ))
        })?;
        held.extend(
            attempts
                .into_iter()
                .map(|attempt| (sweep.clone(), attempt.run)),
        );
    }
    Ok(held)
}

/// Returns how much of the disk a folder takes, and when something in it was last written.
///
/// # Errors
/// Something in it cannot be looked at.
pub fn size_of(folder: &Path) -> io::Result<(u64, SystemTime)> {
    let mut size = FolderSize {
        bytes: 0,
        changed: SystemTime::UNIX_EPOCH,
    };
    size.add(folder)?;
    Ok((size.bytes, size.changed))
}

struct FolderSize {
    bytes: u64,
    changed: SystemTime,
}

impl FolderSize {
    /// Adds a file, or all that is in a folder. Links are not followed.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let about = match path.symlink_metadata() {
            Ok(about) => about,
            // It was deleted in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.bytes += about.blocks() * 512;
        self.changed = self.changed.max(about.modified()?);
        if about.is_dir() {
            entries(path)?
                .iter()
                .try_for_each(|entry| self.add(entry))?;
        }
        Ok(())
    }
}

/// Returns what is in a folder, in the order of the names; of one that does not exist, nothing.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(runs_dir: &Path, path: &str) {
        let folder = runs_dir.join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(FILE), "{}").unwrap();
        fs::write(folder.join("output.log"), vec![b'x'; 10_000]).unwrap();
    }

    #[test]
    fn only_folders_of_runs_are_found_and_those_that_are_held_are_in_use() {
        let dir = tempfile::tempdir().unwrap();
        attempt(dir.path(), "abcd1234/1/1");
        attempt(dir.path(), "abcd1234/2/1");
        attempt(dir.path(), "abcd1234/2.a.1.10/1");
        attempt(dir.path(), "other/1/1");
        fs::create_dir_all(dir.path().join("abcd1234/checkouts/1")).unwrap();
        fs::create_dir_all(dir.path().join("agents")).unwrap();
        assert_eq!(run_folders(&dir.path().join("missing")).unwrap(), []);
        let names = |found: &[RunFolder]| {
            found
                .iter()
                .map(|folder| {
                    folder
                        .path
                        .strip_prefix(dir.path())
                        .unwrap()
                        .display()
                        .to_string()
                })
                .collect::<Vec<_>>()
        };
        let found = run_folders(dir.path()).unwrap();
        assert_eq!(
            names(&found),
            ["abcd1234/1", "abcd1234/2", "abcd1234/2.a.1.10"]
        );
        assert!(found.iter().all(|folder| !folder.is_in_use
            && folder.bytes >= 10_000
            && folder.is_older_than(Duration::ZERO)));
        assert!(!found[0].is_older_than(Duration::from_secs(60)));

        let list = dir.path().join("agents/box-1.json");
        fs::write(
            &list,
            r#"{"agent": "a", "asked": "abcd1234", "sweep": "abcd1234", "attempts": [{"run": 1, "attempt": 1, "incarnation": "a.1.10"}]}"#,
        )
        .unwrap();
        let found = run_folders(dir.path()).unwrap();
        assert_eq!(
            found
                .iter()
                .map(|folder| folder.is_in_use)
                .collect::<Vec<_>>(),
            [true, false, false]
        );
        fs::write(&list, "damaged").unwrap();
        run_folders(dir.path()).unwrap_err();
    }

    #[test]
    fn the_folder_of_a_sweep_goes_with_its_last_run() {
        let dir = tempfile::tempdir().unwrap();
        attempt(dir.path(), "abcd1234/1/1");
        attempt(dir.path(), "abcd1234/2/1");
        fs::write(dir.path().join("abcd1234/controller"), "0123456789ab").unwrap();
        let found = run_folders(dir.path()).unwrap();
        found[0].delete().unwrap();
        assert!(dir.path().join("abcd1234/2").exists());
        found[1].delete().unwrap();
        assert!(!dir.path().join("abcd1234").exists());
    }
}
