//! The user's git configuration for reading files. Nothing else of it is used: it may name programs.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::error::CodeError;
use crate::git::{output, users_git};
use crate::private_file;

/// Keys of which none names a program.
const KEYS: [&str; 12] = [
    "core.attributesfile",
    "core.autocrlf",
    "core.checkstat",
    "core.eol",
    "core.excludesfile",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.protecthfs",
    "core.sparsecheckout",
    "core.symlinks",
    "core.trustctime",
];
const REMOTE: &str = "remote.origin.url";
/// The key of a repository that may lack objects.
const PARTIAL: &str = "extensions.partialclone";
/// How names of indices begin that others share.
const SHARED_INDEX: &str = "sharedindex.";

/// How a user has git read files, and where a repository was fetched from.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// Keys and values, in their order.
    applied: Vec<(String, String)>,
    remote: String,
    is_partial: bool,
}

impl Settings {
    /// Reads those of a repository, with those of the user and of the machine.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub(super) fn read(root: &Path, git_dir: &Path) -> Result<Self, CodeError> {
        let listed = output(
            users_git()
                .current_dir(root)
                .env("GIT_DIR", git_dir)
                .args(["config", "--list", "-z"]),
        )?;
        let listed = String::from_utf8_lossy(&listed);
        let mut settings = Self::default();
        for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
            // A key without a value is true.
            let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            match key {
                REMOTE => value.clone_into(&mut settings.remote),
                PARTIAL => settings.is_partial = true,
                _ if KEYS.contains(&key) => {
                    settings.applied.push((key.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
        Ok(settings)
    }

    /// Has git read files in this way.
    pub(super) fn apply(&self, git: &mut Command) {
        git.env("GIT_CONFIG_COUNT", self.applied.len().to_string());
        for (number, (key, value)) in self.applied.iter().enumerate() {
            git.env(format!("GIT_CONFIG_KEY_{number}"), key)
                .env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
    }

    /// The address that the repository was fetched from, as it is written there.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// The words that have git write a tree.
    pub(super) fn write_tree(&self) -> &'static [&'static str] {
        if self.is_partial {
            &["write-tree", "--missing-ok"]
        } else {
            &["write-tree"]
        }
    }
}

/// Copies the attributes that a repository has beside those in its files.
///
/// # Errors
/// They cannot be read or written.
pub(super) fn copy_attributes(git_dir: &Path, private: &Path) -> io::Result<()> {
    let (theirs, own) = (
        git_dir.join("info/attributes"),
        private.join("info/attributes"),
    );
    if theirs.is_file() {
        private_file::make_folder(&private.join("info"))?;
        return private_file::copy(&theirs, &own);
    }
    match fs::remove_file(own) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Copies indices that an index of the repository may rest on.
///
/// # Errors
/// They cannot be read or written.
pub(super) fn copy_shared_indices(git_dir: &Path, private: &Path) -> io::Result<()> {
    for entry in fs::read_dir(git_dir)?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(SHARED_INDEX)
            && !private.join(&name).exists()
            && entry.path().is_file()
        {
            private_file::copy(&entry.path(), &private.join(&name))?;
        }
    }
    Ok(())
}
