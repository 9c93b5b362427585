//! Some of the calls as JSON over HTTP, for the page: `POST /json/SetSweepState` with the fields of the request.
//!
//! Each is decoded, handed to the very method that answers it over gRPC, and its answer encoded: the same checks, the same words. A page of
//! somebody else cannot make them: a browser asks us first before it sends JSON elsewhere, and the gate looks at where a request comes from.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sweep_proto::v1::sweep_service_server::SweepService;
use tonic::{Code, Request, Status};

use super::Services;
use super::refusal::invalid;

/// The prefix of the paths of all calls.
pub(crate) const PREFIX: &str = "/json/";

/// Returns the route of the calls.
pub(crate) fn routes(services: Services) -> Router {
    Router::new()
        .route(&format!("{PREFIX}{{call}}"), post(call))
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
    match answer {
        Ok(json) => reply(StatusCode::OK, json),
        Err(status) => {
            let error = json!({"error": {"code": format!("{:?}", status.code()), "message": status.message()}});
            reply(http_status(status.code()), error.to_string())
        }
    }
}

async fn dispatch(services: &Services, call: &str, body: &[u8]) -> Result<String, Status> {
    macro_rules! answer {
        ($method:ident) => {
            encode(
                services
                    .$method(Request::new(decode(body)?))
                    .await?
                    .into_inner(),
            )
        };
    }
    match call {
        "AnalyzeSweep" => answer!(analyze_sweep),
        "AnnotateRun" => answer!(annotate_run),
        "CancelRun" => answer!(cancel_run),
        "DiffCode" => answer!(diff_code),
        "EditSweep" => answer!(edit_sweep),
        "GetEnvironment" => answer!(get_environment),
        "GetPatch" => answer!(get_patch),
        "GetRun" => answer!(get_run),
        "GetSweep" => answer!(get_sweep),
        "ListAgents" => answer!(list_agents),
        "ListCode" => answer!(list_code),
        "ListRevisions" => answer!(list_revisions),
        "MarkCode" => answer!(mark_code),
        "OfferRuns" => answer!(offer_runs),
        "ReadmitAgent" => answer!(readmit_agent),
        "RerunPoints" => answer!(rerun_points),
        "RetryRuns" => answer!(retry_runs),
        "SetSweepState" => answer!(set_sweep_state),
        "SliceSweep" => answer!(slice_sweep),
        other => Err(Status::unimplemented(format!(
            "there is no call {} in JSON",
            other.escape_debug()
        ))),
    }
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

fn reply(status: StatusCode, json: String) -> Response {
    let mut response = (status, json).into_response();
    let fixed = [
        (header::CONTENT_TYPE, "application/json"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
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
    fn a_number_that_json_does_not_have_is_null() {
        let effect = v1::Effect {
            share: f64::NAN,
            ..v1::Effect::default()
        };
        assert!(encode(effect).unwrap().contains("\"share\":null"));
    }
}
