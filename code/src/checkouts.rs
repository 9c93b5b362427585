//! Versions that are executed where they are: one folder for each, whole or not there at all, shared by all agents of a runs folder.
//!
//! ```text
//! lock          held for every change below
//! store.git     the versions, each fetched once
//! trees/<v>     the files of a version: written beside it and renamed
//! notes/<v>     what git notes of those files, to see quickly whether they are as they were
//! used/<v>      written at each use: what was not used for long goes
//! ```
//!
//! Programs write into the folder that they run in. What they add stays, as it would in a working folder; where they have changed a file of the
//! version, the next run gets a new folder, and the old one is moved aside for the runs that still use it.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::CodeError;
use crate::private_file;
use crate::store::{CodeStore, is_version};

/// Versions that are kept, the most recently used.
const KEPT: usize = 3;
/// Versions used within this time are kept as well: an agent on another machine may share the folder, and its programs cannot be seen from here.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// How names of folders begin that are not in their places yet, or not any more.
const BESIDE: &str = ".new-";
const ASIDE: &str = ".old-";

/// The checkouts of a runs folder.
#[derive(Clone, Debug)]
pub struct Checkouts {
    dir: PathBuf,
    store: CodeStore,
}

impl Checkouts {
    /// Opens those in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn open(dir: &Path) -> Result<Self, CodeError> {
        for folder in ["trees", "notes", "used"] {
            let folder = dir.join(folder);
            private_file::make_folder(&folder).map_err(|source| CodeError::File {
                path: folder.clone(),
                source,
            })?;
        }
        let _held = lock(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            store: CodeStore::open(&dir.join("store.git"))?,
        })
    }

    /// Returns whether a version is here.
    pub fn holds(&self, version: &str) -> bool {
        self.store.holds(version)
    }

    /// Returns the versions that are here, those used last first: a bundle can build on them.
    pub fn have(&self) -> Vec<String> {
        let mut used = self.used();
        used.retain(|(_, version)| self.store.holds(version));
        used.into_iter().map(|(_, version)| version).collect()
    }

    /// Returns the path of a file for a bundle, of a name that no other has.
    ///
    /// # Errors
    /// [`CodeError::File`].
    pub fn file(&self) -> Result<tempfile::TempPath, CodeError> {
        let file = tempfile::Builder::new()
            .prefix("bundle-")
            .tempfile_in(&self.dir);
        file.map(tempfile::NamedTempFile::into_temp_path)
            .map_err(|source| CodeError::File {
                path: self.dir.clone(),
                source,
            })
    }

    /// Takes in the bundle of a version. Nothing is kept of one that is not exactly that.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn receive(&self, version: &str, bundle: &Path) -> Result<(), CodeError> {
        let _held = lock(&self.dir)?;
        self.store.receive(version, bundle)
    }

    /// Returns the folder of a version that is here, with exactly the version's files in it, and perhaps some that programs have added.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn take(&self, version: &str) -> Result<PathBuf, CodeError> {
        if !is_version(version) {
            return Err(CodeError::NoVersion(version.escape_debug().to_string()));
        }
        let _held = lock(&self.dir)?;
        let (tree, notes) = (
            self.dir.join("trees").join(version),
            self.dir.join("notes").join(version),
        );
        let used = self.dir.join("used").join(version);
        private_file::write(&used, b"").map_err(|source| CodeError::File { path: used, source })?;
        if !(tree.exists() && self.store.is_intact(&tree, &notes)) {
            self.write(version, &tree, &notes)?;
        }
        self.clean(version);
        Ok(tree)
    }

    fn write(&self, version: &str, tree: &Path, notes: &Path) -> Result<(), CodeError> {
        let trouble = |path: &Path| {
            let path = path.to_owned();
            move |source| CodeError::File { path, source }
        };
        let trees = self.dir.join("trees");
        let beside = tempfile::Builder::new()
            .prefix(BESIDE)
            .tempdir_in(&trees)
            .map_err(trouble(&trees))?;
        let files = beside.path().join("files");
        let _ = fs::remove_file(notes);
        self.store.write_out(version, &files, notes)?;
        if tree.exists() {
            let aside = tempfile::Builder::new()
                .prefix(ASIDE)
                .tempdir_in(&trees)
                .map_err(trouble(&trees))?
                .keep();
            fs::rename(tree, aside.join("files")).map_err(trouble(tree))?;
        }
        fs::rename(&files, tree).map_err(trouble(tree))
    }

    /// Versions by when they were used, the last first.
    fn used(&self) -> Vec<(SystemTime, String)> {
        let stamp = |entry: fs::DirEntry| {
            Some((
                entry.metadata().ok()?.modified().ok()?,
                entry.file_name().into_string().ok()?,
            ))
        };
        let entries = fs::read_dir(self.dir.join("used"))
            .into_iter()
            .flatten()
            .flatten();
        let mut used: Vec<_> = entries
            .filter_map(stamp)
            .filter(|(_, version)| is_version(version))
            .collect();
        used.sort_by(|a, b| b.cmp(a));
        used
    }

    /// Removes folders without attempts. What cannot be removed costs space and nothing else. The versions themselves stay in the store: they are small,
    /// and a later one builds on them.
    fn clean(&self, version: &str) {
        let trees = self.dir.join("trees");
        let is_old = |when: SystemTime| when.elapsed().is_ok_and(|age| age > KEPT_FOR);
        let old = self
            .used()
            .into_iter()
            .skip(KEPT)
            .filter(|(when, other)| is_old(*when) && other != version);
        let old: Vec<_> = old
            .map(|(_, old)| old)
            .filter(|old| trees.join(old).exists())
            .collect();
        let beside = fs::read_dir(&trees)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let (left, aside): (Vec<_>, Vec<_>) = beside
            .filter(|name| name.starts_with(BESIDE) || name.starts_with(ASIDE))
            .partition(|name| name.starts_with(BESIDE));
        // The lock is held while one is made: these are from a process that was killed.
        for name in left {
            let _ = fs::remove_dir_all(trees.join(name));
        }
        if old.is_empty() && aside.is_empty() {
            return;
        }
        let places = places();
        let is_free = |name: &String| {
            !places
                .iter()
                .any(|place| place.starts_with(trees.join(name)))
        };
        for name in aside.into_iter().filter(is_free) {
            let _ = fs::remove_dir_all(trees.join(name));
        }
        for name in old.into_iter().filter(is_free) {
            let _ = fs::remove_file(self.dir.join("notes").join(&name));
            let _ = fs::remove_dir_all(trees.join(name));
        }
    }
}

/// Where the processes of this machine are.
fn places() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok())
        .collect()
}

fn lock(dir: &Path) -> Result<File, CodeError> {
    let path = dir.join("lock");
    let trouble = |source| CodeError::File {
        path: path.clone(),
        source,
    };
    let file = private_file::lock_file(&path).map_err(trouble)?;
    file.lock().map_err(trouble)?;
    Ok(file)
}

/// Returns the folder in some code where programs run; `None` where what was said of it leads out of the code, or is not there.
pub fn folder_in(root: &Path, prefix: &str) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let folder = root.join(prefix).canonicalize().ok()?;
    (folder.starts_with(&root) && folder.is_dir()).then_some(folder)
}
