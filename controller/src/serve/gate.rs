//! Authentication. The outermost layer: rejected requests reach no service and no page.
//!
//! - Every call shows a token, on loopback too, but for [`web::HEALTH`] and a login with a code. Callers of the services do so as `Bearer`. A browser
//!   has the session of a login, or shows the token as the password of a `Basic` login; it sends both on its own, so the services do not take them.
//! - A controller without a token serves its own machine alone: the caller must name this machine as itself, since a browser that was led here by a
//!   name which somebody else has pointed at 127.0.0.1 (DNS rebinding) names that; and no proxy may have passed the call on.
//! - The services are spoken to in HTTP/2, which no browser speaks without TLS: one more bar for web pages of others.
//! - What a browser sends to change something comes from our own page, and the browser says so: with the origin of another page it is
//!   refused, and a `Basic` login counts there only beside our own.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::uri::Authority;
use axum::http::{HeaderValue, Response, StatusCode, Version, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use tonic::Status;
use tonic::body::Body;

use super::connections;
use crate::login::{self, Logins};
use crate::service::json;
use crate::token::TokenHashes;
use crate::web;

/// The form that browsers write; bits behind the last byte are ignored.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// The prefix of the paths of all our services.
pub(super) const SERVICES: &str = "/sweep.v1.";

/// Which callers are let in.
#[derive(Clone)]
pub(super) enum AccessGate {
    /// Those of this machine.
    Open,
    /// Those that show a token or have a session.
    Token(Arc<Keys>),
}

/// The valid tokens and sessions.
pub(super) struct Keys {
    pub(super) hashes: TokenHashes,
    pub(super) logins: Arc<Logins>,
}

/// Headers that proxies add.
const FORWARDED: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
];

type Request = axum::http::Request<Body>;

#[derive(Debug, PartialEq, Eq)]
enum AccessRefusal {
    NoToken,
    ForeignHost,
    Forwarded,
    ForeignOrigin,
    OldHttp,
}

impl AccessGate {
    /// Lets a request in or says how it is refused.
    pub(super) fn pass(&self, request: &Request) -> Result<(), Box<Response<Body>>> {
        self.judge(request)
            .map_err(|refused| Box::new(refused.response(request)))
    }

    fn judge(&self, request: &Request) -> Result<(), AccessRefusal> {
        if request.uri().path() == web::HEALTH || has_login_code(request) {
            return Ok(());
        }
        match self {
            Self::Open if is_forwarded(request) => return Err(AccessRefusal::Forwarded),
            Self::Open if names_this_machine(request) => connections::authenticate(request),
            Self::Open => return Err(AccessRefusal::ForeignHost),
            Self::Token(keys) if keys.fit(request) => connections::authenticate(request),
            Self::Token(_) => return Err(AccessRefusal::NoToken),
        }
        if !request.method().is_safe() && origin(request) == RequestOrigin::Foreign {
            return Err(AccessRefusal::ForeignOrigin);
        }
        if is_service(request) && request.version() != Version::HTTP_2 {
            return Err(AccessRefusal::OldHttp);
        }
        Ok(())
    }
}

impl Keys {
    /// Returns whether the caller has shown a token or has a session that counts for what it asks.
    fn fit(&self, request: &Request) -> bool {
        match shown_token(request) {
            Some(token) => self.hashes.matches(&token),
            None => {
                may_log_in(request)
                    && cookies(request, self.logins.cookie())
                        .any(|session| self.logins.is_session(session))
            }
        }
    }
}

/// Returns the values of a cookie.
fn cookies<'a>(request: &'a Request, name: &'a str) -> impl Iterator<Item = &'a str> {
    let headers = request
        .headers()
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    headers
        .flat_map(|header| header.split(';'))
        .filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether the caller logs in with a code, which the page checks.
fn has_login_code(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.uri().path() == login::PATH
        && request.method().is_safe()
        && query.split('&').any(|pair| pair.starts_with("code="))
}

/// Whether a proxy has passed the call on: then the caller may be anybody.
fn is_forwarded(request: &Request) -> bool {
    FORWARDED
        .iter()
        .any(|name| request.headers().contains_key(*name))
}

/// Whether a person reads the answer in a browser.
fn is_browser(request: &Request) -> bool {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    !is_service(request) && accept.contains("text/html")
}

/// Whether the caller reads a gRPC status rather than an HTTP one.
fn speaks_grpc(request: &Request) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE);
    request.version() == Version::HTTP_2
        && content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

fn is_service(request: &Request) -> bool {
    request.uri().path().starts_with(SERVICES)
}

/// Where a browser says that a request comes from.
#[derive(PartialEq, Eq)]
enum RequestOrigin {
    /// No browser made it, or none that names its origin.
    Unsaid,
    /// A page of ours.
    Own,
    /// A page of somebody else.
    Foreign,
}

fn origin(request: &Request) -> RequestOrigin {
    let text = |name| {
        request
            .headers()
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or_default())
    };
    if text(header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| site != "same-origin")
    {
        return RequestOrigin::Foreign;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return RequestOrigin::Unsaid;
    };
    let host = text(header::HOST).or(request.uri().authority().map(Authority::as_str));
    let named = origin.split_once("://").map(|(_, authority)| authority);
    if named.is_some() && named == host {
        RequestOrigin::Own
    } else {
        RequestOrigin::Foreign
    }
}

/// Whether a login that a browser sends on its own counts: it looks at a page, or acts from one of ours.
fn may_log_in(request: &Request) -> bool {
    let acts =
        request.uri().path().starts_with(json::PREFIX) && origin(request) == RequestOrigin::Own;
    !is_service(request) && (request.method().is_safe() || acts)
}

/// Returns the token in the one `Authorization` header.
fn shown_token(request: &Request) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next()?, values.next());
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    if more.is_some() {
        None
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Some(credentials.to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") && may_log_in(request) {
        let login = String::from_utf8(base64_decoded(credentials)?).ok()?;
        login
            .split_once(':')
            .map(|(_, password)| password.to_owned())
    } else {
        None
    }
}

/// Decodes base64 as browsers write it, with padding or without.
fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim_end_matches('=')).ok()
}

/// Returns whether every name that the request gives the server is `localhost` or an address, and there is one.
fn names_this_machine(request: &Request) -> bool {
    let from_uri = request.uri().authority().map(Authority::as_str);
    let mut names = from_uri.into_iter().chain(
        request
            .headers()
            .get_all(header::HOST)
            .iter()
            .map(|host| host.to_str().unwrap_or("")),
    );
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
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

impl AccessRefusal {
    fn response(&self, request: &Request) -> Response<Body> {
        let (http, status) = match self {
            Self::NoToken => {
                let message = "the controller asks for a token: SWEEP_TOKEN, `--token-file` or `--token`; it is in the file `token` of the controller's \
                               data directory";
                (StatusCode::UNAUTHORIZED, Status::unauthenticated(message))
            }
            Self::Forwarded => {
                let message = "this controller has no token and serves its own machine alone, and a proxy has passed the call on; start it without --no-token";
                (StatusCode::FORBIDDEN, Status::permission_denied(message))
            }
            Self::ForeignHost => {
                let message = "name the controller as localhost or by its address: other names may belong to another host";
                (
                    StatusCode::MISDIRECTED_REQUEST,
                    Status::permission_denied(message),
                )
            }
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                Status::permission_denied("a page of another origin may not change anything here"),
            ),
            Self::OldHttp => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                Status::internal("the services speak HTTP/2 alone"),
            ),
        };
        if speaks_grpc(request) {
            return status.into_http::<Body>();
        }
        // A browser asks for a password where `Basic` is offered: on the page for that alone.
        let explains =
            *self == Self::NoToken && is_browser(request) && request.uri().path() != login::PATH;
        let mut response = if explains {
            web::login_needed()
        } else {
            (http, format!("{}\n", status.message())).into_response()
        };
        if *self == Self::NoToken {
            let schemes = if explains {
                "Bearer realm=\"sweep\""
            } else {
                "Bearer realm=\"sweep\", Basic realm=\"sweep: any name, the token as password\""
            };
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(schemes));
        }
        response.map(Body::new)
    }
}

#[cfg(test)]
mod tests;
