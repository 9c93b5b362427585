//! Why no controller could be started.

use std::net::SocketAddr;
use std::path::PathBuf;

use sweep_access::TokenError;

use crate::store::StoreError;
use crate::token::TokensError;

/// Why no controller could be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else has the data directory.
    #[error("the data directory {} is held by {holder}", dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The text of the lock file: `process 4711 (127.0.0.1:7433)`.
        holder: String,
    },
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Without a token every caller that reaches the port may do anything.
    #[error(
        "a controller without a token serves its own machine alone, and {0} is reachable from others"
    )]
    OpenBeyondLoopback(SocketAddr),
    /// The data directory is another user's.
    #[error("{} belongs to another user (uid {owner})", path.display())]
    Foreign {
        /// The directory, or a file of it.
        path: PathBuf,
        /// The user.
        owner: u32,
    },
    /// The database is gone from a data directory that had one.
    #[error("{} {found}, and {} says that there was one", database.display(), evidence.display())]
    DatabaseLost {
        /// Where it was.
        database: PathBuf,
        /// The present content.
        found: &'static str,
        /// The file that shows it.
        evidence: PathBuf,
    },
    /// A file of the data directory cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TokensError> for ServeError {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::Token(TokenError::File { path, source }) => Self::File { path, source },
            other => Self::Store(StoreError::Failed(other.to_string())),
        }
    }
}
