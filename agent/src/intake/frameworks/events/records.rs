//! Bytes of a TFRecord file → records: length, checksum of the length, content, checksum of the
//! content. Checksums are CRC-32C, masked.

/// The length of the content.
const LENGTH: usize = 8;
/// The length and its checksum (4 bytes).
const HEAD: usize = LENGTH + 4;
/// The checksum behind the content.
const TAIL: usize = 4;
/// A longer record holds no scalar (but an image or a graph) and is skipped.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// No file is longer than this, so a record that claims to be is damaged, even with a valid
/// checksum.
const FILE_BYTES_MAX: u64 = i64::MAX as u64;

/// Bytes to wait for behind zeros; after as many, the zeros are a hole in the file.
const ZEROS_MAX: usize = 4 << 20;

/// Collects bytes until a record is complete.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Bytes that are not part of a complete record yet.
    waiting: Vec<u8>,
    /// The number of further bytes that belong to a record that is skipped.
    skip: u64,
    /// The reader searches for the next intact record.
    is_lost: bool,
    /// The number of bytes that are not in `waiting` any more.
    pub(crate) taken: u64,
    /// Part of the file was damaged and left out.
    pub(crate) is_damaged: bool,
}

/// The content at one place of the file.
enum Piece {
    Record(Vec<u8>),
    Nothing,
}

impl Records {
    /// Starts behind a number of bytes that were taken before.
    pub(crate) fn starting_at(taken: u64) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// Takes bytes and returns the records that they complete. A damaged record is left out. Zeros
    /// are bytes that have not arrived yet, as network file systems show them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.waiting.extend_from_slice(bytes);
        let mut records = Vec::new();
        let mut at = 0;
        while let Some((piece, length)) = self.next(at) {
            at += length;
            if let Piece::Record(record) = piece {
                records.push(record);
            }
        }
        self.waiting.drain(..at);
        self.waiting.shrink_to(1 << 16);
        self.taken += at as u64;
        records
    }

    /// Returns whether bytes of an incomplete record wait for the rest of it.
    pub(crate) fn is_incomplete(&self) -> bool {
        !self.waiting.is_empty() || self.skip > 0
    }

    /// Returns the piece at a place and its length; `None` where it is not complete.
    fn next(&mut self, at: usize) -> Option<(Piece, usize)> {
        let rest = &self.waiting[at..];
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            self.skip -= skipped as u64;
            return (skipped > 0).then_some((Piece::Nothing, skipped));
        }
        let head: &[u8; HEAD] = rest.first_chunk()?;
        let length = u64::from_le_bytes(*head.first_chunk().expect("a head begins with 8 bytes"));
        if masked_checksum(&head[..8]).to_le_bytes() != head[8..] || length > FILE_BYTES_MAX {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            if zeros >= HEAD && !self.is_lost && rest.len() < ZEROS_MAX {
                return None;
            }
            (self.is_damaged, self.is_lost) = (true, true);
            // The length of the next record may begin with zeros.
            return Some((Piece::Nothing, zeros.saturating_sub(LENGTH - 1).max(1)));
        }
        if length > RECORD_BYTES_MAX {
            self.is_lost = false;
            self.skip = length + TAIL as u64;
            return Some((Piece::Nothing, HEAD));
        }
        let whole = HEAD + length as usize + TAIL;
        let content = rest.get(HEAD..HEAD + length as usize)?;
        let checksum: &[u8; TAIL] = rest.get(HEAD + length as usize..whole)?.first_chunk()?;
        self.is_lost = false;
        if masked_checksum(content).to_le_bytes() == *checksum {
            return Some((Piece::Record(content.to_vec()), whole));
        }
        if checksum == &[0; TAIL] && rest.len() == whole {
            return None;
        }
        self.is_damaged = true;
        Some((Piece::Nothing, whole))
    }
}

/// Returns the checksum as TFRecord files store it: rotated and shifted, since a checksum of data
/// that contains checksums is weak.
pub(crate) fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// Returns a record as writers write it.
#[cfg(test)]
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked_checksum(&length).to_le_bytes(),
        content,
        &masked_checksum(content).to_le_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(contents: &[&[u8]]) -> Vec<u8> {
        contents
            .iter()
            .flat_map(|content| framed(content))
            .collect()
    }

    #[test]
    fn the_masked_checksum_is_that_of_tensorflow() {
        // As in a file of tensorboardX: the head of a record of 24 bytes.
        assert_eq!(
            masked_checksum(&24u64.to_le_bytes()).to_le_bytes(),
            [0xa3, 0x7f, 0x4b, 0x22]
        );
    }

    #[test]
    fn an_incomplete_record_waits_for_its_rest() {
        let bytes = file(&[b"one", b"two"]);
        let mut records = Records::default();
        assert_eq!(records.push(&bytes[..25]), [b"one"]);
        assert!(records.is_incomplete() && records.taken == 19);
        assert_eq!(records.push(&bytes[25..]), [b"two"]);
        assert!(!records.is_incomplete() && !records.is_damaged);
        assert_eq!(Records::starting_at(19).push(&bytes[19..]), [b"two"]);
    }

    #[test]
    fn a_damaged_record_is_left_out_and_the_next_one_is_found() {
        let mut bytes = file(&[b"one", b"two", b"three"]);
        bytes[13] ^= 1;
        let mut records = Records::default();
        assert_eq!(records.push(&bytes), [b"two".to_vec(), b"three".to_vec()]);
        assert!(records.is_damaged);
        let mut bytes = file(&[b"one", b"two", b"three"]);
        bytes[19] ^= 1;
        assert_eq!(
            Records::default().push(&bytes),
            [b"one".to_vec(), b"three".to_vec()],
            "the length is damaged"
        );
    }

    #[test]
    fn a_large_record_is_skipped_without_being_kept() {
        let large = vec![7; RECORD_BYTES_MAX as usize + 1];
        let bytes = file(&[b"one", &large, b"two"]);
        let mut records = Records::default();
        let found: Vec<_> = bytes
            .chunks(1000)
            .flat_map(|piece| records.push(piece))
            .collect();
        assert_eq!(found, [b"one", b"two"]);
        assert!(!records.is_damaged && records.waiting.capacity() <= 1 << 16);
    }

    #[test]
    fn a_length_that_no_file_has_is_damage() {
        let length = u64::MAX.to_le_bytes();
        let head = [&length[..], &masked_checksum(&length).to_le_bytes()].concat();
        let mut records = Records::default();
        assert_eq!(records.push(&[head, file(&[b"two"])].concat()), [b"two"]);
        assert!(records.is_damaged);
    }

    #[test]
    fn zeros_at_the_end_have_not_arrived_yet() {
        let bytes = file(&[b"one"]);
        let mut records = Records::default();
        assert_eq!(records.push(&[&bytes[..], &[0; 40]].concat()), [b"one"]);
        assert!(!records.is_damaged && records.is_incomplete());
    }

    #[test]
    fn a_hole_is_skipped_and_not_kept() {
        let hole = vec![0; 3 * ZEROS_MAX];
        let bytes = [file(&[b"one"]), hole, file(&[b"two"])].concat();
        let mut records = Records::default();
        let mut waiting = 0;
        let mut found = Vec::new();
        for piece in bytes.chunks(256 << 10) {
            found.extend(records.push(piece));
            waiting = waiting.max(records.waiting.len());
        }
        assert_eq!(found, [b"one", b"two"]);
        assert!(records.is_damaged && waiting <= ZEROS_MAX, "{waiting}");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(flips in proptest::collection::vec(0usize..300, 0..3), piece in 1usize..80, bytes in any::<[u8; 20]>()) {
            let mut whole = file(&[b"one", &bytes, b"three", &[1; 90], b"", b"six", &bytes]);
            for flip in flips {
                let place = flip % whole.len();
                whole[place] ^= 0x55;
            }
            let at_once = Records::default().push(&whole);
            let mut records = Records::default();
            let in_pieces: Vec<_> = whole.chunks(piece).flat_map(|piece| records.push(piece)).collect();
            prop_assert_eq!(in_pieces, at_once);
        }
    }
}
