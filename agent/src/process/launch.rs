//! The files in an attempt's folder, from which a later agent finds its program: the command, the
//! process that supervises it, and its outcome.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::exit::{Exit, Obstacle};
use super::fence::FenceOrder;
use super::identity::ProcessId;
use crate::private::{self, Durability};

/// Stands behind the folder of an attempt: no path holds it.
pub(super) const ORDER_END: u8 = 0;

const LAUNCH: &str = "launch.json";
const SHIM: &str = "shim.json";
const STARTED: &str = "started.json";
const ENDED: &str = "ended.json";
const PREEMPTED: &str = "preempted";
const CGROUP: &str = "cgroup";
/// The output of the command that looks at the machine first.
pub(crate) const PREFLIGHT_OUTPUT: &str = "preflight.log";
/// Room for the end of an attempt, taken when it begins: its end can be written down on a full disk
/// too.
const END_BYTES: usize = 8192;
/// How much of a preflight's output explains its failure.
const OUTPUT_BYTES: u64 = 4096;
const MESSAGE_BYTES_MAX: usize = 1000;

/// The order to start a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) command: LaunchCommand,
    /// The command that has to succeed first; its output goes to [`PREFLIGHT_OUTPUT`].
    pub(crate) preflight: Option<LaunchCommand>,
    /// Variables beyond the agent's own.
    pub(crate) variables: BTreeMap<String, String>,
    /// The value of [`MARKER`](super::tree::MARKER).
    pub(crate) marker: String,
    /// Where it runs.
    pub(crate) workdir: PathBuf,
    /// Where its output goes.
    pub(crate) output: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
    /// The policy for it when its agent dies.
    pub(crate) alone: Alone,
    /// The fence that keeps other attempts of its run from writing beside it; `None`: none.
    #[serde(default)]
    pub(crate) fence: Option<FenceOrder>,
    /// The name of the first run in an MLflow tracking server for the program; `None`: it gets
    /// none.
    #[serde(default)]
    pub(crate) mlflow: Option<String>,
}

/// A program that was found, and its argv.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LaunchCommand {
    /// Its path.
    pub(crate) executable: PathBuf,
    /// The first item is its name.
    pub(crate) argv: Vec<String>,
}

/// The policy for a program whose agent died without ending it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Alone {
    /// It continues: a later agent adopts it.
    Continue,
    /// It ends, unless an agent holds this file's lock again within the time.
    EndAfter {
        /// See [`crate::identity`].
        lock: PathBuf,
        /// How long it waits.
        patience: Duration,
    },
}

/// The messages of the shim about the program, once each: first one of the former, then
/// [`Word::Exited`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The program runs.
    Started {
        /// Its process, which leads its session.
        pid: i32,
        /// When it was about to be started, since 1970, by the clock that stamps the files in its
        /// folder.
        #[serde(default)]
        moment: Option<Duration>,
    },
    /// It could not be started.
    Refused(Obstacle),
    /// The command before it did not end well: how.
    NotReady(String),
    /// Its use of the machine, after it has ended; sent and not written down.
    Used(Used),
    /// Its own process has ended.
    Exited(Exit),
    /// The same, and the end of its output could not be written down.
    Cut(Exit),
}

/// The use of the machine by a program from its start to its end, with that of the children that it
/// has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// How long it took.
    pub(crate) lived: Duration,
    /// On processors.
    pub(crate) time: Duration,
    /// The most that one of its processes had in memory; `None`: less than the command before it
    /// had.
    pub(crate) bytes: Option<u64>,
}

impl Word {
    fn shortened(mut self) -> Self {
        match &mut self {
            Self::Refused(Obstacle::Configuration(message) | Obstacle::Machine(message))
            | Self::NotReady(message) => {
                message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            }
            Self::Started { .. } | Self::Used(_) | Self::Exited(_) | Self::Cut(_) => {}
        }
        self
    }
}

impl Launch {
    /// Writes the order down.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        replace(&folder.join(LAUNCH), self)
    }

    /// Reads the order.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        serde_json::from_slice(&private::read(&folder.join(LAUNCH))?).map_err(io::Error::from)
    }
}

/// Writes down the process of the shim, and reserves the room that the end will need.
///
/// # Errors
/// The folder cannot be written to.
pub(super) fn write_shim(folder: &Path, shim: &ProcessId) -> io::Result<File> {
    let (mut end, _) = private::open_or_create(&folder.join(ENDED))?;
    end.set_len(0)?;
    end.write_all(&[b' '; END_BYTES])?;
    replace(&folder.join(SHIM), shim)?;
    Ok(end)
}

/// Returns the process of the shim; `None` where there never was one.
pub(crate) fn read_shim(folder: &Path) -> Option<ProcessId> {
    read(&folder.join(SHIM))
}

/// Writes down in which cgroup the processes of the attempt are. As far as the disk lets it.
pub(super) fn write_cgroup(folder: &Path, cgroup: &Path) {
    if let Err(error) = private::replace(
        &folder.join(CGROUP),
        cgroup.as_os_str().as_bytes(),
        Durability::Cached,
    ) {
        tracing::debug!(%error, folder = %folder.display(), "the cgroup of an attempt is not written down");
    }
}

/// Returns in which cgroup the processes of the attempt are, where they have one.
pub(super) fn read_cgroup(folder: &Path) -> Option<PathBuf> {
    let bytes = private::read(&folder.join(CGROUP)).ok()?;
    (!bytes.is_empty()).then(|| OsString::from_vec(bytes).into())
}

/// Writes down that the program runs.
///
/// # Errors
/// The folder cannot be written to.
pub(super) fn write_started(folder: &Path, word: &Word) -> io::Result<()> {
    replace(&folder.join(STARTED), word)
}

/// Returns whether the program was started.
pub(crate) fn read_started(folder: &Path) -> Option<Word> {
    read(&folder.join(STARTED))
}

/// Writes down how it ended, into the room that was taken before.
///
/// # Errors
/// The file cannot be written to.
pub(super) fn write_end(mut file: &File, word: &Word) -> io::Result<()> {
    let mut text = serde_json::to_vec(&word.clone().shortened())?;
    // What was written before may be longer.
    text.resize(END_BYTES.max(text.len()), b' ');
    file.write_all_at(&text, 0)?;
    file.flush()
}

/// Returns how it ended; `None` while it has not.
pub(crate) fn read_end(folder: &Path) -> Option<Word> {
    read(&folder.join(ENDED))
}

/// Returns the end of a file, as far as it can be read.
pub(crate) fn end_of(path: &Path) -> String {
    let read = || {
        let mut file = private::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(OUTPUT_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// Records that the program is ended since its machine or its agent is gone, with any exit status.
/// As far as the disk permits.
pub(crate) fn mark_preempted(folder: &Path) {
    if let Err(error) = private::replace(&folder.join(PREEMPTED), b"", Durability::Cached) {
        tracing::debug!(%error, folder = %folder.display(), "a preemption cannot be written down");
    }
}

/// Returns whether the program was ended since its machine or its agent was gone.
pub(crate) fn is_preempted(folder: &Path) -> bool {
    folder.join(PREEMPTED).exists()
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&private::read(path).ok()?).ok()
}

fn replace(path: &Path, content: &impl Serialize) -> io::Result<()> {
    private::replace(path, &serde_json::to_vec(content)?, Durability::Cached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_seen_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = write_shim(folder.path(), &ProcessId::own()).unwrap();
        assert_eq!(read_end(folder.path()), None);
        assert_eq!(read_shim(folder.path()), Some(ProcessId::own()));
        write_end(&file, &Word::Exited(Exit::Code(3))).unwrap();
        assert_eq!(read_end(folder.path()), Some(Word::Exited(Exit::Code(3))));
        write_end(&file, &Word::Cut(Exit::Code(3))).unwrap();
        assert_eq!(read_end(folder.path()), Some(Word::Cut(Exit::Code(3))));
    }
}
