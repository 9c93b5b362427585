//! Takes out of our index what programs and `sweep` itself have written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Working;
use crate::error::CodeError;
use crate::file_kind::{self, FileKind, begin_of};
use crate::git::{feed, output, paths};
use crate::left_out::{LeftOut, kept_by_user};
use crate::outputs::{Entries, FoundOutputs, OutputEvidence};
use crate::own_files::{
    BEGIN_BYTES, FOLDER_MARKS, SWEEP_FILE_BYTES_MAX, is_sweep_file, is_written_by_sweep,
    may_be_sweep_file, may_be_written_by_sweep,
};

/// Where it is recorded which untracked files the last snapshot has seen.
const UNTRACKED: &str = "untracked";
/// Files of a new folder that are looked at, and how deep.
const FOLDER_FILES_MAX: usize = 1000;
const FOLDER_DEPTH_MAX: u32 = 8;
/// The entries of our index for a repository.
const REPOSITORY: &[u8] = b"repository";
/// Sweeps for which it is recorded what files were before their runs.
const SWEEPS_MAX: usize = 20;

impl Working {
    /// Returns the entries of our index, by their paths.
    fn staged(&self) -> Result<Entries, CodeError> {
        let staged = output(self.git().args(["ls-files", "-z", "--stage"]))?;
        // `mode hash stage\tpath`
        let entry = |entry: &[u8]| {
            let tab = entry.iter().position(|byte| *byte == b'\t')?;
            let head = entry[..tab].strip_suffix(b" 0")?;
            Some((entry[tab + 1..].to_vec(), head.to_vec()))
        };
        Ok(paths(&staged).filter_map(entry).collect())
    }

    /// Takes sweep files, tracked or not, and what `sweep` has written out of our index.
    pub(super) fn leave_out_own(
        &mut self,
        untracked: &[u8],
        left_out: &mut LeftOut,
    ) -> Result<(), CodeError> {
        let untracked: BTreeSet<&[u8]> = paths(untracked).collect();
        let staged = self.staged()?;
        let mut own = Vec::new();
        for (path, entry) in &staged {
            let may_be_sweeps = may_be_sweep_file(path);
            if !entry.starts_with(b"100")
                || !(may_be_sweeps
                    || untracked.contains(path.as_slice()) && may_be_written_by_sweep(path))
            {
                continue;
            }
            let root = &self.root;
            let is_own = || {
                let place = root.join(OsStr::from_bytes(path));
                if may_be_sweeps {
                    is_sweep_file(&begin_of(&place, SWEEP_FILE_BYTES_MAX))
                } else {
                    is_written_by_sweep(&begin_of(&place, BEGIN_BYTES))
                }
            };
            if *self
                .own
                .entry((may_be_sweeps, entry.clone()))
                .or_insert_with(is_own)
            {
                own.push(path.as_slice());
            }
        }
        for path in &own {
            left_out.withhold_own(path);
        }
        self.remove(&own)
    }

    /// Finds the outputs among untracked files, where attempts have run since the last snapshot. `others` is what git lists, and `untracked` what of it is
    /// in our index. Returns what git lists without the outputs.
    pub(super) fn leave_out_outputs(
        &mut self,
        others: Vec<u8>,
        untracked: &[u8],
        left_out: &mut LeftOut,
    ) -> Result<Vec<u8>, CodeError> {
        if self.sweep.is_empty() {
            return Ok(others);
        }
        let staged = self.staged()?;
        let listed: BTreeSet<&[u8]> = paths(untracked).collect();
        let repositories = paths(&others)
            .filter(|path| path.ends_with(b"/"))
            .map(|path| (path.to_vec(), REPOSITORY.to_vec()));
        let mut now: Entries = staged
            .iter()
            .filter(|(path, _)| listed.contains(path.as_slice()))
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect();
        now.extend(repositories);
        let tracked: BTreeSet<&[u8]> = staged
            .keys()
            .map(Vec::as_slice)
            .filter(|path| !listed.contains(path))
            .collect();
        let before = self.read_record(UNTRACKED)?.map(|text| parsed(&text));
        let is_active = self.is_active || self.attempts().has_any();
        let record = self.frozen_record();
        let frozen_before = self
            .read_record(&record)?
            .map(|text| parsed(&text))
            .unwrap_or_default();
        let mut frozen = frozen_before.clone();
        // What git or a person has taken over is no output any more.
        frozen.retain(|path, _| {
            now.contains_key(path) || !tracked.contains(path.as_slice()) && !self.is_there(path)
        });
        let mut others = others;
        if let Some(before) = &before {
            if is_active {
                let found = self.found_outputs(before, &now, &tracked)?;
                for (path, entry) in found.changed {
                    frozen.entry(path).or_insert(entry);
                }
                // What is listed although its folder is an output was kept by the user, with its folder.
                let appeared: BTreeSet<_> = found
                    .appeared
                    .into_iter()
                    .filter(|path| !self.outputs.covers(path))
                    .collect();
                if !appeared.is_empty() {
                    others =
                        self.leave_out_appeared(appeared, &mut now, (&tracked, before), &listed)?;
                }
            } else {
                // An edit while nothing runs is a person's.
                frozen.retain(|path, _| now.get(path) == before.get(path));
            }
        }
        if before.as_ref() != Some(&now) {
            self.write_record(UNTRACKED, &written(&now))?;
        }
        if frozen != frozen_before {
            self.write_record(&record, &written(&frozen))?;
            self.forget_old_sweeps();
        }
        self.index_frozen(&frozen)?;
        frozen.keys().for_each(|path| left_out.note_unlike(path));
        self.frozen = frozen;
        Ok(others)
    }

    /// Finds the outputs among what has changed; changed files that the user keeps are none.
    fn found_outputs(
        &self,
        before: &Entries,
        now: &Entries,
        tracked: &BTreeSet<&[u8]>,
    ) -> Result<FoundOutputs, CodeError> {
        let included = self.included()?;
        let kept: BTreeSet<Vec<u8>> = kept_by_user(&self.root)
            .into_iter()
            .chain(paths(&included).map(<[u8]>::to_vec))
            .collect();
        let mut found = OutputEvidence {
            before,
            now,
            tracked,
            kind: &|path| file_kind::of(&self.root, path),
            is_there: &|path| self.is_there(path),
            holds_only_source: &|folder| holds_only_source(&self.root, folder),
        }
        .judge();
        found.changed.retain(|path, _| !kept.contains(path));
        Ok(found)
    }

    /// Puts files into our index as they were before runs changed them.
    fn index_frozen(&self, frozen: &Entries) -> Result<(), CodeError> {
        let entries: Vec<u8> = frozen
            .iter()
            .flat_map(|(path, entry)| [entry.as_slice(), b"\t", path, b"\0"].concat())
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        feed(
            self.git().args(["update-index", "-z", "--index-info"]),
            &entries,
        )
    }

    /// Records outputs and takes them out of our index. Returns what git lists now: what it still lists, a person has kept.
    fn leave_out_appeared(
        &mut self,
        appeared: BTreeSet<Vec<u8>>,
        now: &mut Entries,
        (tracked, before): (&BTreeSet<&[u8]>, &Entries),
        listed: &BTreeSet<&[u8]>,
    ) -> Result<Vec<u8>, CodeError> {
        let mut outputs = self.outputs.clone();
        let code: BTreeSet<&[u8]> = before
            .keys()
            .map(Vec::as_slice)
            .chain(tracked.iter().copied())
            .collect();
        outputs.add(appeared, &code);
        if outputs.has_patterns() {
            self.spare_in(&mut outputs, true)?;
        }
        self.record_outputs(&outputs)?;
        let others = self.others()?;
        let still: BTreeSet<&[u8]> = paths(&others).collect();
        now.retain(|path, _| still.contains(path.as_slice()));
        let removed: Vec<&[u8]> = listed
            .iter()
            .copied()
            .filter(|path| !still.contains(path))
            .collect();
        self.remove(&removed)?;
        Ok(others)
    }

    /// Returns the folder that `sweep` has written as a whole and whose mark `path` is: the code of a run, or the data of a controller.
    pub(super) fn own_folder<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let folder = FOLDER_MARKS.iter().find_map(|mark| {
            path.strip_suffix(mark.as_bytes())
                .filter(|folder| folder.ends_with(b"/"))
        })?;
        // Programs may well run in one.
        let is_around = Path::new(&self.prefix).starts_with(OsStr::from_bytes(folder));
        (!is_around).then_some(folder)
    }

    fn is_there(&self, path: &[u8]) -> bool {
        self.root
            .join(OsStr::from_bytes(path))
            .symlink_metadata()
            .is_ok()
    }

    fn frozen_record(&self) -> String {
        format!("before-{}", self.sweep)
    }

    /// Removes the oldest records of what files were before the runs of a sweep.
    fn forget_old_sweeps(&self) {
        let entries = fs::read_dir(&self.private).into_iter().flatten().flatten();
        let records = entries.filter(|entry| entry.file_name().as_bytes().starts_with(b"before-"));
        let mut records: Vec<_> = records
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        records.sort();
        let old = records.len().saturating_sub(SWEEPS_MAX);
        for (_, path) in &records[..old] {
            // The next one tries again.
            let _ = fs::remove_file(path);
        }
    }
}

/// Entries as `git update-index --index-info` reads them.
fn written(entries: &Entries) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(path, entry)| [entry.as_slice(), b"\t", path, b"\0"].concat())
        .collect()
}

fn parsed(text: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let entry = |entry: &[u8]| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        Some((entry[tab + 1..].to_vec(), entry[..tab].to_vec()))
    };
    paths(text).filter_map(entry).collect()
}

/// Whether a person seems to have made a new folder: all in it is source, but for what interpreters add.
pub(super) fn holds_only_source(root: &Path, folder: &[u8]) -> bool {
    all_files(root, folder, &|kind| kind == FileKind::Source) == Some(true)
}

/// Whether there is source in a folder.
pub(super) fn holds_source(root: &Path, folder: &[u8]) -> bool {
    all_files(root, folder, &|kind| kind != FileKind::Source) == Some(false)
}

/// Returns whether all files of a folder are of a kind, but for what interpreters add; `None` where it cannot be read or holds too many.
fn all_files(root: &Path, folder: &[u8], is_so: &dyn Fn(FileKind) -> bool) -> Option<bool> {
    let mut folders = vec![(folder.strip_suffix(b"/").unwrap_or(folder).to_vec(), 0)];
    let mut files = 0;
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(root.join(OsStr::from_bytes(&folder))).ok()?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = [folder.as_slice(), b"/", name.as_bytes()].concat();
            let kind = entry.file_type().ok()?;
            files += 1;
            if files > FOLDER_FILES_MAX {
                return None;
            }
            if kind.is_dir() && (name == "__pycache__" || name == ".ipynb_checkpoints") {
                continue;
            }
            if kind.is_dir() && depth < FOLDER_DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if !is_so(file_kind::of(root, &path)) {
                return Some(false);
            }
        }
    }
    Some(true)
}
