//! Snapshots: the code of versions, kept as git objects and handed on as bundles.
//!
//! A version is kept by a commit without parents whose text depends on nothing but its tree, so that the same version is the same object
//! everywhere and one bundle can build on another. What comes in is hostile until it has been checked: git checks every object, and the
//! commit has to be exactly the one that the version's name says.

mod backup;
mod patches;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::CodeError;
use crate::git::{
    UMASK, git_found, line, make_bare, output, packed, paths, pieces, private_git, quick,
};
use crate::secret;

/// More files, or bytes in all of them, than this are not checked out: no code is so large, and a small bundle may unfold to anything.
const FILES_MAX: usize = 500_000;
const BYTES_MAX: u64 = 8 << 30;
/// A file that may be no smudged text.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A bare repository of snapshots.
#[derive(Clone, Debug)]
pub struct CodeStore {
    dir: PathBuf,
}

/// The size of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionSize {
    /// How many files.
    pub files: usize,
    /// How many bytes in all of them.
    pub bytes: u64,
}

impl CodeStore {
    /// Opens the store in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn open(dir: &Path) -> Result<Self, CodeError> {
        make_bare(dir, "sha1")?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Returns whether a version is kept here.
    pub fn holds(&self, version: &str) -> bool {
        is_version(version)
            && quick(
                self.git()
                    .args(["rev-parse", "--verify", "--quiet"])
                    .arg(format!("{}^{{commit}}", name_of(version))),
            )
    }

    /// Returns which of some versions are kept here.
    pub fn kept(&self, versions: &[String]) -> BTreeSet<String> {
        let names: Vec<_> = versions
            .iter()
            .filter(|version| is_version(version))
            .map(|version| name_of(version))
            .collect();
        if names.is_empty() {
            return BTreeSet::new();
        }
        // Each name is that of one ref, or the beginning of none.
        let listed = output(
            self.git()
                .args(["for-each-ref", "--format=%(refname:lstrip=2)"])
                .args(&names),
        )
        .unwrap_or_default();
        String::from_utf8_lossy(&listed)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Takes in the bundle of a version. Nothing is kept of one that is not exactly that, or that unfolds to more than any code.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn receive(&self, version: &str, bundle: &Path) -> Result<(), CodeError> {
        refuse_name(version)?;
        if self.holds(version) {
            return Ok(());
        }
        let incoming = format!("refs/incoming/{version}");
        packed(
            self.fetching(bundle)
                .arg(format!("+{}:{incoming}", name_of(version))),
            None,
        )?;
        let kept = self.keep(version, &incoming);
        let removed = output(self.git().args(["update-ref", "-d", &incoming]));
        kept.and(removed.map(drop))
    }

    /// git about to fetch from an untrusted bundle.
    fn fetching(&self, bundle: &Path) -> Command {
        let mut fetch = self.git();
        for setting in [
            "transfer.fsckObjects=true",
            "fetch.fsckObjects=true",
            "fetch.unpackLimit=1",
            "protocol.allow=never",
            "protocol.file.allow=always",
        ] {
            fetch.args(["-c", setting]);
        }
        fetch.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
        ]);
        fetch.arg(bundle);
        fetch
    }

    fn keep(&self, version: &str, incoming: &str) -> Result<(), CodeError> {
        // Each later look at its files walks through all of them.
        self.size(version)?;
        let found = line(output(
            self.git()
                .args(["rev-parse", "--verify"])
                .arg(format!("{incoming}^{{commit}}")),
        )?);
        // Made here from the tree alone, if the tree is there.
        let expected = commit(&mut self.git(), version)?;
        if found != expected {
            return Err(CodeError::Mismatch(version.to_owned()));
        }
        output(
            self.git()
                .args(["update-ref", &name_of(version), &expected]),
        )
        .map(drop)
    }

    /// Writes a bundle of a version for a receiver that has some others already.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn bundle(&self, version: &str, have: &[String], to: &Path) -> Result<(), CodeError> {
        refuse_name(version)?;
        let have: Vec<_> = have
            .iter()
            .filter(|other| *other != version && self.holds(other))
            .collect();
        bundle(&mut self.git(), version, &have, to)
    }

    /// Returns how much a version holds.
    ///
    /// # Errors
    /// See [`CodeError`]; [`CodeError::TooLarge`] where it is more than any code.
    pub fn size(&self, version: &str) -> Result<VersionSize, CodeError> {
        refuse_name(version)?;
        let mut list = self.git();
        // Folders as well: those that hold nothing but folders take as long.
        list.args(["ls-tree", "-r", "-t", "-l", "-z", version]);
        let (size, ended) = pieces(&mut list, None, |listed| {
            let (mut size, mut folders) = (VersionSize::default(), 0);
            for entry in BufReader::new(listed).split(0).map_while(Result::ok) {
                // `mode type hash size\tpath`; folders and submodules that were never checked out have a dash.
                let head = entry
                    .split(|byte| *byte == b'\t')
                    .next()
                    .unwrap_or_default();
                let text = String::from_utf8_lossy(head);
                let mut fields = text.split_whitespace().skip(1);
                if fields.next() == Some("tree") {
                    folders += 1;
                } else {
                    size.files += 1;
                    size.bytes = size.bytes.saturating_add(
                        fields
                            .nth(1)
                            .and_then(|bytes| bytes.parse().ok())
                            .unwrap_or(0),
                    );
                }
                // A few small trees that name each other unfold to more entries than anybody could list.
                if size.files + folders > FILES_MAX || size.bytes > BYTES_MAX {
                    return (size, true);
                }
            }
            (size, false)
        })?;
        if let (VersionSize { files, bytes }, true) = size {
            return Err(CodeError::TooLarge(format!(
                "version {version} unfolds to {files} files and {} MB or more, which is no code: at most {FILES_MAX} files and folders and {} MB are taken",
                bytes >> 20,
                BYTES_MAX >> 20
            )));
        }
        ended.checked(&list)?;
        Ok(size.0)
    }

    /// Writes the files of a version into an empty folder, and reads them again: what is there then is exactly that version.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn check_out(&self, version: &str, dir: &Path) -> Result<CheckedOut, CodeError> {
        let index = self.dir.join(format!("index.{}", std::process::id()));
        let written = self.write_out(version, dir, &index);
        let _ = fs::remove_file(&index);
        written
    }

    /// Does that, and keeps git's notes on the files in `index`: see [`CodeStore::is_intact`].
    pub(crate) fn write_out(
        &self,
        version: &str,
        dir: &Path,
        index: &Path,
    ) -> Result<CheckedOut, CodeError> {
        let size = self.size(version)?;
        let trouble = |source| CodeError::File {
            path: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(trouble)?;
        if fs::read_dir(dir).map_err(trouble)?.next().is_some() {
            return Err(trouble(io::Error::from(io::ErrorKind::DirectoryNotEmpty)));
        }
        let dir = dir.canonicalize().map_err(trouble)?;
        let here = || self.over(&dir, index);
        let written = output(here().args(["read-tree", version]))
            .and_then(|_| output(here().args(["checkout-index", "--all", "--quiet"])))
            .and_then(|_| output(here().args(["add", "--all", "--force", "."])))
            .and_then(|_| output(here().arg("write-tree")));
        let pointers = self.pointers(version);
        let found = line(written?);
        if found != version {
            return Err(CodeError::Mismatch(version.to_owned()));
        }
        Ok(CheckedOut {
            size,
            pointers: pointers?,
        })
    }

    /// Returns the paths of files that only point to what Git LFS keeps elsewhere.
    fn pointers(&self, version: &str) -> Result<Vec<String>, CodeError> {
        let text = String::from_utf8_lossy(LFS_POINTER).into_owned();
        let mut grep = self.git();
        let found =
            git_found(grep.args(["grep", "-z", "-l", "--fixed-strings", "-e", &text, version]))?;
        let path = |entry: &[u8]| {
            String::from_utf8_lossy(
                &entry[entry
                    .iter()
                    .position(|byte| *byte == b':')
                    .map_or(0, |at| at + 1)..],
            )
            .into_owned()
        };
        let is_small = |path: &String| {
            let size = output(
                self.git()
                    .args(["cat-file", "-s"])
                    .arg(format!("{version}:{path}")),
            )
            .map(line)
            .unwrap_or_default();
            size.parse::<u64>().is_ok_and(|size| size < 1024)
        };
        Ok(paths(&found).map(path).filter(is_small).collect())
    }

    /// Returns how two versions differ, as `git diff` says it, with keys hidden; with `stat`, only which files and how much.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn diff(
        &self,
        from: &str,
        to: &str,
        stat: bool,
        color: bool,
    ) -> Result<Vec<u8>, CodeError> {
        let color = if color {
            "--color=always"
        } else {
            "--color=never"
        };
        let form = if stat { "--stat" } else { "--patch" };
        let text = self.diff_trees(from, to, &["--find-renames", form, color])?;
        Ok(match std::str::from_utf8(&text).map(secret::redacted) {
            Ok(Cow::Owned(shown)) => shown.into_bytes(),
            Ok(Cow::Borrowed(_)) => text,
            Err(_) => secret::redacted(&String::from_utf8_lossy(&text))
                .into_owned()
                .into_bytes(),
        })
    }

    /// Compares two versions as the options say.
    fn diff_trees(&self, from: &str, to: &str, options: &[&str]) -> Result<Vec<u8>, CodeError> {
        refuse_name(from)?;
        refuse_name(to)?;
        self.refuse_too_large(&[from, to])?;
        let mut diff = self.git();
        diff.args(["diff-tree", "-r", "--no-ext-diff", "--no-textconv"]);
        output(diff.args(options).args([from, to]))
    }

    /// A version that an earlier program has taken in may unfold to anything.
    fn refuse_too_large(&self, versions: &[&str]) -> Result<(), CodeError> {
        let is_too_large = |version: &&str| {
            self.size(version)
                .err()
                .filter(|error| matches!(error, CodeError::TooLarge(_)))
        };
        versions.iter().find_map(is_too_large).map_or(Ok(()), Err)
    }

    /// Returns how much two versions differ.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn changes(&self, from: &str, to: &str) -> Result<Changes, CodeError> {
        let listed = self.diff_trees(from, to, &["-z", "--no-renames", "--numstat"])?;
        let mut changes = Changes::default();
        for entry in paths(&listed) {
            let text = String::from_utf8_lossy(entry);
            // Binary files have dashes.
            let mut numbers = text
                .split('\t')
                .take(2)
                .map(|number| number.parse::<u64>().unwrap_or(0));
            changes.files += 1;
            changes.added += numbers.next().unwrap_or(0);
            changes.removed += numbers.next().unwrap_or(0);
        }
        Ok(changes)
    }

    /// Returns whether the files of a version that was written are as they were, by the notes that were kept. Files that came since do not count.
    pub(crate) fn is_intact(&self, dir: &Path, index: &Path) -> bool {
        index.exists()
            && quick(self.over(dir, index).args([
                "diff-files",
                "--quiet",
                "--ignore-submodules=all",
            ]))
    }

    /// git over the files of a version.
    fn over(&self, dir: &Path, index: &Path) -> Command {
        let mut git = self.git();
        // The user's umask decides which users can read the files.
        git.env_remove(UMASK);
        git.env("GIT_WORK_TREE", dir)
            .env("GIT_INDEX_FILE", index)
            .current_dir(dir);
        git
    }

    fn git(&self) -> Command {
        let mut git = private_git();
        git.env("GIT_DIR", &self.dir);
        git
    }
}

/// How much two versions differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files.
    pub files: u64,
    /// Lines that only the later one has.
    pub added: u64,
    /// Lines that only the earlier one has.
    pub removed: u64,
}

/// The written content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedOut {
    /// How much.
    pub size: VersionSize,
    /// Files that only point to what Git LFS keeps elsewhere.
    pub pointers: Vec<String>,
}

/// Returns whether this may be the name of a version that git has given: 40 or 64 hexadecimal digits.
pub fn is_version(name: &str) -> bool {
    matches!(name.len(), 40 | 64)
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn refuse_name(name: &str) -> Result<(), CodeError> {
    if is_version(name) {
        Ok(())
    } else {
        Err(CodeError::NoVersion(name.escape_debug().to_string()))
    }
}

pub(crate) fn name_of(version: &str) -> String {
    format!("refs/sweep/{version}")
}

/// Creates the commit of a tree, and returns its hash.
pub(crate) fn commit(git: &mut Command, tree: &str) -> Result<String, CodeError> {
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "sweep")
            .env(format!("GIT_{role}_EMAIL"), "")
            .env(format!("GIT_{role}_DATE"), "@0 +0000");
    }
    Ok(line(output(git.args([
        "-c",
        "i18n.commitEncoding=UTF-8",
        "-c",
        "commit.gpgSign=false",
        "commit-tree",
        "-m",
        "A code version of sweep",
        tree,
    ]))?))
}

/// Writes the bundle of a version whose ref is there, without what other versions hold, of which all must be there. They are named by their trees, since
/// git leaves out what a commit holds only for its descendants.
pub(crate) fn bundle(
    git: &mut Command,
    version: &str,
    have: &[&String],
    to: &Path,
) -> Result<(), CodeError> {
    let input = std::iter::once(name_of(version))
        .chain(have.iter().map(|have| format!("^{have}")))
        .collect::<Vec<_>>()
        .join("\n");
    let to = if to.as_os_str() == OsStr::from_bytes(b"-") {
        Path::new("./-")
    } else {
        to
    };
    packed(
        git.args(["bundle", "create", "--quiet"])
            .arg(to)
            .arg("--stdin"),
        Some(input.as_bytes()),
    )
    .map(drop)
}
