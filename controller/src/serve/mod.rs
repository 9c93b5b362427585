//! The composition root: builds store, engine, planner, reaper, services and page, and joins them.

mod assembly;
mod calls;
mod connections;
mod data_dir;
mod error;
mod gate;
mod keeping;
mod marker;
mod places;
mod presence;
mod rebuild;
mod takeover;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_access::Token;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::engine::{Terms, wall_time};
use crate::login::Logins;
use crate::service::{self, About, Services, Snapshots, Turns, UnreadObjectives};
use crate::token::Tokens;
use crate::traffic::Traffic;
use crate::web::{self, Web};
pub use assembly::AccessPolicy;
pub use connections::raise_file_limit;
pub use error::ServeError;
pub use keeping::{back_up, restore, rotate_token};
pub use rebuild::{Rebuilt, rebuild};
pub use verify::{Verified, verify};

use assembly::Assembly;
use calls::Front;
use data_dir::{CODE, DataDir};
use gate::{AccessGate, Keys};
use presence::LockFile;

/// A connection without news for this long is asked for a sign of life, and given up after as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long calls may take to end after the engine has failed.
const GRACE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long the engine has to notice that its database is gone as well, once the lock is: it looks several times a second.
const SAVING_TIME: Duration = Duration::from_secs(1);
const STREAMS_PER_CONNECTION_MAX: u32 = 256;
const HEADER_BYTES_MAX: u32 = 32 << 10;
const RESET_STREAMS_MAX: usize = 64;

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Where the data lives; made if missing.
    pub data_dir: PathBuf,
    /// The timeouts of the controller.
    pub terms: Terms,
    /// Leave good time for running calls to end.
    pub grace: Duration,
    /// Which callers are let in.
    pub access: AccessPolicy,
}

/// A controller that serves until it is stopped. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Controller {
    address: SocketAddr,
    token: Option<Token>,
    stopping: watch::Sender<bool>,
    /// Taken when it has ended.
    task: Option<JoinHandle<Result<(), ServeError>>>,
}

/// Starts a controller; it serves until [`Controller::stop`] or a call of `StopController`.
///
/// Every call but `/healthz` needs a token, unless the options say otherwise; the first start in a data directory makes it.
///
/// # Errors
/// See [`ServeError`].
pub async fn start(options: ServeOptions) -> Result<Controller, ServeError> {
    if matches!(options.access, AccessPolicy::Open)
        && !options.listen.ip().to_canonical().is_loopback()
    {
        return Err(ServeError::OpenBeyondLoopback(options.listen));
    }
    let (mut data_dir, was_killed) = takeover::hold(&options.data_dir).await?;
    let lock = LockFile::of(data_dir.path())?;
    let listen_error = |source| ServeError::Listen {
        address: options.listen,
        source,
    };
    // Before the engine starts, which would have to be stopped. Callers wait in the queue of the port in the meantime.
    let listener = takeover::listen(options.listen, was_killed)
        .await
        .map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let (assembly, tokens) =
        Assembly::start(data_dir.path(), options.terms, options.access).await?;
    data_dir.restrict()?;
    let started_ms = wall_time().0;
    data_dir.announce(address, started_ms);

    let stopping = watch::Sender::new(false);
    let (gate, token, logins) = gate(tokens);
    let about = About {
        data_dir: data_dir.path().to_owned(),
        started_ms,
        lease: options.terms.lease,
    };
    let services = Services {
        engine: assembly.engine.clone(),
        reader: assembly.reader.clone(),
        about,
        stopping: stopping.clone(),
        analyses: Turns::default(),
        snapshots: Some(Snapshots::new(data_dir.path().join(CODE))),
        unread: UnreadObjectives::default(),
        logins,
    };
    let traffic = Arc::new(Traffic::default());
    let front = Front {
        gate,
        identity: assembly.engine.identity(),
        traffic: Arc::clone(&traffic),
    };
    let server = tokio::spawn(serve(
        listener,
        front,
        routes(services, traffic),
        stopping.subscribe(),
    ));
    tracing::info!(%address, data_dir = %data_dir.path().display(), "controller started");
    let task = tokio::spawn(supervise(
        assembly,
        server,
        (data_dir, lock),
        stopping.clone(),
        options.grace,
    ));
    Ok(Controller {
        address,
        token,
        stopping,
        task: Some(task),
    })
}

/// Makes the gate, with the token that is shown at the start and the logins of browsers.
fn gate(tokens: Option<Tokens>) -> (AccessGate, Option<Token>, Option<Arc<Logins>>) {
    match tokens {
        None => (AccessGate::Open, None, None),
        Some(Tokens { hashes, local }) => {
            let logins = Arc::new(Logins::new(&local));
            (
                AccessGate::Token(Arc::new(Keys {
                    hashes,
                    logins: Arc::clone(&logins),
                })),
                Some(local),
                Some(logins),
            )
        }
    }
}

/// Joins services and page into the routes of the one port.
fn routes(services: Services, traffic: Arc<Traffic>) -> Routes {
    let page = Web {
        reader: services.reader.clone(),
        traffic,
        commits: services.engine.commits(),
        changes: services.engine.changes(),
        holds: services.engine.holds(),
        stopping: services.stopping.subscribe(),
        started_ms: services.about.started_ms,
        logins: services.logins.clone(),
    };
    let router = service::routes(&services)
        .into_axum_router()
        .merge(service::json::routes(services))
        .merge(web::routes(page))
        .fallback(web::nothing);
    Routes::from(router)
}

/// Serves until the controller is to stop, then lets running calls end.
async fn serve(
    listener: TcpListener,
    front: Front,
    routes: Routes,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let stopped = async move {
        // A sender that is gone means the same.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let incoming = connections::incoming(
        listener,
        connections::places(),
        connections::Patience::default(),
    );
    Server::builder()
        // For the page; the gate keeps it away from the services.
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS_MAX))
        .layer(front)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopped)
        .await
}

/// Waits until the controller is to stop or its engine fails, and ends everything in good order.
async fn supervise(
    mut assembly: Assembly,
    mut server: JoinHandle<Result<(), tonic::transport::Error>>,
    (data_dir, lock): (DataDir, LockFile),
    stopping: watch::Sender<bool>,
    grace: Duration,
) -> Result<(), ServeError> {
    let mut asked = stopping.subscribe();
    let mut lost = None;
    let failed = tokio::select! {
        // In this order: once asked to stop, the server ends as well, and that is no failure.
        biased;
        // This task holds a sender, so waiting ends only by the value.
        _ = asked.wait_for(|stopping| *stopping) => None,
        ended = assembly.ended() => Some(ended),
        ended = &mut server => {
            // Without an error it was asked to stop as well, a moment ago.
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!(?ended, "the server ended by itself");
            }
            None
        }
        error = lock.lost() => {
            lost = Some(error);
            None
        }
    };
    // A process that removes the lock is mostly removing the directory: then the engine saves what was acknowledged, and ends.
    let failed = match lost {
        Some(_) => tokio::time::timeout(SAVING_TIME, assembly.ended())
            .await
            .ok(),
        None => failed,
    };
    stopping.send_replace(true);
    // Without an engine no call is answered any more.
    let grace = if failed.is_some() {
        grace.min(GRACE_AFTER_FAILURE)
    } else {
        grace
    };
    if !server.is_finished() && tokio::time::timeout(grace, &mut server).await.is_err() {
        tracing::warn!("calls were still running when the grace period ended");
        server.abort();
    }
    let ended = match failed {
        Some(ended) => ended,
        None => assembly.stop().await,
    };
    let result = ended
        .map_err(ServeError::from)
        .and(lost.map_or(Ok(()), Err));
    if let Err(error) = &result {
        tracing::error!(%error, "the controller ended");
    }
    // Only now may another controller take the directory.
    drop(data_dir);
    result
}

impl Controller {
    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the token of its data directory, which is also in `<data_dir>/token`; `None`: it asks for none.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Why it ended, when that was no stop: the database failed.
    pub async fn ended(&mut self) -> Result<(), ServeError> {
        let Some(task) = &mut self.task else {
            return Ok(());
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Cancelled: the runtime is going down, and with it everything else.
            Err(_) => Ok(()),
        }
    }

    /// Stops it: no new calls, running ones may end, everything acknowledged is on disk.
    ///
    /// # Errors
    /// As [`Controller::ended`].
    pub async fn stop(mut self) -> Result<(), ServeError> {
        self.stopping.send_replace(true);
        self.ended().await
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
    }
}
