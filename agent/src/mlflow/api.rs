//! The part of MLflow's REST API (versions 2.0 and 3.0) that tracking needs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::store::{ApiRefusal, MlflowStore, text};

/// The version that clients are told: new functions of theirs ask for a newer server.
const VERSION: &str = "2.9.0";

/// The server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) token: String,
    pub(super) store: Mutex<MlflowStore>,
}

/// Answers one request.
pub(super) async fn answer(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let path = uri
        .path()
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(&*server.token))
        .unwrap_or_default();
    match path {
        "/version" => return VERSION.into_response(),
        "/health" => return "OK".into_response(),
        _ => {}
    }
    let versions = [
        "/api/2.0/mlflow/",
        "/api/3.0/mlflow/",
        "/ajax-api/2.0/mlflow/",
    ];
    let Some(endpoint) = versions
        .iter()
        .find_map(|version| path.strip_prefix(version))
    else {
        return refuse(ApiRefusal {
            status: 404,
            code: "ENDPOINT_NOT_FOUND",
            message: "there is nothing here".to_owned(),
        });
    };
    let body = if body.is_empty() {
        Ok(json!(query))
    } else {
        serde_json::from_slice(&body)
    };
    let Ok(body) = body else {
        return refuse(ApiRefusal {
            status: 400,
            code: "MALFORMED_REQUEST",
            message: "the request is not JSON".to_owned(),
        });
    };
    let mut store = server.store.lock().unwrap_or_else(PoisonError::into_inner);
    match dispatch(&mut store, &method, endpoint, &body) {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refuse(refusal),
    }
}

fn dispatch(
    store: &mut MlflowStore,
    method: &Method,
    endpoint: &str,
    body: &Value,
) -> Result<Value, ApiRefusal> {
    let list = |key: &str| {
        body.get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let id = |key: &str| text(body, key).unwrap_or_default();
    let parts: Vec<&str> = endpoint.split('/').collect();
    match (method.as_str(), &parts[..]) {
        ("POST", ["experiments", "create"]) => store.create_experiment(body),
        ("GET", ["experiments", "get"]) => {
            Ok(json!({"experiment": store.experiment(id("experiment_id"))?}))
        }
        ("GET", ["experiments", "get-by-name"]) => {
            Ok(json!({"experiment": store.experiment_named(id("experiment_name"))?}))
        }
        ("GET" | "POST", ["experiments", "search" | "list"]) => store.experiments(),
        ("POST", ["experiments", "update" | "set-experiment-tag"]) => {
            store.change_experiment(body, None)
        }
        ("POST", ["experiments", "delete"]) => store.change_experiment(body, Some(true)),
        ("POST", ["experiments", "restore"]) => store.change_experiment(body, Some(false)),
        ("POST", ["runs", "create"]) => store.create_run(body),
        ("GET", ["runs", "get"]) => {
            store.run(text(body, "run_id").unwrap_or_else(|| id("run_uuid")))
        }
        ("POST", ["runs", "update"]) => store.update_run(body),
        ("POST", ["runs", "search"]) => Ok(store.runs(body)),
        ("POST", ["runs", "delete"]) => store.mark_run(body, "deleted"),
        ("POST", ["runs", "restore"]) => store.mark_run(body, "active"),
        ("POST", ["runs", "log-metric"]) => store.log(body, std::slice::from_ref(body), &[], &[]),
        ("POST", ["runs", "log-parameter"]) => {
            store.log(body, &[], std::slice::from_ref(body), &[])
        }
        ("POST", ["runs", "set-tag"]) => store.log(body, &[], &[], std::slice::from_ref(body)),
        ("POST", ["runs", "log-batch"]) => {
            store.log(body, &list("metrics"), &list("params"), &list("tags"))
        }
        ("POST", ["runs", "delete-tag"]) => store.delete_tag(body),
        // What a run has read, and which model it has logged, is not kept.
        ("POST", ["runs", "log-inputs" | "log-model" | "outputs"]) => {
            store.log(body, &[], &[], &[])
        }
        ("GET", ["metrics", "get-history"]) => store.history(
            text(body, "run_id").unwrap_or_else(|| id("run_uuid")),
            id("metric_key"),
        ),
        ("GET", ["artifacts", "list"]) => {
            store.artifacts(text(body, "run_id").unwrap_or_else(|| id("run_uuid")))
        }
        ("POST", ["logged-models"]) => store.create_model(body),
        ("POST", ["logged-models", "search"]) => Ok(json!({"models": []})),
        ("GET", ["logged-models", model]) => store.model(model),
        ("PATCH", ["logged-models", model]) => store.finish_model(model, body),
        ("POST" | "PATCH", ["logged-models", model, "params" | "tags"]) => {
            store.finish_model(model, &json!({}))
        }
        ("DELETE", ["logged-models", _, "tags", _]) => Ok(json!({})),
        _ => Err(ApiRefusal {
            status: 404,
            code: "ENDPOINT_NOT_FOUND",
            message: format!(
                "the MLflow endpoint of sweep keeps experiments, runs, metrics, parameters, tags and artifacts; it has no `{endpoint}`: for traces and \
                 the model registry set MLFLOW_TRACKING_URI for the agent to your own server"
            ),
        }),
    }
}

fn refuse(refusal: ApiRefusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        Json(json!({"error_code": refusal.code, "message": refusal.message})),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn call(store: &mut MlflowStore, method: &Method, endpoint: &str, body: Value) -> Value {
        dispatch(store, method, endpoint, &body)
            .unwrap_or_else(|refusal| panic!("{endpoint}: {refusal:?}"))
    }

    #[test]
    fn an_experiment_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = MlflowStore::new(folder.path(), "abcd1234-7");
        let missing = dispatch(
            &mut store,
            &Method::GET,
            "experiments/get-by-name",
            &json!({"experiment_name": "demo"}),
        );
        assert_eq!(
            missing.map_err(|refusal| (refusal.status, refusal.code)),
            Err((404, "RESOURCE_DOES_NOT_EXIST"))
        );
        call(
            &mut store,
            &Method::POST,
            "experiments/create",
            json!({"name": "demo"}),
        );
        let again = dispatch(
            &mut store,
            &Method::POST,
            "experiments/create",
            &json!({"name": "demo"}),
        );
        assert_eq!(
            again.map_err(|refusal| refusal.code),
            Err("RESOURCE_ALREADY_EXISTS")
        );
    }

    #[test]
    fn runs_are_kept_and_their_metrics_are_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = MlflowStore::new(folder.path(), "abcd1234-7");
        let experiment = call(
            &mut store,
            &Method::POST,
            "experiments/create",
            json!({"name": "demo"}),
        );
        let run = call(
            &mut store,
            &Method::POST,
            "runs/create",
            json!({"experiment_id": experiment["experiment_id"]}),
        )["run"]
            .clone();
        assert_eq!(run["info"]["run_name"], "abcd1234-7");
        let id = run["info"]["run_id"].clone();
        let batch = json!({
            "run_id": id,
            "metrics": [{"key": "loss", "value": 0.5, "step": "3", "timestamp": 1}, {"key": "loss", "value": "NaN", "step": 4, "timestamp": 2}],
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "a", "value": "b"}],
        });
        call(&mut store, &Method::POST, "runs/log-batch", batch);
        call(
            &mut store,
            &Method::POST,
            "runs/update",
            json!({"run_id": id, "status": "FINISHED"}),
        );
        let changed = dispatch(
            &mut store,
            &Method::POST,
            "runs/log-parameter",
            &json!({"run_id": id, "key": "lr", "value": "1"}),
        );
        assert_eq!(
            changed.map_err(|refusal| refusal.code),
            Err("INVALID_PARAMETER_VALUE")
        );
        let shown =
            call(&mut store, &Method::GET, "runs/get", json!({"run_id": id}))["run"].clone();
        assert_eq!(
            (
                shown["info"]["status"].as_str(),
                shown["data"]["metrics"][0]["step"].as_i64()
            ),
            (Some("FINISHED"), Some(4))
        );
        let other = call(
            &mut store,
            &Method::POST,
            "runs/create",
            json!({"experiment_id": "0", "run_name": "fold/2"}),
        )["run"]["info"]["run_id"]
            .clone();
        call(
            &mut store,
            &Method::POST,
            "runs/log-metric",
            json!({"run_id": other, "key": "loss", "value": 1}),
        );
        let lines = fs::read_to_string(folder.path().join(super::super::LOG)).unwrap();
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let runs: Vec<_> = lines
            .iter()
            .map(|line| (line["run"].as_str().unwrap(), line["step"].as_i64()))
            .collect();
        assert_eq!(
            runs,
            [
                ("", Some(3)),
                ("", Some(4)),
                ("", None),
                ("fold-2-2", Some(0))
            ]
        );
    }

    #[test]
    fn what_is_not_kept_is_refused_with_the_way_out() {
        let mut store = MlflowStore::new(std::path::Path::new("/nowhere"), "x");
        let refusal = dispatch(
            &mut store,
            &Method::POST,
            "registered-models/create",
            &json!({}),
        )
        .unwrap_err();
        assert!(
            refusal.status == 404 && refusal.message.contains("set MLFLOW_TRACKING_URI"),
            "{refusal:?}"
        );
        let full = dispatch(
            &mut store,
            &Method::POST,
            "runs/log-metric",
            &json!({"run_id": "x", "key": "a", "value": 1}),
        )
        .unwrap_err();
        assert_eq!(full.code, "RESOURCE_DOES_NOT_EXIST");
    }
}
