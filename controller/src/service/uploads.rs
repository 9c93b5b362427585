//! Uploads of code bundles. The bytes of an interrupted upload are kept, so that its client continues where it stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempPath;

/// The names of interrupted uploads start with it.
const PREFIX: &str = "upload-";
/// Interrupted uploads are kept for this long, and the newest ones only.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const KEPT_MAX: usize = 32;
const ID_LENGTH_MAX: usize = 64;

/// The bytes of one upload that have arrived.
#[derive(Debug)]
pub(super) struct Upload {
    file: File,
    path: UploadPath,
    length: u64,
}

#[derive(Debug)]
enum UploadPath {
    /// Removed when the upload is dropped.
    Temporary(TempPath),
    /// Stays for the next call.
    Kept(PathBuf),
}

impl Upload {
    /// Opens the upload with an id, as far as it has arrived, or a new one. Without an id it is gone once dropped.
    ///
    /// # Errors
    /// The file cannot be created or opened.
    pub(super) fn open(dir: &Path, version: &str, id: &str, prefix: &str) -> io::Result<Self> {
        if id.is_empty() {
            let (file, path) = tempfile::Builder::new()
                .prefix(prefix)
                .tempfile_in(dir)?
                .into_parts();
            return Ok(Self {
                file,
                path: UploadPath::Temporary(path),
                length: 0,
            });
        }
        let path = dir.join(format!("{PREFIX}{version}-{id}"));
        prune(dir, &path);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            path: UploadPath::Kept(path),
            length,
        })
    }

    /// Returns how many bytes have arrived.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn path(&self) -> &Path {
        match &self.path {
            UploadPath::Temporary(path) => path,
            UploadPath::Kept(path) => path,
        }
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_all(chunk)?;
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Removes what has arrived.
    pub(super) fn discard(self) {
        if let UploadPath::Kept(path) = self.path
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "an upload that is done cannot be removed");
        }
    }
}

/// Returns whether a client may choose an id: it becomes part of a file name.
pub(super) fn is_upload_id(id: &str) -> bool {
    id.len() <= ID_LENGTH_MAX
        && id
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '-')
}

/// Removes abandoned uploads, except one.
fn prune(dir: &Path, except: &Path) {
    let now = SystemTime::now();
    let age = |path: &Path| {
        let changed = fs::symlink_metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()?;
        Some(now.duration_since(changed).unwrap_or_default())
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let uploads = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path());
    let mut uploads: Vec<_> = uploads
        .filter(|path| path != except)
        .filter_map(|path| Some((age(&path)?, path)))
        .collect();
    uploads.sort();
    for (place, (age, path)) in uploads.into_iter().enumerate() {
        if place + 1 >= KEPT_MAX || age > AGE_MAX {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_with_an_id_continues_and_one_without_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = |id: &str| Upload::open(dir.path(), "aa", id, "bundle-").unwrap();
        open("one").write(b"abc").unwrap();
        let mut upload = open("one");
        assert_eq!(upload.length(), 3);
        upload.write(b"de").unwrap();
        assert_eq!(fs::read(upload.path()).unwrap(), b"abcde");
        assert_eq!(open("two").length(), 0);
        upload.discard();
        assert_eq!(open("one").length(), 0);
        open("").write(b"abc").unwrap();
        assert_eq!(open("").length(), 0);
        let names = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| name.starts_with(PREFIX)));
    }

    #[test]
    fn interrupted_uploads_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for id in 0..2 * KEPT_MAX {
            Upload::open(dir.path(), "aa", &id.to_string(), "bundle-")
                .unwrap()
                .write(b"abc")
                .unwrap();
        }
        assert!(fs::read_dir(dir.path()).unwrap().count() <= KEPT_MAX);
        let old = File::options()
            .write(true)
            .open(dir.path().join("upload-aa-63"))
            .unwrap();
        old.set_modified(SystemTime::now() - AGE_MAX - Duration::from_secs(1))
            .unwrap();
        Upload::open(dir.path(), "aa", "new", "bundle-").unwrap();
        assert!(!dir.path().join("upload-aa-63").exists());
    }

    #[test]
    fn ids_are_no_paths() {
        assert!(is_upload_id("") && is_upload_id("0a-F"));
        assert!(!is_upload_id("../x") && !is_upload_id("a/b") && !is_upload_id(&"a".repeat(65)));
    }
}
