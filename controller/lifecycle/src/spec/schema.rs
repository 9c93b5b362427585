//! The JSON Schema of sweep files, for editors: what [`super::parse`] takes, as far as a schema can say it.

use serde_json::{Value, json};

use super::parameter::FORMS;

/// Returns the JSON Schema (draft 2020-12) of sweep files.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sweep file",
        "description": "A hyperparameter sweep: W&B's keys, and further ones.",
        "type": "object",
        "required": ["method", "parameters"],
        "properties": top_level(),
        "$defs": {
            "parameters": {
                "description": "The parameters by name. A name with dots is a flat name.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$"},
                "additionalProperties": {"$ref": "#/$defs/parameter"},
            },
            "parameter": {"description": "How one parameter varies.", "type": "object", "anyOf": parameter_forms()},
            "when": {
                "description": "The parameter exists only where each of these parameters has the value, or one of the values.",
                "type": "object",
            },
        },
    })
}

#[expect(clippy::too_many_lines, reason = "one key of the file after the other")]
fn top_level() -> Value {
    json!({
        "method": {"description": "How the search chooses.", "enum": ["grid", "random", "bayes", "external"]},
        "parameters": {"$ref": "#/$defs/parameters"},
        "metric": metric(),
        "early_terminate": early_terminate(),
        "program": {"description": "The training program: the value of ${program}.", "type": ["string", "integer"]},
        "command": {
            "description": "The command line, one item an argument; no shell is involved. ${env}, ${interpreter}, ${program}, ${args} and others are replaced.",
            "type": "array",
            "minItems": 1,
            "items": {"type": ["string", "number", "boolean", "null"]},
            "default": ["${env}", "${interpreter}", "${program}", "${args}"],
        },
        "name": {"description": "A name for people.", "type": ["string", "integer"]},
        "description": {"type": ["string", "integer"]},
        "project": {"description": "Handed to W&B's library in the program.", "type": ["string", "integer"]},
        "entity": {"description": "Handed to W&B's library in the program.", "type": ["string", "integer"]},
        "constraints": {
            "description": "Bounds on reported metrics that the best run must satisfy. The search learns where runs violate them.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "metric": {"type": ["string", "integer"]},
                    "min": {"description": "At least this.", "type": "number"},
                    "max": {"description": "At most this.", "type": "number"},
                    "reduce": {"description": "Which of the run's values counts.", "enum": ["last", "max", "min"], "default": "last"},
                },
                "required": ["metric"],
                "oneOf": [{"required": ["min"]}, {"required": ["max"]}],
                "additionalProperties": false,
            },
        },
        "repeats": {"description": "How often each point is executed; the mean counts.", "type": "integer", "minimum": 1, "default": 1},
        "run_cap": {"description": "The sweep ends after this many runs.", "type": "integer", "minimum": 1},
        "seed": {"description": "The seed of the search: the same seed and history give the same suggestions.", "type": "integer", "minimum": 0},
        "retry": {
            "description": "How often a run is tried again without anybody asking.",
            "type": "object",
            "properties": {
                "lost": {"description": "After its agent was lost.", "type": "integer", "minimum": 0, "maximum": 1000, "default": 3},
                "machine": {"description": "After a failure that its machine is to blame for.", "type": "integer", "minimum": 0, "maximum": 1000, "default": 3},
                "crashed": {"description": "After its program crashed; never for what would happen again.", "type": "integer", "minimum": 0, "maximum": 1000, "default": 1},
            },
            "additionalProperties": false,
        },
        "code": {
            "description": "The code that runs execute, and the policy when it changes while the sweep runs.",
            "type": "object",
            "properties": {
                "mode": {
                    "description": "track: each agent executes what it has. pin: all execute the snapshot taken by `sweep create`, or by `sweep code push` later.",
                    "enum": ["track", "pin"],
                    "default": "track",
                },
                "probe": {"description": "The number of best configurations that are tried again first with the new code.", "type": "integer", "minimum": 0, "maximum": 100, "default": 2},
                "include": {
                    "description": "Files that git does not track and that are code, even if other rules exclude them: paths or patterns, from the working folder.",
                    "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 100}],
                },
            },
            "additionalProperties": false,
        },
        "objective_over_inits": {
            "description": "Where a program calls wandb.init several times, in each fold of a cross-validation for instance: whose objective counts.",
            "enum": ["mean", "last", "first"],
            "default": "mean",
        },
        "max_runtime": time("How long a run may take; then it has failed."),
        "max_silence": time("The longest time without a metric or a line of output; then the run fails."),
        "on_lease_lost": {
            "description": "The policy for a run whose agent cannot reach the controller for the length of a lease.",
            "enum": ["continue", "stop"],
            "default": "continue",
        },
        "omit_none": {"description": "Arguments for parameters without a value (null) are left out.", "type": "boolean", "default": false},
        "preflight": {
            "description": "A program and its arguments that has to end well before each run; otherwise the machine is to blame.",
            "type": "array",
            "items": {"type": ["string", "integer"]},
            "minItems": 1,
        },
        "data": {
            "description": "What runs read: files, folders, s3://bucket/prefix or gs://bucket/prefix, as a list or by name. What was in it is recorded with each run.",
            "anyOf": [
                {"type": "array", "items": {"type": "string", "minLength": 1}},
                {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
                {"type": "string", "minLength": 1},
            ],
        },
        "metric_patterns": {
            "description": "Regular expressions that find metrics in the output: by metric with one group, or a list with named groups.",
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": "string"}},
                {"type": "array", "items": {"type": "string"}},
            ],
        },
        "metric_files": {
            "description": "Globs of files that hold metrics, besides those that frameworks are known to write: JSON lines, CSV files, TensorBoard event files.",
            "anyOf": [
                {"type": "array", "items": {"type": "string", "minLength": 1}},
                {"type": "string", "minLength": 1},
            ],
        },
    })
}

fn time(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": r"^\s*[0-9.]+\s*(ms|s|m|min|h|d)\s*$"},
        ],
    })
}

fn metric() -> Value {
    json!({
        "description": "The objective.",
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"description": "The name under which the program reports it.", "type": ["string", "integer"]},
            "goal": {"enum": ["minimize", "maximize"], "default": "minimize"},
            "target": {"description": "No new runs once a run has reached this.", "type": "number"},
            "impute": {"enum": ["worst", "best", "latest"], "default": "worst"},
            "impute_while_running": {"enum": ["false", false, "worst", "best", "latest"]},
            "reduce": {
                "description": "How a series of values becomes one number.",
                "anyOf": [
                    {"enum": ["best", "last"]},
                    {"type": "object", "required": ["mean_last"], "properties": {"mean_last": {"type": "integer", "minimum": 1}}, "additionalProperties": false},
                ],
                "default": "best",
            },
        },
        "additionalProperties": false,
    })
}

fn early_terminate() -> Value {
    let min_iter = json!({"description": "No run is judged before this iteration.", "type": "integer", "minimum": 1});
    let max_iter =
        json!({"description": "The iteration at which runs end.", "type": "integer", "minimum": 1});
    let eta = json!({"description": "Of eta runs that reach a rung, one continues.", "type": "number", "exclusiveMinimum": 1, "default": 3});
    let min_runs = |least: u32| json!({"description": "No run is stopped before this many others can be compared with it.", "type": "integer", "minimum": least, "default": 5});
    let form = |name: &str, mut properties: Value| {
        properties["type"] = json!({"const": name});
        json!({"title": name, "type": "object", "required": ["type"], "properties": properties, "additionalProperties": false})
    };
    let mut hyperband = form(
        "hyperband",
        json!({
            "min_iter": {"description": "The first band; the next ones are eta times further.", "type": "integer", "minimum": 1},
            "max_iter": {"description": "Bands downwards from here: max_iter / eta, s times.", "type": "integer", "minimum": 1},
            "s": {"description": "How many bands below max_iter.", "type": "integer", "minimum": 1},
            "eta": eta,
            "strict": {"description": "Judge by the value at the band, not by the best so far.", "type": "boolean", "default": true},
        }),
    );
    hyperband["anyOf"] = json!([{"required": ["min_iter"]}, {"required": ["max_iter", "s"]}]);
    let probability = json!({
        "description": "A run would stop at its end when it beats the best with less than this probability; after the share t of it, with less than t³ of this.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 0.5,
        "default": 0.2,
    });
    json!({
        "description": "Stops runs that are not among the best. An iteration is a reported value of the metric.",
        "oneOf": [
            hyperband,
            form("asha", json!({"min_iter": min_iter, "max_iter": max_iter, "eta": eta})),
            form("median", json!({"min_iter": min_iter, "min_runs": min_runs(1)})),
            form("predictive", json!({"min_probability": probability, "min_iter": min_iter, "max_iter": max_iter, "min_runs": min_runs(3)})),
        ],
    })
}

/// One schema a form; those that can be inferred need no `distribution`.
fn parameter_forms() -> Vec<Value> {
    let forms = FORMS.iter().map(|(name, required, optional)| {
        let inferred = matches!(*name, "constant" | "categorical" | "categorical_w_probabilities" | "int_uniform" | "uniform" | "nested");
        let mut properties: serde_json::Map<String, Value> =
            required.iter().chain(*optional).map(|key| ((*key).to_owned(), key_schema(name, key))).collect();
        properties.insert("distribution".to_owned(), json!({"const": name}));
        properties.insert("when".to_owned(), json!({"$ref": "#/$defs/when"}));
        if *name != "nested" && *name != "param_nested" {
            properties
                .insert("was".to_owned(), json!({"description": "What the code used before there was the parameter, for `sweep edit`."}));
            let renamed = json!({"description": "Its name before, for `sweep edit`.", "type": ["string", "integer"]});
            properties.insert("renamed_from".to_owned(), renamed);
        }
        let distribution = (!inferred).then_some("distribution");
        let required: Vec<_> = required.iter().copied().chain(distribution).collect();
        json!({"title": name, "properties": properties, "required": required, "additionalProperties": false})
    });
    forms.collect()
}

fn key_schema(form: &str, key: &str) -> Value {
    let integer = form == "int_uniform";
    match key {
        "value" => json!({"description": "Always this value."}),
        "values" => json!({"description": "One of these values.", "type": "array", "minItems": 1}),
        "probabilities" => {
            json!({"description": "One for each value; they sum to 1.", "type": "array", "items": {"type": "number", "minimum": 0}})
        }
        "ordered" => json!({
            "description": "Whether the order of the values matters: of numbers it is learnt where this is absent, all others have none.",
            "type": "boolean",
        }),
        "parameters" => json!({"$ref": "#/$defs/parameters"}),
        "min" if form.ends_with("_values") => json!({"type": "number", "exclusiveMinimum": 0}),
        "min" | "max" => json!({"type": if integer { "integer" } else { "number" }}),
        "q" => {
            json!({"description": "Values are rounded to multiples of this.", "type": "number", "exclusiveMinimum": 0, "default": 1})
        }
        "mu" => json!({"description": "The mean.", "type": "number", "default": 0}),
        "sigma" => {
            json!({"description": "The standard deviation.", "type": "number", "minimum": 0, "default": 1})
        }
        _ => json!({"type": "number", "minimum": 0, "default": 1}),
    }
}
