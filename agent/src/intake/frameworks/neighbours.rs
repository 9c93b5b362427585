//! Attempts that run in the same working folder at the same time: which of them wrote a file cannot
//! be told by its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;

use crate::held::HeldAttempt;
use crate::private;
use crate::process::fence;

/// The attempts that agents of this process execute. One for all of them, since they share the
/// machine.
static ATTEMPTS: Mutex<BTreeMap<PathBuf, NeighbourAttempt>> = Mutex::new(BTreeMap::new());

/// Lists of attempts of other agents that are read.
const LISTS_MAX: usize = 1000;

#[derive(Clone, Debug)]
struct NeighbourAttempt {
    workdir: PathBuf,
    began: SystemTime,
    ended: Option<SystemTime>,
    /// Files and folders that its processes were seen to write.
    claims: BTreeSet<PathBuf>,
}

/// The attempt's entry among those of this process; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    folder: PathBuf,
    workdir: PathBuf,
    began: SystemTime,
    /// Attempts of other agents: from when until when they were seen.
    foreign: BTreeMap<PathBuf, (SystemTime, Option<SystemTime>)>,
}

/// Part of a list that another agent keeps.
#[derive(Deserialize)]
struct List {
    attempts: Vec<HeldAttempt>,
}

/// Part of an attempt's job.
#[derive(Deserialize)]
struct NeighbourWorkplace {
    workdir: PathBuf,
}

impl Registration {
    /// Enters an attempt by its folder.
    pub(crate) fn new(folder: &Path, workdir: &Path, began: SystemTime) -> Self {
        let attempt = NeighbourAttempt {
            workdir: workdir.to_owned(),
            began,
            ended: None,
            claims: BTreeSet::new(),
        };
        let mut attempts = attempts();
        attempts.insert(folder.to_owned(), attempt);
        let oldest = attempts
            .values()
            .filter(|attempt| attempt.ended.is_none())
            .map(|attempt| attempt.began)
            .min();
        attempts.retain(|_, attempt| attempt.ended.is_none() || attempt.ended >= oldest);
        Self {
            folder: folder.to_owned(),
            workdir: workdir.to_owned(),
            began,
            foreign: BTreeMap::new(),
        }
    }

    /// Records what the attempt's processes were seen to write.
    pub(crate) fn claim(&self, paths: impl IntoIterator<Item = PathBuf>) {
        if let Some(attempt) = attempts().get_mut(&self.folder) {
            attempt.claims.extend(paths);
        }
    }

    /// Returns whether another attempt was seen to write a file, or in a folder.
    pub(crate) fn is_claimed_by_others(&self, path: &Path) -> bool {
        attempts()
            .iter()
            .any(|(folder, attempt)| *folder != self.folder && attempt.claims.contains(path))
    }

    /// Looks for attempts of other agents whose lists are in a folder for runs.
    pub(crate) fn look(&mut self, runs_dir: &Path) {
        let now = SystemTime::now();
        let mut living = BTreeSet::new();
        let lists = fs::read_dir(runs_dir.join("agents"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path());
        for list in lists
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .take(LISTS_MAX)
        {
            let Some(list) = read::<List>(&list) else {
                continue;
            };
            let is_own = |folder: &Path| attempts().contains_key(folder);
            for other in list
                .attempts
                .into_iter()
                .filter(|other| !is_own(&other.folder))
            {
                let is_here = read::<NeighbourWorkplace>(&other.folder.join("job.json"))
                    .is_some_and(|job| self.shares(&job.workdir));
                let holds = || {
                    fence::holding_attempt(other.folder.parent()?)
                        .ok()?
                        .filter(|attempt| *attempt == other.attempt)
                };
                if is_here && holds().is_some() {
                    living.insert(other.folder);
                }
            }
        }
        for (folder, (_, until)) in &mut self.foreign {
            if !living.contains(folder) {
                until.get_or_insert(now);
            }
        }
        for folder in living {
            let began = || {
                folder
                    .join("job.json")
                    .symlink_metadata()
                    .and_then(|job| job.modified())
                    .unwrap_or(SystemTime::UNIX_EPOCH)
            };
            self.foreign
                .entry(folder.clone())
                .or_insert_with(|| (began(), None))
                .1 = None;
        }
    }

    /// Returns from when until when others were in the same working folder while this attempt was.
    pub(crate) fn others(&self) -> Vec<(SystemTime, Option<SystemTime>)> {
        let own = attempts()
            .iter()
            .filter(|(folder, attempt)| **folder != self.folder && self.shares(&attempt.workdir))
            .map(|(_, attempt)| (attempt.began, attempt.ended))
            .collect::<Vec<_>>();
        let overlaps = |(_, ended): &(SystemTime, Option<SystemTime>)| {
            ended.is_none_or(|ended| ended >= self.began)
        };
        own.into_iter()
            .chain(self.foreign.values().copied())
            .filter(overlaps)
            .collect()
    }

    /// Returns whether attempts of other agents are there, whose output files are unknown.
    pub(crate) fn has_foreign(&self) -> bool {
        self.foreign
            .values()
            .any(|(_, until)| until.is_none_or(|until| until >= self.began))
    }

    fn shares(&self, workdir: &Path) -> bool {
        workdir.starts_with(&self.workdir) || self.workdir.starts_with(workdir)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(attempt) = attempts().get_mut(&self.folder) {
            attempt.ended = Some(SystemTime::now());
        }
    }
}

fn attempts() -> MutexGuard<'static, BTreeMap<PathBuf, NeighbourAttempt>> {
    ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&private::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_one_folder_see_each_other() {
        let began = SystemTime::now();
        let one = Registration::new(
            Path::new("/runs/neighbours/1"),
            Path::new("/project/neighbours"),
            began,
        );
        assert_eq!(one.others(), []);
        let other = Registration::new(
            Path::new("/runs/neighbours/2"),
            Path::new("/project/neighbours/below"),
            began,
        );
        let _elsewhere = Registration::new(
            Path::new("/runs/neighbours/3"),
            Path::new("/project/elsewhere"),
            began,
        );
        assert_eq!(one.others(), [(began, None)]);
        other.claim([PathBuf::from("/project/neighbours/x")]);
        assert!(
            one.is_claimed_by_others(Path::new("/project/neighbours/x"))
                && !other.is_claimed_by_others(Path::new("/project/neighbours/x"))
        );
        drop(other);
        assert!(
            matches!(one.others()[..], [(_, Some(_))]),
            "what it has written is still there"
        );
    }
}
