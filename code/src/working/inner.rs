//! Repositories inside of a working folder, which are taken in as folders.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::Working;
use crate::error::CodeError;
use crate::git::{feed, line, output, paths};
use crate::private_file;

/// The maximum depth of nested repositories.
const DEPTH_MAX: u32 = 4;

impl Working {
    /// Returns the paths of submodules.
    pub(super) fn links(&self) -> Result<Vec<Vec<u8>>, CodeError> {
        if !self.root.join(".gitmodules").exists() {
            return Ok(Vec::new());
        }
        let staged = output(self.git().args(["ls-files", "-z", "--stage"]))?;
        let link = |entry: &[u8]| {
            let path = entry
                .strip_prefix(b"160000 ")
                .and_then(|rest| Some(&rest[rest.iter().position(|byte| *byte == b'\t')? + 1..]))?;
            // One that was never checked out is not there to be executed.
            self.root
                .join(OsStr::from_bytes(path))
                .join(".git")
                .exists()
                .then(|| path.to_owned())
        };
        Ok(paths(&staged).filter_map(link).collect())
    }

    /// Writes the tree with the repositories inside of it in their places; returns its hash.
    pub(super) fn take_in(
        &mut self,
        repositories: &[Vec<u8>],
        links: &[Vec<u8>],
        notes: &mut Vec<String>,
    ) -> Result<String, CodeError> {
        let whole = self.private.join("index.whole");
        let trouble = |source| CodeError::File {
            path: whole.clone(),
            source,
        };
        let own = self.private.join("index");
        if own.exists() {
            private_file::copy(&own, &whole).map_err(trouble)?;
        } else if whole.exists() {
            fs::remove_file(&whole).map_err(trouble)?;
        }
        let removed: Vec<u8> = links
            .iter()
            .flat_map(|link| [link.as_slice(), b"\0"].concat())
            .collect();
        if !removed.is_empty() {
            feed(
                self.git().env("GIT_INDEX_FILE", &whole).args([
                    "update-index",
                    "--force-remove",
                    "-z",
                    "--stdin",
                ]),
                &removed,
            )?;
        }
        let mut inner = Vec::new();
        for path in repositories {
            let name = path.escape_ascii().to_string();
            if self.depth >= DEPTH_MAX {
                notes.push(format!(
                    "{name}: not part of the code version, since repositories are nested too deep"
                ));
                continue;
            }
            let mut code = self.take_inner(path)?;
            code.is_active = self.is_active || self.attempts().has_any();
            let snapshot = code.snapshot()?;
            notes.extend(snapshot.notes.iter().map(|note| format!("{name}{note}")));
            self.borrow_from(&code)?;
            let prefix = [b"--prefix=".as_slice(), path].concat();
            output(
                self.git()
                    .env("GIT_INDEX_FILE", &whole)
                    .arg("read-tree")
                    .arg(OsStr::from_bytes(&prefix))
                    .arg(&snapshot.version),
            )?;
            inner.push((path.clone(), code));
        }
        self.inner = inner;
        Ok(line(output(
            self.git()
                .env("GIT_INDEX_FILE", &whole)
                .args(self.settings.write_tree()),
        )?))
    }

    /// Takes a repository inside of this one from the last snapshot, or finds it where it is new.
    fn take_inner(&mut self, path: &[u8]) -> Result<Self, CodeError> {
        let known = self.inner.iter().position(|(known, _)| known == path);
        if let Some(index) = known {
            return Ok(self.inner.swap_remove(index).1);
        }
        let found = Self::find_at(
            &self.root.join(OsStr::from_bytes(path)),
            &self.private.join("inner"),
            self.depth + 1,
        )?;
        Ok(Self {
            within: [self.within.as_slice(), path].concat(),
            takes_secrets: self.takes_secrets,
            sweep: self.sweep.clone(),
            ..found
        })
    }

    /// Makes the objects of a repository inside of this one known here.
    fn borrow_from(&self, inner: &Self) -> Result<(), CodeError> {
        let alternates = self.private.join("objects/info/alternates");
        let trouble = |source| CodeError::File {
            path: alternates.clone(),
            source,
        };
        let mut known = match fs::read(&alternates) {
            Ok(known) => known,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(trouble(error)),
        };
        let objects = inner.private.join("objects");
        if !known
            .split(|byte| *byte == b'\n')
            .any(|line| line == objects.as_os_str().as_bytes())
        {
            known.extend_from_slice(objects.as_os_str().as_bytes());
            known.push(b'\n');
            private_file::write(&alternates, &known).map_err(trouble)?;
        }
        Ok(())
    }
}
