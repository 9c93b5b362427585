//! Reads what a growing file has gained.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::private::{self, Obstruction};

/// How much is taken in one go.
const PIECE_BYTES: usize = 1 << 18;

/// A place in a file that another process writes.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    offset: u64,
}

/// What a look at the file brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    /// What is new; empty where nothing is.
    pub(crate) bytes: Vec<u8>,
    /// The file is shorter than it was: it has been begun anew.
    pub(crate) restarted: bool,
    /// Why nothing can be read: something else lies in the place of the file, or it may not be read.
    pub(crate) obstacle: Option<String>,
}

impl Tail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// Returns the next piece. A file that does not exist yet is empty.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn read(&mut self) -> io::Result<Gain> {
        let (path, offset) = (self.path.clone(), self.offset);
        let reading = tokio::task::spawn_blocking(move || read_from(&path, offset));
        let gain = reading.await.map_err(io::Error::other)??;
        if gain.restarted {
            self.offset = 0;
        }
        self.offset += gain.bytes.len() as u64;
        Ok(gain)
    }
}

fn read_from(path: &Path, mut offset: u64) -> io::Result<Gain> {
    let mut file = match private::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Gain::default()),
        // Its program has done that, and goes on.
        Err(error) if Obstruction::of(&error).is_some() || error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Gain { obstacle: Some(error.to_string()), ..Gain::default() });
        }
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let restarted = length < offset;
    if restarted {
        offset = 0;
    }
    let mut bytes = Vec::new();
    if length > offset {
        file.seek(SeekFrom::Start(offset))?;
        file.take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
    }
    Ok(Gain { bytes, restarted, obstacle: None })
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        assert!(gain.bytes.is_empty() && gain.obstacle.unwrap().contains("metrics.jsonl is a FIFO, not a regular file"));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a\nb\n").unwrap();
        assert_eq!(tail.read().await.unwrap(), Gain { bytes: b"b\n".to_vec(), ..Gain::default() }, "it is read on once it is back");
    }
}
