//! One run of W&B's library, as its file has it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message;

use super::super::Reading;
use super::super::tail::Tail;
use super::frames::{Foreign, Frames};
use super::messages::{RunHead, WandbRecord, name_of};
use super::summary::{MediaKeys, Number, WandbSummary};

/// A file that is read.
#[derive(Debug)]
pub(super) struct WandbRun {
    path: PathBuf,
    tail: Tail,
    frames: Frames,
    /// Read before everything that is logged.
    pub(super) head: Option<RunHead>,
    /// The last value of each metric of its history.
    logged: BTreeMap<String, f64>,
    summary: WandbSummary,
    media: MediaKeys,
    /// Nothing more is to come, or nothing that can be read.
    pub(super) ended: bool,
    complained: bool,
}

/// The result of reading the files once.
#[derive(Debug, Default)]
pub(crate) struct WandbUpdate {
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// A warning for the user.
    pub(crate) complaint: Option<String>,
    /// A remark on the program, once for all its runs.
    pub(crate) remark: Option<String>,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

/// A metric of a run.
#[derive(Debug)]
pub(super) struct WandbSample {
    pub(super) reading: Reading,
    /// Set for a value that the program has put into the summary in place of the last one that it
    /// had logged.
    pub(super) is_override: bool,
}

impl WandbRun {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            tail: Tail::new(path.to_owned()),
            frames: Frames::default(),
            head: None,
            logged: BTreeMap::new(),
            summary: WandbSummary::default(),
            media: MediaKeys::default(),
            ended: false,
            complained: false,
        }
    }

    /// Returns what is new in the file.
    pub(super) async fn read(&mut self, seen: &mut WandbUpdate) -> io::Result<Vec<WandbSample>> {
        let mut samples = Vec::new();
        if self.ended {
            return Ok(samples);
        }
        let gain = self.tail.read().await?;
        if gain.restarted {
            self.frames = Frames::default();
        }
        if let Some(obstacle) = gain.obstacle {
            seen.complaint = Some(format!(
                "what W&B's library writes is not read while {obstacle}"
            ));
        }
        seen.more = !gain.bytes.is_empty();
        match self.frames.push(&gain.bytes) {
            Ok(records) => records
                .iter()
                .for_each(|record| self.take(record, &mut samples)),
            Err(Foreign) => {
                self.ended = true;
                seen.complaint = Some(format!(
                    "{} is not in a known format of W&B's library; its metrics are not seen",
                    self.name()
                ));
            }
        }
        if self.frames.damaged && !self.complained {
            self.complained = true;
            seen.complaint = Some(format!(
                "{} is damaged; some of its metrics are not seen",
                self.name()
            ));
        }
        Ok(samples)
    }

    fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    fn take(&mut self, bytes: &[u8], samples: &mut Vec<WandbSample>) {
        // What is not understood is no history.
        let Ok(record) = WandbRecord::decode(bytes) else {
            return;
        };
        // The name and the tags of a run can change; what it resumes cannot.
        if let Some(head) = record.run.filter(|_| self.head.is_none()) {
            self.head = Some(head);
        }
        if let Some(history) = record.history {
            let step = history.step();
            self.media.see(&history.item);
            for item in &history.item {
                let Some(value) = item.number().filter(|_| !self.media.hold(item.path())) else {
                    continue;
                };
                let Some(name) = name_of(item.path()) else {
                    continue;
                };
                match self.logged.get_mut(&name) {
                    Some(last) => *last = value,
                    None => drop(self.logged.insert(name.clone(), value)),
                }
                samples.push(WandbSample {
                    reading: Reading { name, step, value },
                    is_override: false,
                });
            }
        }
        if let Some(change) = record.summary {
            self.summary.change(&change, &mut self.media);
        }
        if record.exit.is_some() {
            samples.extend(self.end());
        }
    }

    /// Returns what the summary has beside the history: values that were never logged, and those
    /// that the program has put in place of logged ones.
    pub(super) fn end(&mut self) -> Vec<WandbSample> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let numbers = std::mem::take(&mut self.summary)
            .numbers(&self.media)
            .into_iter();
        let samples = numbers.filter_map(|(name, Number { value, is_set })| {
            let last = self.logged.get(&name);
            let is_same =
                last.is_some_and(|last| *last == value || (last.is_nan() && value.is_nan()));
            let is_override = last.is_some();
            (!is_same && (is_set || !is_override)).then_some(WandbSample {
                reading: Reading {
                    name,
                    step: None,
                    value,
                },
                is_override,
            })
        });
        samples.collect()
    }
}
