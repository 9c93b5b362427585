//! One record of a spool: length, checksum, kind, content.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use prost::Message;
use sweep_proto::v1::{FinishAttemptRequest, MetricPoint, ReportMetricsRequest};

/// How many readings of each of the program's files were taken in, counted from zero where the
/// program restarts a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Of its output.
    pub(crate) output: u64,
    /// Of the file that `SWEEP_METRICS` names.
    pub(crate) metrics: u64,
    /// Readings of the files of W&B's library.
    pub(crate) wandb: u64,
    /// Of the files that frameworks write.
    pub(crate) frameworks: u64,
}

impl Counts {
    /// Returns the larger count of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            output: self.output.max(other.output),
            metrics: self.metrics.max(other.metrics),
            wandb: self.wandb.max(other.wandb),
            frameworks: self.frameworks.max(other.frameworks),
        }
    }
}

/// Length (4 bytes) and checksum (4 bytes, CRC-32) of what follows them.
const HEAD: usize = 8;
/// Nothing that is written here is longer.
const BYTES_MAX: u32 = 16 << 20;

/// No attempt has as many points or readings: counting on from a number below never overflows.
const COUNT_END: u64 = 1 << 53;

const POINTS: u8 = 1;
const ACKNOWLEDGED: u8 = 2;
const RESULT: u8 = 3;
/// The same with a third count, which agents before it did not know.
const POINTS_WANDB: u8 = 4;
const ACKNOWLEDGED_WANDB: u8 = 5;
/// The same with any number of counts: how many there are (1 byte), then each. Counts that a reader
/// does not know are skipped.
const POINTS_COUNTED: u8 = 6;
const ACKNOWLEDGED_COUNTED: u8 = 7;

/// A record of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// Points that follow on each other.
    Points {
        /// The number of the first one.
        first_seq: u64,
        points: Vec<MetricPoint>,
        /// After the last one.
        counts: Counts,
    },
    /// The controller has all points before `seq`.
    Acknowledged {
        seq: u64,
        /// After the last point before this record.
        counts: Counts,
    },
    /// How the attempt ended.
    Result(FinishAttemptRequest),
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        // Earlier agents can read a record without the counts that they do not know.
        let mut counted = |kinds: [u8; 3],
                           seq: u64,
                           Counts {
                               output,
                               metrics,
                               wandb,
                               frameworks,
                           }: &Counts| {
            let numbers = [seq, *output, *metrics, *wandb, *frameworks];
            let (kind, count) = match (*wandb, *frameworks) {
                (0, 0) => (kinds[0], 3),
                (_, 0) => (kinds[1], 4),
                (_, _) => (kinds[2], 5),
            };
            bytes.push(kind);
            bytes.extend((count == 5).then_some(count as u8 - 1));
            bytes.extend(numbers.into_iter().take(count).flat_map(u64::to_le_bytes));
        };
        let content = match self {
            Self::Points {
                first_seq,
                points,
                counts,
            } => {
                counted([POINTS, POINTS_WANDB, POINTS_COUNTED], *first_seq, counts);
                ReportMetricsRequest {
                    points: points.clone(),
                    ..ReportMetricsRequest::default()
                }
                .encode_to_vec()
            }
            Self::Acknowledged { seq, counts } => {
                counted(
                    [ACKNOWLEDGED, ACKNOWLEDGED_WANDB, ACKNOWLEDGED_COUNTED],
                    *seq,
                    counts,
                );
                Vec::new()
            }
            Self::Result(result) => {
                bytes.push(RESULT);
                result.encode_to_vec()
            }
        };
        bytes.extend(content);
        let length = (bytes.len() - HEAD) as u32;
        let checksum = crc32fast::hash(&bytes[HEAD..]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            POINTS | POINTS_WANDB | POINTS_COUNTED => {
                let (first_seq, counts, rest) = read_counts(*kind, rest)?;
                Some(Self::Points {
                    first_seq,
                    points: ReportMetricsRequest::decode(rest).ok()?.points,
                    counts,
                })
            }
            ACKNOWLEDGED | ACKNOWLEDGED_WANDB | ACKNOWLEDGED_COUNTED => {
                let (seq, counts, rest) = read_counts(*kind, rest)?;
                rest.is_empty()
                    .then_some(Self::Acknowledged { seq, counts })
            }
            RESULT => FinishAttemptRequest::decode(rest).ok().map(Self::Result),
            _ => None,
        }
    }
}

/// Reads the sequence number and the counts of a record, and returns them with the bytes behind
/// them.
fn read_counts(kind: u8, mut rest: &[u8]) -> Option<(u64, Counts, &[u8])> {
    let count = match kind {
        POINTS | ACKNOWLEDGED => 2,
        POINTS_WANDB | ACKNOWLEDGED_WANDB => 3,
        _ => {
            let (count, others) = rest.split_first()?;
            rest = others;
            *count
        }
    };
    let mut number = || {
        let (first, others) = rest.split_first_chunk::<8>()?;
        rest = others;
        Some(u64::from_le_bytes(*first)).filter(|number| *number < COUNT_END)
    };
    let (seq, mut counts) = (number()?, Counts::default());
    for index in 0..count {
        let value = number()?;
        match index {
            0 => counts.output = value,
            1 => counts.metrics = value,
            2 => counts.wandb = value,
            3 => counts.frameworks = value,
            _ => {}
        }
    }
    Some((seq, counts, rest))
}

/// Reads the record at `at` of a file of which `length` bytes count; returns it with where it ends.
/// `None`: there is none that is whole.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read(file: &File, at: u64, length: u64) -> io::Result<Option<(Record, u64)>> {
    let mut head = [0; HEAD];
    let start = at + HEAD as u64;
    if start > length {
        return Ok(None);
    }
    file.read_exact_at(&mut head, at)?;
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |number: u32, byte| number << 8 | u32::from(*byte))
    };
    let (size, checksum) = (number(&head[..4]), number(&head[4..]));
    let end = start + u64::from(size);
    if size == 0 || size > BYTES_MAX || end > length {
        return Ok(None);
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, start)?;
    if crc32fast::hash(&bytes) != checksum {
        return Ok(None);
    }
    Ok(Record::from_bytes(&bytes).map(|record| (record, end)))
}
