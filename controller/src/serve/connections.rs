//! Limits connections: their number, the time to authenticate, and the time without data.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::places::{ConnectionPlace, Places};

/// Connections at once, where the system allows as many; each takes a file.
const CONNECTIONS_MAX: u64 = 8192;
/// Files that are none: the database and its readers, logs.
const OTHER_FILES: u64 = 256;
/// Connections that wait to be served.
const QUEUE_MAX: usize = 64;
/// After the system could not give a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until a request on it has authenticated, independently of the rest: in HTTP/1 and HTTP/2 alike.
    pub(super) authentication: Duration,
    /// Between bytes after that: on a call that waits, the answers to pings come more often.
    pub(super) silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            authentication: Duration::from_secs(10),
            silence: Duration::from_secs(90),
        }
    }
}

/// Lets this process have as many files as a controller can use, as far as the system allows. For a process that starts no programs: they would
/// inherit it.
pub fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(CONNECTIONS_MAX + OTHER_FILES).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "no more files can be had: fewer agents can connect");
    }
}

/// Returns how many connections there may be at once.
pub(super) fn places() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(CONNECTIONS_MAX, |(soft, _)| soft);
    usize::try_from(files.saturating_sub(OTHER_FILES).clamp(64, CONNECTIONS_MAX))
        .unwrap_or(usize::MAX)
}

/// Returns the connections that come in. One for which there is no place is closed at once: the caller tries again.
pub(super) fn incoming(
    listener: TcpListener,
    places: usize,
    patience: Patience,
) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(async move {
        let places = Places::new(places);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // The server has ended.
                () = sender.closed() => return,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(place) = places.admit(peer) else {
                continue;
            };
            // Without it small answers wait for company; they are right all the same.
            let _ = stream.set_nodelay(true);
            let now = Instant::now();
            let connection = Connection {
                stream,
                patience,
                heard: now,
                until: Box::pin(sleep(patience.authentication)),
                place,
            };
            if sender.send(Ok(connection)).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    patience: Patience,
    /// When its last bytes came.
    heard: Instant,
    until: Pin<Box<Sleep>>,
    place: Arc<ConnectionPlace>,
}

/// The connection of a request, among the request's extensions.
#[derive(Clone, Debug)]
pub(super) struct ConnectionInfo {
    peer: TcpConnectInfo,
    place: Arc<ConnectionPlace>,
}

/// Records that a request has authenticated: its connection may stay.
pub(super) fn authenticate<T>(request: &axum::http::Request<T>) {
    if let Some(connection) = request.extensions().get::<ConnectionInfo>() {
        connection.place.authenticate();
    }
}

/// Tells services from which address a request comes.
pub(super) fn name_peer<T>(request: &mut axum::http::Request<T>) {
    if let Some(peer) = request
        .extensions()
        .get::<ConnectionInfo>()
        .map(|connection| connection.peer.clone())
    {
        request.extensions_mut().insert(peer);
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        ConnectionInfo {
            peer: self.stream.connect_info(),
            place: Arc::clone(&self.place),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.heard = Instant::now();
        }
        loop {
            let has_authenticated = self.place.has_authenticated();
            if has_authenticated {
                let until = self.heard + self.patience.silence;
                if self.until.deadline() != until {
                    self.until.as_mut().reset(until);
                }
                if read.is_ready() {
                    return read;
                }
            }
            if !has_authenticated && self.place.is_removed(context.waker()) {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "another connection has the place",
                )));
            }
            if self.until.as_mut().poll(context).is_pending() {
                return read;
            }
            // Meanwhile it may have.
            if !has_authenticated && !self.place.has_authenticated() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the caller has not authenticated",
                )));
            }
            if has_authenticated {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the caller is silent",
                )));
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn one_too_many_is_closed_and_may_come_when_another_has_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = std::pin::pin!(incoming(listener, 1, Patience::default()));
        let _first = TcpStream::connect(address).await.unwrap();
        let served = incoming.next().await.unwrap().unwrap();
        served.place.authenticate();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0, "it is closed");
        drop(served);
        let _third = TcpStream::connect(address).await.unwrap();
        incoming.next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience {
            authentication: Duration::from_millis(200),
            silence: Duration::from_millis(400),
        };
        let mut incoming = std::pin::pin!(incoming(listener, 9, patience));
        let mut caller = TcpStream::connect(address).await.unwrap();
        let mut silent = incoming.next().await.unwrap().unwrap();
        assert_eq!(
            silent.read(&mut [0]).await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        let mut other = TcpStream::connect(address).await.unwrap();
        let mut heard = incoming.next().await.unwrap().unwrap();
        other.write_all(b"x").await.unwrap();
        assert_eq!(heard.read(&mut [0]).await.unwrap(), 1);
        heard.place.authenticate();
        assert_eq!(
            heard.read(&mut [0]).await.unwrap_err().to_string(),
            "the caller is silent",
            "nor later"
        );
        caller.write_all(b"x").await.unwrap();
    }

    #[tokio::test]
    async fn who_talks_without_authenticating_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience {
            authentication: Duration::from_millis(200),
            ..Patience::default()
        };
        let mut incoming = std::pin::pin!(incoming(listener, 9, patience));
        let mut caller = TcpStream::connect(address).await.unwrap();
        let mut talking = incoming.next().await.unwrap().unwrap();
        let talk = tokio::spawn(async move { while caller.write_all(b"x").await.is_ok() {} });
        let mut buffer = [0; 64];
        let error = loop {
            match talking.read(&mut buffer).await {
                Ok(_) => sleep(Duration::from_millis(1)).await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "the caller has not authenticated");
        drop(talking);
        talk.await.unwrap();
    }
}
