//! A file of lines that grows.

use std::fs::File;
use std::io;
use std::path::Path;

use super::kind::FrameworkFileKind;
use super::lines;
use super::pieces::{PIECE_BYTES, piece};
use super::series::Sample;
use crate::intake::read_part::ReadPart;
use crate::intake::repeats::Repeats;

/// The part of the file that has been read.
#[derive(Debug, Default)]
pub(super) struct LineFile {
    pub(super) offset: u64,
    waiting: Vec<u8>,
    /// The offset and what is waiting.
    read: ReadPart,
    repeats: Repeats,
}

impl LineFile {
    /// Continues behind an offset.
    pub(super) fn at(offset: u64) -> Self {
        Self {
            offset,
            read: ReadPart::of_length(offset),
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
        if !self.read.is_in(file, bytes)? {
            (self.offset, self.waiting) = (0, Vec::new());
            self.read = ReadPart::default();
            self.repeats.restart();
        }
        let piece = piece(file, self.read.length(), PIECE_BYTES)?;
        let more = piece.len() as u64 == PIECE_BYTES;
        self.read.add(&piece);
        self.waiting.extend(piece);
        let (mut samples, mut taken) = lines::read(kind, path, &self.waiting, last && !more);
        if self.waiting.len() - taken > lines::LINE_BYTES_MAX {
            taken = self.waiting.len();
        }
        self.waiting.drain(..taken);
        self.offset += taken as u64;
        samples.retain(|(_, sample)| {
            !self
                .repeats
                .is_repeated(&(&sample.tag, sample.step, sample.value.to_bits()))
        });
        Ok((samples, more))
    }
}
