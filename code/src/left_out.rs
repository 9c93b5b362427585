//! Files that are not part of a code version, though git does not ignore them: data, secrets, and leftovers of programs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::file_kind::{self, SOURCE_BYTES_MAX};
use crate::secret;

/// A file that git does not track and that is larger is data, not code.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Files that are named where some were left out.
const NAMED_MAX: usize = 5;
/// It is no longer.
const IGNORE_BYTES_MAX: u64 = 1 << 20;
/// Its patterns are excluded, in the form of `.gitignore`.
pub(crate) const IGNORE_FILE: &str = ".sweepignore";
/// Which files that git does not track may be code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UntrackedRule {
    /// The sweep file or `.sweepignore` names this one.
    Included,
    /// All but large ones.
    NotLarge,
    /// Those that do not look like data, in a folder that is not a repository.
    SourceLike,
}

/// Files that are not part of a version, by why.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    secrets: BTreeSet<String>,
    /// By what their contents look like.
    contents: BTreeMap<String, &'static str>,
    /// Files of which the committed form is kept.
    encrypted: BTreeSet<String>,
    large: BTreeSet<String>,
    /// Files that do not look like source, in a folder that is not a repository.
    data: BTreeSet<String>,
    /// Files that were left out for their sizes, and above which.
    large_paths: Vec<(PathBuf, u64)>,
    /// Files that git tracks, or would.
    withheld: BTreeSet<Vec<u8>>,
    /// Files that are not in the index as they lie there.
    unlike: Vec<PathBuf>,
    is_index_unlike: bool,
    /// Suspected secrets that the user allows.
    kept: BTreeSet<Vec<u8>>,
}

impl LeftOut {
    /// Nothing yet, of the code in a folder.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            kept: kept_by_user(root),
            ..Self::default()
        }
    }

    /// Whether the user says that a file is no secret.
    pub(crate) fn is_kept_by_user(&self, path: &[u8]) -> bool {
        self.kept.contains(path)
    }

    /// Notes a file that git tracks and whose name says that it holds a secret.
    pub(crate) fn withhold_by_name(&mut self, path: &[u8]) {
        self.secrets.insert(path.escape_ascii().to_string());
        self.withhold(path);
    }

    /// Notes a file that holds what looks like a secret.
    pub(crate) fn withhold_by_content(&mut self, path: &[u8], what: &'static str) {
        self.contents.insert(path.escape_ascii().to_string(), what);
        self.withhold(path);
    }

    /// Records a file that belongs to `sweep` itself, which no version needs.
    pub(crate) fn withhold_own(&mut self, path: &[u8]) {
        self.withhold(path);
    }

    fn withhold(&mut self, path: &[u8]) {
        self.withheld.insert(path.to_vec());
        self.unlike.push(OsStr::from_bytes(path).into());
    }

    /// Notes a file that is encrypted wherever it is committed, and of which only that is kept.
    pub(crate) fn keep_encrypted(&mut self, path: &[u8]) {
        self.encrypted.insert(path.escape_ascii().to_string());
        self.note_unlike(path);
    }

    /// Notes a file that the index holds in another form.
    pub(crate) fn note_unlike(&mut self, path: &[u8]) {
        self.unlike.push(OsStr::from_bytes(path).into());
        self.is_index_unlike = true;
    }

    /// Whether the index holds files in another form.
    pub(crate) fn is_index_unlike(&self) -> bool {
        self.is_index_unlike
    }

    /// Files that are not in the index as they lie there.
    pub(crate) fn unlike(&self) -> impl Iterator<Item = &PathBuf> {
        self.unlike.iter()
    }

    /// Whether a file was taken out of the index.
    pub(crate) fn is_withheld(&self, path: &[u8]) -> bool {
        self.withheld.contains(path)
    }

    /// Files that were taken out of the index.
    pub(crate) fn withheld(&self) -> Vec<&[u8]> {
        self.withheld.iter().map(Vec::as_slice).collect()
    }

    /// Returns whether a file that git does not track belongs to the code; one that does not is noted. `rule` says which
    /// may.
    pub(crate) fn keeps(&mut self, path: &[u8], found: &Metadata, rule: UntrackedRule) -> bool {
        let name = || path.escape_ascii().to_string();
        if secret::is_likely(path) && !self.is_kept_by_user(path) {
            self.secrets.insert(name());
            return false;
        }
        let is_long = |limit: u64| found.is_file() && found.len() > limit;
        if rule == UntrackedRule::Included {
            return found.is_file() || found.is_symlink();
        }
        if is_long(FILE_BYTES_MAX) {
            self.large.insert(name());
            self.large_paths
                .push((OsStr::from_bytes(path).into(), FILE_BYTES_MAX));
            return false;
        }
        if rule == UntrackedRule::SourceLike
            && found.is_file()
            && (file_kind::is_data(path) || is_long(SOURCE_BYTES_MAX))
        {
            self.data.insert(name());
            if !file_kind::is_data(path) {
                self.large_paths
                    .push((OsStr::from_bytes(path).into(), SOURCE_BYTES_MAX));
            }
            return false;
        }
        found.is_file() || found.is_symlink()
    }

    /// Returns the files that were too large, each with the size above which it is.
    pub(crate) fn into_large(self) -> Vec<(PathBuf, u64)> {
        self.large_paths
    }

    /// Says what was left out, for a person.
    pub(crate) fn notes(&self) -> Vec<String> {
        let large: Vec<_> = self.large.iter().map(String::as_str).collect();
        let secrets: Vec<_> = self.secrets.iter().map(String::as_str).collect();
        let contents: Vec<_> = self
            .contents
            .iter()
            .map(|(name, what)| format!("{name} ({what})"))
            .collect();
        let contents: Vec<_> = contents.iter().map(String::as_str).collect();
        let data: Vec<_> = self.data.iter().map(String::as_str).collect();
        let encrypted: Vec<_> = self.encrypted.iter().map(String::as_str).collect();
        let keep = format!("a line `!PATH` in {IGNORE_FILE} keeps one that is none");
        let notes = [
            (secrets, format!("not part of the code version, by name a secret ({keep})")),
            (contents, format!("not part of the code version, since there is what looks like a secret in it ({keep})")),
            (large, "not part of the code version, since it has more than 10 MB and git does not track it".to_owned()),
            (
                data,
                format!(
                    "not part of the code version, since the folder is not a repository and this does not look like source (`code: {{include: [PATH]}}` \
                     in the sweep file keeps one, or a line `!PATH` in {IGNORE_FILE})"
                ),
            ),
            (encrypted, "part of the code version only as committed, since a filter encrypts it".to_owned()),
        ];
        let notes = notes
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, why)| {
                let more = names.len().saturating_sub(NAMED_MAX);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!(
                    "{}{more}: {why}",
                    names[..names.len().min(NAMED_MAX)].join(", ")
                )
            });
        notes.collect()
    }
}

/// Returns the paths of lines `!path` in the file of the user that says what is left out.
pub(crate) fn kept_by_user(root: &Path) -> BTreeSet<Vec<u8>> {
    let file = root.join(IGNORE_FILE);
    if !fs::metadata(&file).is_ok_and(|found| found.is_file() && found.len() < IGNORE_BYTES_MAX) {
        return BTreeSet::new();
    }
    let text = fs::read(&file).unwrap_or_default();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.trim_ascii().strip_prefix(b"!"));
    lines
        .map(|path| path.strip_prefix(b"/").unwrap_or(path).to_vec())
        .collect()
}
