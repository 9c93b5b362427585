//! A small MLflow tracking server for the program of one attempt: it takes what `mlflow` logs, so
//! that its metrics can be read like those of a file.
//!
//! It runs in the attempt's shim, which lives as long as the program: an agent that is killed or
//! upgraded does not interrupt it. Metrics and parameters go to a file in the attempt's folder
//! before the reply; artifacts are written by the client itself. Runs and their tags are kept in
//! memory. The address is on the loopback interface and holds a random token, since other users of
//! the machine can connect to it.

mod api;
mod store;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub(crate) use self::store::LOG;
use self::store::MlflowStore;

/// The variable that names the server to MLflow's clients.
pub(crate) const VARIABLE: &str = "MLFLOW_TRACKING_URI";
/// A longer request is refused.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Whether a user was warned of their own server.
static HAS_WARNED: AtomicBool = AtomicBool::new(false);

/// Returns the folder of MLflow's file store that an address of the user's own names.
pub(crate) fn store_of(uri: &str, workdir: &Path) -> Option<PathBuf> {
    let path = uri
        .strip_prefix("file://")
        .or_else(|| uri.strip_prefix("file:"))
        .or_else(|| (!uri.contains(':')).then_some(uri))?;
    (!path.is_empty() && uri != "databricks" && uri != "uc").then(|| workdir.join(path))
}

/// Returns a warning where the user's own address is not a file store, once for this process.
pub(crate) fn warning_of(uri: &str) -> Option<String> {
    if store_of(uri, Path::new("/")).is_some() || HAS_WARNED.swap(true, Ordering::Relaxed) {
        return None;
    }
    let scheme = uri.split(':').next().unwrap_or_default();
    Some(format!(
        "{VARIABLE} names a server of your own ({scheme}): metrics that programs log there are not read; unset {VARIABLE} for the agent, and its own \
         endpoint takes them"
    ))
}

/// A server that does not answer yet.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: TcpListener,
    token: String,
}

impl Endpoint {
    /// Takes a free port.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn bind() -> io::Result<Self> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let token = hex::encode(secret);
        Ok(Self {
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
            token,
        })
    }

    /// Returns its address.
    ///
    /// # Errors
    /// The system does not name its port.
    pub(crate) fn uri(&self) -> io::Result<String> {
        Ok(format!(
            "http://{}/{}",
            self.listener.local_addr()?,
            self.token
        ))
    }

    /// Answers until this process ends. `name` is that of the first run. Costs a waiting thread
    /// until a client connects.
    pub(crate) fn serve(self, folder: &Path, name: &str) {
        let store = MlflowStore::new(folder, name);
        thread::spawn(move || {
            if let Err(error) = self.answer(store) {
                tracing::warn!(%error, "the MLflow endpoint of an attempt has ended");
            }
        });
    }

    fn answer(self, store: MlflowStore) -> io::Result<()> {
        loop {
            match poll(
                &mut [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)],
                PollTimeout::NONE,
            ) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        self.listener.set_nonblocking(true)?;
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?
            .block_on(async {
                let listener = tokio::net::TcpListener::from_std(self.listener)?;
                let state = Arc::new(api::Server {
                    token: self.token,
                    store: Mutex::new(store),
                });
                let router = Router::new()
                    .fallback(api::answer)
                    .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
                    .with_state(state);
                axum::serve(listener, router).await
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_stores_are_told_from_servers() {
        let store = |uri: &str| store_of(uri, Path::new("/project"));
        assert_eq!(
            store("file:./mlruns"),
            Some(PathBuf::from("/project/./mlruns"))
        );
        assert_eq!(
            store("file:///data/mlruns"),
            Some(PathBuf::from("/data/mlruns"))
        );
        assert_eq!(store("mlruns"), Some(PathBuf::from("/project/mlruns")));
        for other in [
            "http://box:5000",
            "sqlite:///mlflow.db",
            "databricks",
            "databricks://profile",
            "",
        ] {
            assert_eq!(store(other), None, "{other}");
        }
        assert!(
            warning_of("http://user:secret@box:5000")
                .is_some_and(|text| text.contains("(http)") && !text.contains("secret"))
        );
        assert_eq!(warning_of("http://box:5000"), None, "once");
    }
}
