//! The composition root: builds store, engine, planner, reaper, services and page, and joins them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Where the data lives; made if missing.
    pub data_dir: PathBuf,
    /// An agent or attempt without news for this long is lost.
    pub lease: Duration,
    /// Leave good time for running calls to end.
    pub grace: Duration,
}

/// A controller that serves until it is stopped.
#[derive(Debug)]
pub struct Controller {}

/// Why no controller could be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else has the data directory.
    #[error("the data directory {} is held by {holder}", dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
        /// What the lock file says: `process 4711 (127.0.0.1:7433)`.
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
    Store(#[from] crate::store::StoreError),
}

/// Starts a controller; it serves until [`Controller::stop`] or a call of `StopController`.
///
/// # Errors
/// See [`ServeError`].
pub async fn start(options: ServeOptions) -> Result<Controller, ServeError> {
    let _ = options;
    unreachable!("not written yet")
}

impl Controller {
    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Returns the token that was made by this start, if any: shown once, since only its hash is kept in the database.
    /// The token itself stands in `<data_dir>/token` (mode 0600).
    pub fn new_token(&self) -> Option<&str> {
        None
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Why it ended, when that was no stop: the database failed.
    pub async fn ended(&mut self) -> Result<(), ServeError> {
        Ok(())
    }

    /// Stops it: no new calls, running ones may end, everything acknowledged is on disk.
    ///
    /// # Errors
    /// As [`Controller::ended`].
    pub async fn stop(self) -> Result<(), ServeError> {
        Ok(())
    }
}
