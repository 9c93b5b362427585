//! The state and the answers of all routes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::watch;

use super::html;
use crate::engine::{RowChanges, WriterHolds};
use crate::login::Logins;
use crate::reader::Reader;
use crate::store::StoreError;
use crate::traffic::Traffic;

/// Scripts, styles, pictures and our own calls, and nothing from other servers. The charts set styles of their elements, so the page may contain those.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The sources of the page. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web {
    /// The way to the query tables.
    pub reader: Reader,
    /// Calls so far.
    pub traffic: Arc<Traffic>,
    /// Commits so far.
    pub commits: watch::Receiver<u64>,
    /// Which sweeps have changed.
    pub changes: Arc<RowChanges>,
    /// How long requests have held the writer.
    pub holds: Arc<WriterHolds>,
    /// Becomes true when the controller is to stop; streams then end.
    pub stopping: watch::Receiver<bool>,
    /// When the controller started: milliseconds since 1970.
    pub started_ms: i64,
    /// How browsers log in; `None`: they need not.
    pub logins: Option<Arc<Logins>>,
}

/// Answers that the database failed.
pub(super) fn failed(error: &StoreError) -> Response {
    tracing::error!(%error, "a page could not be made");
    page(
        StatusCode::INTERNAL_SERVER_ERROR,
        html::message("The database failed", &error.to_string()),
    )
}

/// Answers that there is no such sweep or run.
pub(super) fn missing(what: &str) -> Response {
    page(
        StatusCode::NOT_FOUND,
        html::message("Nothing here", &format!("There is no {what}.")),
    )
}

/// Answers with a page.
pub(super) fn page(status: StatusCode, body: String) -> Response {
    plain(status, "text/html; charset=utf-8", body)
}

/// Answers with JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => plain(StatusCode::OK, "application/json", text),
        Err(error) => failed(&StoreError::Failed(format!(
            "an answer cannot be written as JSON: {error}"
        ))),
    }
}

/// Answers with a text.
pub(super) fn plain(
    status: StatusCode,
    content_type: &'static str,
    body: impl IntoResponse,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
