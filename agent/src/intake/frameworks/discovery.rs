//! Finds the files of an attempt that hold metrics: below its own folders, below the working
//! folder, and among those that its processes have open.
//!
//! A file in the working folder belongs to the attempt if it was created or changed since the
//! attempt began, and no other attempt can have written it: no other one ran there when it was
//! created, or the attempt's processes were seen to write it, or its path names the attempt.
//! Otherwise it is not read, and the user is told.

mod unread;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::geteuid;

use super::found_file::FoundFile;
use super::journal::BaselineFile;
use super::kind::FrameworkFileKind;
use super::neighbours::Registration;
use super::rank;
use super::source::Stamp;
use super::walk;
use super::workplace::{NamedFiles, Workplace};
use crate::process::open_files::OpenFiles;
use crate::process::tree::Tree;

/// From one look to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// The same while the attempt is young: what a short program writes elsewhere is only found while
/// it is open.
const EARLY_PAUSE: Duration = Duration::from_millis(200);
const EARLY: Duration = Duration::from_secs(5);
/// The pause after a slow look, as a multiple of its duration.
const PAUSE_FACTOR: u32 = 150;
/// How long a file may wait until it is clear which attempt wrote it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much earlier than the attempt a file of W&B's library may have been changed: clocks of
/// network file systems differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);
/// Processes that are remembered.
const PROCESSES_MAX: usize = 10_000;

/// Looks for files again and again.
#[derive(Debug)]
pub(crate) struct Discovery {
    place: Workplace,
    /// Files before the attempt began.
    pub(crate) baseline: BTreeMap<PathBuf, BaselineFile>,
    named: NamedFiles,
    registration: Registration,
    known: BTreeSet<PathBuf>,
    /// Since when it is not clear whose a file is.
    unclear: BTreeMap<PathBuf, Instant>,
    /// Processes of the attempt.
    pids: BTreeSet<i32>,
    /// Those that are one of several that train together.
    ranks: BTreeMap<i32, u32>,
    /// Files that its processes were seen to write, and the folders of those.
    written: BTreeSet<PathBuf>,
    /// Folders below the working folder in which its processes are.
    folders: BTreeSet<PathBuf>,
    /// Folders of runs of W&B's library that its output names.
    printed: BTreeSet<PathBuf>,
    /// Databases that are not MLflow's as far as is known: how each was when it was looked at, and
    /// how often that was.
    databases: BTreeMap<PathBuf, (Option<Stamp>, u32)>,
    /// Files of W&B's library that were found.
    wandb_files: Vec<PathBuf>,
    /// Several of its processes were seen to write one file of W&B's library.
    pub(crate) has_contested: bool,
    /// When the attempt began, or somewhat earlier.
    since: SystemTime,
    /// When this agent began to look.
    began: Instant,
    next: Instant,
}

/// Evidence about the writer of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileWriter {
    ThisAttempt,
    OtherAttempt,
    Unclear,
}

impl Discovery {
    pub(crate) fn new(place: Workplace, began: SystemTime) -> Self {
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let place = Workplace {
            folder: canonical(&place.folder),
            checkpoints: canonical(&place.checkpoints),
            workdir: canonical(&place.workdir),
            runs_dir: canonical(&place.runs_dir),
            ..place
        };
        let registration = Registration::new(&place.folder, &place.workdir, began);
        let named = NamedFiles::new(&place);
        Self {
            place,
            baseline: BTreeMap::new(),
            named,
            registration,
            known: BTreeSet::new(),
            unclear: BTreeMap::new(),
            pids: BTreeSet::new(),
            ranks: BTreeMap::new(),
            written: BTreeSet::new(),
            folders: BTreeSet::new(),
            printed: BTreeSet::new(),
            databases: BTreeMap::new(),
            wandb_files: Vec::new(),
            has_contested: false,
            since: began
                .checked_sub(CLOCK_DIFFERENCE)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            began: Instant::now(),
            next: Instant::now(),
        }
    }

    /// Returns the files that are there before the program is started.
    pub(crate) fn look_before(&self) -> Vec<(PathBuf, FrameworkFileKind, Stamp)> {
        let mut found = Vec::new();
        self.walk(|path, kind, _| {
            if let Ok(about) = path.symlink_metadata() {
                found.push((path, kind, Stamp::of(&about)));
            }
        });
        found
    }

    /// Returns whether it is time to look again.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Lets the next look be made at once.
    #[cfg(test)]
    pub(crate) fn hurry(&mut self) {
        self.next = Instant::now();
    }

    /// Takes a file as one that is read.
    pub(crate) fn know(&mut self, path: PathBuf) {
        self.known.insert(path);
    }

    /// Notes that the program has printed where a run of W&B's library is kept: one that is short
    /// is never seen open. Returns whether that is new.
    pub(crate) fn note_printed(&mut self, folder: &Path) -> bool {
        let folder = self.place.workdir.join(folder);
        let is_new = self.printed.len() < PROCESSES_MAX
            && self.printed.insert(folder.canonicalize().unwrap_or(folder));
        if is_new {
            self.next = Instant::now();
        }
        is_new
    }

    /// Returns files of the attempt that are new, the oldest first. With `last`, no process can
    /// write any more.
    pub(crate) fn look(&mut self, tree: &Tree, last: bool) -> Vec<FoundFile> {
        let began = Instant::now();
        let mut seen = BTreeMap::new();
        self.walk(|path, kind, is_named| {
            seen.insert(path, (kind, is_named));
        });
        // Later: the writer of a file that was found and is open is known.
        let open = self.look_at_processes(tree);
        self.registration.look(&self.place.runs_dir);
        self.see_open(&open, &mut seen);
        let mut found = Vec::new();
        for (path, (kind, is_named)) in seen {
            if self.known.contains(&path) {
                continue;
            }
            let Ok(about) = path.symlink_metadata() else {
                continue;
            };
            // A program may have a file of this name, too.
            if kind == FrameworkFileKind::MlflowLog && !path.starts_with(&self.place.folder) {
                continue;
            }
            if !about.is_file()
                || !self.is_changed(&path, kind, &about, last)
                || !self.is_of_user(&path, &about)
            {
                continue;
            }
            match self.writer(&path, &about) {
                FileWriter::ThisAttempt
                    if kind == FrameworkFileKind::MlflowDatabase
                        && !self.is_mlflow_database(&path, &about) => {}
                FileWriter::ThisAttempt => {
                    let name = path
                        .parent()
                        .filter(|_| kind == FrameworkFileKind::Wandb)
                        .and_then(Path::file_name)
                        .map(OsStr::to_owned);
                    let modified = Stamp::of(&about).modified_ns;
                    found.push((name, modified, self.take(path, kind, is_named, &open)));
                }
                FileWriter::OtherAttempt => drop(self.unclear.remove(&path)),
                FileWriter::Unclear => drop(self.unclear.entry(path).or_insert(began)),
            }
        }
        // The folders of W&B's runs are named by the time at which they began.
        found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let pause = if self.is_early() { EARLY_PAUSE } else { PAUSE };
        self.next = Instant::now() + pause.max(began.elapsed() * PAUSE_FACTOR);
        found.into_iter().map(|(_, _, file)| file).collect()
    }

    /// Adds the files that the attempt's processes have open, and those that its output names.
    fn see_open(
        &mut self,
        open: &OpenFiles,
        seen: &mut BTreeMap<PathBuf, (FrameworkFileKind, bool)>,
    ) {
        for path in open.written.keys().cloned() {
            // A table that a program keeps open may have any name.
            let kind = FrameworkFileKind::of_known(&path).or_else(|| {
                path.extension()
                    .is_some_and(|end| end == "csv")
                    .then_some(FrameworkFileKind::Table)
            });
            if let Some(kind) = kind {
                seen.entry(path).or_insert((kind, false));
            }
        }
        for folder in &self.printed {
            walk::files(folder, &[], self.since, |path| {
                if FrameworkFileKind::of_known(&path) == Some(FrameworkFileKind::Wandb) {
                    self.written.insert(path.clone());
                    seen.entry(path)
                        .or_insert((FrameworkFileKind::Wandb, false));
                }
            });
        }
    }

    /// Takes a file as one of the attempt.
    fn take(
        &mut self,
        path: PathBuf,
        kind: FrameworkFileKind,
        is_named: bool,
        open: &OpenFiles,
    ) -> FoundFile {
        self.unclear.remove(&path);
        self.known.insert(path.clone());
        let rank = match kind {
            FrameworkFileKind::Wandb => {
                if self.wandb_files.len() < PROCESSES_MAX {
                    self.wandb_files.push(path.clone());
                }
                self.rank(&path, open)
            }
            _ => None,
        };
        FoundFile {
            path,
            kind,
            is_named,
            rank,
        }
    }

    /// Returns a file of which it stays unclear which attempt wrote it. With `last`, nothing more
    /// will be known.
    pub(crate) fn unclear(&self, last: bool) -> Option<&Path> {
        self.unclear
            .iter()
            .find(|(_, since)| last || since.elapsed() >= PATIENCE)
            .map(|(path, _)| path.as_path())
    }

    fn look_at_processes(&mut self, tree: &Tree) -> OpenFiles {
        let living = tree.living();
        let open = OpenFiles::of(&living);
        self.has_contested |= !open.contested.is_empty();
        let new: Vec<_> = living
            .into_iter()
            .chain([tree.main])
            .filter(|pid| !self.pids.contains(pid))
            .collect();
        self.registration
            .claim(new.iter().map(|pid| process_folder(*pid)));
        self.ranks.extend(
            new.iter()
                .take(PROCESSES_MAX.saturating_sub(self.ranks.len()))
                .filter_map(|pid| Some((*pid, rank::of(*pid)?))),
        );
        self.pids.extend(
            new.into_iter()
                .take(PROCESSES_MAX.saturating_sub(self.pids.len())),
        );
        let is_inside =
            |path: &PathBuf| path.starts_with(&self.place.workdir) && *path != self.place.workdir;
        let parents = open
            .written
            .keys()
            .filter_map(|path| path.parent())
            .map(Path::to_owned);
        let written: Vec<_> = parents
            .chain(open.written.keys().cloned())
            .filter(is_inside)
            .collect();
        let folders: Vec<_> = open
            .folders
            .iter()
            .filter(|path| is_inside(path))
            .cloned()
            .collect();
        self.registration
            .claim(written.iter().chain(&folders).cloned());
        self.written.extend(written);
        self.folders.extend(folders);
        open
    }

    /// Looks at what W&B's library writes beside its files: several processes may have begun a run
    /// in one folder, of which only one has the file open by now.
    pub(crate) fn look_at_logs(&mut self) {
        self.has_contested |= self
            .wandb_files
            .iter()
            .any(|path| rank::is_of_several(path));
    }

    /// Returns whether the attempt has just begun.
    pub(crate) fn is_early(&self) -> bool {
        self.began.elapsed() < EARLY
    }

    /// Returns the rank of the process that writes a file of W&B's library, or of the process that
    /// has begun the run, as a file beside it says.
    fn rank(&self, path: &Path, open: &OpenFiles) -> Option<u32> {
        let of_writer = open.written.get(path).and_then(|writer| rank::of(*writer));
        of_writer.or_else(|| self.ranks.get(&rank::process_of_log(path)?).copied())
    }

    /// Calls `visit` with each file whose name says that it holds metrics.
    fn walk(&self, mut visit: impl FnMut(PathBuf, FrameworkFileKind, bool)) {
        let mut look = |root: &Path, left_out: &[PathBuf]| {
            let is_complete = walk::files(root, left_out, self.since, |path| {
                let is_named = self.named.globs.is_match(&path);
                if let Some(kind) = if is_named {
                    Some(FrameworkFileKind::of_named(&path))
                } else {
                    FrameworkFileKind::of_known(&path)
                } {
                    visit(path, kind, is_named);
                }
            });
            if !is_complete {
                tracing::debug!(root = %root.display(), "a folder is too large: files of frameworks in it may only be found while they are open");
            }
        };
        look(&self.place.folder, &[]);
        look(&self.place.checkpoints, &[]);
        let is_own = |root: &Path| {
            self.place.folder.starts_with(root) || self.place.checkpoints.starts_with(root)
        };
        look(
            &self.place.workdir,
            std::slice::from_ref(&self.place.runs_dir),
        );
        for root in self
            .named
            .roots
            .iter()
            .chain(&self.place.mlflow_store)
            .filter(|root| !is_own(root))
        {
            look(root, std::slice::from_ref(&self.place.runs_dir));
        }
    }

    /// Returns whether a file is not as it was before the attempt began. One that was written and
    /// holds the same as before may be appended to yet; otherwise it was replaced.
    fn is_changed(
        &self,
        path: &Path,
        kind: FrameworkFileKind,
        about: &Metadata,
        last: bool,
    ) -> bool {
        // Runs of W&B's library from before the attempt are not looked at.
        if FrameworkFileKind::of_known(path) == Some(FrameworkFileKind::Wandb)
            && about.modified().is_ok_and(|changed| changed < self.since)
        {
            return false;
        }
        let stamp = Stamp::of(about);
        self.baseline.get(path).is_none_or(|before| {
            (before.bytes, before.modified_ns, before.inode)
                != (stamp.bytes, stamp.modified_ns, stamp.inode)
                && (last || before.holds_the_same(path, kind, stamp) != Some(true))
        })
    }

    /// Returns whether a file belongs to the agent's user, or to the user that the file system
    /// makes the owner of every file.
    fn is_of_user(&self, path: &Path, about: &Metadata) -> bool {
        let owner_of = |path: &Path| path.symlink_metadata().map(|found| found.uid()).ok();
        about.uid() == geteuid().as_raw()
            || self.written.contains(path)
            || owner_of(&self.place.folder) == Some(about.uid())
    }
}

fn process_folder(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

#[cfg(test)]
mod tests;
