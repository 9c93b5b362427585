//! Reads what a growing file has gained.

use std::io::{self, SeekFrom};
use std::path::PathBuf;

use nix::fcntl::OFlag;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

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
        // The program may have put a pipe there, which is empty here instead of waited for.
        let mut file = match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&self.path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Gain::default()),
            Err(error) => return Err(error),
        };
        let length = file.metadata().await?.len();
        let restarted = length < self.offset;
        if restarted {
            self.offset = 0;
        }
        if length == self.offset {
            return Ok(Gain { restarted, ..Gain::default() });
        }
        file.seek(SeekFrom::Start(self.offset)).await?;
        let mut bytes = Vec::new();
        file.take(PIECE_BYTES as u64).read_to_end(&mut bytes).await?;
        self.offset += bytes.len() as u64;
        Ok(Gain { bytes, restarted })
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;

    #[tokio::test]
    async fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert_eq!(Tail::new(path).read().await.unwrap(), Gain::default());
    }
}
