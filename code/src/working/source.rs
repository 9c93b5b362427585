//! Where bundles of what was captured come from.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::CodeError;
use crate::git::{output, private_git, quick};
use crate::store::{bundle, commit, is_version, name_of};

/// The recorded state of a working folder, whether or not it is used.
#[derive(Clone, Debug)]
pub struct Source {
    private: PathBuf,
    root: PathBuf,
}

impl Source {
    pub(super) fn new(private: &Path, root: &Path) -> Self {
        Self {
            private: private.to_owned(),
            root: root.to_owned(),
        }
    }

    /// Returns the path of a file for a bundle, of a name that no other has.
    ///
    /// # Errors
    /// [`CodeError::File`].
    pub fn file(&self) -> Result<PathBuf, CodeError> {
        let trouble = |source| CodeError::File {
            path: self.private.clone(),
            source,
        };
        let file = tempfile::Builder::new()
            .prefix("bundle")
            .tempfile_in(&self.private)
            .map_err(trouble)?;
        file.into_temp_path()
            .keep()
            .map_err(|error| trouble(error.error))
    }

    /// Writes a bundle of a version that a look has seen, for a receiver that has some others already.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn bundle(&self, version: &str, have: &[String], to: &Path) -> Result<(), CodeError> {
        if !is_version(version) {
            return Err(CodeError::NoVersion(version.escape_debug().to_string()));
        }
        // No ref is ever made in the user's.
        let own = || self.git();
        output(own().args([
            "update-ref",
            &name_of(version),
            &commit(&mut own(), version)?,
        ]))?;
        // What was never seen here cannot be built upon.
        let seen =
            |other: &str| quick(own().args(["cat-file", "-e", &format!("{other}^{{tree}}")]));
        let have: Vec<_> = have
            .iter()
            .filter(|other| is_version(other) && *other != version && seen(other))
            .collect();
        bundle(&mut own(), version, &have, to)
    }

    /// The folder that versions of it are of.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// git in our own repository, which knows the objects of the user's.
    pub(crate) fn git(&self) -> Command {
        let mut git = private_git();
        git.env("GIT_DIR", &self.private);
        git
    }
}
