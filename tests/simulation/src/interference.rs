//! Servers that answer in the controller's place for a while: proxies with HTTP and gRPC statuses, a controller that asks for another token, another controller.

use sweep_controller::service;
use sweep_lifecycle::state::ControllerIdentity;
use sweep_proto::REFUSAL_HEADER;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Response, StatusCode};
use tonic::{Code, Status};

use crate::chance::Chance;

/// HTTP statuses of proxies.
const HTTP: [u16; 6] = [404, 403, 401, 429, 502, 200];
/// gRPC statuses of proxies.
const GRPC: [i32; 5] = [5, 7, 12, 14, 16];
/// Refusals of a controller that has other data.
const REFUSALS: [&str; 4] = [
    "unknown_sweep",
    "unknown_agent",
    "stale_attempt",
    "wrong_state",
];

/// A server that answers in the controller's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interference {
    /// A proxy, over HTTP.
    Http { status: u16, has_body: bool },
    /// A proxy that speaks gRPC.
    Grpc(i32),
    /// The controller itself, with another token.
    Token,
    /// A controller with other data.
    Other(&'static str),
}

impl Interference {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let pick = |chance: &mut Chance, count: usize| chance.below(count as u64) as usize;
        match chance.below(4) {
            0 => Self::Http {
                status: HTTP[pick(chance, HTTP.len())],
                has_body: chance.is(50),
            },
            1 => Self::Grpc(GRPC[pick(chance, GRPC.len())]),
            2 => Self::Token,
            _ => Self::Other(REFUSALS[pick(chance, REFUSALS.len())]),
        }
    }

    pub(crate) fn answer(self, own: &ControllerIdentity) -> Response<Body> {
        match self {
            Self::Http { status, has_body } => {
                let body = if has_body {
                    Body::new("<html>an error page</html>".to_owned())
                } else {
                    Body::empty()
                };
                let mut response = Response::new(body);
                *response.status_mut() =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                response
                    .headers_mut()
                    .insert("content-type", HeaderValue::from_static("text/html"));
                response
            }
            Self::Grpc(code) => Status::new(Code::from_i32(code), "said by a proxy").into_http(),
            Self::Token => {
                let mut response =
                    Status::unauthenticated("the controller asks for its token").into_http();
                service::stamp(response.headers_mut(), own);
                response
            }
            Self::Other(refusal) => {
                let mut status = Status::failed_precondition("said by another controller");
                status.metadata_mut().insert(
                    REFUSAL_HEADER,
                    tonic::metadata::MetadataValue::from_static(refusal),
                );
                let mut response = status.into_http();
                let other = ControllerIdentity {
                    controller: "0ther0000000".to_owned(),
                    epoch: 1,
                    is_settling: false,
                };
                service::stamp(response.headers_mut(), &other);
                response
            }
        }
    }
}
