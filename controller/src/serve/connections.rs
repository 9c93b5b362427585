//! Who may connect: so many at once, and nobody who says nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections at once, where the system allows as many; each takes a file.
const CONNECTIONS_MAX: u64 = 8192;
/// Files that are none: the database and its readers, logs.
const OTHER_FILES: u64 = 256;
/// Connections that wait to be served.
const QUEUE_MAX: usize = 64;
/// After the system could not give a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may say nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Before its first byte.
    pub(super) first: Duration,
    /// Between bytes: on a call that waits, the answers to pings come more often.
    pub(super) next: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(10), next: Duration::from_secs(90) }
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
    usize::try_from(files.saturating_sub(OTHER_FILES).clamp(64, CONNECTIONS_MAX)).unwrap_or(usize::MAX)
}

/// Returns the connections that come in. One beyond `places` is closed at once: who calls tries again.
pub(super) fn incoming(listener: TcpListener, places: usize, patience: Patience) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(places));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // Nobody serves any more.
                () = sender.closed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(peer = ?stream.peer_addr().ok(), "a connection too many is closed");
                continue;
            };
            // Without it small answers wait for company; they are right all the same.
            let _ = stream.set_nodelay(true);
            let connection = Connection { stream, patience, until: Box::pin(sleep(patience.first)), _place: place };
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
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            let until = Instant::now() + self.patience.next;
            self.until.as_mut().reset(until);
            return read;
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller says nothing")))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
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
        let patience = Patience { first: Duration::from_millis(20), next: Duration::from_millis(50) };
        let mut incoming = std::pin::pin!(incoming(listener, 9, patience));
        let mut caller = TcpStream::connect(address).await.unwrap();
        let mut silent = incoming.next().await.unwrap().unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut other = TcpStream::connect(address).await.unwrap();
        let mut heard = incoming.next().await.unwrap().unwrap();
        other.write_all(b"x").await.unwrap();
        assert_eq!(heard.read(&mut [0]).await.unwrap(), 1);
        assert_eq!(heard.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "nor later");
        caller.write_all(b"x").await.unwrap();
    }
}
