//! The page for people and the figures for machines: read queries only, never the engine's channel. No route changes anything.

mod html;
mod metrics;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use sweep_lifecycle::state::SweepId;
use tokio::sync::watch;

use crate::reader::Reader;
use crate::store::StoreError;
use crate::traffic::Traffic;

/// Most runs that a sweep's page shows, the newest of those that ended last.
const RUNS_SHOWN: usize = 200;

/// Nothing but our own style sheet: no script, no frame, no form, no picture.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page is made from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web {
    /// The way to the query tables.
    pub reader: Reader,
    /// Calls so far.
    pub traffic: Arc<Traffic>,
    /// Commits so far.
    pub commits: watch::Receiver<u64>,
    /// When the controller started: milliseconds since 1970.
    pub started_ms: i64,
}

/// The one route that answers without a token.
pub const HEALTH: &str = "/healthz";

fn table() -> [(&'static str, MethodRouter<Web>); 5] {
    [("/", get(index)), ("/sweeps/{id}", get(sweep)), ("/style.css", get(style)), (HEALTH, get(health)), ("/metrics", get(figures))]
}

/// Returns the pattern of every route.
pub fn paths() -> Vec<&'static str> {
    table().into_iter().map(|(path, _)| path).collect()
}

/// Returns the routes.
pub fn routes(web: Web) -> Router {
    let routes = table().into_iter().fold(Router::new(), |router, (path, method)| router.route(path, method));
    routes.with_state(web)
}

/// Answers what no route and no service is for.
pub async fn nothing(request: Request) -> Response {
    let is_call = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_call {
        return tonic::Status::unimplemented(format!("there is no call {}", request.uri().path())).into_http();
    }
    html(StatusCode::NOT_FOUND, page::message("Nothing here", "There is no such page."))
}

async fn index(State(web): State<Web>) -> Response {
    match web.reader.ask(|query| query.sweeps()).await {
        Ok(sweeps) => html(StatusCode::OK, page::index(&sweeps)),
        Err(error) => failed(&error),
    }
}

async fn sweep(State(web): State<Web>, Path(id): Path<String>) -> Response {
    let sweep = SweepId(id.clone());
    let found = web.reader.ask(move |query| {
        let Some(found) = query.sweep(&sweep)? else { return Ok(None) };
        let live = query.runs(&sweep, &["assigned".to_owned(), "running".to_owned()], 0, RUNS_SHOWN)?;
        let ended = query.ended_runs(&sweep, RUNS_SHOWN)?;
        Ok(Some((found, live, ended)))
    });
    match found.await {
        Ok(Some(((row, counts), live, ended))) => html(StatusCode::OK, page::sweep(&row, &counts, &live, &ended)),
        Ok(None) => html(StatusCode::NOT_FOUND, page::message("No such sweep", &format!("There is no sweep {id}."))),
        Err(error) => failed(&error),
    }
}

async fn style() -> Response {
    plain(StatusCode::OK, "text/css; charset=utf-8", page::STYLE.to_owned())
}

async fn health() -> Response {
    plain(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned())
}

async fn figures(State(web): State<Web>) -> Response {
    match web.reader.ask(|query| Ok((query.sweeps()?, query.agents(None)?))).await {
        Ok((sweeps, agents)) => {
            let commits = *web.commits.borrow();
            let text = metrics::text(&sweeps, &agents, commits, &web.traffic.calls(), web.started_ms);
            plain(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &StoreError) -> Response {
    tracing::error!(%error, "a page could not be made");
    html(StatusCode::INTERNAL_SERVER_ERROR, page::message("The database failed", &error.to_string()))
}

fn html(status: StatusCode, body: String) -> Response {
    plain(status, "text/html; charset=utf-8", body)
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = (status, body).into_response();
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
