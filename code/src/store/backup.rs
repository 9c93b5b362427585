//! Backups of the store: one bundle of all versions.

use std::path::Path;

use super::CodeStore;
use crate::error::CodeError;
use crate::git::{output, packed};

impl CodeStore {
    /// Writes a bundle of all versions, and of how they differ from their commits; returns whether there are any. A version that comes meanwhile is in it or is not.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn back_up(&self, to: &Path) -> Result<bool, CodeError> {
        let listed = output(self.git().args([
            "for-each-ref",
            "--format=%(refname)",
            "refs/sweep",
            "refs/patches",
        ]))?;
        if listed.is_empty() {
            return Ok(false);
        }
        packed(
            self.git()
                .args(["bundle", "create", "--quiet"])
                .arg(to)
                .arg("--stdin"),
            Some(&listed),
        )?;
        Ok(true)
    }

    /// Takes in all versions of such a bundle.
    ///
    /// # Errors
    /// See [`CodeError`]. One of its names does not match its content: then none is reliable.
    pub fn restore(&self, bundle: &Path) -> Result<(), CodeError> {
        packed(
            self.fetching(bundle).args([
                "+refs/sweep/*:refs/sweep/*",
                "+refs/patches/*:refs/patches/*",
            ]),
            None,
        )?;
        let listed = output(self.git().args([
            "for-each-ref",
            "--format=%(refname:lstrip=2) %(tree)",
            "refs/sweep",
        ]))?;
        let listed = String::from_utf8_lossy(&listed);
        match listed.lines().find(|line| {
            line.split_once(' ')
                .is_none_or(|(version, tree)| version != tree)
        }) {
            None => Ok(()),
            Some(line) => Err(CodeError::Mismatch(
                line.split(' ').next().unwrap_or_default().to_owned(),
            )),
        }
    }
}
