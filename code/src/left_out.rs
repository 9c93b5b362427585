//! What is not part of a version of the code, though git does not ignore it: data, secrets, and what programs leave behind.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::secret;

/// A file that git does not track and that is larger is data, not code.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Files that are named where some were left out.
const NAMED_MAX: usize = 5;
/// What people write into it is left out, in the form of `.gitignore`.
pub(crate) const IGNORE_FILE: &str = ".sweepignore";
/// What interpreters, trackers and training programs write beside the code, in the form of `.gitignore`. Whoever tracks such a file with git keeps it.
pub(crate) const OUTPUTS: [&str; 25] = [
    "__pycache__/",
    "*.pyc",
    ".ipynb_checkpoints/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".venv/",
    "venv/",
    "node_modules/",
    "wandb/",
    "mlruns/",
    "lightning_logs/",
    "checkpoints/",
    "*.ckpt",
    "*.pt",
    "*.pth",
    "*.safetensors",
    "*.npz",
    "events.out.tfevents.*",
    "*.log",
    ".DS_Store",
    "core.[0-9]*",
    // The data of a controller: a version that held those before it would grow with each.
    "sweep.db",
    "sweep.db-*",
    "code.git/",
];

/// Files that are not part of a version, by why.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    secrets: BTreeSet<String>,
    large: BTreeSet<String>,
    large_paths: Vec<PathBuf>,
}

impl LeftOut {
    /// Returns whether a file that git does not track belongs to the code; one that does not is noted.
    pub(crate) fn keeps(&mut self, path: &[u8], found: &Metadata) -> bool {
        let name = || path.escape_ascii().to_string();
        if secret::is_likely(path) {
            self.secrets.insert(name());
            return false;
        }
        if Self::is_large(found) {
            self.large.insert(name());
            self.large_paths.push(OsStr::from_bytes(path).into());
            return false;
        }
        found.is_file() || found.is_symlink()
    }

    /// Whether a file is data by its size.
    pub(crate) fn is_large(found: &Metadata) -> bool {
        found.is_file() && found.len() > FILE_BYTES_MAX
    }

    /// Returns the files that were too large.
    pub(crate) fn into_large(self) -> Vec<PathBuf> {
        self.large_paths
    }

    /// Says what was left out, for a person.
    pub(crate) fn notes(&self) -> Vec<String> {
        let why = [
            (&self.secrets, "it looks like a secret", "they look like secrets"),
            (&self.large, "it has more than 10 MB", "they have more than 10 MB"),
        ];
        let left_out = why.into_iter().filter(|(names, _, _)| !names.is_empty());
        let notes = left_out.map(|(names, one, several)| {
            let named: Vec<_> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
            let more = names.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let (why, what) = if names.len() == 1 { (one, "it") } else { (several, "them") };
            format!("{}{more}: not part of the code version, since {why} and git does not track {what}", named.join(", "))
        });
        notes.collect()
    }
}
