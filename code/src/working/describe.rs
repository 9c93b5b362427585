//! Describes a snapshot for people: its commit, its branch, and how it differs from the commit.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::repository::Repository;
use super::{Snapshot, Working};
use crate::error::CodeError;
use crate::git::{line, output, paths, users_git};
use crate::left_out::LeftOut;
use crate::patch::{joined, patch};
use crate::secret;

impl Working {
    /// Adds to a snapshot what a repository says of it.
    pub(super) fn describe(
        &self,
        snapshot: &mut Snapshot,
        left_out: &LeftOut,
    ) -> Result<(), CodeError> {
        let Some(Repository { git_dir, .. }) = &self.repository else {
            return Ok(());
        };
        let ask = |arguments: &[&str]| {
            output(users_git().env("GIT_DIR", git_dir).args(arguments))
                .map(line)
                .unwrap_or_default()
        };
        snapshot.branch = ask(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
        snapshot.branch = secret::redacted(&snapshot.branch).into_owned();
        snapshot.remote = secret::without_secrets_in_url(self.settings.remote());
        let head = ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        if head.is_empty() {
            return Ok(());
        }
        snapshot.subject = output(self.git().args(["log", "--no-walk", "--format=%s", &head]))
            .map(line)
            .unwrap_or_default();
        snapshot.subject = secret::redacted(&snapshot.subject).into_owned();
        snapshot.commit = head;
        let commit = snapshot.commit.as_str();
        // Against the index, which knows nothing of what is in a repository inside of this one.
        let stat = output(self.git().args([
            "diff-index",
            "--cached",
            "--numstat",
            "-z",
            "--no-renames",
            "--ignore-submodules=all",
            commit,
        ]))?;
        let mut names = Vec::new();
        for entry in paths(&stat) {
            let text = String::from_utf8_lossy(entry);
            let name = entry.splitn(3, |byte| *byte == b'\t').nth(2);
            if name.is_some_and(|name| left_out.is_withheld(name)) {
                continue;
            }
            // Binary files have dashes.
            let mut numbers = text
                .split('\t')
                .take(2)
                .map(|number| number.parse().unwrap_or(0));
            let (added, removed) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            let (files, more, fewer) = snapshot.changed;
            snapshot.changed = (files + 1, more + added, fewer + removed);
            names.extend(name);
        }
        let mut differences = self.git();
        let prefix = |side: &[u8]| OsString::from_vec([side, self.within.as_slice()].concat());
        differences
            .args(["diff-index", "--cached"])
            .args([prefix(b"--src-prefix=a/"), prefix(b"--dst-prefix=b/")])
            .arg(commit);
        // Without it the version is as good.
        let own = patch(differences, &names, &left_out.withheld()).unwrap_or_default();
        snapshot.patch = self.with_inner(own, &mut snapshot.changed).into();
        Ok(())
    }

    /// Adds how repositories inside of this one differ from their own commits.
    fn with_inner(&self, own: String, (files, added, removed): &mut (u64, u64, u64)) -> String {
        let inner: Vec<_> = self
            .inner
            .iter()
            .filter_map(|(_, inner)| Some(&inner.last.as_ref()?.snapshot))
            .collect();
        for Snapshot {
            changed: (more, plus, minus),
            ..
        } in &inner
        {
            (*files, *added, *removed) = (*files + more, *added + plus, *removed + minus);
        }
        joined(std::iter::once(own.as_str()).chain(inner.iter().map(|snapshot| &*snapshot.patch)))
    }
}
