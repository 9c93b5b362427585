//! Layers of all calls: the gate, a deadline, and counters.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use sweep_lifecycle::state::ControllerIdentity;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Layer;

use super::connections;
use super::gate::{AccessGate, SERVICES};
use crate::service::{WAIT_MAX, stamp};
use crate::traffic::Traffic;

/// Until then a call is answered; a stream has begun.
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for calls that carry code, which may come over a slow network: they end by themselves where nothing comes any more.
const CODE_DEADLINE: Duration = Duration::from_secs(3 * 3600);
const CODE: [&str; 3] = [
    "/sweep.v1.AgentService/PushCode",
    "/sweep.v1.SweepService/StageCode",
    "/sweep.v1.SweepService/GetCode",
];
/// Calls that wait for something to happen for up to [`WAIT_MAX`], or read everything.
const LONG_CALLS: [&str; 3] = [
    "/sweep.v1.AgentService/Acquire",
    "/sweep.v1.SweepService/Ask",
    "/sweep.v1.SweepService/GetDiskUsage",
];

/// Goes around services and page. One layer for everything: each costs every call a box and a copy of the whole request.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) gate: AccessGate,
    pub(super) identity: watch::Receiver<ControllerIdentity>,
    pub(super) traffic: Arc<Traffic>,
}

impl Layer<Routes> for Front {
    type Service = Guarded;

    fn layer(&self, routes: Routes) -> Guarded {
        Guarded {
            front: self.clone(),
            routes,
        }
    }
}

/// Services and page behind the front.
#[derive(Clone)]
pub(super) struct Guarded {
    front: Front,
    routes: Routes,
}

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = <Routes as Service<Request<Body>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.routes, context)
    }

    /// Refused calls are counted, with the code that they get; a stream with the code with which it begins.
    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        connections::name_peer(&mut request);
        let uri = request.uri().clone();
        let traffic = Arc::clone(&self.front.traffic);
        let identity = self.front.identity.clone();
        let passed = self
            .front
            .gate
            .pass(&request)
            .map(|()| self.routes.call(request));
        Box::pin(async move {
            let mut response = match passed {
                Ok(answer) => bound(uri.path(), answer).await?,
                Err(refused) => *refused,
            };
            stamp(response.headers_mut(), &identity.borrow());
            let code = response
                .headers()
                .get("grpc-status")
                .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
            traffic.count(uri.path(), code.into());
            Ok(response)
        })
    }
}

/// Ends a call that takes too long. The engine finishes what it has begun: the caller cannot know the outcome.
async fn bound<E>(
    path: &str,
    answer: impl Future<Output = Result<Response<Body>, E>>,
) -> Result<Response<Body>, E> {
    let deadline = match path {
        _ if LONG_CALLS.contains(&path) => DEADLINE + WAIT_MAX,
        _ if CODE.contains(&path) => CODE_DEADLINE,
        _ => DEADLINE,
    };
    // All services are spoken to below this; the page is not gRPC, and would take its status for a success.
    tokio::time::timeout(deadline, answer)
        .await
        .unwrap_or_else(|_| Ok(late(path.starts_with(SERVICES))))
}

/// Responds that the deadline was exceeded, in the caller's protocol.
fn late(is_call: bool) -> Response<Body> {
    let status = Status::deadline_exceeded(
        "the controller did not answer in time; whether it was done is unknown",
    );
    if is_call {
        status.into_http()
    } else {
        (
            StatusCode::GATEWAY_TIMEOUT,
            format!("{}\n", status.message()),
        )
            .into_response()
            .map(Body::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_told_in_its_own_way_that_the_time_was_over() {
        assert_eq!(late(false).status(), StatusCode::GATEWAY_TIMEOUT);
        let call = late(true);
        assert_eq!(
            (call.status(), call.headers()["grpc-status"].as_bytes()),
            (StatusCode::OK, b"4".as_slice())
        );
    }

    #[test]
    fn the_long_poll_is_on_the_wire() {
        assert!(
            LONG_CALLS
                .iter()
                .all(|call| sweep_proto::METHODS.contains(call))
        );
    }
}
