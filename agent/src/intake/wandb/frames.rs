//! Bytes of a `.wandb` file → records. The file is a log as LevelDB writes it: blocks, in them
//! fragments with a checksum each, and records that are one fragment or several.

/// The beginning of the file: a name, a magic number, and version 0.
const HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0];
/// No fragment reaches beyond a block. The first block holds the header, too.
const BLOCK: usize = 1 << 15;
/// Before each fragment: its checksum (4 bytes, CRC-32 of kind and content), its length (2 bytes),
/// its kind (1 byte).
const HEAD: usize = 7;
/// A longer record is left out: no history is as long.
const RECORD_BYTES_MAX: usize = 16 << 20;

const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// The file does not begin as a `.wandb` file of the version that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

/// Collects bytes until a record is whole.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Bytes that no whole fragment has been made of, from `at` in the file.
    waiting: Vec<u8>,
    at: usize,
    /// The number of remaining bytes in a damaged block.
    skip: usize,
    /// The fragments of a record so far.
    record: Option<Vec<u8>>,
    /// Something in the file was damaged and left out.
    pub(crate) damaged: bool,
}

impl Frames {
    /// Takes bytes in and returns the records that they complete. What is damaged is left out, and
    /// the rest of its block with it.
    ///
    /// # Errors
    /// The file is no such file.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Foreign> {
        self.waiting.extend_from_slice(bytes);
        let mut records = Vec::new();
        let mut taken = 0;
        while let Some(count) = self.next(taken, &mut records)? {
            taken += count;
        }
        self.waiting.drain(..taken);
        self.at += taken;
        Ok(records)
    }

    /// Takes the next piece after a number of bytes and returns its length; `None` where it is not
    /// there yet.
    fn next(&mut self, taken: usize, records: &mut Vec<Vec<u8>>) -> Result<Option<usize>, Foreign> {
        let (at, rest) = (self.at + taken, &self.waiting[taken..]);
        if self.skip > 0 {
            let skipped = self.skip.min(rest.len());
            self.skip -= skipped;
            return Ok(Some(skipped).filter(|skipped| *skipped > 0));
        }
        if at == 0 {
            let Some(header) = rest.first_chunk() else {
                return Ok(None);
            };
            return if *header == HEADER {
                Ok(Some(HEADER.len()))
            } else {
                Err(Foreign)
            };
        }
        let left = BLOCK - at % BLOCK;
        if left < HEAD {
            // Too little for a fragment: the rest of the block is empty.
            return Ok(Some(left).filter(|left| rest.len() >= *left));
        }
        let Some(&[a, b, c, d, low, high, kind]) = rest.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = HEAD + usize::from(u16::from_le_bytes([low, high]));
        let fits = length <= left && (WHOLE..=LAST).contains(&kind);
        if fits && rest.len() < length {
            return Ok(None);
        }
        // The checksum covers the kind, which is the last byte before the content, and the content.
        if !fits || crc32fast::hash(&rest[HEAD - 1..length]) != u32::from_le_bytes([a, b, c, d]) {
            (self.damaged, self.record, self.skip) = (true, None, left);
            return self.next(taken, records);
        }
        let content = &rest[HEAD..length];
        match kind {
            WHOLE => {
                self.record = None;
                records.push(content.to_vec());
            }
            FIRST => self.record = Some(content.to_vec()),
            _ => {
                // Without its beginning a record cannot be read.
                if let Some(mut record) = self
                    .record
                    .take()
                    .filter(|record| record.len() + content.len() <= RECORD_BYTES_MAX)
                {
                    record.extend_from_slice(content);
                    if kind == MIDDLE {
                        self.record = Some(record);
                    } else {
                        records.push(record);
                    }
                }
            }
        }
        Ok(Some(length))
    }
}

/// Writes a file of records, as W&B's library does.
#[cfg(test)]
pub(super) fn file(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for record in records {
        let mut rest = &record[..];
        let mut begun = false;
        loop {
            let mut left = BLOCK - bytes.len() % BLOCK;
            if left < HEAD {
                bytes.extend(vec![0; left]);
                left = BLOCK;
            }
            let (content, more) = rest.split_at(rest.len().min(left - HEAD));
            let kind = match (begun, more.is_empty()) {
                (false, true) => WHOLE,
                (false, false) => FIRST,
                (true, false) => MIDDLE,
                (true, true) => LAST,
            };
            let checked = [&[kind], content].concat();
            bytes.extend(crc32fast::hash(&checked).to_le_bytes());
            bytes.extend((content.len() as u16).to_le_bytes());
            bytes.extend(checked);
            (begun, rest) = (true, more);
            if rest.is_empty() {
                break;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> Vec<Vec<u8>> {
        // The second one ends 3 bytes before the end of a block, the third goes over three blocks.
        let lengths = [
            10,
            BLOCK - HEADER.len() - HEAD - 10 - HEAD - 3,
            2 * BLOCK,
            0,
            5,
        ];
        lengths
            .iter()
            .enumerate()
            .map(|(index, length)| vec![index as u8 + 1; *length])
            .collect()
    }

    #[test]
    fn records_go_over_blocks() {
        let mut frames = Frames::default();
        assert_eq!(frames.push(&file(&records())), Ok(records()));
        assert!(!frames.damaged && frames.waiting.is_empty());
    }

    #[test]
    fn what_is_damaged_costs_its_block_and_no_more() {
        let mut bytes = file(&records());
        bytes[12] ^= 1;
        let mut frames = Frames::default();
        assert_eq!(frames.push(&bytes), Ok(records()[2..].to_vec()));
        assert!(frames.damaged);
        // Of a record that goes over blocks one fragment is enough.
        let mut bytes = file(&records());
        bytes[BLOCK + 100] ^= 1;
        let found = Frames::default().push(&bytes).unwrap();
        assert_eq!(found, [&records()[..2], &records()[3..]].concat());
        let zeros = [file(&records()[..1]), vec![0; 2 * BLOCK]].concat();
        assert_eq!(Frames::default().push(&zeros), Ok(records()[..1].to_vec()));
    }

    #[test]
    fn another_file_is_refused() {
        assert_eq!(
            Frames::default().push(b":W&B"),
            Ok(Vec::new()),
            "the rest may come"
        );
        assert_eq!(Frames::default().push(b":W&B\xe1\xbe\x01"), Err(Foreign));
        assert_eq!(Frames::default().push(b"{\"loss\": 1}"), Err(Foreign));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(flips in proptest::collection::vec(7usize..3 * BLOCK, 0..3), piece in 1usize..5000) {
            let mut bytes = file(&records());
            for flip in flips {
                let place = flip % bytes.len();
                bytes[place.max(HEADER.len())] ^= 0x55;
            }
            let whole = Frames::default().push(&bytes).unwrap();
            let mut frames = Frames::default();
            let pieces: Vec<_> = bytes.chunks(piece).flat_map(|piece| frames.push(piece).unwrap()).collect();
            prop_assert_eq!(pieces, whole);
        }
    }
}
