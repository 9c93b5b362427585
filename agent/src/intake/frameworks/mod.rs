//! Metrics in the files that frameworks write: TensorBoard's event files, CSV files,
//! `trainer_state.json`, MLflow's file store, and files that the sweep file names. They are read as
//! they grow; the [`journal`] keeps the order in which that happened, so that each point counts
//! once.

pub(crate) mod discovery;
pub(crate) mod events;
mod found_file;
mod journal;
mod kind;
mod lines;
mod neighbours;
mod rank;
mod series;
mod source;
mod table;
mod trainer_state;
mod walk;

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use self::discovery::Discovery;
pub(crate) use self::discovery::Workplace;
use self::found_file::FoundFile;
use self::journal::{BaselineFile, Journal, JournalEntry, NamedSeries, OpenedFile, Position};
use self::kind::FrameworkFileKind;
use self::rank::{Choice, Ranks};
use self::series::{Naming, Series};
use self::source::{SeriesFile, Stamp};
use super::{Reading, wandb};
use crate::private;
use crate::process::tree::Tree;

/// From one look at the files to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// Readings of agents before this one that are returned at once.
const REPLAYED_MAX: usize = 10_000;
/// Files that are read for one attempt.
const SOURCES_MAX: usize = 1000;
/// Of a table before the attempt began, a digest is kept up to this length.
const DIGEST_BYTES_MAX: u64 = 1 << 20;
/// All digests together are of this many bytes at most.
const DIGESTS_BYTES_MAX: u64 = 32 << 20;
/// Points of `trainer_state.json` that are told apart.
const EMITTED_MAX: usize = 1_000_000;

/// The files of one attempt.
#[derive(Debug)]
pub(crate) struct FrameworkFiles {
    /// Absent only while a thread works with it.
    files: Option<Box<Files>>,
    next: Instant,
}

/// The result of one round of reading.
#[derive(Debug, Default)]
pub(crate) struct FrameworkUpdate {
    /// Metrics, in order.
    pub(crate) readings: Vec<Reading>,
    /// Warnings for the user.
    pub(crate) complaints: Vec<String>,
    /// Warnings about the program for the user, once for all its runs.
    pub(crate) remarks: Vec<String>,
    /// Files with metrics that are not read, and the remedy.
    pub(crate) unread: Vec<String>,
    /// Files of W&B's library that were found, in an order that stays.
    pub(crate) wandb_files: Vec<PathBuf>,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

impl FrameworkFiles {
    /// Looks at what is there before a program is started, or, with `again`, at what an agent
    /// before this one has read. `asked` is the objective.
    pub(crate) async fn open(
        place: Workplace,
        asked: &str,
        began: SystemTime,
        again: bool,
    ) -> Self {
        let asked = asked.to_owned();
        let open =
            tokio::task::spawn_blocking(move || Box::new(Files::open(place, asked, began, again)));
        // A panic of this thread is a mistake of this program. The attempt continues without these
        // files.
        Self {
            files: open.await.ok(),
            next: Instant::now(),
        }
    }

    /// Takes in a line that the program has printed: W&B's library says where it keeps its run.
    pub(crate) fn hear(&mut self, line: &str) {
        let folder = wandb::folder_in(line);
        if let Some((files, folder)) = self.files.as_mut().zip(folder)
            && files.discovery.note_printed(Path::new(&folder))
        {
            self.next = Instant::now();
        }
    }

    /// Returns the new points. With `last`, no process can write any more.
    pub(crate) async fn read(&mut self, tree: &Tree, last: bool) -> FrameworkUpdate {
        if !last && Instant::now() < self.next {
            return FrameworkUpdate::default();
        }
        let Some(mut files) = self.files.take() else {
            return FrameworkUpdate::default();
        };
        let tree = tree.clone();
        let look = tokio::task::spawn_blocking(move || {
            let seen = files.look(&tree, last);
            (files, seen)
        });
        let Ok((files, seen)) = look.await else {
            return FrameworkUpdate::default();
        };
        self.files = Some(files);
        self.next = Instant::now() + if seen.more { Duration::ZERO } else { PAUSE };
        seen
    }
}

#[derive(Debug)]
struct Files {
    asked: String,
    journal: Journal,
    discovery: Discovery,
    /// Another agent has written to the journal before this one.
    is_replaying: bool,
    sources: Vec<SeriesFile>,
    /// Of files of W&B's library.
    ranks: Ranks,
    series: Series,
    /// Of the contents of `trainer_state.json` files, which repeat each other.
    emitted: BTreeSet<u64>,
    /// Names that a file gives by itself.
    given: BTreeSet<String>,
    began: Instant,
    complaints: Vec<String>,
    has_complained: BTreeSet<&'static str>,
    /// The last look of all has been made.
    is_over: bool,
}

impl Files {
    fn open(place: Workplace, asked: String, began: SystemTime, again: bool) -> Self {
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
            is_over: false,
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
    fn begin(&mut self) {
        let mut left = DIGESTS_BYTES_MAX;
        let mut baseline = Vec::new();
        for (
            path,
            kind,
            Stamp {
                bytes,
                modified_ns,
                inode,
            },
        ) in self.discovery.look_before()
        {
            let has_digest =
                kind == FrameworkFileKind::Table && bytes <= DIGEST_BYTES_MAX.min(left);
            let digest = has_digest.then(|| {
                left -= bytes;
                journal::digest_of(&mut private::open_of_program(&path).ok()?, bytes).ok()
            });
            let file = BaselineFile {
                path: path.as_os_str().as_bytes().to_vec(),
                bytes,
                modified_ns,
                inode,
                digest: digest.flatten(),
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

    fn look(&mut self, tree: &Tree, last: bool) -> FrameworkUpdate {
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
            for file in self.discovery.look(tree) {
                self.add(file, &mut seen);
            }
            for (path, rank) in self.ranks.late(last) {
                self.read_wandb(path, Some(rank), &mut seen);
            }
            seen.remarks.extend(self.ranks.remark());
            if self.discovery.has_contested {
                seen.remarks.push(rank::CONTESTED.to_owned());
            }
            self.find_unclear(last, &mut seen);
        }
        for source in &mut self.sources {
            let look = source.look(last);
            seen.more |= look.more;
            seen.complaints.extend(look.complaint);
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
        seen.complaints.append(&mut self.complaints);
        seen
    }

    /// Returns what an agent before this one has read.
    fn replay(&mut self, seen: &mut FrameworkUpdate) {
        let mut has_begun = !self.sources.is_empty() || !self.discovery.baseline.is_empty();
        while seen.readings.len() < REPLAYED_MAX {
            let Some(entry) = self.journal.next() else {
                self.is_replaying = false;
                if !has_begun {
                    self.begin();
                }
                return;
            };
            has_begun |= entry.begun;
            for file in entry.baseline {
                self.discovery.baseline.insert(path_of(&file.path), file);
            }
            if let Some(OpenedFile {
                id,
                path,
                kind,
                is_named,
                rank,
                is_left_out,
            }) = entry.opened
                && let Some(kind) = FrameworkFileKind::of_number(kind)
            {
                let path = path_of(&path);
                self.discovery.know(path.clone());
                match kind {
                    FrameworkFileKind::Wandb if is_left_out => {
                        self.ranks.restore(&path, rank, Choice::LeftOut);
                    }
                    FrameworkFileKind::Wandb => {
                        self.ranks.restore(&path, rank, Choice::Read);
                        seen.wandb_files.push(path);
                    }
                    _ => self.sources.push(SeriesFile::new(
                        id,
                        path,
                        kind,
                        !is_named,
                        Position::default(),
                    )),
                }
            }
            if let Some(progress) = entry.progress {
                let source = self
                    .sources
                    .iter_mut()
                    .find(|source| source.id == progress.file);
                if let Some((source, position)) = source.zip(progress.position) {
                    source.go_to(position);
                    for (series, reading) in self.journal.points(&progress) {
                        let folder = source.folder.join(&series.group);
                        if source.kind == FrameworkFileKind::TrainerState {
                            self.emitted
                                .insert(fingerprint(&folder, &series.tag, reading.step));
                        }
                        // What was added under the name that the sweep file asks for has no tag.
                        if !series.tag.is_empty() {
                            self.series
                                .restore(source.kind, &folder, &series.tag, &series.name);
                            self.given.insert(series.name);
                        }
                        seen.readings.push(reading);
                    }
                }
            }
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
            .map(|before| position_after(before, &path, kind))
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

    /// Gives out what was read from a file, unless the name of one of its series is not decided
    /// yet.
    fn emit(&mut self, index: usize, last: bool, seen: &mut FrameworkUpdate) {
        let source = &mut self.sources[index];
        let Some(chunk) = &source.chunk else { return };
        let (kind, now, repeats) = (source.kind, self.began.elapsed(), source.repeats_results());
        let mut names = BTreeMap::new();
        let mut aliases = BTreeSet::new();
        for (group, sample) in &chunk.samples {
            let btree_map::Entry::Vacant(unnamed) =
                names.entry((group.as_str(), sample.tag.as_str()))
            else {
                continue;
            };
            let folder = source.folder.join(group);
            let name = match self
                .series
                .name(kind, &folder, &sample.tag, repeats, now, last)
            {
                Naming::Wait => return,
                Naming::Named(name) => Some(name),
                Naming::Repeated => None,
            };
            let name = name.filter(|_| {
                kind != FrameworkFileKind::Events
                    || sample.tag == self.asked
                    || !series::is_of_hparams(&sample.tag)
            });
            if name.as_ref().is_some_and(|name| *name != self.asked)
                && !self.given.contains(&self.asked)
            {
                match self
                    .series
                    .is_alias(&self.asked, &folder, &sample.tag, now, last)
                {
                    None => return,
                    Some(true) => drop(aliases.insert((group.clone(), sample.tag.clone()))),
                    Some(false) => {}
                }
            }
            unnamed.insert(name);
        }
        let mut points = Vec::new();
        for (group, sample) in &chunk.samples {
            let folder = source.folder.join(group);
            let Some(Some(name)) = names.get(&(group.as_str(), sample.tag.as_str())) else {
                continue;
            };
            if kind == FrameworkFileKind::TrainerState
                && self.emitted.len() < EMITTED_MAX
                && !self
                    .emitted
                    .insert(fingerprint(&folder, &sample.tag, sample.step))
            {
                continue;
            }
            let series = NamedSeries {
                tag: sample.tag.clone(),
                name: name.clone(),
                group: group.clone(),
                file: source.id,
            };
            self.given.insert(name.clone());
            points.push((series.clone(), sample.step, sample.value));
            if aliases.contains(&(group.clone(), sample.tag.clone())) {
                points.push((
                    NamedSeries {
                        name: self.asked.clone(),
                        tag: String::new(),
                        ..series
                    },
                    sample.step,
                    sample.value,
                ));
            }
        }
        let position = chunk.position;
        source.chunk = None;
        if !points.is_empty() {
            let progress = self
                .journal
                .progress(self.sources[index].id, position, &points);
            self.write(&JournalEntry {
                progress: Some(progress),
                ..JournalEntry::default()
            });
        }
        seen.readings
            .extend(points.into_iter().map(|(series, step, value)| Reading {
                name: series.name,
                step,
                value,
            }));
        self.complain_of_rivals();
    }

    /// Says so where the sweep file asks for a name that several folders have.
    fn complain_of_rivals(&mut self) {
        let tag = self.asked.clone();
        if let [first, second, ..] = self.series.rivals(&tag)
            && !self.has_complained.contains("rivals")
        {
            let text = format!(
                "the objective `{tag}` is logged in {} and in {}: name one of them in the sweep file, as `{}/{tag}`",
                first.display(),
                second.display(),
                second.file_name().unwrap_or_default().display()
            );
            self.complaints.push(text);
            self.has_complained.insert("rivals");
        }
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

    fn write(&mut self, entry: &JournalEntry) {
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

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// Returns the position behind what a file held before the attempt began; its beginning where it
/// holds something else by now.
fn position_after(before: &BaselineFile, path: &Path, kind: FrameworkFileKind) -> Position {
    let is_continued = || {
        let mut file = private::open_of_program(path).ok()?;
        if file.metadata().ok()?.len() < before.bytes {
            return Some(false);
        }
        match (kind, before.digest) {
            (FrameworkFileKind::Table, Some(digest)) => {
                Some(journal::digest_of(&mut file, before.bytes).ok()? == digest)
            }
            (FrameworkFileKind::Table | FrameworkFileKind::TrainerState, _) => Some(false),
            _ => Some(Stamp::of(&file.metadata().ok()?).inode == before.inode),
        }
    };
    if is_continued() != Some(true) {
        return Position::default();
    }
    source::position_behind(path, kind, before.bytes).unwrap_or_default()
}

/// Tells a point of a `trainer_state.json` from others.
fn fingerprint(folder: &Path, tag: &str, step: Option<i64>) -> u64 {
    table::digest(&folder.to_string_lossy(), &format!("{tag} {step:?}"))
}

#[cfg(test)]
mod tests;
