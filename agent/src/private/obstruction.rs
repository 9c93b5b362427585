//! Reasons to leave something alone.

use std::io;
use std::path::PathBuf;

/// Why something is neither read nor written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstruction {
    /// There is something of another kind.
    #[error("{} is {found}, not {expected}; it is neither followed nor opened", path.display())]
    Kind {
        /// Where.
        path: PathBuf,
        /// The kind that was found.
        found: &'static str,
        /// The kind that was expected.
        expected: &'static str,
    },
    /// A folder of another user.
    #[error(
        "{} belongs to another user (uid {owner}, this agent has uid {own}); remove it, or name your own folder with --runs-dir",
        path.display()
    )]
    Owner {
        /// Which folder.
        path: PathBuf,
        /// Its user.
        owner: u32,
        /// The agent's user.
        own: u32,
    },
}

impl Obstruction {
    /// Returns the obstruction that an error is made of, if it is.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Obstruction> for io::Error {
    fn from(obstruction: Obstruction) -> Self {
        Self::other(obstruction)
    }
}
