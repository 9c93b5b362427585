//! Reads what a growing file has gained.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::private::{self, Obstruction};

/// How much is taken in one go.
const PIECE_BYTES: usize = 1 << 18;

/// Bytes at the beginning and at the end of what was read by which a rewritten file is recognised.
const WINDOW_BYTES: usize = 512;

/// A place in a file that another process writes.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    read: AlreadyRead,
    /// The file as it was opened last. Its program can still write to it after it was removed.
    held: Option<Arc<File>>,
}

/// The part of a file that has been read.
#[derive(Clone, Debug, Default)]
struct AlreadyRead {
    length: u64,
    /// Its first bytes.
    start: Vec<u8>,
    /// Its last bytes.
    end: Vec<u8>,
}

/// The result of reading the file once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    /// The new bytes.
    pub(crate) bytes: Vec<u8>,
    /// The file is shorter than it was, or holds something else: its program rewrites it, and it is
    /// read from its beginning.
    pub(crate) restarted: bool,
    /// The file was removed. Bytes that its program still writes to it are read all the same.
    pub(crate) removed: bool,
    /// Why nothing can be read: something else is in place of the file, or it may not be read.
    pub(crate) obstacle: Option<String>,
}

impl Tail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: AlreadyRead::default(),
            held: None,
        }
    }

    /// Returns the next piece. A file that does not exist yet is empty.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn read(&mut self) -> io::Result<Gain> {
        let (path, read, held) = (self.path.clone(), self.read.clone(), self.held.clone());
        let reading = tokio::task::spawn_blocking(move || read_from(&path, &read, held));
        let (gain, held) = reading.await.map_err(io::Error::other)??;
        self.held = held;
        if gain.restarted {
            self.read = AlreadyRead::default();
        }
        self.read.add(&gain.bytes);
        Ok(gain)
    }
}

impl AlreadyRead {
    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let missing = (WINDOW_BYTES - self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..missing]);
        self.end
            .extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW_BYTES)..]);
        self.end
            .drain(..self.end.len().saturating_sub(WINDOW_BYTES));
    }

    /// Whether a file still begins with it.
    fn is_in(&self, file: &File, length: u64) -> io::Result<bool> {
        let mut found = [0; WINDOW_BYTES];
        let mut has = |bytes: &[u8], at: u64| {
            let found = &mut found[..bytes.len()];
            file.read_exact_at(found, at)?;
            Ok::<_, io::Error>(found == bytes)
        };
        Ok(length >= self.length
            && has(&self.start, 0)?
            && has(&self.end, self.length - self.end.len() as u64)?)
    }
}

fn read_from(
    path: &Path,
    read: &AlreadyRead,
    held: Option<Arc<File>>,
) -> io::Result<(Gain, Option<Arc<File>>)> {
    let mut removed = false;
    let file = match (private::open(path), held) {
        (Ok(file), _) => Arc::new(file),
        (Err(error), held) if error.kind() == io::ErrorKind::NotFound => {
            let Some(held) = held else {
                return Ok((Gain::default(), None));
            };
            removed = true;
            held
        }
        // Its program has done that, and continues.
        (Err(error), held)
            if Obstruction::of(&error).is_some()
                || error.kind() == io::ErrorKind::PermissionDenied =>
        {
            return Ok((
                Gain {
                    obstacle: Some(error.to_string()),
                    ..Gain::default()
                },
                held,
            ));
        }
        (Err(error), _) => return Err(error),
    };
    let length = file.metadata()?.len();
    let restarted = match read.is_in(&file, length) {
        Ok(is_in) => !is_in,
        // It is being cut just now.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
        Err(error) => return Err(error),
    };
    let offset = if restarted { 0 } else { read.length };
    let mut bytes = Vec::new();
    if length > offset {
        let mut file = &*file;
        file.seek(SeekFrom::Start(offset))?;
        file.take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
    }
    Ok((
        Gain {
            bytes,
            restarted,
            removed,
            obstacle: None,
        },
        Some(file),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use nix::sys::stat::Mode;

    use super::*;

    #[tokio::test]
    async fn what_lies_in_the_place_of_a_file_is_not_waited_for_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut tail = Tail::new(path.clone());
        fs::write(&path, "a\n").unwrap();
        assert_eq!(tail.read().await.unwrap().bytes, b"a\n");
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let gain = tail.read().await.unwrap();
        assert!(
            gain.bytes.is_empty()
                && gain
                    .obstacle
                    .unwrap()
                    .contains("metrics.jsonl is a FIFO, not a regular file")
        );
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a\nb\n").unwrap();
        assert_eq!(
            tail.read().await.unwrap(),
            Gain {
                bytes: b"b\n".to_vec(),
                ..Gain::default()
            },
            "it is read on once it is back"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_removed_is_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output.log");
        let mut tail = Tail::new(path.clone());
        let mut program = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        program.write_all(b"a\n").unwrap();
        assert_eq!(tail.read().await.unwrap().bytes, b"a\n");
        fs::remove_file(&path).unwrap();
        program.write_all(b"b\n").unwrap();
        assert_eq!(
            tail.read().await.unwrap(),
            Gain {
                bytes: b"b\n".to_vec(),
                removed: true,
                ..Gain::default()
            }
        );
        fs::write(&path, "c\n").unwrap();
        let gain = tail.read().await.unwrap();
        assert_eq!(
            (gain.bytes.as_slice(), gain.restarted, gain.removed),
            (&b"c\n"[..], true, false)
        );
    }

    #[tokio::test]
    async fn a_file_that_is_rewritten_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut tail = Tail::new(path.clone());
        for text in ["0.9\n", "0.8\n", "0.85\n", "0.7\n"] {
            fs::write(&path, text).unwrap();
            let gain = tail.read().await.unwrap();
            assert_eq!(String::from_utf8(gain.bytes).unwrap(), text);
            assert_eq!(gain.restarted, text != "0.9\n");
            assert_eq!(
                tail.read().await.unwrap(),
                Gain::default(),
                "nothing has changed"
            );
        }
        // The same beginning, appended to or not.
        fs::write(&path, "0.7\n0.6\n").unwrap();
        let gain = tail.read().await.unwrap();
        assert_eq!(
            (gain.bytes.as_slice(), gain.restarted),
            (&b"0.6\n"[..], false)
        );
        let long = "x".repeat(2000);
        fs::write(&path, format!("0.7\n0.6\n{long}")).unwrap();
        assert_eq!(tail.read().await.unwrap().bytes.len(), 2000);
        fs::write(&path, format!("0.7\n0.6\n{long}y")).unwrap();
        assert_eq!(tail.read().await.unwrap().bytes, b"y");
        fs::write(&path, format!("0.7\n0.5\n{long}y")).unwrap();
        assert!(tail.read().await.unwrap().restarted);
    }
}
