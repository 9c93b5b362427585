//! The private index that a snapshot begins with.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Working;
use super::repository::Repository;
use super::settings::{self, Settings};
use crate::error::CodeError;
use crate::left_out::IGNORE_FILE;
use crate::private_file;

/// Files that git reads of the folder itself, and would wait for if they were FIFOs.
const READ_BY_GIT: [&str; 4] = [".gitignore", ".gitattributes", ".gitmodules", IGNORE_FILE];

impl Working {
    /// Prepares the index: a copy of the user's, or none.
    pub(super) fn begin(&mut self) -> Result<(), CodeError> {
        let trouble = |path: &Path, source| CodeError::File {
            path: path.to_owned(),
            source,
        };
        for path in READ_BY_GIT.map(|name| self.root.join(name)) {
            if fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                return Err(trouble(
                    &path,
                    io::Error::other("it is not a regular file, and git would wait for it"),
                ));
            }
        }
        self.write_excludes()?;
        self.settings = Settings::read(
            &self.root,
            self.repository
                .as_ref()
                .map_or(&self.private, |repository| &repository.git_dir),
        )?;
        let own = self.private.join("index");
        // Left by one of ours that was killed.
        let _ = fs::remove_file(self.private.join("index.lock"));
        if let Some(Repository {
            git_dir, objects, ..
        }) = &self.repository
        {
            let alternates = self.private.join("objects/info/alternates");
            private_file::write(
                &alternates,
                &[objects.as_os_str().as_bytes(), b"\n"].concat(),
            )
            .map_err(|source| trouble(&alternates, source))?;
            settings::copy_attributes(git_dir, &self.private)
                .map_err(|source| trouble(git_dir, source))?;
            settings::copy_shared_indices(git_dir, &self.private)
                .map_err(|source| trouble(git_dir, source))?;
            let theirs = git_dir.join("index");
            if theirs.exists() {
                return copy_index(&theirs, &own).map_err(|source| trouble(&own, source));
            }
        }
        match fs::remove_file(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble(&own, error)),
            _ => Ok(()),
        }
    }
}

/// Copies an index with the time when it was written: by that git knows which files it may not have seen in their last state, although they look as
/// it has noted them.
fn copy_index(from: &Path, to: &Path) -> io::Result<()> {
    let written = fs::metadata(from)?.modified()?;
    private_file::copy(from, to)?;
    File::options().write(true).open(to)?.set_modified(written)
}
