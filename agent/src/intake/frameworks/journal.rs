//! The metrics read from the files of frameworks, in the order of reading, in the attempt's folder.
//! Files are read while others grow, and may be rewritten or deleted. Only this order can be
//! repeated, so that each point counts once however often the agent is killed.
//!
//! A record is its length and its checksum (4 bytes each), and an [`JournalEntry`]. What a crash
//! has torn is cut off.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use prost::Message;

use crate::intake::Reading;
use crate::private::{self, Obstruction};

/// Its name in the attempt's folder.
pub(crate) const FILE: &str = "frameworks.log";
const HEAD: usize = 8;
/// Nothing that is written here is longer.
const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Marks a point without a step.
const NO_STEP: i64 = i64::MIN;

/// One record.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct JournalEntry {
    /// Files that were there before the attempt began.
    #[prost(message, repeated, tag = "1")]
    pub(crate) baseline: Vec<BaselineFile>,
    /// A file that is read from now on.
    #[prost(message, optional, tag = "2")]
    pub(crate) opened: Option<OpenedFile>,
    /// Points read from a file.
    #[prost(message, optional, tag = "3")]
    pub(crate) progress: Option<Progress>,
    /// The baseline is complete.
    #[prost(bool, tag = "4")]
    pub(crate) begun: bool,
}

/// A file as it was before the attempt began.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct BaselineFile {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) path: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(crate) bytes: u64,
    #[prost(int64, tag = "3")]
    pub(crate) modified_ns: i64,
    #[prost(uint64, tag = "4")]
    pub(crate) inode: u64,
    /// Of its content, as far as [`baseline`](super::baseline) compares it.
    #[prost(uint64, optional, tag = "5")]
    pub(crate) digest: Option<u64>,
}

/// A file that is read.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct OpenedFile {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) path: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub(crate) kind: u32,
    /// The sweep file names it.
    #[prost(bool, tag = "4")]
    pub(crate) is_named: bool,
    /// The rank of the process that writes it, where processes begin a run of W&B's library each.
    #[prost(uint32, optional, tag = "5")]
    pub(crate) rank: Option<u32>,
    /// It is known and not read.
    #[prost(bool, tag = "6")]
    pub(crate) is_left_out: bool,
}

/// Points read from a file, and the position up to which it was read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Progress {
    #[prost(uint32, tag = "1")]
    pub(crate) file: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) position: Option<Position>,
    /// Series that have no number yet: they get the next ones.
    #[prost(message, repeated, tag = "3")]
    pub(crate) series: Vec<NamedSeries>,
    /// Of each point: the number of its series, its step, its value.
    #[prost(uint32, repeated, tag = "4")]
    numbers: Vec<u32>,
    #[prost(sint64, repeated, tag = "5")]
    steps: Vec<i64>,
    #[prost(double, repeated, tag = "6")]
    values: Vec<f64>,
}

/// How far a file was read.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Position {
    #[prost(uint64, tag = "1")]
    pub(crate) offset: u64,
    /// See [`RowPosition`](super::table::RowPosition).
    #[prost(uint64, tag = "2")]
    pub(crate) rows: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) digest: u64,
}

/// A tag of a file, and the name that its points have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(crate) struct NamedSeries {
    #[prost(string, tag = "1")]
    pub(crate) tag: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// The folder below that of the file, for a file that holds several runs.
    #[prost(string, tag = "3")]
    pub(crate) group: String,
    #[prost(uint32, tag = "4")]
    pub(crate) file: u32,
}

/// The journal of one attempt.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Option<File>,
    end: u64,
    numbers: BTreeMap<NamedSeries, u32>,
    series: Vec<NamedSeries>,
}

impl Journal {
    /// Opens the journal in an attempt's folder. Entries of earlier agents must first be read with
    /// [`Journal::next`]. Returns also anything else that was in its place, and was moved aside.
    pub(crate) fn open(folder: &Path) -> (Self, io::Result<Option<Obstruction>>) {
        let (file, replaced) = match private::open_or_create(&folder.join(FILE)) {
            Ok((file, replaced)) => (Some(file), Ok(replaced)),
            Err(error) => (None, Err(error)),
        };
        (
            Self {
                file,
                end: 0,
                numbers: BTreeMap::new(),
                series: Vec::new(),
            },
            replaced,
        )
    }

    /// Returns the next record that was written before; `None`: there is no further one, and new
    /// ones can be added.
    pub(crate) fn next(&mut self) -> Option<JournalEntry> {
        let entry = self.file.as_ref().and_then(|file| read(file, self.end));
        let Some((entry, end)) = entry else {
            if let Some(file) = &self.file {
                // Half a record would end the file for the next agent.
                let _ = file.set_len(self.end);
            }
            return None;
        };
        self.end = end;
        for series in entry.progress.iter().flat_map(|progress| &progress.series) {
            self.number(series.clone());
        }
        Some(entry)
    }

    /// Removes what another attempt has left in its place.
    pub(crate) fn clear(&self) {
        if let Some(file) = &self.file {
            let _ = file.set_len(0);
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// It cannot be written: the next agent does not see it.
    pub(crate) fn add(&mut self, entry: &JournalEntry) -> io::Result<()> {
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| io::Error::other("it could not be opened"))?;
        let content = entry.encode_to_vec();
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(crc32fast::hash(&content).to_le_bytes());
        bytes.extend(content);
        if let Err(error) = file.write_all_at(&bytes, self.end) {
            let _ = file.set_len(self.end);
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Returns the record of points that were read from a file.
    pub(crate) fn progress(
        &mut self,
        file: u32,
        position: Position,
        points: &[(NamedSeries, Option<i64>, f64)],
    ) -> Progress {
        let mut progress = Progress {
            file,
            position: Some(position),
            ..Progress::default()
        };
        for (series, step, value) in points {
            let known = self.series.len();
            let number = self.number(series.clone());
            if self.series.len() > known {
                progress.series.push(series.clone());
            }
            progress.numbers.push(number);
            progress.steps.push(step.unwrap_or(NO_STEP));
            progress.values.push(*value);
        }
        progress
    }

    /// Returns the points of a record.
    pub(crate) fn points(&self, progress: &Progress) -> Vec<(NamedSeries, Reading)> {
        let points = progress
            .numbers
            .iter()
            .zip(&progress.steps)
            .zip(&progress.values);
        let series = |number: u32| self.series.get(number as usize);
        points
            .filter_map(|((number, step), value)| {
                let series = series(*number)?;
                let step = Some(*step).filter(|step| *step != NO_STEP);
                Some((
                    series.clone(),
                    Reading {
                        name: series.name.clone(),
                        step,
                        value: *value,
                    },
                ))
            })
            .collect()
    }

    fn number(&mut self, series: NamedSeries) -> u32 {
        if let Some(number) = self.numbers.get(&series) {
            return *number;
        }
        let number = self.series.len() as u32;
        self.numbers.insert(series.clone(), number);
        self.series.push(series);
        number
    }
}

/// Returns the record at a place and where it ends; `None` where there is none that is intact.
fn read(file: &File, at: u64) -> Option<(JournalEntry, u64)> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, at).ok()?;
    let [a, b, c, d, checksum @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > ENTRY_BYTES_MAX {
        return None;
    }
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, at + HEAD as u64).ok()?;
    if crc32fast::hash(&content) != u32::from_le_bytes(checksum) {
        return None;
    }
    Some((
        JournalEntry::decode(&content[..]).ok()?,
        at + (HEAD + length) as u64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(tag: &str) -> NamedSeries {
        NamedSeries {
            tag: tag.to_owned(),
            name: format!("x/{tag}"),
            file: 1,
            ..NamedSeries::default()
        }
    }

    #[test]
    fn the_next_agent_reads_what_was_written_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path());
        assert_eq!(journal.next(), None);
        let write = |journal: &mut Journal, points: &[(NamedSeries, Option<i64>, f64)]| {
            let progress = journal.progress(
                1,
                Position {
                    offset: 7,
                    ..Position::default()
                },
                points,
            );
            journal
                .add(&JournalEntry {
                    progress: Some(progress),
                    ..JournalEntry::default()
                })
                .unwrap();
        };
        write(
            &mut journal,
            &[(series("a"), Some(1), 0.5), (series("b"), None, f64::NAN)],
        );
        write(&mut journal, &[(series("a"), Some(2), 0.25)]);
        let torn = std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join(FILE))
            .unwrap();
        io::Write::write_all(&mut { torn }, &[9, 0, 0, 0, 1]).unwrap();

        let (mut journal, _) = Journal::open(folder.path());
        let mut found = Vec::new();
        while let Some(entry) = journal.next() {
            found.extend(journal.points(&entry.progress.unwrap()));
        }
        let found: Vec<_> = found
            .into_iter()
            .map(|(series, reading)| (series.tag, reading.name, reading.step))
            .collect();
        let expected = [
            ("a", "x/a", Some(1)),
            ("b", "x/b", None),
            ("a", "x/a", Some(2)),
        ];
        assert_eq!(
            found,
            expected.map(|(tag, name, step)| (tag.to_owned(), name.to_owned(), step))
        );
        write(&mut journal, &[(series("b"), Some(3), 1.0)]);
        let (mut journal, _) = Journal::open(folder.path());
        assert_eq!(
            std::iter::from_fn(|| journal.next()).count(),
            3,
            "what was torn is gone"
        );
    }
}
