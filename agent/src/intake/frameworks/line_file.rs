//! A file of lines that grows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::kind::FrameworkFileKind;
use super::lines;
use super::pieces::{PIECE_BYTES, end, piece};
use super::series::Sample;
use crate::intake::repeats::Repeats;

/// The part of the file that has been read.
#[derive(Debug, Default)]
pub(super) struct LineFile {
    pub(super) offset: u64,
    waiting: Vec<u8>,
    /// The bytes before the offset, as far as they were read.
    end: Vec<u8>,
    repeats: Repeats,
}

impl LineFile {
    /// Continues behind an offset.
    pub(super) fn at(offset: u64) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }

    /// Returns samples of what is new, each with the folder below that of the file, and whether
    /// there may be more.
    pub(super) fn read(
        &mut self,
        kind: FrameworkFileKind,
        path: &Path,
        file: &mut File,
        bytes: u64,
        last: bool,
    ) -> io::Result<(Vec<(String, Sample)>, bool)> {
        if !self.continues(file, bytes)? {
            (self.offset, self.waiting, self.end) = (0, Vec::new(), Vec::new());
            self.repeats.restart();
        }
        let piece = piece(file, self.offset + self.waiting.len() as u64, PIECE_BYTES)?;
        let more = piece.len() as u64 == PIECE_BYTES;
        self.waiting.extend(piece);
        let (mut samples, mut taken) = lines::read(kind, path, &self.waiting, last && !more);
        if self.waiting.len() - taken > lines::LINE_BYTES_MAX {
            taken = self.waiting.len();
        }
        let complete: Vec<u8> = self.waiting.drain(..taken).collect();
        self.offset += taken as u64;
        self.end = end(&self.end, &complete);
        samples.retain(|(_, sample)| {
            !self
                .repeats
                .is_repeated(&(&sample.tag, sample.step, sample.value.to_bits()))
        });
        Ok((samples, more))
    }

    /// Returns whether the file still holds what was read of it.
    fn continues(&self, file: &File, bytes: u64) -> io::Result<bool> {
        let known = [self.end.as_slice(), &self.waiting].concat();
        let read = self.offset + self.waiting.len() as u64;
        if bytes < read {
            return Ok(false);
        }
        let mut found = vec![0; known.len()];
        file.read_exact_at(&mut found, read - known.len() as u64)?;
        Ok(found == known)
    }
}
