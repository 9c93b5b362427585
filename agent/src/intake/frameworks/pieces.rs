//! Pieces of a file that grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How much is read in one go.
pub(super) const PIECE_BYTES: u64 = 256 << 10;

/// Reads a piece of a file.
pub(super) fn piece(file: &mut File, offset: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
