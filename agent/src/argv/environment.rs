//! The environment of a program, and the files that its variables name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::machine::Machine;
use super::python;

/// Linux starts no program with a variable of 128 KiB.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Programs that start several processes which train together.
const LAUNCHERS: [&str; 8] = [
    "torchrun",
    "accelerate",
    "deepspeed",
    "mpirun",
    "mpiexec",
    "srun",
    "horovodrun",
    "composer",
];
/// The same as modules of Python: `python -m …`.
const LAUNCHER_MODULES: [&str; 3] = [
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
];

/// The folders and files of one attempt, as absolute paths.
#[derive(Clone, Debug)]
pub(crate) struct AttemptPaths {
    /// The sweep's full id.
    pub(crate) sweep: String,
    /// The run's number.
    pub(crate) run: u64,
    /// The attempt's number.
    pub(crate) attempt: u32,
    /// Which repeat of its point it is, from 1, and the seed for it.
    pub(crate) repeat: u32,
    /// See [`AttemptPaths::repeat`].
    pub(crate) seed: u32,
    /// The attempt's own folder.
    pub(crate) folder: String,
    /// The configuration as JSON.
    pub(crate) params_file: String,
    /// The configuration as W&B writes it for its own library.
    pub(crate) wandb_file: String,
    /// Where the program may append metrics.
    pub(crate) metrics_file: String,
    /// The stop file: the agent writes there why the program has to end early.
    pub(crate) stop_file: String,
    /// The folder that outlives the attempt.
    pub(crate) checkpoints: String,
}

/// Where W&B's library should say that the run belongs; empty where the sweep file does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Project<'a> {
    /// `project` of the sweep file.
    pub(crate) project: &'a str,
    /// `entity` of the sweep file.
    pub(crate) entity: &'a str,
}

/// Returns the variables to be set for an attempt, beyond the agent's own environment.
/// `SWEEP_PARAM_<NAME>` has a parameter's name in upper case with `_` for everything that is no
/// letter or digit, and its value as on the command line; lists and maps are JSON. A value beyond
/// 64 KiB is left out: the file that `SWEEP_PARAMS` names has it.
pub(crate) fn variables(
    place: &AttemptPaths,
    params: &Map<String, Value>,
    project: Project<'_>,
    machine: &impl Machine,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in params {
        let text = if matches!(value, Value::Array(_) | Value::Object(_)) {
            env_text(value)
        } else {
            python::str(value)
        };
        if text.len() <= VALUE_BYTES_MAX {
            variables.insert(format!("SWEEP_PARAM_{}", variable_name(name)), text);
        }
    }
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    set("SWEEP_ID", &place.sweep);
    set("SWEEP_RUN", &place.run.to_string());
    set("SWEEP_ATTEMPT", &place.attempt.to_string());
    set("SWEEP_REPEAT", &place.repeat.max(1).to_string());
    set("SWEEP_SEED", &place.seed.to_string());
    set("SWEEP_RESUMED", if place.attempt > 1 { "1" } else { "0" });
    set("SWEEP_RUN_DIR", &place.folder);
    set("SWEEP_PARAMS", &place.params_file);
    set("SWEEP_METRICS", &place.metrics_file);
    set("SWEEP_STOP", &place.stop_file);
    set("SWEEP_CHECKPOINT_DIR", &place.checkpoints);
    if machine.variable("PYTHONUNBUFFERED").is_none() {
        set("PYTHONUNBUFFERED", "1");
    }
    // The user's own choice stays: what goes online is read as well.
    for (name, value) in [
        ("WANDB_MODE", "offline"),
        ("WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "1"),
    ] {
        if machine.variable(name).is_none() {
            set(name, value);
        }
    }
    set("WANDB_DIR", &place.folder);
    set("WANDB_RUN_ID", &format!("{}-{}", place.sweep, place.run));
    set("WANDB_SWEEP_ID", &place.sweep);
    set("WANDB_SWEEP_PARAM_PATH", &place.wandb_file);
    for (name, value) in [
        ("WANDB_PROJECT", project.project),
        ("WANDB_ENTITY", project.entity),
    ] {
        if !value.is_empty() {
            set(name, value);
        }
    }
    // A variable cannot hold a NUL; the parameter is still whole in the JSON file.
    for value in variables.values_mut() {
        value.retain(|character| character != '\0');
    }
    variables
}

/// Returns whether a command starts several processes that train together. Without `WANDB_RUN_ID`
/// each of them has its own run of W&B; with it they would write to one file where they begin in
/// the same second.
pub(crate) fn starts_ranks(argv: &[String]) -> bool {
    argv.iter().any(|item| {
        let name = item.rsplit('/').next().unwrap_or(item);
        LAUNCHERS.contains(&name) || LAUNCHER_MODULES.contains(&item.as_str())
    })
}

/// The configuration as `json.dumps` writes it.
pub(crate) fn params_json(params: &Map<String, Value>) -> String {
    python::json(&Value::Object(params.clone()))
}

/// The file that `WANDB_SWEEP_PARAM_PATH` names.
pub(crate) fn wandb_config(params: &Map<String, Value>) -> String {
    let mut text = "wandb_version: 1\n".to_owned();
    for (name, value) in params {
        let key = python::yaml(&Value::String(name.clone()));
        text.push_str(&format!("{key}: {{value: {}}}\n", python::yaml(value)));
    }
    text
}

fn env_text(value: &Value) -> String {
    match python::str(value).as_str() {
        // A float that JSON cannot write arrives as a map.
        float @ ("nan" | "inf" | "-inf") => float.to_owned(),
        _ => python::json(value),
    }
}

fn variable_name(parameter: &str) -> String {
    parameter
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// Returns a place below a folder, as in a command that is shown and not executed.
pub(crate) fn example(folder: &str) -> AttemptPaths {
    let file = |name: &str| format!("{folder}/{name}");
    AttemptPaths {
        sweep: "abcd1234".to_owned(),
        run: 7,
        attempt: 1,
        repeat: 1,
        seed: 3,
        params_file: file("params.json"),
        wandb_file: file("wandb-config.yaml"),
        metrics_file: file("metrics.jsonl"),
        stop_file: file("stop"),
        checkpoints: file("checkpoint"),
        folder: folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Bare;

    impl Machine for Bare {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "PYTHONUNBUFFERED").then(|| "0".to_owned())
        }

        fn has_program(&self, _: &str) -> bool {
            false
        }
    }

    fn params() -> Map<String, Value> {
        let Value::Object(map) = json!({"lr": 1e-5, "optimizer.name": "adam", "flag": true, "opt": {"b": [1, null]}, "x": {"$float": "inf"}})
        else {
            panic!("an object")
        };
        map
    }

    fn place() -> AttemptPaths {
        let file = |name: &str| format!("/runs/abc/7/2/{name}");
        AttemptPaths {
            sweep: "abc".to_owned(),
            run: 7,
            attempt: 2,
            repeat: 1,
            seed: 42,
            folder: "/runs/abc/7/2".to_owned(),
            params_file: file("params.json"),
            wandb_file: file("wandb-config.yaml"),
            metrics_file: file("metrics.jsonl"),
            stop_file: file("stop"),
            checkpoints: "/runs/abc/7/checkpoint".to_owned(),
        }
    }

    #[test]
    fn parameters_and_places_are_in_the_environment() {
        let found = variables(
            &place(),
            &params(),
            Project {
                project: "wine",
                entity: "",
            },
            &Bare,
        );
        let text: String = found
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        assert_eq!(
            text,
            "SWEEP_ATTEMPT=2\nSWEEP_CHECKPOINT_DIR=/runs/abc/7/checkpoint\nSWEEP_ID=abc\n\
             SWEEP_METRICS=/runs/abc/7/2/metrics.jsonl\nSWEEP_PARAMS=/runs/abc/7/2/params.json\nSWEEP_PARAM_FLAG=True\nSWEEP_PARAM_LR=1e-05\n\
             SWEEP_PARAM_OPT={\"b\": [1, null]}\nSWEEP_PARAM_OPTIMIZER_NAME=adam\nSWEEP_PARAM_X=inf\nSWEEP_REPEAT=1\nSWEEP_RESUMED=1\nSWEEP_RUN=7\n\
             SWEEP_RUN_DIR=/runs/abc/7/2\nSWEEP_SEED=42\nSWEEP_STOP=/runs/abc/7/2/stop\nWANDB_DIR=/runs/abc/7/2\nWANDB_MODE=offline\nWANDB_PROJECT=wine\nWANDB_RUN_ID=abc-7\n\
             WANDB_SWEEP_ID=abc\nWANDB_SWEEP_PARAM_PATH=/runs/abc/7/2/wandb-config.yaml\nWANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL=1\n"
        );
    }

    #[test]
    fn a_value_too_long_for_a_variable_is_left_to_the_file() {
        let params = Map::from_iter([
            ("a".to_owned(), json!("x".repeat(VALUE_BYTES_MAX + 1))),
            ("b".to_owned(), json!("x\0y")),
        ]);
        let found = variables(&place(), &params, Project::default(), &Bare);
        assert!(!found.contains_key("SWEEP_PARAM_A"));
        assert_eq!(found["SWEEP_PARAM_B"], "xy");
    }

    #[test]
    fn launchers_are_known_by_their_names() {
        let starts = |command: &str| {
            starts_ranks(&command.split(' ').map(str::to_owned).collect::<Vec<_>>())
        };
        for command in [
            "/usr/bin/env torchrun --standalone train.py",
            "/opt/bin/srun python train.py",
            "python -m torch.distributed.run train.py",
        ] {
            assert!(starts(command), "{command}");
        }
        for command in [
            "python train.py --launcher=torchrun",
            "python torchrun.py",
            "python -m train",
        ] {
            assert!(!starts(command), "{command}");
        }
    }

    #[test]
    fn wandb_reads_the_configuration_with_its_types() {
        assert_eq!(
            wandb_config(&params()),
            "wandb_version: 1\n\"lr\": {value: 1.0e-05}\n\"optimizer.name\": {value: \"adam\"}\n\
             \"flag\": {value: true}\n\"opt\": {value: {\"b\": [1, null]}}\n\"x\": {value: .inf}\n"
        );
    }
}
