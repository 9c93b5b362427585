//! Declared data sets: what is in them, by content, and cheap on the second look.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sweep_proto::v1::{DataSet, DataSource};

use super::bucket;
use crate::private::{self, Durability, PrivateDir};

/// A set that is larger is told by the sizes and times of its files: to read it would delay the
/// first run for too long.
const BYTES_MAX: u64 = 20 << 30;
/// The same for a set that takes longer to read.
const READ_TIME_MAX: Duration = Duration::from_secs(120);
/// A set of more files is not looked at.
const FILES_MAX: usize = 500_000;
/// A look is valid for this multiple of its duration, so that looking takes at most a twentieth of
/// the time.
const LOOKS_APART: u32 = 20;
/// A file that was written so shortly before may be written again without a change in its time.
const SETTLED: Duration = Duration::from_secs(2);
/// Where the digests of files are kept in a folder for runs.
const FOLDER: &str = "digests";
const STORE: &str = "data.json";
/// Of a file, at once.
const PIECE_BYTES: usize = 256 << 10;

/// The digest is made of what the files hold.
const CONTENT: &str = "content";
/// The digest is made of the sizes of files and when they were written.
const SIZE_AND_TIME: &str = "size and time";

/// Looks at declared data sets, again and again.
#[derive(Debug)]
pub(crate) struct DataKeeper {
    workdir: PathBuf,
    /// Where the digests of files are kept for the next agent.
    runs_dir: PathBuf,
    known: BTreeMap<PathBuf, KnownDigest>,
    /// Sets that took too long to read.
    slow: BTreeSet<String>,
    last: Option<LastScan>,
}

/// The result of the last scan, and its time.
#[derive(Debug)]
struct LastScan {
    sources: Vec<DataSource>,
    looked: Instant,
    took: Duration,
    sets: Vec<DataSet>,
}

/// The digest of a file, and of which state of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownDigest {
    inode: u64,
    written: (i64, i64),
    bytes: u64,
    digest: String,
}

/// A file or a link of a data set.
struct DataEntry {
    /// From the root of the set.
    path: PathBuf,
    /// Where a link leads that is not followed.
    link: Option<PathBuf>,
    inode: u64,
    written: (i64, i64),
    bytes: u64,
}

impl DataKeeper {
    /// Makes one for data below `workdir`, or anywhere. Digests of files are kept in `runs_dir`.
    pub(crate) fn new(workdir: PathBuf, runs_dir: &Path) -> Self {
        let read = || {
            serde_json::from_slice(&private::read(&runs_dir.join(FOLDER).join(STORE)).ok()?).ok()
        };
        let known = read().unwrap_or_default();
        Self {
            workdir,
            runs_dir: runs_dir.to_owned(),
            known,
            slow: BTreeSet::new(),
            last: None,
        }
    }

    /// Returns the sets as they are. For a blocking thread: the first look reads all of them.
    pub(crate) fn look(&mut self, sources: &[DataSource]) -> Vec<DataSet> {
        if let Some(last) = &self.last
            && last.sources == sources
            && last.looked.elapsed() < last.took * LOOKS_APART
        {
            return last.sets.clone();
        }
        let began = Instant::now();
        let before = self.known.clone();
        let sets: Vec<_> = sources.iter().map(|source| self.set(source)).collect();
        if self.known != before {
            self.keep();
        }
        self.last = Some(LastScan {
            sources: sources.to_vec(),
            looked: Instant::now(),
            took: began.elapsed(),
            sets: sets.clone(),
        });
        sets
    }

    fn set(&mut self, source: &DataSource) -> DataSet {
        let mut set = DataSet {
            name: source.name.clone(),
            location: source.location.clone(),
            ..DataSet::default()
        };
        let found = match source.location.split_once("://") {
            Some(_) => bucket::listed(&source.location).map(|listing| {
                (set.digest, set.files, set.bytes) =
                    (listing.digest, listing.objects, listing.bytes);
                "versions".clone_into(&mut set.basis);
            }),
            None => self.files(&mut set),
        };
        if let Err(reason) = found {
            set.note = reason;
        }
        set
    }

    fn files(&mut self, set: &mut DataSet) -> Result<(), String> {
        let root = self.workdir.join(&set.location);
        let entries = walk(&root)?;
        (set.files, set.bytes) = (
            entries.len() as u64,
            entries.iter().map(|entry| entry.bytes).sum(),
        );
        let by_content = if set.bytes > BYTES_MAX {
            set.note = format!(
                "larger than {} GB, so that its files were not read",
                BYTES_MAX >> 30
            );
            None
        } else if self.slow.contains(&set.location) {
            set.note = slow();
            None
        } else {
            let digests = self.contents(&root, &entries)?;
            if digests.is_none() {
                self.slow.insert(set.location.clone());
                set.note = slow();
            }
            digests
        };
        set.basis = if by_content.is_some() {
            CONTENT
        } else {
            SIZE_AND_TIME
        }
        .to_owned();
        let mut hash = Sha256::new();
        for (index, entry) in entries.iter().enumerate() {
            let path = entry.path.as_os_str().as_bytes();
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            match (&entry.link, &by_content) {
                (Some(link), _) => hash.update(link.as_os_str().as_bytes()),
                (None, Some(digests)) => hash.update(&digests[index]),
                (None, None) => hash.update(format!("{} {:?}", entry.bytes, entry.written)),
            }
        }
        set.digest = hex::encode(hash.finalize());
        Ok(())
    }

    /// Returns the digest of each entry; `None`: it takes too long.
    fn contents(
        &mut self,
        root: &Path,
        entries: &[DataEntry],
    ) -> Result<Option<Vec<String>>, String> {
        let began = Instant::now();
        let mut digests = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.link.is_some() {
                digests.push(String::new());
                continue;
            }
            let path = if entry.path.as_os_str().is_empty() {
                root.to_owned()
            } else {
                root.join(&entry.path)
            };
            let state = |digest| KnownDigest {
                inode: entry.inode,
                written: entry.written,
                bytes: entry.bytes,
                digest,
            };
            if let Some(known) = self
                .known
                .get(&path)
                .filter(|known| **known == state(known.digest.clone()))
            {
                digests.push(known.digest.clone());
                continue;
            }
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let deadline = began + READ_TIME_MAX;
            let Some(digest) =
                read(&path, deadline).map_err(|error| format!("{}: {error}", path.display()))?
            else {
                return Ok(None);
            };
            let settled = u64::try_from(entry.written.0)
                .is_ok_and(|written| Duration::from_secs(written) + SETTLED < now);
            if settled {
                self.known.insert(path, state(digest.clone()));
            }
            digests.push(digest);
        }
        Ok(Some(digests))
    }

    /// Writes down what is known. Without it the next agent reads the files again, and nothing else
    /// is lost.
    fn keep(&self) {
        let kept = serde_json::to_vec(&self.known).map_err(io::Error::other);
        let kept = kept.and_then(|bytes| {
            PrivateDir::make(&self.runs_dir, Path::new(FOLDER))?.replace(
                OsStr::new(STORE),
                &bytes,
                Durability::Cached,
            )
        });
        if let Err(error) = kept {
            tracing::debug!(%error, "the digests of data cannot be kept");
        }
    }
}

fn slow() -> String {
    format!(
        "it takes longer than {} seconds to read, so that only sizes and times were looked at",
        READ_TIME_MAX.as_secs()
    )
}

/// Returns the SHA-256 of a file; `None`: it takes too long.
fn read(path: &Path, deadline: Instant) -> io::Result<Option<String>> {
    // What has become a FIFO since it was listed is not waited for.
    let mut file = fs::File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file any more"));
    }
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Some(hex::encode(hash.finalize()))),
            read => hash.update(&piece[..read]),
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
    }
}

/// Returns all files below a folder, or the one file, sorted by path. Links to files are followed,
/// links to folders are not: they may lead in circles.
fn walk(root: &Path) -> Result<Vec<DataEntry>, String> {
    let trouble = |path: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{} is not there", path.display()),
        _ => format!("{}: {error}", path.display()),
    };
    let entry = |path: PathBuf, found: &fs::Metadata| DataEntry {
        path,
        link: None,
        inode: found.ino(),
        written: (found.mtime(), found.mtime_nsec()),
        bytes: found.len(),
    };
    let about = fs::metadata(root).map_err(|error| trouble(root, error))?;
    if about.is_file() {
        return Ok(vec![entry(PathBuf::new(), &about)]);
    }
    let (mut entries, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        let place = root.join(&folder);
        for child in fs::read_dir(&place).map_err(|error| trouble(&place, error))? {
            let child = child.map_err(|error| trouble(&place, error))?;
            let path = folder.join(child.file_name());
            let kind = child.file_type().map_err(|error| trouble(&place, error))?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            match fs::metadata(child.path()) {
                Ok(found) if found.is_file() => entries.push(entry(path, &found)),
                // Sockets and their like hold no data.
                Ok(_) if !kind.is_symlink() => {}
                _ => {
                    let link = fs::read_link(child.path()).unwrap_or_default();
                    entries.push(DataEntry {
                        path,
                        link: Some(link),
                        inode: 0,
                        written: (0, 0),
                        bytes: 0,
                    });
                }
            }
            if entries.len() > FILES_MAX {
                return Err(format!(
                    "more than {FILES_MAX} files: name the relevant ones, or pack the folder"
                ));
            }
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a file as if a while ago.
    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        let before = SystemTime::now() - Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(before)
            .unwrap();
    }

    fn keeper(dir: &Path) -> DataKeeper {
        DataKeeper::new(dir.to_owned(), dir)
    }

    fn look(dir: &Path, location: &str) -> DataSet {
        keeper(dir)
            .look(&[DataSource {
                name: "it".to_owned(),
                location: location.to_owned(),
            }])
            .remove(0)
    }

    #[test]
    fn a_digest_is_of_names_and_contents_and_of_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["one/deep", "other/deep"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
            write(&dir.path().join(folder).join("a.bin"), "123");
        }
        write(&dir.path().join("one/b"), "4");
        fs::write(dir.path().join("other/b"), "4").unwrap();
        let (one, other) = (look(dir.path(), "one"), look(dir.path(), "other"));
        assert_eq!(
            (&one.digest, &*one.basis, one.files, one.bytes),
            (&other.digest, CONTENT, 2, 4)
        );
        write(&dir.path().join("other/b"), "5");
        assert_ne!(look(dir.path(), "other").digest, one.digest);
        fs::rename(dir.path().join("one/b"), dir.path().join("one/c")).unwrap();
        assert_ne!(look(dir.path(), "one").digest, one.digest);
        assert_eq!(
            look(dir.path(), "one/deep/a.bin").digest,
            look(dir.path(), "other/deep/a.bin").digest,
            "a file's name is not part of the digest"
        );
    }

    #[test]
    fn a_file_that_has_not_changed_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        let path = dir.path().join("data/a");
        write(&path, "123");
        let first = look(dir.path(), "data");
        let kept = fs::read_to_string(dir.path().join("digests/data.json")).unwrap();
        // Only what was kept can say so.
        fs::write(
            dir.path().join("digests/data.json"),
            kept.replace("a665a459", "00000000"),
        )
        .unwrap();
        assert_ne!(look(dir.path(), "data").digest, first.digest);
        fs::write(dir.path().join("digests/data.json"), "no JSON").unwrap();
        assert_eq!(look(dir.path(), "data").digest, first.digest);
    }

    #[test]
    fn what_is_not_there_is_said_and_links_are_not_followed_in_circles() {
        let dir = tempfile::tempdir().unwrap();
        let missing = look(dir.path(), "missing");
        assert!(
            missing.digest.is_empty() && missing.note.ends_with("missing is not there"),
            "{missing:?}"
        );
        fs::create_dir(dir.path().join("data")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("data/up")).unwrap();
        assert_eq!(look(dir.path(), "data").files, 1);
    }
}
