//! The files of one attempt: found, read as they grow, and written to the journal.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::baseline::Digests;
use super::discovery::Discovery;
use super::found_file::FoundFile;
use super::journal::{self, BaselineFile, Journal, JournalEntry, OpenedFile, Position};
use super::kind::FrameworkFileKind;
use super::rank::{self, Choice, Ranks};
use super::series::Series;
use super::source::SeriesFile;
use super::update::FrameworkUpdate;
use super::workplace::Workplace;
use crate::process::tree::Tree;

/// How long after the beginning of reading files that hold the objective are looked for.
const UNREAD_LOOKS: [Duration; 4] = [
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
];
/// Files that are read for one attempt.
const SOURCES_MAX: usize = 1000;

/// The state of reading.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) asked: String,
    pub(super) journal: Journal,
    pub(super) discovery: Discovery,
    /// Another agent has written to the journal before this one.
    pub(super) is_replaying: bool,
    pub(super) sources: Vec<SeriesFile>,
    /// Of files of W&B's library.
    pub(super) ranks: Ranks,
    pub(super) series: Series,
    /// Of the contents of `trainer_state.json` files, which repeat each other.
    pub(super) emitted: BTreeSet<u64>,
    /// Names that a file gives by itself.
    pub(super) given: BTreeSet<String>,
    pub(super) began: Instant,
    pub(super) complaints: Vec<String>,
    pub(super) has_complained: BTreeSet<&'static str>,
    /// The series that has counted as the objective, until the user was told that the objective
    /// itself came as well.
    pub(super) alias: Option<PathBuf>,
    /// The last look of all has been made.
    is_over: bool,
    /// How often files that hold the objective were looked for.
    unread_looks: usize,
}

impl Files {
    pub(super) fn open(place: Workplace, asked: String, began: SystemTime, again: bool) -> Self {
        let (journal, replaced) = Journal::open(&place.folder);
        let mut files = Self {
            asked,
            journal,
            discovery: Discovery::new(place, began),
            is_replaying: again,
            sources: Vec::new(),
            ranks: Ranks::default(),
            series: Series::default(),
            emitted: BTreeSet::new(),
            given: BTreeSet::new(),
            began: Instant::now(),
            complaints: Vec::new(),
            has_complained: BTreeSet::new(),
            alias: None,
            is_over: false,
            unread_looks: 0,
        };
        match replaced {
            Ok(Some(replaced)) => files
                .complaints
                .push(format!("{replaced}; it was moved aside")),
            Ok(None) => {}
            Err(error) => files.complain_of_journal(&error),
        }
        if !again {
            files.journal.clear();
            files.begin();
        }
        files
    }

    /// Records the files that are there before the program is started.
    pub(super) fn begin(&mut self) {
        let mut digests = Digests::default();
        let mut baseline = Vec::new();
        for (path, kind, stamp) in self.discovery.look_before() {
            let file = BaselineFile {
                path: path.as_os_str().as_bytes().to_vec(),
                bytes: stamp.bytes,
                modified_ns: stamp.modified_ns,
                inode: stamp.inode,
                digest: digests.take(&path, kind, stamp.bytes),
            };
            self.discovery.baseline.insert(path, file.clone());
            baseline.push(file);
        }
        self.write(&JournalEntry {
            baseline,
            begun: true,
            ..JournalEntry::default()
        });
    }

    pub(super) fn look(&mut self, tree: &Tree, last: bool) -> FrameworkUpdate {
        let mut seen = FrameworkUpdate {
            complaints: std::mem::take(&mut self.complaints),
            ..FrameworkUpdate::default()
        };
        if self.is_replaying {
            self.replay(&mut seen);
            seen.more = true;
            return seen;
        }
        if self.discovery.is_due() || (last && !self.is_over) {
            self.is_over |= last;
            for file in self.discovery.look(tree, last) {
                self.add(file, &mut seen);
            }
            for (path, rank) in self.ranks.late(last) {
                self.read_wandb(path, Some(rank), &mut seen);
            }
            seen.remarks.extend(self.ranks.remark());
            if last || self.discovery.is_early() {
                self.discovery.look_at_logs();
            }
            if self.discovery.has_contested {
                seen.remarks.push(rank::CONTESTED.to_owned());
            }
            self.find_unclear(last, &mut seen);
        }
        for source in &mut self.sources {
            let look = source.look(last);
            seen.more |= look.more;
            seen.complaints.extend(look.complaint);
            seen.torn.extend(look.torn);
            for (group, sample) in source.chunk.iter().flat_map(|chunk| &chunk.samples) {
                if !source.repeats_results() {
                    self.series.see(
                        source.kind,
                        &source.folder.join(group),
                        &sample.tag,
                        self.began.elapsed(),
                    );
                }
            }
        }
        for index in 0..self.sources.len() {
            self.emit(index, last, &mut seen);
        }
        if last && !seen.more {
            self.find_empty(&mut seen);
        }
        if !last || !seen.more {
            self.find_unread(last, &mut seen);
        }
        seen.complaints.append(&mut self.complaints);
        seen
    }

    /// Names a file that holds the objective and is not read.
    fn find_unread(&mut self, last: bool, seen: &mut FrameworkUpdate) {
        let is_due = UNREAD_LOOKS
            .get(self.unread_looks)
            .is_some_and(|after| self.began.elapsed() >= *after);
        if !(is_due || last) || self.asked.is_empty() || self.given.contains(&self.asked) {
            return;
        }
        self.unread_looks += 1;
        let Some(path) = self
            .discovery
            .unread(&self.asked, last)
            .filter(|_| self.has_complained.insert("unread"))
        else {
            return;
        };
        let name = self.discovery.name_of(&path).replace('\'', "''");
        seen.unread_files.push(format!(
            "`{}` is in {}, which is not read; add to the sweep file: metric_files: ['{name}']",
            self.asked,
            path.display()
        ));
    }

    /// Names a file of `metric_files` from which no number was read.
    fn find_empty(&mut self, seen: &mut FrameworkUpdate) {
        let is_empty = |source: &&SeriesFile| source.is_named() && !source.has_samples;
        let Some(empty) = self.sources.iter().find(is_empty) else {
            return;
        };
        if self.has_complained.insert("empty") {
            seen.unread.push(format!(
                "no number was read from {}, which `metric_files` names; write JSON objects with numbers ({{\"{}\": 0.21}}), a CSV table \
                 with a heading, or an event file of TensorBoard",
                empty.path.display(),
                self.asked
            ));
        }
    }

    /// Reads a file from now on.
    fn add(&mut self, file: FoundFile, seen: &mut FrameworkUpdate) {
        if file.kind == FrameworkFileKind::Wandb {
            match self.ranks.choose(&file) {
                Choice::Read => self.read_wandb(file.path, file.rank, seen),
                Choice::LeftOut => {
                    self.write(&JournalEntry {
                        opened: Some(wandb_file(&file.path, file.rank, true)),
                        ..JournalEntry::default()
                    });
                }
            }
            return;
        }
        let FoundFile {
            path,
            kind,
            is_named,
            ..
        } = file;
        if self.sources.len() >= SOURCES_MAX {
            if self.has_complained.insert("sources") {
                let text = format!(
                    "more than {SOURCES_MAX} files with metrics; {} and further ones are not read",
                    path.display()
                );
                self.complaints.push(text);
            }
            return;
        }
        if kind == FrameworkFileKind::MlflowDatabase {
            seen.unread.push(format!(
                "metrics in {} are not read: leave MLFLOW_TRACKING_URI as sweep sets it (without `mlflow.set_tracking_uri` in the program)",
                path.display()
            ));
            return;
        }
        let position = self
            .discovery
            .baseline
            .get(&path)
            .map(|before| before.position_behind(&path, kind))
            .unwrap_or_default();
        let id = self.sources.last().map_or(1, |source| source.id + 1);
        let opened = OpenedFile {
            id,
            path: path.as_os_str().as_bytes().to_vec(),
            kind: kind.number(),
            is_named,
            ..OpenedFile::default()
        };
        self.write(&JournalEntry {
            opened: Some(opened),
            ..JournalEntry::default()
        });
        if position != Position::default() {
            let progress = self.journal.progress(id, position, &[]);
            self.write(&JournalEntry {
                progress: Some(progress),
                ..JournalEntry::default()
            });
        }
        self.sources
            .push(SeriesFile::new(id, path, kind, !is_named, position));
    }

    /// Has a file of W&B's library read from now on.
    fn read_wandb(&mut self, path: PathBuf, rank: Option<u32>, seen: &mut FrameworkUpdate) {
        self.write(&JournalEntry {
            opened: Some(wandb_file(&path, rank, false)),
            ..JournalEntry::default()
        });
        seen.wandb_files.push(path);
        seen.more = true;
    }

    fn find_unclear(&mut self, last: bool, seen: &mut FrameworkUpdate) {
        let Some(path) = self
            .discovery
            .unclear(last)
            .filter(|_| !self.has_complained.contains("unclear"))
        else {
            return;
        };
        let text = format!(
            "{} is not read: another attempt runs in the same working folder, and either of them can have written it; let the program write below \
             $SWEEP_RUN_DIR, or into a folder named by `${{sweep_id}}-${{run}}`, or give the agent one slot",
            path.display()
        );
        seen.unread.push(text);
        self.has_complained.insert("unclear");
    }

    pub(super) fn write(&mut self, entry: &JournalEntry) {
        if let Err(error) = self.journal.add(entry) {
            self.complain_of_journal(&error);
        }
    }

    fn complain_of_journal(&mut self, error: &std::io::Error) {
        if self.has_complained.insert("journal") {
            self.complaints.push(format!(
                "{} cannot be written: {error}; if this agent is killed, metrics from files of frameworks may be reported twice",
                journal::FILE
            ));
        }
    }
}

fn wandb_file(path: &Path, rank: Option<u32>, is_left_out: bool) -> OpenedFile {
    let path = path.as_os_str().as_bytes().to_vec();
    OpenedFile {
        path,
        kind: FrameworkFileKind::Wandb.number(),
        rank,
        is_left_out,
        ..OpenedFile::default()
    }
}
