//! Logs a browser in: with a code that is good once, or with the token.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use super::answer::{self, Web};
use super::html;
pub(super) use crate::login::PATH;
use crate::login::SESSION_TERM;

/// The query of a login link.
#[derive(Deserialize)]
pub(super) struct LoginQuery {
    /// Good once; without one the caller has shown the token, which the gate has checked.
    #[serde(default)]
    code: Option<String>,
    /// The page to show after login.
    #[serde(default)]
    next: Option<String>,
}

/// Answers a login: with a cookie, and the page that was asked for behind it.
pub(super) async fn answer(
    State(web): State<Web>,
    method: Method,
    headers: HeaderMap,
    Query(asked): Query<LoginQuery>,
) -> Response {
    let next = asked
        .next
        .as_deref()
        .filter(|next| is_own_path(next))
        .unwrap_or("/");
    let Some(logins) = &web.logins else {
        return go_on(next);
    };
    let session = match asked.code {
        // A program that previews the link must not consume the code.
        Some(_) if method == Method::HEAD => return answer::page(StatusCode::OK, String::new()),
        Some(code) => logins.redeem(&code),
        None => logins.begin_session().map(Some),
    };
    let session = match session {
        Ok(Some(session)) => session,
        Ok(None) => return needed_because("This link was used before or has expired"),
        Err(error) => {
            return answer::page(
                StatusCode::INTERNAL_SERVER_ERROR,
                html::bare("No session can be made", &error.to_string()),
            );
        }
    };
    let is_encrypted = headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme.as_bytes() == b"https");
    let secure = if is_encrypted { "; Secure" } else { "" };
    let term = SESSION_TERM.as_secs();
    let cookie = format!(
        "{}={session}; Path=/; Max-Age={term}; HttpOnly; SameSite=Strict{secure}",
        logins.cookie()
    );
    let mut response = go_on(next);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Answers a browser that is not logged in.
pub(crate) fn needed() -> Response {
    needed_because("Log in first")
}

fn needed_because(title: &str) -> Response {
    let text = "`sweep controller status` prints a link that logs in, once and within ten minutes. Where the command line is elsewhere, go to \
                /login and give the controller's token as the password, with any name.";
    answer::page(StatusCode::UNAUTHORIZED, html::bare(title, text))
}

/// A page that leads on. No redirect: after one, a link in a page of another site would send no cookie that is `SameSite=Strict`.
fn go_on(next: &str) -> Response {
    answer::page(StatusCode::OK, html::onward(next))
}

/// Whether it is a path on this controller: `//host` and `/\\host` lead elsewhere.
fn is_own_path(next: &str) -> bool {
    next.starts_with('/')
        && !next[1..].starts_with(['/', '\\'])
        && next.chars().all(|character| character.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_no_other_site() {
        for own in ["/", "/sweeps/ab12cd34", "/sweeps/ab12cd34?x=1#runs"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a b",
            "/\t/evil.example",
        ] {
            assert!(!is_own_path(foreign), "{foreign}");
        }
    }
}
