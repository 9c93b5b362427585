//! Working folders: the version of the code in one is the tree hash of exactly what will run, uncommitted and untracked files included.
//!
//! git does the work, in our own repository beside the user's: with its own index, objects and configuration. Nothing in the user's repository is
//! ever written, and nothing that its configuration or attributes name is executed: no hook, filter, driver or watcher, neither of that repository nor of
//! one inside of it. Of the user's configuration only what says how files are read counts (see [`settings`]). A folder that is in no repository gets a private one, elsewhere. Repositories inside of it, submodules or not, are taken in as folders, so
//! that a version is whole by itself.

mod content;
mod describe;
mod excludes;
mod index;
mod inner;
mod lock;
mod repository;
mod scanned;
mod settings;
mod source;
mod spared;
mod stamp;
#[cfg(test)]
mod tests;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::attempts::AttemptRecords;
use crate::error::CodeError;
use crate::git::{line, make_bare, output, paths, private_git};
use crate::left_out::{IGNORE_FILE, LeftOut, UntrackedRule};
use crate::outputs::{Entries, Outputs};
use crate::own_files::REPRODUCED;
use crate::private_file;

use self::lock::lock_within;
use self::repository::Repository;
use self::scanned::Scanned;
use self::settings::Settings;
pub use self::source::Source;
use self::stamp::{Stamp, stamp};

/// Files that git does not track, and all their bytes, beyond which a folder is no code.
const FILES_MAX: usize = 50_000;
const BYTES_MAX: u64 = 200 << 20;
/// How long a snapshot waits for another agent of the same folder.
const LOCK_TIME_MAX: Duration = Duration::from_secs(30);

/// The code of a working folder at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The tree hash.
    pub version: String,
    /// The commit that is checked out; empty where there is none.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The branch; empty where the head is detached.
    pub branch: String,
    /// Where it is fetched from, without passwords.
    pub remote: String,
    /// The difference from the commit: files, lines added, lines removed.
    pub changed: (u64, u64, u64),
    /// That in full, as far as it can be shown: at most [`PATCH_BYTES_MAX`](crate::PATCH_BYTES_MAX).
    pub patch: Arc<str>,
    /// The path of the working folder in it; empty: its root.
    pub prefix: String,
    /// Excluded files, for the user.
    pub notes: Vec<String>,
    /// Outputs of programs that are there and are left out, for a person.
    pub outputs: Vec<String>,
}

/// A working folder, and where what is captured of it is kept.
#[derive(Debug)]
pub struct Working {
    /// The root of the repository, or the working folder itself.
    root: PathBuf,
    /// Where the working folder is, from there.
    prefix: String,
    /// The user's own repository, where there is one.
    repository: Option<Repository>,
    /// Our own bare repository.
    private: PathBuf,
    /// Where run folders are, from `root`, if they lie below it.
    ours: Option<PathBuf>,
    last: Option<LastSnapshot>,
    /// Repositories inside of it, by their paths from `root`.
    inner: Vec<(Vec<u8>, Self)>,
    depth: u32,
    /// Where this one is inside of others, with a slash behind each of them.
    within: Vec<u8>,
    /// Whether files that git tracks are taken in although they look like secrets.
    takes_secrets: bool,
    /// How the user has git read files.
    settings: Settings,
    /// Contents that were looked at for secrets.
    scanned: Scanned,
    /// Pointers of files that Git LFS keeps, by path: what they were made of.
    pointers: BTreeMap<Vec<u8>, (Stamp, String)>,
    /// The sweep whose runs are executed here; empty: none are, and nothing that appears is an output.
    sweep: String,
    /// Untracked files that the sweep file includes: patterns, from the working folder.
    include: Vec<String>,
    /// Whether attempts run or have run since the last snapshot.
    is_active: bool,
    /// Outputs that have appeared here.
    outputs: Outputs,
    /// The state of untracked files before runs of the sweep changed them.
    frozen: Entries,
    /// Whether contents are `sweep`'s own, by how they are recognised and by their entries in our index.
    own: BTreeMap<(bool, Vec<u8>), bool>,
}

/// The last recorded state.
#[derive(Debug)]
struct LastSnapshot {
    snapshot: Snapshot,
    /// Of the user's files that say what belongs to the code, and of our index, which another agent in the same folder writes as well.
    stamps: (Vec<Stamp>, Stamp),
    /// Untracked files, as git lists them.
    others: Vec<u8>,
    /// Files among them that were too large, and above which size.
    large: Vec<(PathBuf, u64)>,
    /// Files that are not in the index as they lie there, and their stamps.
    unlike: Vec<(PathBuf, Stamp)>,
    /// Those of them that the index holds in another form, as git names what has changed.
    changed: Vec<u8>,
}

impl Working {
    /// Finds the code that a working folder belongs to. What is captured is kept in `runs_dir`, which is no code wherever it lies.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn find(workdir: &Path, runs_dir: &Path) -> Result<Self, CodeError> {
        Self::find_keeping(workdir, runs_dir, &runs_dir.join("code"))
    }

    /// Does the same, and keeps what is captured in another folder.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn find_keeping(workdir: &Path, runs_dir: &Path, store: &Path) -> Result<Self, CodeError> {
        let code = Self::find_at(workdir, store, 0)?;
        // git tells the root by its true name.
        let ours = runs_dir
            .canonicalize()
            .ok()
            .and_then(|runs_dir| Some(runs_dir.strip_prefix(&code.root).ok()?.to_owned()));
        Ok(Self { ours, ..code })
    }

    /// Takes in also what looks like a secret and is tracked by git, or holds a key: for callers that ask the user first. See [`Source::suspects`].
    #[must_use]
    pub fn taking_secrets(self) -> Self {
        Self {
            takes_secrets: true,
            ..self
        }
    }

    /// Takes snapshots for a sweep whose runs are executed here: untracked files that appear or change while they run are outputs, and no code.
    #[must_use]
    pub fn for_sweep(self, sweep: &str) -> Self {
        // An id is letters and digits, and part of the name of a file.
        let is_id = sweep.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Self {
            sweep: if is_id {
                sweep.to_owned()
            } else {
                String::new()
            },
            ..self
        }
    }

    /// Takes in untracked files that some patterns name, from the working folder, excluded or not. A pattern that leads out of it names none.
    pub fn include(&mut self, patterns: &[String]) {
        let is_inside = |pattern: &&String| {
            let is_normal = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            !pattern.is_empty()
                && !pattern.contains('\0')
                && Path::new(pattern).components().all(is_normal)
        };
        let normal = |pattern: &String| {
            Path::new(pattern)
                .components()
                .filter(|part| *part != Component::CurDir)
                .collect::<PathBuf>()
        };
        let patterns: Vec<_> = patterns
            .iter()
            .filter(is_inside)
            .map(|pattern| normal(pattern).display().to_string())
            .collect();
        if self.include != patterns {
            (self.include, self.last) = (patterns, None);
        }
    }

    /// Returns where attempts that run in this folder are recorded.
    pub fn attempts(&self) -> AttemptRecords {
        AttemptRecords::new(&self.private)
    }

    fn find_at(workdir: &Path, store: &Path, depth: u32) -> Result<Self, CodeError> {
        // git tells the root by its true name. A repository may say that its files are elsewhere (`core.worktree`), which is none of ours.
        let place = workdir.canonicalize().ok();
        let is_here = |root: &Path| {
            place.as_deref().is_some_and(|place| {
                if depth == 0 {
                    place.starts_with(root)
                } else {
                    place == root
                }
            })
        };
        let (root, repository) = match Repository::find(workdir)?.filter(|(root, _)| is_here(root))
        {
            Some((root, repository)) => (root, Some(repository)),
            None => (workdir.to_owned(), None),
        };
        let below = workdir
            .canonicalize()
            .ok()
            .and_then(|workdir| Some(workdir.strip_prefix(&root).ok()?.to_owned()));
        let prefix = below
            .map(|below| below.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = format!("{:08x}", crc32fast::hash(root.as_os_str().as_bytes()));
        let format = repository
            .as_ref()
            .map_or("sha1", |repository| &repository.format);
        let private = store.join(if format == "sha1" {
            name
        } else {
            format!("{name}-{format}")
        });
        make_bare(&private, format)?;
        Ok(Self {
            root,
            prefix,
            repository,
            private,
            ours: None,
            last: None,
            inner: Vec::new(),
            depth,
            within: Vec::new(),
            takes_secrets: false,
            settings: Settings::default(),
            scanned: Scanned::default(),
            pointers: BTreeMap::new(),
            sweep: String::new(),
            include: Vec::new(),
            is_active: false,
            outputs: Outputs::default(),
            frozen: Entries::new(),
            own: BTreeMap::new(),
        })
    }

    /// Returns the version of what is there now. Takes two walks over the files where nothing has changed since the last time.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn snapshot(&mut self) -> Result<Snapshot, CodeError> {
        let lock = self.private.join("sweep.lock");
        let trouble = |source| CodeError::File {
            path: lock.clone(),
            source,
        };
        let held = private_file::lock_file(&lock).map_err(trouble)?;
        lock_within(&held, &lock, LOCK_TIME_MAX)?;
        if self.depth > 0 || self.sweep.is_empty() {
            return self.look();
        }
        let attempts = self.attempts();
        self.is_active = attempts.take();
        let snapshot = self.look();
        if self.is_active && snapshot.is_err() {
            attempts.put_back();
        }
        snapshot
    }

    fn look(&mut self) -> Result<Snapshot, CodeError> {
        self.spare_code()?;
        let theirs = self.their_stamps();
        if let Some(last) = self.last.take()
            && last.stamps == (theirs.clone(), self.own_stamp())
            && self.is_unchanged(&last)?
        {
            let snapshot = Snapshot {
                outputs: self.output_names(),
                ..last.snapshot.clone()
            };
            self.last = Some(last);
            return Ok(snapshot);
        }
        let mut left_out = LeftOut::new(&self.root);
        let (mut snapshot, others) = self.take(&mut left_out)?;
        snapshot.outputs = self.output_names();
        let stamps = (theirs, self.own_stamp());
        let unlike = left_out
            .unlike()
            .map(|path| (path.clone(), stamp(&self.root.join(path))))
            .collect();
        let changed = if left_out.is_index_unlike() {
            self.changed()?
        } else {
            Vec::new()
        };
        self.last = Some(LastSnapshot {
            snapshot: snapshot.clone(),
            stamps,
            others,
            large: left_out.into_large(),
            unlike,
            changed,
        });
        Ok(snapshot)
    }

    /// Returns when the files of the user that say what belongs to the code were written.
    fn their_stamps(&self) -> Vec<Stamp> {
        let of_git = |repository: &Repository| {
            let Repository {
                git_dir, exclude, ..
            } = repository;
            [
                git_dir.join("index"),
                git_dir.join("config"),
                git_dir.join("info/attributes"),
                exclude.clone(),
            ]
        };
        let files = self.repository.iter().flat_map(of_git);
        files
            .chain([self.root.join(IGNORE_FILE)])
            .map(|path| stamp(&path))
            .collect()
    }

    /// Another agent in the same folder writes the same index.
    fn own_stamp(&self) -> Stamp {
        stamp(&self.private.join("index"))
    }

    fn is_unchanged(&mut self, last: &LastSnapshot) -> Result<bool, CodeError> {
        let is_same = |(path, before): &(PathBuf, Stamp)| stamp(&self.root.join(path)) == *before;
        if !last.unlike.iter().all(is_same) {
            return Ok(false);
        }
        // Both walk over all files, and neither needs the other.
        let (changed, others) = thread::scope(|scope| {
            let comparing = scope.spawn(|| self.changed());
            let others = self.others();
            (comparing.join(), others)
        });
        // It does not panic.
        let is_unchanged =
            changed.is_ok_and(|changed| changed.is_ok_and(|changed| changed == last.changed));
        let is_large = |(path, limit): &(PathBuf, u64)| {
            fs::symlink_metadata(self.root.join(path))
                .is_ok_and(|found| found.is_file() && found.len() > *limit)
        };
        if !is_unchanged || others? != last.others || !last.large.iter().all(is_large) {
            return Ok(false);
        }
        for (_, inner) in &mut self.inner {
            inner.is_active = self.is_active;
            let before = inner
                .last
                .as_ref()
                .map(|last| last.snapshot.version.clone());
            if Some(inner.snapshot()?.version) != before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes a new snapshot from the user's index: tracked files belong to the code, independently of the state before.
    fn take(&mut self, left_out: &mut LeftOut) -> Result<(Snapshot, Vec<u8>), CodeError> {
        let mut snapshot = Snapshot {
            prefix: self.prefix.clone(),
            ..Snapshot::default()
        };
        self.begin()?;
        let others = self.others()?;
        let (untracked, mut repositories) = self.untracked(&others, left_out)?;
        let changed = self.changed()?;
        self.add(&changed, &untracked, left_out)?;
        if !self.takes_secrets {
            self.withhold_secrets(left_out)?;
        }
        self.leave_out_own(&untracked, left_out)?;
        let others = self.leave_out_outputs(others, &untracked, left_out)?;
        repositories.retain(|repository| paths(&others).any(|path| path == repository));
        let links = self.links()?;
        repositories.extend(links.iter().map(|link| [link.as_slice(), b"/"].concat()));
        snapshot.version = if repositories.is_empty() {
            self.inner.clear();
            line(output(self.git().args(self.settings.write_tree()))?)
        } else {
            self.take_in(&repositories, &links, &mut snapshot.notes)?
        };
        snapshot.notes.extend(left_out.notes());
        if self.repository.is_some() {
            self.describe(&mut snapshot, left_out)?;
        }
        Ok((snapshot, others))
    }

    /// Returns where bundles of what was seen here come from.
    pub fn source(&self) -> Source {
        Source::new(&self.private, &self.root)
    }

    /// Returns the paths of files among the others that belong to the code, each with a NUL behind it; and those of repositories, each with a slash
    /// behind it.
    fn untracked(
        &self,
        others: &[u8],
        left_out: &mut LeftOut,
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), CodeError> {
        let (mut taken, mut repositories, mut files, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
        let included = self.included()?;
        let included: BTreeSet<&[u8]> = paths(&included).collect();
        let own: Vec<&[u8]> = paths(others)
            .filter_map(|path| self.own_folder(path))
            .collect();
        let is_free = self.repository.is_none() && self.depth == 0;
        let rule = |path: &[u8], left_out: &LeftOut| match () {
            () if included.contains(path) => UntrackedRule::Included,
            () if is_free && !left_out.is_kept_by_user(path) => UntrackedRule::SourceLike,
            () => UntrackedRule::NotLarge,
        };
        for path in paths(others) {
            let is_own = path == REPRODUCED.as_bytes()
                || path.ends_with([b"/", REPRODUCED.as_bytes()].concat().as_slice());
            if is_own || own.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            if path.ends_with(b"/") {
                repositories.push(path.to_owned());
                continue;
            }
            let Ok(found) = fs::symlink_metadata(self.root.join(OsStr::from_bytes(path))) else {
                continue;
            };
            if left_out.keeps(path, &found, rule(path, left_out)) {
                files += 1;
                bytes += found.len();
                taken.extend_from_slice(path);
                taken.push(0);
            }
        }
        if files > FILES_MAX || bytes > BYTES_MAX {
            return Err(CodeError::TooLarge(format!(
                "{} holds {files} files ({} MB) that git does not track: too many to be code; keep data elsewhere, or name it in .gitignore or {IGNORE_FILE}",
                self.root.display(),
                bytes >> 20
            )));
        }
        Ok((taken, repositories))
    }

    /// git on the user's files with our own index, objects and configuration.
    fn git(&self) -> Command {
        let mut git = private_git();
        git.current_dir(&self.root)
            .env("GIT_WORK_TREE", &self.root)
            .env("GIT_INDEX_FILE", self.private.join("index"));
        self.settings.apply(git.env("GIT_DIR", &self.private));
        git
    }
}
