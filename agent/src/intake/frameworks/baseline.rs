//! Files that were there before the attempt began: a program may append to one, or replace it by
//! another of the same name and length.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::journal::{BaselineFile, Position};
use super::kind::FrameworkFileKind;
use super::source::{self, Stamp};
use crate::private;

/// A table is compared up to this length; a longer one counts as replaced.
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// The length of the beginning that is compared of any other file.
const HEAD_BYTES: u64 = 64 << 10;
/// The limit for all files together.
const BYTES_MAX: u64 = 32 << 20;

/// Takes digests of files as they are before the attempt begins.
#[derive(Debug)]
pub(super) struct Digests {
    left: u64,
}

impl Default for Digests {
    fn default() -> Self {
        Self { left: BYTES_MAX }
    }
}

impl Digests {
    /// Returns the digest of a file of a length; `None` where it is not compared.
    pub(super) fn take(&mut self, path: &Path, kind: FrameworkFileKind, bytes: u64) -> Option<u64> {
        let compared = compared(kind, bytes).filter(|compared| *compared <= self.left)?;
        self.left -= compared;
        digest(&mut private::open_of_program(path).ok()?, compared).ok()
    }
}

impl BaselineFile {
    /// Returns whether a file that has been changed holds what it held before: it was replaced by
    /// the same content, or will be appended to. `None` where that is not known.
    pub(super) fn holds_the_same(
        &self,
        path: &Path,
        kind: FrameworkFileKind,
        now: Stamp,
    ) -> Option<bool> {
        let is_same_place = (self.bytes, self.inode) == (now.bytes, now.inode);
        Some(is_same_place && self.begins(kind, &mut private::open_of_program(path).ok()?)?)
    }

    /// Returns whether a file begins with what it held before, as far as that is compared; `None`
    /// for a file without a digest.
    fn begins(&self, kind: FrameworkFileKind, file: &mut File) -> Option<bool> {
        let before = self.digest?;
        Some(digest(file, compared(kind, self.bytes)?).ok()? == before)
    }

    /// Returns the position behind what a file held before the attempt began; its beginning where
    /// it was replaced.
    pub(super) fn position_behind(&self, path: &Path, kind: FrameworkFileKind) -> Position {
        let is_continued = || {
            let mut file = private::open_of_program(path).ok()?;
            let now = Stamp::of(&file.metadata().ok()?);
            // Nothing is behind it: what the attempt has written is what was there before.
            if now.bytes <= self.bytes {
                return Some(false);
            }
            match kind {
                FrameworkFileKind::TrainerState => Some(false),
                // A logger may move a table to another place while it adds a column.
                FrameworkFileKind::Table => self.begins(kind, &mut file),
                _ if now.inode != self.inode => Some(false),
                _ => Some(self.begins(kind, &mut file).unwrap_or(true)),
            }
        };
        if is_continued() != Some(true) {
            return Position::default();
        }
        source::position_behind(path, kind, self.bytes).unwrap_or_default()
    }
}

/// Returns how much of a file of a length is compared.
fn compared(kind: FrameworkFileKind, bytes: u64) -> Option<u64> {
    match kind {
        FrameworkFileKind::Table => Some(bytes).filter(|bytes| *bytes <= TABLE_BYTES_MAX),
        FrameworkFileKind::Events
        | FrameworkFileKind::Lines
        | FrameworkFileKind::MlflowMetric
        | FrameworkFileKind::MlflowLog => Some(bytes.min(HEAD_BYTES)),
        FrameworkFileKind::TrainerState
        | FrameworkFileKind::MlflowDatabase
        | FrameworkFileKind::Wandb => None,
    }
}

/// Returns the digest of the first bytes of a file.
fn digest(file: &mut File, bytes: u64) -> io::Result<u64> {
    let mut content = Vec::new();
    file.take(bytes).read_to_end(&mut content)?;
    Ok(u64::from(crc32fast::hash(&content)) | (content.len() as u64) << 32)
}
