//! A proxy between agents and the controller: it passes bytes on, or answers by itself.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

/// The answer of a proxy by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An HTTP status, with an error page or nothing.
    Http { status: u16, has_body: bool },
    /// A gRPC status without a word of the protocol.
    Grpc(u16),
}

impl Answer {
    fn response(self) -> Response<Body> {
        let response = match self {
            Self::Http { status, has_body } => {
                let page = if has_body {
                    Body::from("<html>an error page</html>")
                } else {
                    Body::empty()
                };
                let status = StatusCode::from_u16(status).expect("it is a status");
                Response::builder()
                    .status(status)
                    .header("content-type", "text/html")
                    .body(page)
            }
            Self::Grpc(code) => Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", code.to_string())
                .header("grpc-message", "said by a proxy")
                .body(Body::empty()),
        };
        response.expect("it is a response")
    }
}

/// A proxy on its own port. It ends with the test.
pub(crate) struct Proxy {
    address: SocketAddr,
    /// Where the controller listens.
    controller: u16,
    /// Where connections are passed on to.
    target: watch::Sender<u16>,
    runtime: tokio::runtime::Runtime,
}

impl Proxy {
    /// Starts one before the controller on a port.
    pub(crate) fn before(controller: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads can be had");
        let (listener, address) = runtime.block_on(listen());
        let target = watch::Sender::new(controller);
        runtime.spawn(serve(listener, target.subscribe()));
        Self {
            address,
            controller,
            target,
            runtime,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers by itself from now on, or passes everything on. Open connections are cut.
    pub(crate) fn answer(&self, answer: Option<Answer>) {
        let port = match answer {
            None => self.controller,
            Some(answer) => {
                let (listener, address) = self.runtime.block_on(listen());
                let router = axum::Router::new().fallback(move || async move { answer.response() });
                let server = Server::builder()
                    .accept_http1(true)
                    .add_routes(Routes::from(router));
                self.runtime
                    .spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
                address.port()
            }
        };
        self.target.send_replace(port);
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

async fn serve(listener: TcpListener, target: watch::Receiver<u16>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut target = target.clone();
        let port = *target.borrow_and_update();
        tokio::spawn(async move {
            let pass_on = async {
                let Ok(mut other) = TcpStream::connect(("127.0.0.1", port)).await else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
            };
            tokio::select! {
                () = pass_on => {}
                _ = target.changed() => {}
            }
        });
    }
}
