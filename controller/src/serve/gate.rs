//! Who is let in. The outermost layer: what it does not let in reaches no service and no page.
//!
//! - Beyond loopback every call shows the token, but for [`web::HEALTH`].
//! - On loopback no token is asked for, but the caller must name this machine as itself: a browser that was led here by a name
//!   which somebody else has pointed at 127.0.0.1 (DNS rebinding) names that.
//! - The services are spoken to in HTTP/2, which no browser speaks without TLS: one more bar for web pages of others.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Status;

use crate::token::TokenHash;
use crate::web;

/// What the paths of all our services begin with.
const SERVICES: &str = "/sweep.v1.";

/// Who is let in.
#[derive(Clone)]
pub(super) enum Gate {
    /// Who names this machine as itself.
    Loopback,
    /// Who shows the token.
    Token(Arc<TokenHash>),
}

/// Lets a request in or refuses it.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.response(speaks_grpc(&request)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    NoToken,
    ForeignHost,
    OldHttp,
}

impl Gate {
    fn judge(&self, request: &Request) -> Result<(), Refused> {
        if request.uri().path() == web::HEALTH {
            return Ok(());
        }
        match self {
            Self::Loopback if names_this_machine(request) => {}
            Self::Loopback => return Err(Refused::ForeignHost),
            Self::Token(hash) if bearer(request.headers()).is_some_and(|token| hash.matches(token)) => {}
            Self::Token(_) => return Err(Refused::NoToken),
        }
        if request.uri().path().starts_with(SERVICES) && request.version() != Version::HTTP_2 {
            return Err(Refused::OldHttp);
        }
        Ok(())
    }
}

/// Whether the caller reads a gRPC status rather than an HTTP one.
fn speaks_grpc(request: &Request) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE);
    request.version() == Version::HTTP_2 && content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next()?, values.next());
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim())
}

/// Returns whether every name that the request gives the server is `localhost` or an address, and there is one.
fn names_this_machine(request: &Request) -> bool {
    let from_uri = request.uri().authority().map(Authority::as_str);
    let mut names = from_uri.into_iter().chain(request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("")));
    names.next().is_some_and(is_this_machine) && names.all(is_this_machine)
}

fn is_this_machine(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand inside brackets.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

impl Refused {
    fn response(&self, grpc: bool) -> Response {
        let (http, status) = match self {
            Self::NoToken => {
                let message =
                    "the controller asks for its token: `--token` or SWEEP_TOKEN; it stands in the file `token` of its data directory";
                (StatusCode::UNAUTHORIZED, Status::unauthenticated(message))
            }
            Self::ForeignHost => {
                let message = "name the controller as localhost or by its address: other names may be somebody else's";
                (StatusCode::MISDIRECTED_REQUEST, Status::permission_denied(message))
            }
            Self::OldHttp => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, Status::internal("the services speak HTTP/2 alone")),
        };
        if grpc {
            return status.into_http::<Body>();
        }
        let mut response = (http, format!("{}\n", status.message())).into_response();
        if *self == Self::NoToken {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sweep\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(path).version(Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn only_names_of_this_machine_are_let_in_on_loopback() {
        for host in ["localhost", "LOCALHOST:7433", "127.0.0.1:7433", "[::1]:7433", "[::1]", "10.1.2.3"] {
            assert_eq!(Gate::Loopback.judge(&request("/", &[("host", host)])), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:7433", "127.0.0.1.evil.example", "", "localhost:port", "[evil]", "a@localhost"]
        {
            assert_eq!(Gate::Loopback.judge(&request("/", &[("host", host)])), Err(Refused::ForeignHost), "{host}");
        }
        assert_eq!(Gate::Loopback.judge(&request("/", &[])), Err(Refused::ForeignHost));
        let both = request("http://localhost/", &[("host", "evil.example")]);
        assert_eq!(Gate::Loopback.judge(&both), Err(Refused::ForeignHost));
    }

    #[test]
    fn the_services_are_for_http2_alone() {
        let mut call = request("/sweep.v1.SweepService/CreateSweep", &[("host", "localhost")]);
        assert_eq!(Gate::Loopback.judge(&call), Ok(()));
        *call.version_mut() = Version::HTTP_11;
        assert_eq!(Gate::Loopback.judge(&call), Err(Refused::OldHttp));
    }

    #[test]
    fn only_one_bearer_header_counts() {
        let bearer_of = |headers: &[(&str, &str)]| bearer(request("/", headers).headers()).map(str::to_owned);
        assert_eq!(bearer_of(&[("authorization", "Bearer swp_1")]), Some("swp_1".to_owned()));
        assert_eq!(bearer_of(&[("authorization", "bearer  swp_1 ")]), Some("swp_1".to_owned()));
        assert_eq!(bearer_of(&[("authorization", "Basic swp_1")]), None);
        assert_eq!(bearer_of(&[("authorization", "swp_1")]), None);
        assert_eq!(bearer_of(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]), None);
    }
}
