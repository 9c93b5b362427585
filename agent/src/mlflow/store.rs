//! Experiments, runs and logged models of one attempt.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::private;

/// The file in the attempt's folder that has what was logged.
pub(crate) const LOG: &str = "mlflow.jsonl";

/// Experiments, runs and models that are kept.
const ENTRIES_MAX: usize = 10_000;
/// Metrics and parameters of one run of which the last value is kept.
const NAMES_MAX: usize = 10_000;

/// Why a request is refused, as MLflow's clients know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiRefusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// The logged runs.
#[derive(Debug)]
pub(super) struct MlflowStore {
    folder: PathBuf,
    name: String,
    experiments: Vec<Experiment>,
    runs: BTreeMap<String, MlflowRun>,
    models: BTreeMap<String, Value>,
    count: u64,
}

#[derive(Debug)]
struct Experiment {
    name: String,
    tags: BTreeMap<String, String>,
    is_deleted: bool,
}

#[derive(Debug)]
struct MlflowRun {
    /// Its place in the order of runs.
    number: u64,
    info: Map<String, Value>,
    /// The name that tells its series from those of other runs; empty for the first one.
    series: String,
    tags: BTreeMap<String, Value>,
    params: BTreeMap<String, String>,
    metrics: BTreeMap<String, Value>,
}

impl MlflowStore {
    /// A store that keeps what is logged below an attempt's folder. `name` is that of the first
    /// run, if the program gives none.
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        let default = Experiment {
            name: "Default".to_owned(),
            tags: BTreeMap::new(),
            is_deleted: false,
        };
        Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            experiments: vec![default],
            runs: BTreeMap::new(),
            models: BTreeMap::new(),
            count: 0,
        }
    }

    pub(super) fn create_experiment(&mut self, body: &Value) -> Result<Value, ApiRefusal> {
        let name = required(body, "name")?;
        if self.experiments.iter().any(|known| known.name == name) {
            let message = format!("Experiment(name={name}) already exists.");
            return Err(ApiRefusal {
                status: 400,
                code: "RESOURCE_ALREADY_EXISTS",
                message,
            });
        }
        full(self.experiments.len())?;
        self.experiments.push(Experiment {
            name: name.to_owned(),
            tags: tags(body),
            is_deleted: false,
        });
        Ok(json!({"experiment_id": (self.experiments.len() - 1).to_string()}))
    }

    pub(super) fn experiment(&self, id: &str) -> Result<Value, ApiRefusal> {
        let index: usize = id.parse().map_err(|_| missing("experiment", id))?;
        let found = self
            .experiments
            .get(index)
            .ok_or_else(|| missing("experiment", id))?;
        let tags: Vec<_> = found
            .tags
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect();
        Ok(json!({
            "experiment_id": id,
            "name": found.name,
            "artifact_location": self.folder.join("mlflow"),
            "lifecycle_stage": if found.is_deleted { "deleted" } else { "active" },
            "creation_time": 0,
            "last_update_time": 0,
            "tags": tags,
        }))
    }

    pub(super) fn experiment_named(&self, name: &str) -> Result<Value, ApiRefusal> {
        let index = self
            .experiments
            .iter()
            .position(|known| known.name == name)
            .ok_or_else(|| missing("experiment", name))?;
        self.experiment(&index.to_string())
    }

    pub(super) fn experiments(&self) -> Result<Value, ApiRefusal> {
        let all = (0..self.experiments.len()).filter(|index| !self.experiments[*index].is_deleted);
        Ok(
            json!({"experiments": all.map(|index| self.experiment(&index.to_string())).collect::<Result<Vec<_>, _>>()?}),
        )
    }

    /// Changes the name, a tag, or whether it is deleted.
    pub(super) fn change_experiment(
        &mut self,
        body: &Value,
        is_deleted: Option<bool>,
    ) -> Result<Value, ApiRefusal> {
        let id = required(body, "experiment_id")?;
        let found = id
            .parse()
            .ok()
            .and_then(|index: usize| self.experiments.get_mut(index))
            .ok_or_else(|| missing("experiment", id))?;
        if let Some(name) = text(body, "new_name") {
            name.clone_into(&mut found.name);
        }
        if let Some((key, value)) = text(body, "key").zip(text(body, "value"))
            && found.tags.len() < NAMES_MAX
        {
            found.tags.insert(key.to_owned(), value.to_owned());
        }
        found.is_deleted = is_deleted.unwrap_or(found.is_deleted);
        Ok(json!({}))
    }

    pub(super) fn create_run(&mut self, body: &Value) -> Result<Value, ApiRefusal> {
        full(self.runs.len())?;
        let experiment = text(body, "experiment_id").unwrap_or("0");
        self.experiment(experiment)?;
        let (id, number) = (self.id()?, self.runs.len() as u64 + 1);
        let mut tags: BTreeMap<_, _> = tags(body)
            .into_iter()
            .map(|(key, value)| (key, json!(value)))
            .collect();
        let given = text(body, "run_name")
            .map(str::to_owned)
            .or_else(|| Some(tags.get("mlflow.runName")?.as_str()?.to_owned()));
        let name = given
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| match number {
                1 => self.name.clone(),
                _ => format!("run-{number}"),
            });
        tags.insert("mlflow.runName".to_owned(), json!(name));
        let is_taken = self.runs.values().any(|run| run.series == name) || name.contains('/');
        let series = match number {
            1 => String::new(),
            _ if is_taken => format!("{}-{number}", name.replace('/', "-")),
            _ => name.clone(),
        };
        let info = json!({
            "run_id": id,
            "run_uuid": id,
            "run_name": name,
            "experiment_id": experiment,
            "user_id": text(body, "user_id").unwrap_or_default(),
            "status": "RUNNING",
            "start_time": body.get("start_time").cloned().unwrap_or_else(|| json!(now_ms())),
            "artifact_uri": self.folder.join("mlflow").join(&id).join("artifacts"),
            "lifecycle_stage": "active",
        });
        let Value::Object(info) = info else {
            return Err(invalid("a run is an object".to_owned()));
        };
        let run = MlflowRun {
            number,
            info,
            series,
            tags,
            params: BTreeMap::new(),
            metrics: BTreeMap::new(),
        };
        let shown = run.shown();
        self.runs.insert(id, run);
        Ok(json!({"run": shown}))
    }

    pub(super) fn run(&self, id: &str) -> Result<Value, ApiRefusal> {
        Ok(json!({"run": self.runs.get(id).ok_or_else(|| missing("run", id))?.shown()}))
    }

    /// Returns all runs of some experiments, the newest first.
    pub(super) fn runs(&self, body: &Value) -> Value {
        let wanted: Vec<&str> = body
            .get("experiment_ids")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is_wanted = |run: &&MlflowRun| {
            run.info["experiment_id"]
                .as_str()
                .is_some_and(|id| wanted.contains(&id))
        };
        let mut found: Vec<_> = self.runs.values().filter(is_wanted).collect();
        found.sort_by_key(|run| std::cmp::Reverse(run.number));
        json!({"runs": found.into_iter().map(MlflowRun::shown).collect::<Vec<_>>()})
    }

    pub(super) fn update_run(&mut self, body: &Value) -> Result<Value, ApiRefusal> {
        let run = self.run_of(body)?;
        for key in ["status", "end_time", "run_name"] {
            if let Some(value) = body.get(key).filter(|value| **value != json!("")) {
                run.info.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(name) = text(body, "run_name").filter(|name| !name.is_empty()) {
            run.tags.insert("mlflow.runName".to_owned(), json!(name));
        }
        Ok(json!({"run_info": run.info}))
    }

    pub(super) fn mark_run(&mut self, body: &Value, stage: &str) -> Result<Value, ApiRefusal> {
        self.run_of(body)?
            .info
            .insert("lifecycle_stage".to_owned(), json!(stage));
        Ok(json!({}))
    }

    /// Takes metrics, parameters and tags, and writes them down.
    pub(super) fn log(
        &mut self,
        body: &Value,
        metrics: &[Value],
        params: &[Value],
        tags: &[Value],
    ) -> Result<Value, ApiRefusal> {
        let run = self.run_of(body)?;
        let mut lines = String::new();
        for metric in metrics {
            let (key, value) = (
                required(metric, "key")?,
                metric.get("value").cloned().unwrap_or(Value::Null),
            );
            let step = metric.get("step").and_then(whole).unwrap_or(0);
            let line = json!({"run": run.series, "metric": key, "step": step, "value": value, "time": metric.get("timestamp")});
            lines.push_str(&format!("{line}\n"));
            let last = json!({"key": key, "value": value, "timestamp": metric.get("timestamp"), "step": step});
            if run.metrics.len() < NAMES_MAX {
                run.metrics.insert(key.to_owned(), last);
            }
        }
        for param in params {
            let (key, value) = (
                required(param, "key")?,
                text(param, "value").unwrap_or_default(),
            );
            if run.params.get(key).is_some_and(|known| known != value) {
                let message = format!(
                    "Changing param values is not allowed. Param with key='{key}' was already logged with another value"
                );
                return Err(ApiRefusal {
                    status: 400,
                    code: "INVALID_PARAMETER_VALUE",
                    message,
                });
            }
            lines.push_str(&format!(
                "{}\n",
                json!({"run": run.series, "param": key, "value": value})
            ));
            if run.params.len() < NAMES_MAX {
                run.params.insert(key.to_owned(), value.to_owned());
            }
        }
        for tag in tags.iter().take(NAMES_MAX.saturating_sub(run.tags.len())) {
            run.tags.insert(
                required(tag, "key")?.to_owned(),
                tag.get("value").cloned().unwrap_or_else(|| json!("")),
            );
        }
        self.write(&lines).map_err(|error| {
            let message = format!("{}: {error}", self.folder.join(LOG).display());
            // Clients try this again.
            ApiRefusal {
                status: 503,
                code: "TEMPORARILY_UNAVAILABLE",
                message,
            }
        })?;
        Ok(json!({}))
    }

    pub(super) fn delete_tag(&mut self, body: &Value) -> Result<Value, ApiRefusal> {
        let key = required(body, "key")?.to_owned();
        self.run_of(body)?.tags.remove(&key);
        Ok(json!({}))
    }

    /// Returns the last value of a metric, as its history: what came before is in the file.
    pub(super) fn history(&self, run: &str, metric: &str) -> Result<Value, ApiRefusal> {
        let run = self.runs.get(run).ok_or_else(|| missing("run", run))?;
        Ok(json!({"metrics": run.metrics.get(metric).into_iter().collect::<Vec<_>>()}))
    }

    pub(super) fn artifacts(&self, run: &str) -> Result<Value, ApiRefusal> {
        let run = self.runs.get(run).ok_or_else(|| missing("run", run))?;
        Ok(json!({"root_uri": run.info["artifact_uri"], "files": []}))
    }

    pub(super) fn create_model(&mut self, body: &Value) -> Result<Value, ApiRefusal> {
        full(self.models.len())?;
        let id = format!("m-{}", self.id()?);
        let name = text(body, "name").map_or_else(|| id.clone(), str::to_owned);
        let model = json!({"model": {
            "info": {
                "model_id": id,
                "experiment_id": text(body, "experiment_id").unwrap_or("0"),
                "name": name,
                "creation_timestamp_ms": now_ms(),
                "last_updated_timestamp_ms": now_ms(),
                "artifact_uri": self.folder.join("mlflow/models").join(&id).join("artifacts"),
                "status": "LOGGED_MODEL_PENDING",
                "model_type": text(body, "model_type").unwrap_or_default(),
                "source_run_id": text(body, "source_run_id").unwrap_or_default(),
                "tags": body.get("tags").cloned().unwrap_or_else(|| json!([])),
            },
            "data": {"params": body.get("params").cloned().unwrap_or_else(|| json!([])), "metrics": []},
        }});
        self.models.insert(id, model.clone());
        Ok(model)
    }

    pub(super) fn model(&self, id: &str) -> Result<Value, ApiRefusal> {
        self.models
            .get(id)
            .cloned()
            .ok_or_else(|| missing("logged model", id))
    }

    pub(super) fn finish_model(&mut self, id: &str, body: &Value) -> Result<Value, ApiRefusal> {
        let model = self
            .models
            .get_mut(id)
            .ok_or_else(|| missing("logged model", id))?;
        if let Some(status) = body.get("status") {
            model["model"]["info"]["status"] = status.clone();
        }
        Ok(model.clone())
    }

    fn run_of(&mut self, body: &Value) -> Result<&mut MlflowRun, ApiRefusal> {
        let id = text(body, "run_id")
            .or_else(|| text(body, "run_uuid"))
            .ok_or_else(|| invalid("run_id is missing".to_owned()))?;
        self.runs.get_mut(id).ok_or_else(|| missing("run", id))
    }

    fn write(&self, lines: &str) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let (mut file, _) = private::append(&self.folder.join(LOG))?;
        file.write_all(lines.as_bytes())
    }

    fn id(&mut self) -> Result<String, ApiRefusal> {
        self.count += 1;
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| ApiRefusal {
            status: 503,
            code: "TEMPORARILY_UNAVAILABLE",
            message: error.to_string(),
        })?;
        Ok(hex::encode(bytes))
    }
}

impl MlflowRun {
    fn shown(&self) -> Value {
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect();
        let params: Vec<_> = self
            .params
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect();
        let metrics: Vec<_> = self.metrics.values().collect();
        json!({"info": self.info, "data": {"metrics": metrics, "params": params, "tags": tags}, "inputs": {}})
    }
}

/// Returns a text of a request.
pub(super) fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key)?.as_str()
}

fn required<'a>(body: &'a Value, key: &str) -> Result<&'a str, ApiRefusal> {
    text(body, key).ok_or_else(|| invalid(format!("{key} is missing")))
}

/// Protobuf writes 64-bit numbers as text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn tags(body: &Value) -> BTreeMap<String, String> {
    let tags = body
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    tags.filter_map(|tag| {
        Some((
            text(tag, "key")?.to_owned(),
            text(tag, "value").unwrap_or_default().to_owned(),
        ))
    })
    .collect()
}

fn full(entries: usize) -> Result<(), ApiRefusal> {
    let message =
        format!("an attempt of sweep has at most {ENTRIES_MAX} experiments, runs and models");
    if entries < ENTRIES_MAX {
        Ok(())
    } else {
        Err(ApiRefusal {
            status: 400,
            code: "RESOURCE_LIMIT_EXCEEDED",
            message,
        })
    }
}

fn missing(what: &str, id: &str) -> ApiRefusal {
    ApiRefusal {
        status: 404,
        code: "RESOURCE_DOES_NOT_EXIST",
        message: format!("there is no {what} `{id}` in this attempt of sweep"),
    }
}

fn invalid(message: String) -> ApiRefusal {
    ApiRefusal {
        status: 400,
        code: "INVALID_PARAMETER_VALUE",
        message,
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
