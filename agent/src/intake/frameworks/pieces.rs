//! Pieces of a file that grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// The end of what was read, by which a file that was written again is noticed.
pub(super) const END_BYTES: u64 = 64;
/// How much is read in one go.
pub(super) const PIECE_BYTES: u64 = 256 << 10;

/// Returns the last bytes that were read, given those before.
pub(super) fn end(before: &[u8], bytes: &[u8]) -> Vec<u8> {
    let all = [
        before,
        &bytes[bytes.len().saturating_sub(END_BYTES as usize)..],
    ]
    .concat();
    all[all.len().saturating_sub(END_BYTES as usize)..].to_vec()
}

/// Reads a piece of a file.
pub(super) fn piece(file: &mut File, offset: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
