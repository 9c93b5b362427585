//! The user's repository that contains a folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::CodeError;
use crate::git::{output, users_git};

/// A repository of the user.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) git_dir: PathBuf,
    pub(super) objects: PathBuf,
    pub(super) exclude: PathBuf,
    /// `sha1` or `sha256`.
    pub(super) format: String,
}

impl Repository {
    /// Returns the repository that contains a folder, and its root; `None`: there is none.
    pub(super) fn find(workdir: &Path) -> Result<Option<(PathBuf, Self)>, CodeError> {
        let mut ask = users_git();
        ask.current_dir(workdir).args([
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--absolute-git-dir",
        ]);
        ask.args([
            "--git-path",
            "objects",
            "--git-path",
            "info/exclude",
            "--show-object-format",
        ]);
        let answer = match output(&mut ask) {
            Ok(answer) => answer,
            // No repository, a bare one, or one that git does not trust (`safe.directory`).
            Err(CodeError::Git { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut lines = answer
            .split(|byte| *byte == b'\n')
            .map(|line| PathBuf::from(OsStr::from_bytes(line)));
        let (Some(root), Some(git_dir), Some(objects), Some(exclude)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Ok(None);
        };
        // An old git does not know the question.
        let format = if lines
            .next()
            .is_some_and(|format| format == Path::new("sha256"))
        {
            "sha256"
        } else {
            "sha1"
        }
        .to_owned();
        Ok(Some((
            root,
            Self {
                git_dir,
                objects,
                exclude,
                format,
            },
        )))
    }
}
