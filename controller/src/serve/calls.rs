//! What is the same for all calls: a deadline, and that they are counted.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tonic::{Code, Status};

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
    let deadline = if request.uri().path() == LONG_POLL { DEADLINE + WAIT_MAX } else { DEADLINE };
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded("the controller did not answer in time; whether it was done is unknown").into_http::<Body>(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_long_poll_is_on_the_wire() {
        assert!(sweep_proto::METHODS.contains(&super::LONG_POLL));
    }
}
