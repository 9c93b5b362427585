//! The calls of `SweepService` as JSON over HTTP, for the page, for the Python package and for scripts: `POST /api/v1/GetSweep` with the
//! fields of the request. A call that streams answers with one line of JSON a message.
//!
//! Each is decoded, handed to the very method that answers it over gRPC, and its answer encoded: the same checks, the same words. A page of
//! somebody else cannot make them: a browser asks us first before it sends JSON elsewhere, and the gate looks at where a request comes from.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sweep_proto::v1::sweep_service_server::SweepService;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Status};

use super::refusal::invalid;
use super::{MESSAGE_BYTES_RECEIVED_MAX, Services};

/// The prefix of the paths of all calls.
pub(crate) const PREFIX: &str = "/api/v1/";
/// A line of an answer that says that the stream has failed, and why, has this key alone.
const ERROR: &str = "error";

/// Returns the route of the calls.
pub(crate) fn routes(services: Services) -> Router {
    Router::new()
        .route(&format!("{PREFIX}{{call}}"), post(call))
        .layer(DefaultBodyLimit::max(MESSAGE_BYTES_RECEIVED_MAX))
        .with_state(services)
}

async fn call(
    State(services): State<Services>,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = if is_json(&headers) {
        dispatch(&services, &call, &body).await
    } else {
        Err(not_json())
    };
    answer.unwrap_or_else(|status| reply(http_status(status.code()), error(&status).to_string()))
}

/// Defines the calls: those with one answer, and those with a stream of them.
macro_rules! calls {
    ($($name:literal => $method:ident,)* streams: $($stream_name:literal => $stream:ident,)*) => {
        /// The names of all calls.
        #[cfg(test)]
        pub(super) const CALLS: &[&str] = &[$($name,)* $($stream_name,)*];

        async fn dispatch(services: &Services, call: &str, body: &[u8]) -> Result<Response, Status> {
            match call {
                $($name => {
                    let answer = services.$method(Request::new(decode(body)?)).await?;
                    Ok(reply(StatusCode::OK, encode(answer.into_inner())?))
                })*
                $($stream_name => {
                    let answers = services.$stream(Request::new(decode(body)?)).await?;
                    Ok(reply(StatusCode::OK, lines(answers.into_inner())))
                })*
                other => Err(Status::unimplemented(format!(
                    "there is no call {} in JSON",
                    other.escape_debug()
                ))),
            }
        }
    };
}

calls! {
    "AnalyzeSweep" => analyze_sweep,
    "AnnotateRun" => annotate_run,
    "ArchiveSweep" => archive_sweep,
    "Ask" => ask,
    "CancelRun" => cancel_run,
    "CreateSweep" => create_sweep,
    "DeleteSweep" => delete_sweep,
    "DiffCode" => diff_code,
    "EditSweep" => edit_sweep,
    "GetEnvironment" => get_environment,
    "GetExecution" => get_execution,
    "GetPatch" => get_patch,
    "GetRun" => get_run,
    "GetStatus" => get_status,
    "GetSweep" => get_sweep,
    "ImportRuns" => import_runs,
    "ListAgents" => list_agents,
    "ListCode" => list_code,
    "ListRevisions" => list_revisions,
    "ListSweeps" => list_sweeps,
    "MarkCode" => mark_code,
    "OfferRuns" => offer_runs,
    "ReadmitAgent" => readmit_agent,
    "RerunPoints" => rerun_points,
    "RetryRuns" => retry_runs,
    "SetSweepState" => set_sweep_state,
    "SliceSweep" => slice_sweep,
    "Tell" => tell,
    streams:
    "GetLogs" => get_logs,
    "GetMetrics" => get_metrics,
    "ListRuns" => list_runs,
    "WatchSweep" => watch_sweep,
}

fn error(status: &Status) -> serde_json::Value {
    json!({ERROR: {"code": format!("{:?}", status.code()), "message": status.message()}})
}

/// Returns a body with one line for each message. A stream that fails ends with a line that says so.
fn lines<T: Serialize + Send + 'static>(
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Body {
    let line = |message: Result<T, Status>| {
        let line = message
            .and_then(encode)
            .unwrap_or_else(|status| error(&status).to_string());
        Ok::<_, Infallible>(line + "\n")
    };
    Body::from_stream(messages.map(line))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    kind.split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn not_json() -> Status {
    invalid("the content type must be application/json")
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the body is not what this call takes: {error}")))
}

fn encode(answer: impl Serialize) -> Result<String, Status> {
    serde_json::to_string(&answer)
        .map_err(|error| Status::internal(format!("the answer cannot be written as JSON: {error}")))
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unimplemented => StatusCode::NOT_FOUND,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn reply(status: StatusCode, json: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, json.into()).into_response()
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1;

    use super::*;

    #[test]
    fn what_is_left_out_has_its_default_and_what_does_not_exist_is_a_mistake() {
        let request: v1::RetryRunsRequest = decode(br#"{"sweep_id": "ab", "runs": [3]}"#).unwrap();
        assert_eq!(
            (
                request.sweep_id.as_str(),
                request.runs.as_slice(),
                request.request_id.as_str()
            ),
            ("ab", [3].as_slice(), "")
        );
        let error = decode::<v1::RetryRunsRequest>(br#"{"sweep": "ab"}"#).unwrap_err();
        assert!(
            error.message().contains("unknown field `sweep`"),
            "{}",
            error.message()
        );
    }

    #[test]
    fn the_reference_lists_all_calls() {
        let page = include_str!("../../../docs/reference/json-api.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(listed, CALLS);
    }

    #[test]
    fn a_number_that_json_does_not_have_is_null() {
        let effect = v1::Effect {
            share: f64::NAN,
            ..v1::Effect::default()
        };
        assert!(encode(effect).unwrap().contains("\"share\":null"));
    }
}
