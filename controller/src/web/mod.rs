//! The page for people and the figures for machines: read queries only, never the engine's channel. No route changes anything: what people do on
//! the page goes through `service::json`, as it goes through gRPC from the command line.
//!
//! Pages are written on the server and can be read without scripts; the modules under `assets` draw what is better looked at, and ask the routes that
//! answer in JSON.

mod agents;
mod answer;
mod assets;
mod compare;
mod constants;
mod failures;
mod html;
mod limits;
mod live;
mod login;
mod metrics;
mod rows;
mod run;
mod series;
mod spark;
mod sweep;
mod sweeps;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use sweep_lifecycle::state::SweepId;
use tower_http::compression::{CompressionLayer, CompressionLevel};

pub use answer::Web;
pub(crate) use login::needed as login_needed;

use answer::{failed, json, missing, now_ms, plain};
use metrics::ControllerFigures;

/// The one route that answers without a token.
pub const HEALTH: &str = "/healthz";

fn table() -> [(&'static str, MethodRouter<Web>); 14] {
    [
        ("/", get(index)),
        ("/agents", get(agents)),
        ("/sweeps/{id}", get(sweep)),
        ("/sweeps/{id}/data.json", get(data)),
        ("/sweeps/{id}/compare", get(compare)),
        ("/sweeps/{id}/curves.json", get(curves)),
        ("/sweeps/{id}/runs/{run}", get(run)),
        ("/sweeps/{id}/runs/{run}/series.json", get(series)),
        ("/sweeps/{id}/runs/{run}/log", get(log)),
        ("/live", get(live)),
        ("/assets/{version}/{name}", get(asset)),
        (HEALTH, get(health)),
        (login::PATH, get(login::answer)),
        ("/metrics", get(figures)),
    ]
}

/// Returns the pattern of every route.
pub fn paths() -> Vec<&'static str> {
    table().into_iter().map(|(path, _)| path).collect()
}

/// Returns the routes.
pub fn routes(web: Web) -> Router {
    let routes = table()
        .into_iter()
        .fold(Router::new(), |router, (path, method)| {
            router.route(path, method)
        });
    // The runs of a large sweep are megabytes; fast, since most readers are near.
    routes.with_state(web).layer(
        CompressionLayer::new()
            .gzip(true)
            .quality(CompressionLevel::Fastest),
    )
}

/// Answers what no route and no service is for.
pub async fn nothing(request: Request) -> Response {
    let is_call = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_call {
        return tonic::Status::unimplemented(format!("there is no call {}", request.uri().path()))
            .into_http();
    }
    answer::page(
        StatusCode::NOT_FOUND,
        html::message("Nothing here", "There is no such page."),
    )
}

async fn index(State(web): State<Web>, Query(asked): Query<sweeps::SweepsQuery>) -> Response {
    match web
        .reader
        .ask(move |query| sweeps::read(query, &asked))
        .await
    {
        Ok(sweeps) => answer::page(StatusCode::OK, sweeps::page(&sweeps, now_ms())),
        Err(error) => failed(&error),
    }
}

async fn agents(State(web): State<Web>) -> Response {
    match web.reader.ask(agents::read).await {
        Ok(found) => answer::page(StatusCode::OK, agents::page(&found, now_ms())),
        Err(error) => failed(&error),
    }
}

async fn sweep(State(web): State<Web>, Path(id): Path<String>) -> Response {
    let sweep = SweepId(id.clone());
    match web
        .reader
        .ask(move |query| sweep::read(query, &sweep))
        .await
    {
        Ok(Some(found)) => answer::page(StatusCode::OK, sweep::page(&found, now_ms())),
        Ok(None) => missing(&format!("sweep {id}")),
        Err(error) => failed(&error),
    }
}

async fn data(State(web): State<Web>, Path(id): Path<String>) -> Response {
    let sweep = SweepId(id.clone());
    match web.reader.ask(move |query| rows::read(query, &sweep)).await {
        Ok(Some(data)) => json(&data),
        Ok(None) => missing(&format!("sweep {id}")),
        Err(error) => failed(&error),
    }
}

async fn compare(
    State(web): State<Web>,
    Path(id): Path<String>,
    Query(asked): Query<compare::CompareQuery>,
) -> Response {
    let sweep = SweepId(id.clone());
    match web
        .reader
        .ask(move |query| compare::read(query, &sweep, &asked))
        .await
    {
        Ok(Some(found)) => answer::page(StatusCode::OK, compare::page(&found)),
        Ok(None) => missing(&format!("sweep {id}")),
        Err(error) => failed(&error),
    }
}

async fn curves(
    State(web): State<Web>,
    Path(id): Path<String>,
    Query(asked): Query<series::CurvesQuery>,
) -> Response {
    let sweep = SweepId(id.clone());
    match web
        .reader
        .ask(move |query| series::curves(query, &sweep, &asked))
        .await
    {
        Ok(Some(curves)) => json(&curves),
        Ok(None) => missing(&format!("sweep {id}")),
        Err(error) => failed(&error),
    }
}

async fn run(State(web): State<Web>, Path((id, run)): Path<(String, u64)>) -> Response {
    let sweep = SweepId(id.clone());
    match web
        .reader
        .ask(move |query| run::read(query, &sweep, run))
        .await
    {
        Ok(Some(found)) => answer::page(StatusCode::OK, run::page(&found, now_ms())),
        Ok(None) => missing(&format!("run {id}/{run}")),
        Err(error) => failed(&error),
    }
}

async fn series(
    State(web): State<Web>,
    Path((id, run)): Path<(String, u64)>,
    Query(asked): Query<series::AttemptQuery>,
) -> Response {
    let sweep = SweepId(id.clone());
    match web
        .reader
        .ask(move |query| series::of_run(query, &sweep, run, &asked))
        .await
    {
        Ok(Some(series)) => json(&series),
        Ok(None) => missing(&format!("run {id}/{run}")),
        Err(error) => failed(&error),
    }
}

async fn log(
    State(web): State<Web>,
    Path((id, run)): Path<(String, u64)>,
    Query(asked): Query<series::LogAsked>,
) -> Response {
    let sweep = SweepId(id.clone());
    match web
        .reader
        .ask(move |query| series::log(query, &sweep, run, &asked))
        .await
    {
        Ok(Some(bytes)) => plain(StatusCode::OK, "text/plain; charset=utf-8", bytes),
        Ok(None) => missing(&format!("run {id}/{run}")),
        Err(error) => failed(&error),
    }
}

async fn live(State(web): State<Web>, Query(asked): Query<live::LiveQuery>) -> Response {
    live::stream(web, asked)
}

async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    assets::file(&version, &name)
}

async fn health() -> Response {
    plain(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")
}

async fn figures(State(web): State<Web>) -> Response {
    match web.reader.ask(|query| query.totals()).await {
        Ok(totals) => {
            let text = metrics::text(ControllerFigures {
                totals,
                commits: *web.commits.borrow(),
                queries: web.reader.queries(),
                holds: web.holds.counts(),
                calls: web.traffic.calls(),
                started_ms: web.started_ms,
            });
            plain(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        Err(error) => failed(&error),
    }
}
