//! Excepts from patterns of outputs what the user has written.
//!
//! A pattern is made of outputs that have appeared, and covers what comes later as well. It is recorded what it covered at each snapshot: what is new
//! while no attempt runs is the user's.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use super::Working;
use super::written::{holds_only_source, holds_source};
use crate::error::CodeError;
use crate::file_kind::{self, FileKind};
use crate::git::paths;
use crate::outputs::Outputs;

/// Where it is recorded what patterns of outputs covered at the last snapshot.
const COVERED: &str = "covered";

impl Working {
    /// Excepts from the patterns of recorded outputs what the user has written since the last snapshot.
    pub(super) fn spare_code(&mut self) -> Result<(), CodeError> {
        let mut outputs = self.recorded_outputs()?;
        let is_active = self.is_active || self.attempts().has_any();
        if outputs.has_patterns() && self.spare_in(&mut outputs, is_active)? {
            self.record_outputs(&outputs)?;
        }
        Ok(())
    }

    /// Excepts from patterns what the user has written since the last snapshot, and records what else they cover. Returns whether there is any.
    pub(super) fn spare_in(
        &self,
        outputs: &mut Outputs,
        is_active: bool,
    ) -> Result<bool, CodeError> {
        let covered = outputs.covered(&|folder| self.names_in(folder));
        let record = self.read_record(COVERED)?;
        let before: Option<BTreeSet<&[u8]>> = record.as_deref().map(|text| paths(text).collect());
        let is_of_user = |name: &Vec<u8>| match &before {
            Some(before) if before.contains(name.as_slice()) => false,
            Some(_) if !is_active => self.is_written_by_user(outputs, name),
            _ => self.is_source_alone(name),
        };
        let spared: BTreeSet<Vec<u8>> = covered
            .iter()
            .filter(|name| is_of_user(name))
            .cloned()
            .collect();
        let written: Vec<u8> = covered
            .difference(&spared)
            .flat_map(|name| [name.as_slice(), b"\0"].concat())
            .collect();
        if record.as_deref() != Some(written.as_slice()) {
            self.write_record(COVERED, &written)?;
        }
        outputs.spare(&spared);
        Ok(!spared.is_empty())
    }

    /// Returns whether the user has written what is new while no attempt runs. A name like those of outputs in all but its numbers is of a program that
    /// the user has run, unless there is source.
    fn is_written_by_user(&self, outputs: &Outputs, name: &[u8]) -> bool {
        if !outputs.is_numbered_like(name) {
            return true;
        }
        if name.ends_with(b"/") {
            holds_source(&self.root, name)
        } else {
            file_kind::of(&self.root, name) != FileKind::Other
        }
    }

    /// Returns whether a file, or all files of a folder, look like source.
    fn is_source_alone(&self, name: &[u8]) -> bool {
        if name.ends_with(b"/") {
            holds_only_source(&self.root, name)
        } else {
            file_kind::of(&self.root, name) == FileKind::Source
        }
    }

    /// Returns the paths of files and folders in a folder, with a slash behind those of folders.
    fn names_in(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(self.root.join(OsStr::from_bytes(folder)));
        let name = |entry: fs::DirEntry| {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let end: &[u8] = if is_folder { b"/" } else { b"" };
            [folder, entry.file_name().as_bytes(), end].concat()
        };
        entries.into_iter().flatten().flatten().map(name).collect()
    }
}
