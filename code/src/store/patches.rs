//! Patches: how versions differ from commits, kept beside the versions.

use std::collections::BTreeSet;

use super::{CodeStore, commit, refuse_name};
use crate::error::CodeError;
use crate::git::{answer, line, output, quick};

/// The name under which the difference of a version from its commit is kept.
const PATCH_FILE: &str = "patch";

impl CodeStore {
    /// Keeps how a version differs from a commit. What is there stays: it does not change.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn keep_patch(&self, version: &str, commit_of: &str, text: &str) -> Result<(), CodeError> {
        refuse_name(version)?;
        refuse_name(commit_of)?;
        let name = patch_of(version, commit_of);
        if quick(self.git().args(["rev-parse", "--verify", "--quiet", &name])) {
            return Ok(());
        }
        let file = line(answer(
            self.git().args(["hash-object", "-w", "--stdin"]),
            text.as_bytes(),
        )?);
        let tree = line(answer(
            self.git().arg("mktree"),
            format!("100644 blob {file}\t{PATCH_FILE}\n").as_bytes(),
        )?);
        output(
            self.git()
                .args(["update-ref", &name, &commit(&mut self.git(), &tree)?]),
        )
        .map(drop)
    }

    /// Returns how a version differs from a commit, where that is kept.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn patch(&self, version: &str, commit_of: &str) -> Result<Option<String>, CodeError> {
        refuse_name(version)?;
        refuse_name(commit_of)?;
        let name = patch_of(version, commit_of);
        if !quick(self.git().args(["rev-parse", "--verify", "--quiet", &name])) {
            return Ok(None);
        }
        let text = output(
            self.git()
                .args(["cat-file", "blob"])
                .arg(format!("{name}:{PATCH_FILE}")),
        )?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Returns of which versions it is kept how they differ from which commits.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn patches(&self) -> Result<BTreeSet<(String, String)>, CodeError> {
        let listed = output(self.git().args([
            "for-each-ref",
            "--format=%(refname:lstrip=2)",
            "refs/patches",
        ]))?;
        let listed = String::from_utf8_lossy(&listed);
        Ok(listed
            .lines()
            .filter_map(|name| name.split_once('/'))
            .map(|(version, commit)| (version.to_owned(), commit.to_owned()))
            .collect())
    }
}

/// The name under which it is kept how a version differs from a commit.
fn patch_of(version: &str, commit: &str) -> String {
    format!("refs/patches/{version}/{commit}")
}
