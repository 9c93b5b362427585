//! The records of a spool, in the file and in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sweep_proto::v1::{FinishAttemptRequest, MetricPoint};

use super::record::{self, Counts, Record};
use crate::private::{self, Durability};

/// Points sent at once.
pub(super) const BATCH: usize = 1000;
/// How much of the file may wait for the controller.
const WAITING_BYTES_MAX: u64 = 64 << 20;
/// Points kept in memory while the disk is full.
pub(super) const POINTS_MAX: usize = 100_000;

/// The content of a spool that was found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Readings that are or were in it. They must not be pushed again.
    pub(crate) counts: Counts,
    /// The attempt's result, if it had ended.
    pub(crate) result: Option<FinishAttemptRequest>,
    /// A note to the user.
    pub(crate) note: Option<String>,
}

/// Points to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PointBatch {
    /// The number of the first one in its attempt.
    pub(crate) first_seq: u64,
    /// In order; never empty.
    pub(crate) points: Vec<MetricPoint>,
}

/// The points that wait, in order.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) path: PathBuf,
    /// `None` while there cannot be one.
    pub(super) file: Option<File>,
    /// Where the next record goes.
    end: u64,
    /// The last record whose points are all acknowledged.
    done: Mark,
    /// Records that were read from behind it.
    read: VecDeque<Mark>,
    /// The number of the first point that is not acknowledged.
    pub(super) acknowledged: u64,
    /// The number after the last point in the file.
    written: u64,
    /// The counts after that point.
    counts: Counts,
    /// Points that did not get into the file, after those that did.
    beside: VecDeque<(MetricPoint, Counts)>,
    pub(super) closed: bool,
    complained: bool,
    /// See `KEPT_BYTES_MAX` of the spool.
    kept_bytes_max: u64,
    /// The number of the first point that the file still has.
    first: u64,
}

/// The end of a record.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Where it is in the file.
    end: u64,
    /// The number after its last point.
    last: u64,
    /// The counts after that point.
    counts: Counts,
}

impl Queue {
    pub(super) fn open(path: PathBuf, kept_bytes_max: u64) -> (Self, Recovered) {
        let mut queue = Self {
            path,
            file: None,
            end: 0,
            done: Mark::default(),
            read: VecDeque::new(),
            acknowledged: 0,
            written: 0,
            counts: Counts::default(),
            beside: VecDeque::new(),
            closed: false,
            complained: false,
            kept_bytes_max,
            first: 0,
        };
        let mut recovered = Recovered::default();
        if let Err(error) = queue.recover(&mut recovered) {
            queue.complained = true;
            recovered.note = Some(format!(
                "{}: {error}; metrics that the controller does not have yet are kept in memory",
                queue.path.display()
            ));
        }
        recovered.counts = queue.counts;
        (queue, recovered)
    }

    fn recover(&mut self, recovered: &mut Recovered) -> io::Result<()> {
        let (file, replaced) = private::open_or_create(&self.path)?;
        recovered.note = replaced.map(|replaced| {
            format!("{replaced}; its metrics are read again from the program's files")
        });
        let length = file.metadata()?.len();
        while let Some((record, end)) = record::read(&file, self.end, length)? {
            match record {
                Record::Points {
                    first_seq,
                    points,
                    counts,
                } if first_seq == self.written => {
                    self.written += points.len() as u64;
                    self.counts = counts;
                    self.read.push_back(Mark {
                        end,
                        last: self.written,
                        counts,
                    });
                }
                Record::Acknowledged { seq, counts } => {
                    // The points before were never in this file, or are no longer.
                    if self.end == 0 || seq > self.written {
                        self.first = seq;
                    }
                    // A new file may begin in the middle of what one of its notes says.
                    let seq = seq.max(self.first);
                    if seq < self.acknowledged {
                        self.start_over();
                    }
                    self.acknowledged = seq;
                    self.written = self.written.max(seq);
                    self.counts = counts;
                    self.move_on();
                }
                Record::Result(result) => recovered.result = Some(result),
                // Whole, but not what was written here.
                Record::Points { .. } => break,
            }
            self.end = end;
        }
        if self.end < length {
            file.set_len(self.end)?;
            recovered.note = Some(format!(
                "{} was damaged after {} of {length} bytes; the rest is read again from the program's files",
                self.path.display(),
                self.end
            ));
            // It may rest on points that are gone.
            recovered.result = None;
        }
        self.file = Some(file);
        Ok(())
    }

    pub(super) fn waiting(&self) -> u64 {
        self.written - self.acknowledged + self.beside.len() as u64
    }

    pub(super) fn is_full(&self) -> bool {
        self.end - self.done.end >= WAITING_BYTES_MAX || self.beside.len() >= POINTS_MAX
    }

    pub(super) fn push(&mut self, points: Vec<(MetricPoint, Counts)>) -> Option<String> {
        self.beside.extend(points);
        match self.store() {
            Ok(()) => {
                self.complained = false;
                None
            }
            Err(_) if std::mem::replace(&mut self.complained, true) => None,
            Err(error) => Some(format!(
                "{}: {error}; metrics that the controller does not have yet are kept in memory",
                self.path.display()
            )),
        }
    }

    /// Brings into the file what is only in memory.
    fn store(&mut self) -> io::Result<()> {
        while !self.beside.is_empty() {
            let first = self.beside.iter().take(BATCH);
            let counts = first
                .clone()
                .next_back()
                .map_or(self.counts, |(_, counts)| *counts);
            let points: Vec<MetricPoint> = first.map(|(point, _)| point.clone()).collect();
            let count = points.len();
            self.append(&Record::Points {
                first_seq: self.written,
                points,
                counts,
            })?;
            self.written += count as u64;
            self.counts = counts;
            self.beside.drain(..count);
        }
        Ok(())
    }

    pub(super) fn append(&mut self, record: &Record) -> io::Result<()> {
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| io::Error::other("there is no spool"))?;
        let bytes = record.to_bytes();
        if let Err(error) = file.write_all_at(&bytes, self.end) {
            // Half a record would end the file for later readers.
            let _ = file.set_len(self.end);
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Returns the first points that are not acknowledged.
    pub(super) fn batch(&mut self) -> Option<PointBatch> {
        let mut points: Vec<MetricPoint> = Vec::new();
        self.read.clear();
        let mut at = self.done.end;
        while points.len() < BATCH && at < self.end {
            let file = self.file.as_ref()?;
            let Ok(Some((record, end))) = record::read(file, at, self.end) else {
                self.give_up_file();
                return None;
            };
            at = end;
            if let Record::Points {
                first_seq,
                points: found,
                counts,
            } = record
            {
                let last = first_seq + found.len() as u64;
                let known = self
                    .acknowledged
                    .saturating_sub(first_seq)
                    .min(found.len() as u64);
                points.extend(found.into_iter().skip(known as usize));
                self.read.push_back(Mark { end, last, counts });
            }
        }
        points.truncate(BATCH);
        if points.len() < BATCH {
            points.extend(
                self.beside
                    .iter()
                    .take(BATCH - points.len())
                    .map(|(point, _)| point.clone()),
            );
        }
        (!points.is_empty()).then_some(PointBatch {
            first_seq: self.acknowledged,
            points,
        })
    }

    /// Somebody else has changed the file. What is in it is lost; what comes from now on is not.
    fn give_up_file(&mut self) {
        let lost = self.written - self.acknowledged;
        tracing::error!(path = %self.path.display(), lost, "the spool was damaged while it was in use: its points are lost");
        self.written = self.acknowledged;
        self.first = self.written;
        self.done = Mark {
            end: self.end,
            last: self.written,
            counts: self.counts,
        };
    }

    pub(super) fn acknowledge(&mut self, count: u64) {
        let count = count.min(self.waiting());
        let in_file = count.min(self.written - self.acknowledged);
        if let Some((_, counts)) = self.beside.drain(..(count - in_file) as usize).next_back() {
            self.counts = counts;
            // They were never in the file, and are gone with this.
            self.first = self.acknowledged + count;
        }
        self.acknowledged += count;
        self.written = self.written.max(self.acknowledged);
        self.move_on();
        // Without this note they are sent again after a restart, which does no harm.
        let _ = self.append(&Record::Acknowledged {
            seq: self.acknowledged,
            counts: self.counts,
        });
        if self.written == self.acknowledged {
            self.done = Mark {
                end: self.end,
                last: self.written,
                counts: self.counts,
            };
        }
        if self.done.end >= self.kept_bytes_max
            && let Err(error) = self.renew()
        {
            tracing::debug!(%error, "the spool cannot be made shorter");
        }
    }

    pub(super) fn rewind(&mut self, seq: u64) -> Result<(), u64> {
        if seq >= self.acknowledged {
            return Ok(());
        }
        if seq < self.first {
            return Err(self.first - seq);
        }
        self.acknowledged = seq;
        self.start_over();
        let _ = self.append(&Record::Acknowledged {
            seq,
            counts: self.counts,
        });
        Ok(())
    }

    /// Reads the file from its start again.
    fn start_over(&mut self) {
        self.read.clear();
        self.done = Mark {
            end: 0,
            last: self.first,
            counts: Counts::default(),
        };
    }

    /// Leaves behind the records whose points are all acknowledged.
    fn move_on(&mut self) {
        while let Some(mark) = self
            .read
            .pop_front_if(|mark| mark.last <= self.acknowledged)
        {
            self.done = mark;
        }
    }

    /// Begins a new file with what is still needed of this one.
    fn renew(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut rest = vec![0; (self.end - self.done.end) as usize];
        file.read_exact_at(&mut rest, self.done.end)?;
        self.first = self.done.last;
        // The first points of the rest may be acknowledged: the number before them is the one that
        // has to fit.
        let head = Record::Acknowledged {
            seq: self.done.last,
            counts: self.done.counts,
        }
        .to_bytes();
        self.file = Some(private::replace_and_open(
            &self.path,
            &[head.as_slice(), &rest].concat(),
            Durability::Cached,
        )?);
        self.done.end = head.len() as u64;
        self.end = self.done.end + rest.len() as u64;
        self.read.clear();
        self.append(&Record::Acknowledged {
            seq: self.acknowledged,
            counts: self.counts,
        })
    }
}
