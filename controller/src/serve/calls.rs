//! What is the same for all calls: a deadline, and that they are counted.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};

use super::gate::SERVICES;
use crate::service::WAIT_MAX;
use crate::traffic::Traffic;

/// Until then a call is answered; a stream has begun.
const DEADLINE: Duration = Duration::from_secs(30);
/// The one call that waits for something to happen.
const LONG_POLL: &str = "/sweep.v1.AgentService/Acquire";

/// Counts a call with its code; for a stream, the code with which it began.
pub(super) async fn count(State(traffic): State<Arc<Traffic>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let code = response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    traffic.count(&path, code.into());
    response
}

/// Ends a call that takes too long. The engine finishes what it has begun: the caller cannot know the outcome.
pub(super) async fn bound(request: Request, next: Next) -> Response {
    // All services are spoken to below this; the page is not gRPC, and would take its status for a success.
    let is_call = request.uri().path().starts_with(SERVICES);
    let deadline = if request.uri().path() == LONG_POLL { DEADLINE + WAIT_MAX } else { DEADLINE };
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => late(is_call),
    }
}

/// Says that the time was over, in the way that whoever asked reads it.
fn late(is_call: bool) -> Response {
    let status = Status::deadline_exceeded("the controller did not answer in time; whether it was done is unknown");
    if is_call { status.into_http::<Body>() } else { (StatusCode::GATEWAY_TIMEOUT, format!("{}\n", status.message())).into_response() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_told_in_its_own_way_that_the_time_was_over() {
        assert_eq!(late(false).status(), StatusCode::GATEWAY_TIMEOUT);
        let call = late(true);
        assert_eq!((call.status(), call.headers()["grpc-status"].as_bytes()), (StatusCode::OK, b"4".as_slice()));
    }

    #[test]
    fn the_long_poll_is_on_the_wire() {
        assert!(sweep_proto::METHODS.contains(&LONG_POLL));
    }
}
