//! The output of attempts in pieces: the beginning and the end of a long one are kept.

use sweep_lifecycle::state::AttemptRef;

/// Bytes of the beginning of an attempt's output that are kept.
pub const LOG_HEAD_BYTES: u64 = 10 * 1024 * 1024;
/// Bytes of its end that are kept at least.
pub const LOG_TAIL_BYTES: u64 = 1024 * 1024;
/// No output is longer.
const LOG_OFFSET_MAX: u64 = i64::MAX as u64;
/// Bytes of output that are read at once.
const LOG_READ_MAX: usize = LOG_HEAD_BYTES as usize;

/// A piece of an attempt's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// The attempt of the output.
    pub attempt: AttemptRef,
    /// Where the piece stands.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// A part of an attempt's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// Where the part begins: behind the place that was asked for if that is in the middle of a long output, which is not kept.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Puts a part of an output together from its pieces.
#[derive(Debug)]
pub(super) struct LogReader {
    part: LogPart,
    limit: usize,
}

impl LogReader {
    pub(super) fn new(offset: u64, limit: usize) -> Self {
        Self {
            part: LogPart {
                offset,
                data: Vec::new(),
            },
            limit: limit.min(LOG_READ_MAX),
        }
    }

    /// Takes in the next piece. Returns whether the next one is wanted.
    pub(super) fn takes(&mut self, start: u64, data: &[u8]) -> bool {
        let end = self.part.offset + self.part.data.len() as u64;
        if start + data.len() as u64 <= end {
            return true;
        }
        if start > end {
            let gap = usize::try_from(start - end).unwrap_or(usize::MAX);
            if start > LOG_HEAD_BYTES || gap > LOG_READ_MAX {
                // The middle is not kept: what comes behind it is a part by itself.
                if !self.part.data.is_empty() {
                    return false;
                }
                self.part.offset = start;
            } else {
                let zeros = gap.min(self.limit - self.part.data.len());
                self.part.data.resize(self.part.data.len() + zeros, 0);
            }
        }
        let skip =
            usize::try_from((self.part.offset + self.part.data.len() as u64).saturating_sub(start))
                .unwrap_or(usize::MAX);
        let rest = data.get(skip..).unwrap_or_default();
        let room = self.limit - self.part.data.len();
        // A piece that begins behind a gap which did not fit is not taken.
        if start <= self.part.offset + self.part.data.len() as u64 {
            self.part
                .data
                .extend_from_slice(&rest[..rest.len().min(room)]);
        }
        self.part.data.len() < self.limit
    }

    pub(super) fn part(self) -> LogPart {
        self.part
    }
}

impl LogChunk {
    /// Returns the part of the piece to keep where the first `known` bytes of the output are there already, with its place.
    pub(super) fn news(&self, known: u64) -> Option<(u64, &[u8])> {
        let skip = usize::try_from(known.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let rest = self.data.get(skip..)?;
        let offset = self.offset.max(known);
        let has_room = offset.saturating_add(rest.len() as u64) <= LOG_OFFSET_MAX;
        (has_room && !rest.is_empty()).then_some((offset, rest))
    }
}

/// Returns the pieces in which new output is kept: none is in both the first and the last part, so that those of the last part can be deleted whole.
pub(super) fn parts(offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let head = usize::try_from(LOG_HEAD_BYTES.saturating_sub(offset))
        .unwrap_or(usize::MAX)
        .min(data.len());
    let (first, last) = data.split_at(head);
    [(offset, first), (offset + head as u64, last)]
        .into_iter()
        .filter(|(_, data)| !data.is_empty())
}
