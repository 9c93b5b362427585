//! One record of a spool: length, checksum, kind, content.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use prost::Message;
use sweep_proto::v1::{FinishAttemptRequest, MetricPoint, ReportMetricsRequest};

use super::Counts;

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

/// What is written down.
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
        // Without readings of W&B's library, agents before it can read it, too.
        let mut counted = |without: u8, with: u8, seq: u64, Counts { output, metrics, wandb }: &Counts| {
            bytes.push(if *wandb == 0 { without } else { with });
            let third = Some(*wandb).filter(|wandb| *wandb > 0);
            bytes.extend([seq, *output, *metrics].into_iter().chain(third).flat_map(u64::to_le_bytes));
        };
        let content = match self {
            Self::Points { first_seq, points, counts } => {
                counted(POINTS, POINTS_WANDB, *first_seq, counts);
                ReportMetricsRequest { points: points.clone(), ..ReportMetricsRequest::default() }.encode_to_vec()
            }
            Self::Acknowledged { seq, counts } => {
                counted(ACKNOWLEDGED, ACKNOWLEDGED_WANDB, *seq, counts);
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
        let (kind, mut rest) = bytes.split_first()?;
        let mut number = || {
            let (first, others) = rest.split_first_chunk::<8>()?;
            rest = others;
            Some(u64::from_le_bytes(*first)).filter(|number| *number < COUNT_END)
        };
        let mut counted = |has_third: bool| {
            let (seq, output, metrics) = (number()?, number()?, number()?);
            Some((seq, Counts { output, metrics, wandb: if has_third { number()? } else { 0 } }))
        };
        match *kind {
            POINTS | POINTS_WANDB => {
                let (first_seq, counts) = counted(*kind == POINTS_WANDB)?;
                Some(Self::Points { first_seq, points: ReportMetricsRequest::decode(rest).ok()?.points, counts })
            }
            ACKNOWLEDGED | ACKNOWLEDGED_WANDB => {
                let (seq, counts) = counted(*kind == ACKNOWLEDGED_WANDB)?;
                rest.is_empty().then_some(Self::Acknowledged { seq, counts })
            }
            RESULT => FinishAttemptRequest::decode(rest).ok().map(Self::Result),
            _ => None,
        }
    }
}

/// Reads the record at `at` of a file of which `length` bytes count; returns it with where it ends. `None`: there is none that is whole.
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
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
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
