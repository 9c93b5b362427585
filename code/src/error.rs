//! Errors about code.

use std::io;
use std::path::PathBuf;

/// Why there is no version, or no snapshot of it.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// There is no git, or it cannot be started.
    #[error("{}", without_git(.0))]
    NoGit(#[source] io::Error),
    /// git refuses.
    #[error("git {command}: {message}")]
    Git {
        /// Its subcommand.
        command: String,
        /// Its message.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a folder of data, or a home folder; or a version that unfolds to more than any code.
    #[error("{0}")]
    TooLarge(String),
    /// git was ended, since it took too long.
    #[error("{0}")]
    TooLong(String),
    /// Another process has held the lock of the folder for too long.
    #[error("another process has kept {} locked for {seconds} s; is an agent of this folder stopped (SIGSTOP, a debugger)?", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// A name that git has not given.
    #[error("`{0}` is no code version of git's, which would be 40 hexadecimal digits")]
    NoVersion(String),
    /// The received or written content does not match its name.
    #[error("what came is not version {0}: it is refused")]
    Mismatch(String),
}

fn without_git(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "git is not installed here, or not on the PATH".to_owned(),
        _ => format!("git cannot be started: {error}"),
    }
}

impl CodeError {
    /// Whether it will be the same at the next look.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::NoGit(_) | Self::TooLarge(_) | Self::TooLong(_))
    }
}
