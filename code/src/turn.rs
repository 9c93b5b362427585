//! Which of two versions lay there at a moment between the looks that have seen them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::error::CodeError;
use crate::git::{output, paths};
use crate::store::is_version;
use crate::working::Source;

/// Files that are named of those in which two versions differ.
const NAMED_MAX: usize = 3;

/// When the files were written in which two versions differ, seen from some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Before it: the later version lay there.
    Before,
    /// Since then: the earlier version did.
    Since,
    /// Some before it and some since then: neither version ever lay there as a whole, as far as can be told.
    Both,
}

impl Source {
    /// Returns when one version became another that lies there now. `moment` is a time since 1970 by the clock that stamps files: a file that is
    /// stamped with the moment itself counts as written since.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub fn turn(&self, from: &str, to: &str, moment: Duration) -> Result<Turn, CodeError> {
        if let Some(version) = [from, to].into_iter().find(|version| !is_version(version)) {
            return Err(CodeError::NoVersion(version.escape_debug().to_string()));
        }
        let differing = self.differing(from, to)?;
        let times =
            paths(&differing).map(|path| changed(self.root(), Path::new(OsStr::from_bytes(path))));
        let (before, since): (Vec<_>, Vec<_>) = times.partition(|time| *time < moment);
        Ok(match (before.is_empty(), since.is_empty()) {
            (false, true) => Turn::Before,
            (false, false) => Turn::Both,
            (true, _) => Turn::Since,
        })
    }

    /// Returns the names of some files in which two versions differ, for a person.
    pub fn some_differing(&self, from: &str, to: &str) -> Vec<String> {
        let are_versions = is_version(from) && is_version(to);
        let differing = are_versions
            .then(|| self.differing(from, to).ok())
            .flatten()
            .unwrap_or_default();
        paths(&differing)
            .take(NAMED_MAX)
            .map(|path| path.escape_ascii().to_string())
            .collect()
    }

    fn differing(&self, from: &str, to: &str) -> Result<Vec<u8>, CodeError> {
        output(self.git().args([
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            from,
            to,
        ]))
    }
}

/// Returns when a file was changed or put in its place; of one that is gone, when its parent folder was.
fn changed(root: &Path, path: &Path) -> Duration {
    let found = path
        .ancestors()
        .find_map(|path| fs::symlink_metadata(root.join(path)).ok());
    found.map_or(Duration::MAX, |found| {
        let nanoseconds = u32::try_from(found.ctime_nsec()).unwrap_or(0);
        u64::try_from(found.ctime()).map_or(Duration::ZERO, |seconds| {
            Duration::new(seconds, nanoseconds)
        })
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::Working;

    struct TurnFixture {
        folder: TempDir,
        working: Working,
    }

    impl TurnFixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("project")).unwrap();
            let working =
                Working::find(&folder.path().join("project"), &folder.path().join("runs")).unwrap();
            Self { folder, working }
        }

        /// Returns the stamp of the file.
        fn write(&self, name: &str, text: &str) -> Duration {
            fs::write(self.folder.path().join("project").join(name), text).unwrap();
            self.stamp(name)
        }

        fn stamp(&self, name: &str) -> Duration {
            changed(&self.folder.path().join("project"), Path::new(name))
        }

        fn version(&mut self) -> String {
            self.working.snapshot().unwrap().version
        }

        fn turn(&self, from: &str, to: &str, moment: Duration) -> Turn {
            self.working.source().turn(from, to, moment).unwrap()
        }
    }

    const TICK: Duration = Duration::from_nanos(1);

    #[test]
    fn files_say_when_one_version_became_another() {
        let mut place = TurnFixture::new();
        place.write("train.py", "1\n");
        let one = place.version();
        let first = place.write("train.py", "2\n");
        let mut second = first;
        while second == first {
            second = place.write("model.py", "2\n");
        }
        let two = place.version();
        assert_eq!(place.turn(&one, &two, second + TICK), Turn::Before);
        assert_eq!(
            place.turn(&one, &two, second),
            Turn::Both,
            "what has the stamp of the moment came since"
        );
        assert_eq!(place.turn(&one, &two, first), Turn::Since);
        assert_eq!(place.turn(&one, &one, first), Turn::Since);
    }

    #[test]
    fn of_a_file_that_is_gone_its_folder_says_when() {
        let mut place = TurnFixture::new();
        place.write("train.py", "1\n");
        place.write("model.py", "1\n");
        let one = place.version();
        fs::remove_file(place.folder.path().join("project/model.py")).unwrap();
        let two = place.version();
        let gone = place.stamp("");
        assert_eq!(place.turn(&one, &two, gone + TICK), Turn::Before);
        assert_eq!(place.turn(&one, &two, gone), Turn::Since);
        assert!(matches!(
            place.working.source().turn("--all", &two, gone),
            Err(CodeError::NoVersion(_))
        ));
    }
}
