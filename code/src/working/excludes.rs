//! Files that git does not list in a working folder.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Working;
use crate::error::CodeError;
use crate::git::{output, paths};
use crate::known_outputs::{ANYWHERE, IN_WORKING_FOLDER, NAMED};
use crate::left_out::IGNORE_FILE;
use crate::outputs::Outputs;
use crate::private_file;

/// Where outputs are recorded that have appeared in the folder.
const OUTPUTS: &str = "outputs";
/// A file that is written here is shorter.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Outputs that are named.
const NAMED_MAX: usize = 50;

impl Working {
    /// Returns the paths of what git does not track and nothing excludes, each with a NUL behind it.
    ///
    /// Excluded are outputs that have appeared, then known outputs, then what `.gitignore` and the like name; `.sweepignore` and the sweep file have the
    /// last word.
    pub(super) fn others(&self) -> Result<Vec<u8>, CodeError> {
        let mut list = self.listing();
        list.arg("--exclude-from")
            .arg(self.excludes_file())
            .arg("--exclude-standard");
        let ignore = self.root.join(IGNORE_FILE);
        let excludes = self
            .repository
            .iter()
            .map(|repository| &repository.exclude)
            .chain([&ignore]);
        for exclude in excludes.filter(|exclude| exclude.is_file()) {
            list.arg("--exclude-from").arg(exclude);
        }
        let listed = output(&mut list)?;
        let included = self.included()?;
        let is_unnamed = |path: &[u8]| self.outputs.holds_unnamed(path);
        if included.is_empty() && !paths(&listed).any(is_unnamed) {
            return Ok(listed);
        }
        let mut all: Vec<&[u8]> = paths(&listed)
            .filter(|path| !is_unnamed(path))
            .chain(paths(&included))
            .collect();
        all.sort_unstable();
        all.dedup();
        Ok(all
            .into_iter()
            .flat_map(|path| [path, b"\0"].concat())
            .collect())
    }

    /// Returns the paths of what git does not track and the sweep file includes.
    pub(super) fn included(&self) -> Result<Vec<u8>, CodeError> {
        if self.include.is_empty() || self.depth > 0 {
            return Ok(Vec::new());
        }
        let mut list = self.listing();
        list.arg("--");
        for pattern in &self.include {
            list.arg(format!(
                ":(glob){}",
                Path::new(&self.prefix).join(pattern).display()
            ));
        }
        // The run folders are no code, independently of the file.
        let ours = self
            .ours
            .as_ref()
            .map(|ours| [ours.as_os_str().as_bytes(), b"/"].concat());
        let is_ours = |path: &[u8]| ours.as_ref().is_some_and(|ours| path.starts_with(ours));
        let listed = output(&mut list)?;
        Ok(paths(&listed)
            .filter(|path| !is_ours(path))
            .flat_map(|path| [path, b"\0"].concat())
            .collect())
    }

    /// git that lists what it does not track.
    fn listing(&self) -> std::process::Command {
        let mut list = self.git();
        // Not our index: it tracks all that was taken in.
        let theirs = self.repository.as_ref().map_or_else(
            || self.private.join("none"),
            |repository| repository.git_dir.join("index"),
        );
        list.env("GIT_INDEX_FILE", theirs)
            .args(["ls-files", "-z", "--others"]);
        list
    }

    /// Reads which outputs are known, and writes the file by which git leaves them out.
    pub(super) fn write_excludes(&mut self) -> Result<(), CodeError> {
        self.outputs = self.recorded_outputs()?;
        // What is excepted from their patterns may still be a known output.
        let mut lines = self.outputs.patterns();
        for pattern in ANYWHERE {
            lines.extend_from_slice(format!("{pattern}\n").as_bytes());
        }
        for folder in IN_WORKING_FOLDER {
            lines.extend_from_slice(format!("/{folder}/\n").as_bytes());
            if !self.prefix.is_empty() {
                lines.extend_from_slice(format!("/{}/{folder}/\n", self.prefix).as_bytes());
            }
        }
        if let Some(ours) = &self.ours {
            lines.extend_from_slice(&[b"/", ours.as_os_str().as_bytes(), b"/\n"].concat());
        }
        let file = self.excludes_file();
        if fs::read(&file).is_ok_and(|known| known == lines) {
            return Ok(());
        }
        private_file::write(&file, &lines).map_err(|source| CodeError::File { path: file, source })
    }

    pub(super) fn recorded_outputs(&self) -> Result<Outputs, CodeError> {
        Ok(Outputs::read(
            &self.read_record(OUTPUTS)?.unwrap_or_default(),
        ))
    }

    /// Records outputs that have appeared.
    pub(super) fn record_outputs(&mut self, outputs: &Outputs) -> Result<(), CodeError> {
        self.write_record(OUTPUTS, &outputs.written())?;
        self.write_excludes()
    }

    /// Names outputs that are there and are left out, for a person.
    pub(super) fn output_names(&self) -> Vec<String> {
        let prefix = Path::new(&self.prefix);
        let folders = NAMED
            .iter()
            .flat_map(|name| [prefix.join(name), PathBuf::from(name)]);
        let known = folders
            .filter(|place| self.ours.as_ref() != Some(place))
            .filter_map(|place| {
                let found = fs::symlink_metadata(self.root.join(&place)).ok()?;
                Some(
                    [
                        place.as_os_str().as_bytes(),
                        if found.is_dir() { b"/" } else { b"" },
                    ]
                    .concat(),
                )
            });
        let is_there = |name: &&[u8]| {
            name.contains(&b'*')
                || self
                    .root
                    .join(OsStr::from_bytes(name))
                    .symlink_metadata()
                    .is_ok()
        };
        let appeared = self.outputs.names().filter(is_there).map(<[u8]>::to_vec);
        let mut names: Vec<_> = known
            .chain(appeared)
            .map(|name| name.escape_ascii().to_string())
            .collect();
        for (path, inner) in &self.inner {
            names.extend(
                inner
                    .output_names()
                    .into_iter()
                    .map(|name| format!("{}{name}", path.escape_ascii())),
            );
        }
        names.extend(
            self.frozen
                .keys()
                .map(|path| format!("{} (as it was before the runs)", path.escape_ascii())),
        );
        names.sort();
        names.dedup();
        names.truncate(NAMED_MAX);
        names
    }

    /// Working folders of one repository differ in what is left out of it.
    fn excludes_file(&self) -> PathBuf {
        self.private.join(format!(
            "excludes-{:08x}",
            crc32fast::hash(self.prefix.as_bytes())
        ))
    }

    /// Reads a file that is kept beside the index.
    pub(super) fn read_record(&self, name: &str) -> Result<Option<Vec<u8>>, CodeError> {
        let path = self.private.join(name);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() <= FILE_BYTES_MAX => fs::read(&path)
                .map(Some)
                .map_err(|source| CodeError::File { path, source }),
            _ => Ok(None),
        }
    }

    /// Writes a file that is kept beside the index, as a whole or not at all.
    pub(super) fn write_record(&self, name: &str, text: &[u8]) -> Result<(), CodeError> {
        let path = self.private.join(name);
        let write = || {
            let file = tempfile::NamedTempFile::new_in(&self.private)?;
            fs::write(file.path(), text)?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok::<_, io::Error>(())
        };
        write().map_err(|source| CodeError::File {
            path: path.clone(),
            source,
        })
    }
}
