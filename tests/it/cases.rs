//! The cases of `../shared/cases` beside the repository: programs and files that users have, each with the result that its README requires.
//!
//! The cases need many packages and minutes, so they run only with `SWEEP_TEST_CASES` set. A case is copied, since programs write beside
//! themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Bench, CommandResult, Running, finish, has_python, requires, wait_for};

const REQUIREMENTS: &str = "tests/it/requirements-cases.txt";

/// Packages of all programs that use Hugging Face.
const HF: &str = "transformers, torch, accelerate";

/// A copy of a case in a bench with a controller.
struct Case {
    bench: Bench,
    controller: Running,
}

/// A sweep that an agent has worked on to its end.
struct Outcome {
    id: String,
    /// The standard error of `sweep create`.
    created: String,
    runs: Vec<Value>,
    /// The output of the agent.
    output: String,
}

/// The points of the objective that each run has.
enum Points {
    /// With these steps.
    At(Vec<i64>),
    /// A number of points; the program has no steps.
    Count(usize),
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).expect("the temporary folder can be written");
        return;
    }
    fs::create_dir_all(to).expect("the temporary folder can be written");
    for entry in fs::read_dir(from).expect("cases can be read").flatten() {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Copies a case, a folder or a file, and starts a controller. Without the cases or the Python modules it says so and returns nothing.
fn case(path: &str, modules: &str) -> Option<Case> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    let is_asked = std::env::var_os("SWEEP_TEST_CASES").is_some_and(|value| !value.is_empty());
    if !requires("cases", is_asked, "SWEEP_TEST_CASES is not set")
        || !requires(
            "cases",
            cases.join(path).exists(),
            &format!("no {}", cases.join(path).display()),
        )
        || !has_python(modules, "cases", REQUIREMENTS)
    {
        return None;
    }
    let bench = Bench::new();
    let from = cases.join(path);
    let name = from.file_name().expect("a case has a name");
    if from.is_file() {
        fs::create_dir(bench.path("case")).expect("the temporary folder can be written");
        copy(&from, &bench.path("case").join(name));
    } else {
        copy(&from, &bench.path("case"));
    }
    let controller = bench.controller();
    Some(Case { bench, controller })
}

/// Returns whether a program is on the PATH; a package of the requirements has it.
fn has_program(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|path| path.join(name).is_file());
    let is_asked = std::env::var_os("SWEEP_TEST_CASES").is_some_and(|value| !value.is_empty());
    !is_asked
        || requires(
            "cases",
            found,
            &format!("no program {name}; pip install -r {REQUIREMENTS}"),
        )
}

impl Case {
    fn path(&self, name: &str) -> PathBuf {
        self.bench.path("case").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the temporary folder can be written");
    }

    /// Replaces a part of a file that has to be there.
    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from}: {text}");
        self.write(name, &text.replace(from, to));
    }

    /// Adds lines to the sweep file.
    fn add(&self, lines: &str) {
        self.write(
            "sweep.yaml",
            &format!("{}\n{lines}\n", self.read("sweep.yaml").trim_end()),
        );
    }

    /// Gives the sweep file the default command with another macro for the arguments.
    fn use_macro(&self, name: &str) {
        self.add(&format!(
            "command: [\"${{env}}\", \"${{interpreter}}\", \"${{program}}\", \"${{{name}}}\"]"
        ));
    }

    /// Returns the command `sweep …` in the folder of the case.
    fn sweep(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.sweep(arguments);
        command
            .current_dir(self.bench.path("case"))
            .env("TF_CPP_MIN_LOG_LEVEL", "3")
            .env_remove("WANDB_MODE")
            .env_remove("WANDB_DIR");
        command
    }

    /// Runs `sweep …` in the folder of the case.
    fn run(&self, arguments: &[&str]) -> CommandResult {
        finish(self.sweep(arguments))
    }

    /// Creates a sweep, and returns its id and the standard error.
    fn create(&self, file: &str) -> (String, String) {
        let ended = self.run(&["create", file]);
        assert_eq!(ended.code, 0, "{ended:?}");
        (ended.stdout.trim().to_owned(), ended.stderr)
    }

    fn start_agent(&self, id: &str, arguments: &[&str]) -> Running {
        self.bench
            .start_command(self.sweep(&[&["agent", id], arguments].concat()))
    }

    fn runs(&self, id: &str) -> Vec<Value> {
        self.bench.json_lines(&["runs", id, "--json"])
    }

    /// Returns what `sweep show` prints of a sweep as JSON.
    fn show(&self, id: &str) -> Value {
        self.bench.json_lines(&["show", id, "--json"]).remove(0)
    }

    /// Creates a sweep and runs it to its end.
    fn execute(&self, file: &str) -> Outcome {
        let (id, created) = self.create(file);
        let (_, output) = self.start_agent(&id, &[]).wait();
        Outcome {
            runs: self.runs(&id),
            id,
            created,
            output,
        }
    }

    /// Returns the versions of the code that a sweep has.
    fn versions(&self, id: &str) -> Vec<Value> {
        let mut versions = self.bench.json_lines(&["code", id, "--json"]);
        versions.retain(|version| !version["number"].is_null());
        versions
    }

    fn values(&self, outcome: &Outcome, run: &Value, metric: &str) -> Vec<f64> {
        self.bench.values(&outcome.id, number(run), metric)
    }

    fn steps(&self, outcome: &Outcome, run: &Value, metric: &str) -> Vec<i64> {
        self.bench.steps(&outcome.id, number(run), metric)
    }

    /// Checks that no process of the programs is left, once the controller is gone.
    fn nothing_left(self) {
        let Self { bench, controller } = self;
        controller.kill();
        bench.nothing_left();
    }
}

impl Outcome {
    /// Checks that a number of runs have all finished with a number.
    fn finished(&self, count: usize) {
        let all = self
            .runs
            .iter()
            .all(|run| run["state"] == "finished" && run["value"].is_number());
        assert!(
            self.runs.len() == count && all,
            "{:#?}\n{}",
            self.runs,
            self.output
        );
    }

    /// Checks that all runs failed at once since the program refuses its command line, and that the failure names the remedy.
    fn refused(&self, remedy: &str) {
        assert!(!self.runs.is_empty(), "{}", self.output);
        for run in &self.runs {
            let failure = failure(run);
            assert_eq!(
                (&run["state"], &failure["kind"], &failure["blame"]),
                (&json!("failed"), &json!("usage"), &json!("command_line")),
                "{run}"
            );
            assert_eq!(
                run["attempts"], 1,
                "a usage error is not tried again: {run}"
            );
            assert!(reason(run).contains(remedy), "{}", reason(run));
        }
    }
}

fn number(run: &Value) -> u64 {
    run["run"].as_u64().expect("a run has a number")
}

fn reason(run: &Value) -> &str {
    run["reason"].as_str().expect("a reason is text")
}

/// Returns the failure of a run's last attempt.
fn failure(run: &Value) -> &Value {
    let executions = run["executions"].as_array().expect("executions are a list");
    &executions
        .last()
        .unwrap_or_else(|| panic!("no execution: {run}"))["failure"]
}

/// Returns a parameter that is a number, by its path.
fn parameter(params: &Value, path: &str) -> f64 {
    let value = if params.get(path).is_some() {
        params.get(path)
    } else {
        params.pointer(&format!("/{}", path.replace('.', "/")))
    };
    value
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number {path}: {params}"))
}

fn lr(params: &Value) -> f64 {
    parameter(params, "lr")
}

/// Returns how far the learning rate is from the best one, 0.001, in decades.
fn distance(params: &Value) -> f64 {
    (lr(params).log10() + 3.0).abs()
}

/// Returns the depth of the model that the Hydra cases choose.
fn depth(params: &Value) -> f64 {
    match params["model"].as_str() {
        Some("vit") => 12.0,
        Some("resnet") => 18.0,
        other => panic!("no such model: {other:?}"),
    }
}

fn first(count: i64) -> Points {
    Points::At((0..count).collect())
}

fn steps_of(params: &Value) -> i64 {
    // The Hugging Face programs have 128 examples.
    128 / params["per_device_train_batch_size"]
        .as_i64()
        .expect("a batch has a size")
}

fn is_close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1e-12)
}

/// Runs a case that needs nothing: all runs finish, the objective has its points and its value, and there is one version of the code.
fn regular(
    name: &str,
    modules: &str,
    objective: &str,
    points: impl Fn(&Value) -> Points,
    value: impl Fn(&Value) -> Option<f64>,
) -> Option<(Case, Outcome)> {
    let case = case(&format!("programs/{name}"), modules)?;
    let outcome = case.execute("sweep.yaml");
    check(&case, &outcome, objective, points, value);
    Some((case, outcome))
}

fn check(
    case: &Case,
    outcome: &Outcome,
    objective: &str,
    points: impl Fn(&Value) -> Points,
    value: impl Fn(&Value) -> Option<f64>,
) {
    let output = &outcome.output;
    outcome.finished(2);
    for run in &outcome.runs {
        match points(&run["params"]) {
            Points::At(steps) => assert_eq!(
                case.steps(outcome, run, objective),
                steps,
                "run {}: {output}",
                run["run"]
            ),
            Points::Count(count) => {
                let values = case.values(outcome, run, objective);
                assert_eq!(
                    values.len(),
                    count,
                    "run {}: {values:?} {output}",
                    run["run"]
                );
            }
        }
        if let Some(value) = value(&run["params"]) {
            // Event files have numbers of 32 bits.
            assert!(
                run["value"]
                    .as_f64()
                    .is_some_and(|found| is_close(found, value, 1e-6)),
                "{value} is wanted: {run}\n{output}"
            );
        }
    }
    assert!(
        !output.contains("is not read"),
        "a warning of a metric that is read: {output}"
    );
    let versions = case.versions(&outcome.id);
    assert_eq!(versions.len(), 1, "{versions:#?}\n{output}");
}

fn unknown(_: &Value) -> Option<f64> {
    None
}

// W&B.

#[test]
fn a01_basic() {
    regular(
        "a01_basic",
        "wandb",
        "val/loss",
        |_| first(8),
        |params| Some(distance(params) / 8.0 + 0.1),
    );
}

#[test]
fn a02_config_only() {
    let steps = |_: &Value| Points::At((0..8).map(|step| step * 10).collect());
    let value = |params: &Value| Some(parameter(params, "optimizer.momentum") / 8.0);
    let Some((_, outcome)) = regular("a02_config_only", "wandb", "val_loss", steps, value) else {
        return;
    };
    for run in &outcome.runs {
        assert_eq!(
            (&run["metrics"]["train.loss"], &run["metrics"]["best_val"]),
            (&json!(0.125), &json!(0.5)),
            "{run}"
        );
    }
}

#[test]
fn a03_define() {
    let steps = |_: &Value| Points::At((0..6).map(|epoch| 5 + 6 * epoch).collect());
    let Some((_, outcome)) = regular("a03_define", "wandb", "val/acc", steps, |params| {
        Some(0.9 * lr(params))
    }) else {
        return;
    };
    for run in &outcome.runs {
        let test = run["metrics"]["test/acc"]
            .as_f64()
            .unwrap_or_else(|| panic!("no test/acc: {run}"));
        assert!(is_close(test, 0.42 * lr(&run["params"]), 1e-9), "{run}");
    }
}

#[test]
fn a04_media() {
    let Some((_, outcome)) = regular(
        "a04_media",
        "wandb, torch, matplotlib, plotly, PIL",
        "loss",
        |_| first(5),
        unknown,
    ) else {
        return;
    };
    for run in &outcome.runs {
        let metrics = run["metrics"].as_object().expect("metrics are a map");
        assert!(
            metrics.contains_key("loss_tensor") && metrics.contains_key("np"),
            "{metrics:?}"
        );
        let is_media = |name: &&String| {
            [
                "img",
                "hist",
                "table",
                "fig",
                "conf",
                "gradients",
                "parameters",
            ]
            .iter()
            .any(|media| name.starts_with(media))
        };
        assert_eq!(
            metrics.keys().find(is_media),
            None,
            "sizes of media are no metrics: {metrics:?}"
        );
    }
}

#[test]
fn a05b_several_same() {
    let Some((case, outcome)) = regular(
        "a05b_several_same",
        "wandb",
        "acc",
        |_| first(4),
        |params| Some(lr(params) + 0.01),
    ) else {
        return;
    };
    for run in &outcome.runs {
        for (fold, metric) in ["acc", "init-2/acc", "init-3/acc"].into_iter().enumerate() {
            let values = case.values(&outcome, run, metric);
            let wanted = (1..5)
                .map(|epoch| lr(&run["params"]) * f64::from(epoch) / 4.0 + fold as f64 * 0.01);
            assert!(
                values.len() == 4
                    && values
                        .iter()
                        .zip(wanted)
                        .all(|(value, wanted)| is_close(*value, wanted, 1e-9)),
                "{metric}: {values:?}"
            );
        }
    }
    assert!(
        outcome.output.contains("wandb.init several times"),
        "{}",
        outcome.output
    );
}

#[test]
fn a06_child() {
    regular(
        "a06_child",
        "wandb",
        "acc",
        |_| first(5),
        |params| Some(5.0 * lr(params)),
    );
}

#[test]
fn a07_ddp_rank0() {
    if has_program("torchrun") {
        regular(
            "a07_ddp_rank0",
            "wandb, torch",
            "loss",
            |_| first(5),
            unknown,
        );
    }
}

#[test]
fn a08_pyagent() {
    let Some(case) = case("programs/a08_pyagent", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    outcome.refused("wandb.sweep");
    for part in [
        "copy the parameters into the sweep file",
        "`import os, sys`",
        "`if \"SWEEP_RUN\" in os.environ:`",
        "main(); sys.exit()",
    ] {
        assert!(
            reason(&outcome.runs[0]).contains(part),
            "{part}: {}",
            reason(&outcome.runs[0])
        );
    }
    // The way that the failure names works.
    let begin = "sweep_id = wandb.sweep(";
    case.replace(
        "train.py",
        begin,
        &format!(
            "import os, sys\nif \"SWEEP_RUN\" in os.environ:\n    main(); sys.exit()\n{begin}"
        ),
    );
    case.replace(
        "sweep.yaml",
        "parameters: {",
        "parameters: {epochs: {values: [5, 10, 15]}, ",
    );
    let outcome = case.execute("sweep.yaml");
    let epochs = |params: &Value| params["epochs"].as_i64().expect("epochs are a number");
    check(
        &case,
        &outcome,
        "val_acc",
        |params| first(epochs(params)),
        |params| Some(lr(params) * (epochs(params) - 1) as f64),
    );
}

#[test]
fn a09_online() {
    let Some(case) = case("programs/a09_online", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    if requires(
        "wandb-online",
        std::env::var_os("WANDB_API_KEY").is_some(),
        "reading of online runs: no WANDB_API_KEY",
    ) {
        check(
            &case,
            &outcome,
            "val/acc",
            |_| first(5),
            |params| Some(4.0 * lr(params)),
        );
        return;
    }
    for run in &outcome.runs {
        assert!(
            run["state"] == "failed" && reason(run).contains("API key"),
            "{run}"
        );
        assert_eq!(failure(run)["kind"], "usage", "{run}");
    }
}

#[test]
fn a09c_settings() {
    regular(
        "a09c_settings",
        "wandb",
        "val/acc",
        |_| first(5),
        |params| Some(4.0 * lr(params)),
    );
}

#[test]
fn a10_early() {
    let Some(case) = case("programs/a10_early", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    assert_eq!(outcome.runs.len(), 5, "{}", outcome.output);
    let stopped: Vec<_> = outcome
        .runs
        .iter()
        .filter(|run| run["state"] == "stopped")
        .collect();
    assert!(
        !stopped.is_empty(),
        "{:#?}\n{}",
        outcome.runs,
        outcome.output
    );
    for run in stopped {
        let points = case.steps(&outcome, run, "val_loss").len();
        // An epoch takes half a second.
        assert!(
            [3, 6, 12, 24]
                .iter()
                .any(|band| (*band..=band + 4).contains(&points)),
            "more than 2 s after the band: {points} points, {run}"
        );
    }
    assert_eq!(case.versions(&outcome.id).len(), 1);
}

#[test]
fn a13_hf() {
    let Some((case, outcome)) = regular(
        "a13_hf",
        &format!("wandb, {HF}"),
        "eval/loss",
        |_| Points::Count(4),
        unknown,
    ) else {
        return;
    };
    for run in &outcome.runs {
        let steps = case.steps(&outcome, run, "eval/loss");
        assert!(
            steps.len() == 4 && steps.is_sorted(),
            "each evaluation has its step: {steps:?}"
        );
    }
}

#[test]
fn a14_keras() {
    regular(
        "a14_keras",
        "wandb, keras, tensorflow",
        "epoch/val_loss",
        |_| first(5),
        unknown,
    );
}

#[test]
fn a16_xgb() {
    regular(
        "a16_xgb",
        "wandb, xgboost, sklearn",
        "validation-logloss",
        |_| first(20),
        unknown,
    );
}

#[test]
fn a17_sklearn() {
    let Some((_, outcome)) = regular(
        "a17_sklearn",
        "wandb, sklearn, matplotlib, plotly",
        "accuracy",
        |_| Points::Count(1),
        unknown,
    ) else {
        return;
    };
    assert!(outcome.runs.iter().all(|run| {
        run["value"]
            .as_f64()
            .is_some_and(|accuracy| accuracy > 0.8 && accuracy <= 1.0)
    }));
}

#[test]
fn a18_crash() {
    let Some(case) = case("programs/a18_crash", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    let run = |how: &str| {
        outcome
            .runs
            .iter()
            .find(|run| run["params"]["how"] == how)
            .unwrap_or_else(|| panic!("no {how}: {}", outcome.output))
    };
    let crashed = run("exc");
    assert_eq!(
        (&crashed["state"], reason(crashed)),
        (&json!("failed"), "exit status 1: RuntimeError: boom"),
        "{crashed}"
    );
    assert_eq!(
        (&failure(crashed)["kind"], &failure(crashed)["blame"]),
        (&json!("crashed"), &json!("configuration")),
        "{crashed}"
    );
    let killed = run("kill");
    assert!(
        killed["state"] == "failed" && reason(killed).contains("SIGKILL"),
        "{killed}"
    );
    assert_eq!(failure(killed)["signal"], 9, "{killed}");
    assert_eq!(case.versions(&outcome.id).len(), 1);
}

#[test]
fn a19_synctb() {
    regular(
        "a19_synctb",
        "wandb, torch, tensorboard",
        "val/acc",
        |_| first(10),
        |params| Some(9.0 * lr(params)),
    );
}

// TensorBoard.

#[test]
fn b1_tb() {
    regular(
        "b1_tb",
        "torch, tensorboard",
        "Loss/val",
        |_| first(8),
        |params| Some(distance(params) + 0.125),
    );
}

#[test]
fn b2_tbx() {
    regular(
        "b2_tbx",
        "tensorboardX",
        "Loss/val",
        |_| first(8),
        |params| Some(distance(params) + 0.125),
    );
}

#[test]
fn b3_keras_tb() {
    regular(
        "b3_keras_tb",
        "keras, tensorflow",
        "val_loss",
        |_| first(5),
        unknown,
    );
}

#[test]
fn b5_pl_default() {
    regular(
        "b5_pl_default",
        "lightning, torch, tensorboard",
        "val_loss",
        |_| Points::At(vec![3, 7, 11, 15, 19]),
        unknown,
    );
}

#[test]
fn b6_hf_tb() {
    // Its last step has two evaluations.
    let steps =
        |params: &Value| Points::At([1, 2, 3, 3].map(|epoch| epoch * steps_of(params)).to_vec());
    regular(
        "b6_hf_tb",
        &format!("tensorboard, {HF}"),
        "eval/loss",
        steps,
        unknown,
    );
}

// Files and printed lines.

#[test]
fn c1_pl_csv() {
    regular(
        "c1_pl_csv",
        "lightning, torch",
        "val/loss",
        |_| Points::At(vec![3, 7, 11, 15, 19]),
        unknown,
    );
}

#[test]
fn c2b_hf_default() {
    regular(
        "c2b_hf_default",
        HF,
        "eval_loss",
        |_| Points::Count(4),
        unknown,
    );
}

#[test]
#[ignore = "the printed dictionaries, without steps and with four digits, replace those of trainer_state.json"]
fn c2b_hf_default_has_the_steps_of_its_state() {
    let Some((case, outcome)) = regular(
        "c2b_hf_default",
        HF,
        "eval_loss",
        |_| Points::Count(4),
        unknown,
    ) else {
        return;
    };
    for run in &outcome.runs {
        let steps = case.steps(&outcome, run, "eval_loss");
        assert_eq!(
            steps[..],
            [1, 2, 3].map(|epoch| epoch * steps_of(&run["params"])),
            "{run}"
        );
    }
}

#[test]
fn c11_npjson() {
    let Some((_, outcome)) = regular(
        "c11_npjson",
        "numpy",
        "val_loss",
        |_| Points::Count(4),
        |params| Some(lr(params)),
    ) else {
        return;
    };
    for run in &outcome.runs {
        let nested = run["metrics"]["val.loss"]
            .as_f64()
            .unwrap_or_else(|| panic!("no val.loss: {run}"));
        assert!(is_close(nested, lr(&run["params"]) / 4.0, 1e-9), "{run}");
    }
}

/// Returns the line of the sweep file that the agent recommends.
fn recommended_patterns(output: &str) -> String {
    let lead = "add to the sweep file: ";
    let line = output
        .lines()
        .find(|line| line.contains("is not read from the line") && line.contains(lead));
    let line = line.unwrap_or_else(|| panic!("no pattern is recommended: {output}"));
    line.split(lead).nth(1).expect("the line has it").to_owned()
}

/// Puts the recommended pattern into the sweep file, and reads the output of all runs again.
fn reread(case: &Case, outcome: Outcome) -> Outcome {
    let Outcome {
        id,
        created,
        output,
        ..
    } = outcome;
    case.add(&recommended_patterns(&output));
    let edited = case.run(&["edit", &id, "sweep.yaml", "--yes"]);
    assert_eq!(edited.code, 0, "{edited:?}");
    let ended = case.run(&["reread", &id]);
    assert_eq!(ended.code, 0, "{ended:?}");
    Outcome {
        runs: case.runs(&id),
        id,
        created,
        output: format!("{output}\n{edited:?}\n{ended:?}"),
    }
}

/// Checks that the agent names a line that is not read before a second training begins, and that the recommended pattern reads it.
fn printed(
    case: &Case,
    objective: &str,
    count: Option<usize>,
    value: impl Fn(&Value) -> Option<f64>,
) -> Outcome {
    let outcome = case.execute("sweep.yaml");
    let output = &outcome.output;
    let named = output
        .find("is not read from the line")
        .unwrap_or_else(|| panic!("nothing is named: {output}"));
    let second = output
        .find("Started run 2")
        .unwrap_or_else(|| panic!("no second run: {output}"));
    assert!(
        named < second,
        "named after the second training began: {output}"
    );
    let patterns = recommended_patterns(output);
    for run in &outcome.runs {
        assert!(
            run["state"] == "failed" && reason(run).contains(&patterns),
            "the failure names the pattern, too: {run}\n{output}"
        );
    }
    let outcome = reread(case, outcome);
    outcome.finished(2);
    for run in &outcome.runs {
        let values = case.values(&outcome, run, objective);
        assert!(
            count.is_none_or(|count| values.len() == count),
            "{values:?}\n{}",
            outcome.output
        );
        if let Some(value) = value(&run["params"]) {
            // Programs print a few digits.
            assert!(
                run["value"]
                    .as_f64()
                    .is_some_and(|found| is_close(found, value, 0.01)),
                "{value} is wanted: {run}"
            );
        }
    }
    assert_eq!(case.versions(&outcome.id).len(), 1);
    outcome
}

#[test]
fn c3_xgb() {
    let Some(case) = case("programs/c3_xgb", "xgboost, sklearn") else {
        return;
    };
    printed(&case, "valid-logloss", Some(15), unknown);
}

#[test]
fn c4_lgbm() {
    let Some(case) = case("programs/c4_lgbm", "lightgbm, sklearn") else {
        return;
    };
    printed(&case, "binary_logloss", Some(15), unknown);
}

#[test]
fn c5_sklearn() {
    let Some(case) = case("programs/c5_sklearn", "sklearn") else {
        return;
    };
    let outcome = printed(&case, "accuracy", Some(1), unknown);
    assert!(
        outcome.runs.iter().all(|run| run["value"]
            .as_f64()
            .is_some_and(|accuracy| accuracy > 0.3 && accuracy <= 1.0)),
        "{:#?}",
        outcome.runs
    );
}

#[test]
fn c6_tqdm() {
    let Some(case) = case("programs/c6_tqdm", "tqdm") else {
        return;
    };
    printed(&case, "val_loss", Some(4), |params| Some(lr(params)));
}

#[test]
fn c8_rich() {
    let Some(case) = case("programs/c8_rich", "rich") else {
        return;
    };
    printed(&case, "val_loss", Some(1), |params| Some(lr(params)));
}

#[test]
fn c9_pytorch_examples() {
    let Some(case) = case("programs/c9_pytorch_examples", "argparse") else {
        return;
    };
    case.execute("sweep.yaml")
        .refused("${args_no_boolean_flags}");
    case.use_macro("args_no_boolean_flags");
    // The losses of training and test are the same.
    printed(&case, "loss", None, |params| Some(lr(params) / 3.0));
}

// MLflow.

#[test]
fn d1_mlflow() {
    regular(
        "d1_mlflow",
        "mlflow",
        "val_loss",
        |_| first(5),
        |params| Some(lr(params) / 5.0),
    );
}

// Command lines.

fn hydra_value(params: &Value) -> Option<f64> {
    let rate = params
        .get("optimizer.lr")
        .and_then(Value::as_f64)
        .unwrap_or_else(|| parameter(params, "optimizer.lr"));
    Some(rate / 4.0 + depth(params))
}

#[test]
fn e1_hydra() {
    regular("e1_hydra", "hydra", "val_loss", |_| first(4), hydra_value);
}

#[test]
fn e1b_hydra_nested() {
    let Some(case) = case("programs/e1b_hydra_nested", "hydra") else {
        return;
    };
    case.execute("sweep.yaml").refused("${args_hydra}");
    case.replace("sweep.yaml", "${args_no_hyphens}", "${args_hydra}");
    // The program asks for types, and `optimizer` is a group of the configuration.
    let outcome = case.execute("sweep.yaml");
    check(&case, &outcome, "val_loss", |_| first(4), hydra_value);
}

#[test]
fn e1c_hydra_m() {
    // Two jobs in one run: resnet and vit.
    let steps = |_: &Value| Points::At((0..4).chain(0..4).collect());
    regular("e1c_hydra_m", "hydra", "val_loss", steps, |params| {
        Some(parameter(params, "optimizer.lr") / 4.0 + 12.0)
    });
}

#[test]
fn e1d_hydra_wandb() {
    regular(
        "e1d_hydra_wandb",
        "hydra, wandb",
        "val_loss",
        |_| first(4),
        hydra_value,
    );
}

#[test]
fn e1e_hydra_wandb_nodir() {
    regular(
        "e1e_hydra_wandb_nodir",
        "hydra, wandb",
        "val_loss",
        |_| first(4),
        hydra_value,
    );
}

#[test]
fn e1f_hydra_err() {
    let Some(case) = case("programs/e1f_hydra_err", "hydra") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    for run in &outcome.runs {
        assert!(
            run["state"] == "failed" && reason(run).ends_with("ValueError: lr too big"),
            "{run}"
        );
        assert_eq!(
            (&failure(run)["kind"], &failure(run)["blame"]),
            (&json!("crashed"), &json!("configuration")),
            "{run}"
        );
    }
    assert_eq!(
        (outcome.runs.len(), case.versions(&outcome.id).len()),
        (2, 1),
        "{}",
        outcome.output
    );
}

#[test]
fn e2b_lcli_nested() {
    regular(
        "e2b_lcli_nested",
        "lightning, torch, jsonargparse, tensorboard",
        "val_loss",
        |_| Points::At(vec![3, 7]),
        unknown,
    );
}

fn rate_and_n(params: &Value) -> Option<f64> {
    let rate = params
        .get("lr")
        .and_then(Value::as_f64)
        .unwrap_or_else(|| parameter(params, "opt.lr"));
    Some(rate + parameter(params, "n"))
}

/// Checks that a program refuses the default arguments, that the failure names the macro, and that the macro works.
fn remedied(name: &str, modules: &str, macro_name: &str) -> Option<Outcome> {
    let case = case(&format!("programs/{name}"), modules)?;
    case.execute("sweep.yaml")
        .refused(&format!("${{{macro_name}}}"));
    case.use_macro(macro_name);
    let outcome = case.execute("sweep.yaml");
    check(
        &case,
        &outcome,
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
    Some(outcome)
}

/// Checks that the program got a boolean as the run has it.
fn is_passed(outcome: Option<Outcome>, parameter: &str, metric: &str) {
    for run in outcome.iter().flat_map(|outcome| &outcome.runs) {
        let wanted = run["params"][parameter]
            .as_bool()
            .map(|flag| f64::from(u8::from(flag)));
        assert_eq!(run["metrics"][metric].as_f64(), wanted, "{run}");
    }
}

#[test]
fn e3_click() {
    is_passed(remedied("e3_click", "click", "args_flags"), "use-bn", "bn");
}

#[test]
fn e3b_click_flags() {
    let found = regular(
        "e3b_click_flags",
        "click",
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
    is_passed(found.map(|(_, outcome)| outcome), "use-bn", "bn");
}

#[test]
fn e4_typer() {
    is_passed(remedied("e4_typer", "typer", "args_flags"), "use-bn", "bn");
}

#[test]
fn e4b_typer_flags() {
    let found = regular(
        "e4b_typer_flags",
        "typer",
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
    is_passed(found.map(|(_, outcome)| outcome), "use-bn", "bn");
}

#[test]
fn e5_fire() {
    regular(
        "e5_fire",
        "fire",
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
}

#[test]
fn e6_tyro() {
    remedied("e6_tyro", "tyro", "args_flags");
}

#[test]
fn e6b_tyro_flags() {
    regular(
        "e6b_tyro_flags",
        "tyro",
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
}

#[test]
fn e7_simplep() {
    regular(
        "e7_simplep",
        "simple_parsing",
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
}

#[test]
fn e9_gin() {
    let Some(case) = case("programs/e9_gin", "gin, absl") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    assert!(
        outcome.created.contains("--gin=${args_no_hyphens}"),
        "the default fails, and nothing names a macro: {}",
        outcome.created
    );
    outcome.refused("");
    case.replace(
        "sweep.yaml",
        "\"--gin=train.lr=${lr}\", \"${args}\"",
        "\"--gin=${args_no_hyphens}\"",
    );
    let outcome = case.execute("sweep.yaml");
    let value = |params: &Value| Some(parameter(params, "train.lr") + parameter(params, "train.n"));
    check(&case, &outcome, "val_loss", |_| Points::Count(1), value);
}

#[test]
fn e9b_absl() {
    regular(
        "e9b_absl",
        "absl",
        "val_loss",
        |_| Points::Count(1),
        rate_and_n,
    );
}

#[test]
fn e10_argbool() {
    let Some(case) = case("programs/e10_argbool", "argparse") else {
        return;
    };
    case.execute("sweep.yaml")
        .refused("${args_no_boolean_flags}");
    case.use_macro("args_no_boolean_flags");
    let outcome = case.execute("sweep.yaml");
    check(
        &case,
        &outcome,
        "val_loss",
        |_| Points::Count(1),
        |params| Some(lr(params)),
    );
    assert!(
        outcome
            .runs
            .iter()
            .all(|run| run["metrics"]["bug"] == 0.0 || run["metrics"]["bug"] == 0),
        "{:#?}",
        outcome.runs
    );
}

#[test]
#[ignore = "no macro passes `use_bn: false` to a program that mixes store_true and BooleanOptionalAction; the failure says that the default applies"]
fn e10_argbool_gets_the_values_of_its_run() {
    let Some(case) = case("programs/e10_argbool", "argparse") else {
        return;
    };
    case.use_macro("args_no_boolean_flags");
    let outcome = case.execute("sweep.yaml");
    assert!(
        outcome
            .runs
            .iter()
            .any(|run| run["params"]["use_bn"] == false),
        "{:#?}",
        outcome.runs
    );
    is_passed(Some(outcome), "use_bn", "bn");
}

#[test]
fn e11_accel() {
    if !has_program("accelerate") {
        return;
    }
    let Some((case, _)) = regular(
        "e11_accel",
        "accelerate, torch, wandb",
        "loss",
        |_| first(5),
        unknown,
    ) else {
        return;
    };
    is_cancelled_with_all_processes(case, 2);
}

#[test]
fn e12_workers() {
    let Some(case) = case("programs/e12_workers", "torch") else {
        return;
    };
    // The program itself and its workers.
    is_cancelled_with_all_processes(case, 5);
}

/// Cancels a sweep once the program has a number of processes, and checks that none is left.
fn is_cancelled_with_all_processes(case: Case, count: usize) {
    let (id, _) = case.create("sweep.yaml");
    let agent = case.start_agent(&id, &[]);
    let programs = || {
        let processes = case.bench.processes();
        processes
            .into_iter()
            .filter(|process| {
                process.command.starts_with("python") || process.command.contains("/python")
            })
            .count()
    };
    wait_for("the processes of the program", || {
        (programs() >= count).then_some(())
    });
    if count > 2 {
        wait_for("the first points", || {
            (case.bench.steps(&id, 1, "val_loss").len() > 3).then_some(())
        });
    }
    let cancelled = case.run(&["cancel", &id]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    let (_, output) = agent.wait();
    assert_eq!(case.show(&id)["state"], "cancelled", "{output}");
    case.nothing_left();
}

// Notebooks.

#[test]
fn f1b_papermill_log() {
    if has_program("papermill") {
        regular(
            "f1b_papermill_log",
            "papermill, ipykernel",
            "val_loss",
            |_| Points::Count(4),
            |params| Some(lr(params) / 4.0),
        );
    }
}

#[test]
fn f2_nbconvert_wandb() {
    if has_program("jupyter") {
        regular(
            "f2_nbconvert_wandb",
            "nbconvert, ipykernel, wandb",
            "val_loss",
            |_| first(5),
            |params| Some(lr(params) / 5.0),
        );
    }
}

// The objective is not read.

#[test]
fn g1_burn() {
    let Some(case) = case("programs/g1_burn", "argparse") else {
        return;
    };
    let (id, created) = case.create("sweep.yaml");
    let agent = case.start_agent(&id, &[]);
    let paused = wait_for("the sweep to be paused", || {
        Some(case.show(&id)).filter(|sweep| sweep["state"] == "paused")
    });
    let runs = case.runs(&id);
    assert!(runs.len() <= 2, "at most two trainings: {runs:#?}");
    let said = wait_for("the agent to say why it waits", || {
        Some(agent.output()).filter(|output| output.contains("waiting: the sweep is paused"))
    });
    let patterns = recommended_patterns(&said);
    let shown = case.bench.ok(&["show", &id]);
    assert!(
        shown.contains(&patterns)
            && paused["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("val_loss")),
        "{shown}\n{paused}"
    );

    let outcome = reread(
        &case,
        Outcome {
            runs,
            id: id.clone(),
            created,
            output: said,
        },
    );
    for run in &outcome.runs {
        let (values, rate) = (case.values(&outcome, run, "val_loss"), lr(&run["params"]));
        assert!(
            run["state"] == "finished" && values.len() == 4,
            "{run} {values:?}\n{}",
            outcome.output
        );
        assert!(
            run["value"]
                .as_f64()
                .is_some_and(|value| (value - rate / 4.0).abs() < 1e-4),
            "{run}"
        );
    }
    assert_eq!(case.run(&["resume", &id]).code, 0);
    wait_for("new runs", || {
        (case
            .runs(&id)
            .iter()
            .filter(|run| run["state"] == "finished")
            .count()
            > 3)
        .then_some(())
    });
    assert_eq!(case.versions(&id).len(), 1);
    assert_eq!(case.run(&["cancel", &id]).code, 0);
    agent.wait();
}

// Early stopping.

/// Runs a case with a band that no run reaches as long as an iteration is an epoch, and not a refresh of a progress bar.
fn banded(name: &str, modules: &str, objective: &str, epochs: usize, points: Points) {
    let Some(case) = case(&format!("programs/{name}"), modules) else {
        return;
    };
    case.add(&format!(
        "early_terminate: {{type: hyperband, min_iter: {}, eta: 2}}",
        epochs + 2
    ));
    let outcome = case.execute("sweep.yaml");
    let points = |_: &Value| match &points {
        Points::At(steps) => Points::At(steps.clone()),
        Points::Count(count) => Points::Count(*count),
    };
    check(&case, &outcome, objective, points, unknown);
}

#[test]
fn h_hf() {
    // Three epochs, and the program evaluates once more.
    banded("h_hf", HF, "eval_loss", 3, Points::Count(4));
}

#[test]
fn h_keras() {
    banded("h_keras", "keras, torch", "val_loss", 5, Points::Count(5));
}

#[test]
fn h_pl() {
    banded(
        "h_pl",
        "lightning, torch, tensorboard",
        "val_loss",
        5,
        Points::At(vec![3, 7, 11, 15, 19]),
    );
}

#[test]
fn h_xgb() {
    banded(
        "h_xgb",
        "xgboost, sklearn",
        "valid-logloss",
        15,
        Points::Count(15),
    );
}

#[test]
fn i1_hydra_early() {
    let Some(case) = case("programs/i1_hydra_early", "hydra") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    let stopped = outcome
        .runs
        .iter()
        .filter(|run| run["state"] == "stopped")
        .count();
    assert!(
        outcome.runs.len() == 16 && stopped >= 6,
        "{stopped} of {} runs were stopped: {}",
        outcome.runs.len(),
        outcome.output
    );
    assert_eq!(case.versions(&outcome.id).len(), 1);
}

#[test]
fn j1_nan() {
    let Some(case) = case("programs/j1_nan", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    outcome.finished(1);
    assert_eq!(outcome.runs[0]["value"], 0.5, "{:#?}", outcome.runs);
    let values = case.values(&outcome, &outcome.runs[0], "val/acc");
    assert!(
        values.len() == 3 && values[0] == 0.5 && values[1].is_nan() && values[2].is_nan(),
        "{values:?}"
    );
}

// Files.

#[test]
fn files_01_tqdm_glued() {
    let Some(case) = case("files/01-tqdm-glued", "tqdm") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    outcome.finished(7);
    for run in &outcome.runs {
        let wanted = match run["params"]["mode"].as_str() {
            Some("end" | "manual") => vec![0.55],
            _ => (0..10).map(|epoch| 1.0 - f64::from(epoch) / 20.0).collect(),
        };
        assert_eq!(
            case.values(&outcome, run, "val_loss"),
            wanted,
            "{}",
            run["params"]
        );
    }
    let outcome = case.execute("silent.yaml");
    outcome.finished(8);
    for run in &outcome.runs {
        let count = run["params"]["N"].as_u64().expect("N is a number");
        let values = case.values(&outcome, run, "val_acc");
        assert!(
            values.len() as u64 == count && values.last() == Some(&1.0) && run["value"] == 1.0,
            "{run}: {values:?}"
        );
    }
}

/// Asks for all points of a grid, and returns their parameters.
fn grid(case: &Case, file: &str, count: usize) -> Vec<Value> {
    let (id, _) = case.create(file);
    let mut points = Vec::new();
    for _ in 0..count {
        let run = case
            .bench
            .json_lines(&["ask", &id, "--worker", "a"])
            .remove(0);
        points.push(run["params"].clone());
    }
    let over = case.run(&["ask", &id, "--worker", "a"]);
    assert!(
        !over.stdout.contains("\"params\""),
        "more than {count} points: {over:?}"
    );
    points
}

/// Returns the values that a parameter has, each once, as JSON.
fn values_of(points: &[Value], parameter: &str) -> Vec<String> {
    let mut values: Vec<_> = points
        .iter()
        .map(|params| params[parameter].to_string())
        .collect();
    values.sort();
    values.dedup();
    values
}

fn as_json(values: &Value) -> Vec<String> {
    let mut values: Vec<_> = values
        .as_array()
        .expect("a list")
        .iter()
        .map(Value::to_string)
        .collect();
    values.sort();
    values
}

#[test]
fn files_03_leading_zeros() {
    let Some(case) = case("files/03-leading-zeros", "json") else {
        return;
    };
    let wanted = as_json(&json!([1, 2, 3, 4, 5, 6, 7, "008", "009", 8, 9, 10]));
    assert_eq!(values_of(&grid(&case, "subj.yaml", 12), "subject"), wanted);
    let outcome = case.execute("subj.yaml");
    assert!(
        outcome.runs.len() == 12 && outcome.runs.iter().all(|run| run["state"] == "finished"),
        "{}",
        outcome.output
    );
}

#[test]
fn files_leading_zero() {
    let Some(case) = case("files/leading_zero.yaml", "json") else {
        return;
    };
    case.write("t.py", "print(1)\n");
    let points = grid(&case, "leading_zero.yaml", 10);
    assert_eq!(
        values_of(&points, "subject"),
        as_json(&json!([1, 7, "08", "09", 10]))
    );
    assert_eq!(
        values_of(&points, "commit"),
        as_json(&json!(["3e21455", "1a2b3c4"]))
    );
    // Literals of the command are passed as they are written.
    let outcome = case.execute("leading_zero.yaml");
    for run in &outcome.runs {
        let command = run["executions"][0]["command"]
            .as_array()
            .expect("a command is a list");
        assert_eq!(
            command[2..8],
            ["--month", "08", "--lr", "1e-4", "--commit", "1234e56"],
            "{run}"
        );
    }
}

#[test]
fn files_scalars_words() {
    let Some(case) = case("files/scalars_words.yaml", "json") else {
        return;
    };
    case.write("t.py", "print(1)\n");
    // Values that are the same number are one point.
    let points = grid(&case, "scalars_words.yaml", 65);
    let number = |values: Vec<String>| -> Vec<String> {
        values
            .into_iter()
            .map(|value| value.trim_end_matches(".0").to_owned())
            .collect()
    };
    assert_eq!(
        number(values_of(&points, "commit")),
        number(as_json(&json!([
            "1234e56", "5e12345", "12e4567", "1a2b3c4", 70
        ])))
    );
    let words = json!([
        20_240_101,
        "2024-01-01",
        90,
        1000,
        "08",
        7,
        "0o10",
        "1.2.3",
        100_000,
        "1e400",
        0.5,
        31,
        "12_e3"
    ]);
    assert_eq!(number(values_of(&points, "ts")), number(as_json(&words)));
}

#[test]
fn files_06_tell_negative() {
    let Some(case) = case("files/06-tell-negative", "json") else {
        return;
    };
    let (id, _) = case.create("cont.yaml");
    for (index, value) in ["-3.2e-05", "-1.5e+20", "-.5", "-0.5", "-1e5"]
        .into_iter()
        .enumerate()
    {
        let run = case
            .bench
            .json_lines(&["ask", &id, "--worker", "a"])
            .remove(0);
        assert_eq!(run["run"], index + 1);
        let told = case.run(&["tell", &format!("{id}/{}", index + 1), value]);
        assert_eq!(told.code, 0, "{value}: {told:?}");
        let run = case.runs(&id).remove(index);
        assert_eq!(
            (&run["state"], run["value"].as_f64()),
            (&json!("finished"), value.parse().ok()),
            "{run}"
        );
    }
}

/// Returns the configuration that a program of 07-hydra has printed.
fn hydra_config(case: &Case, outcome: &Outcome, run: &Value) -> Value {
    let log = case
        .bench
        .ok(&["logs", &format!("{}/{}", outcome.id, run["run"])]);
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("CFG "))
        .unwrap_or_else(|| panic!("no configuration: {log}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn files_07_hydra() {
    let Some(case) = case("files/07-hydra", "hydra") else {
        return;
    };
    // Where the macro of the file does not suit, the failure names the one that does.
    for file in ["s.yaml", "n.yaml"] {
        let outcome = case.execute(file);
        let failed: Vec<_> = outcome
            .runs
            .iter()
            .filter(|run| run["state"] == "failed")
            .collect();
        assert!(
            !failed.is_empty()
                && failed
                    .iter()
                    .all(|run| reason(run).contains("${args_hydra}")),
            "{failed:#?}"
        );
        case.replace(file, "${args_no_hyphens}", "${args_hydra}");
    }
    let outcome = case.execute("s.yaml");
    outcome.finished(9);
    for run in &outcome.runs {
        let config = hydra_config(&case, &outcome, run);
        assert_eq!(
            config["agent"]["name"], run["params"]["agent.name"],
            "{config}"
        );
        assert_eq!(
            (&config["drop"], &config["flag"], &config["l"]),
            (&Value::Null, &json!(true), &json!([1, "a b", null])),
            "{config}"
        );
        assert_eq!(config["model"]["kind"], "b", "{config}");
    }
    let outcome = case.execute("n.yaml");
    outcome.finished(1);
    assert_eq!(
        hydra_config(&case, &outcome, &outcome.runs[0])["opt"],
        json!({"lr": 0.5, "name": "adam"})
    );

    let outcome = case.execute("boom2.yaml");
    outcome.refused("Could not override 'nosuch'");
    assert!(
        reason(&outcome.runs[0]).contains("+nosuch=0.1")
            && !reason(&outcome.runs[0]).contains("HYDRA_FULL_ERROR"),
        "{:#?}",
        outcome.runs
    );
}

#[test]
fn files_08_metric_forms() {
    let Some(case) = case("files/08-metric-forms", "json") else {
        return;
    };
    let outcome = case.execute("all.yaml");
    assert_eq!(outcome.runs.len(), 40, "{}", outcome.output);
    let half = "plain pydict prefix tqdm tqdm_stdout cr_json ansi indent string nested np latin latinin nonl crlf bom longline longjson stderr file filenonl \
                filerm tracebackok";
    let mut wanted: BTreeMap<&str, f64> = half.split_whitespace().map(|name| (name, 0.5)).collect();
    wanted.extend([
        ("two", 0.4),
        ("nanthen", 0.4),
        ("thennan", 0.4),
        ("huge", 1.7e308),
        ("filetrunc", 0.6),
    ]);
    // What is not read, and a word of the remedy or the cause that the agent names. Values that are no numbers have a separate test.
    let named: BTreeMap<&str, &str> = BTreeMap::from([
        ("nestedonly", "train.loss"),
        ("nan", "NaN"),
        ("inf", "inf"),
        ("neginf", "inf"),
        ("1e400", "inf"),
        ("lowernan", "NaN"),
        ("printtext", "metric_patterns"),
        ("hf", "eval_loss"),
        ("filecsv", "`loss,epoch`; write lines like"),
        ("exitafter", "exit status 1"),
    ]);
    assert_eq!(wanted.len() + named.len(), 38);
    let mut wrong = Vec::new();
    for run in &outcome.runs {
        let form = run["params"]["case"].as_str().expect("a case has a name");
        if let Some(value) = wanted.get(form) {
            if run["state"] != "finished"
                || !run["value"]
                    .as_f64()
                    .is_some_and(|found| is_close(found, *value, 1e-9))
            {
                wrong.push(format!(
                    "{form}: {} {} {}",
                    run["state"], run["value"], run["reason"]
                ));
            }
        } else if let Some(word) = named.get(form) {
            let note = format!("Note run {} ", run["run"]);
            let notes = outcome
                .output
                .lines()
                .filter(|line| line.contains(&note))
                .collect::<Vec<_>>()
                .join("\n");
            let said = format!("{}\n{notes}", reason(run));
            if run["state"] != "failed" || !said.contains(word) {
                wrong.push(format!("{form}, not named: {} {said}", run["state"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "neither a note nor the failure names the line with a value that is no number"]
fn files_08_metric_forms_that_are_no_numbers() {
    let Some(case) = case("files/08-metric-forms", "json") else {
        return;
    };
    let yaml = case.read("all.yaml");
    let begin = yaml.find("  case: ").expect("the file has the parameter");
    case.write(
        "all.yaml",
        &format!("{}  case: {{values: [bool, list]}}\n", &yaml[..begin]),
    );
    let outcome = case.execute("all.yaml");
    for (run, line) in outcome
        .runs
        .iter()
        .zip(["{\"loss\": true}", "{\"loss\": [0.5]}"])
    {
        assert!(
            reason(run).contains(line) || outcome.output.contains(line),
            "{line} is not named: {run}\n{}",
            outcome.output
        );
    }
}

#[test]
fn files_09_program_with_args() {
    let Some(case) = case("files/09-program-with-args", "json") else {
        return;
    };
    for (file, warning) in [
        (
            "3225.yaml",
            "`command: [\"torchrun\", \"--nproc_per_node=4\", \"train.py\", \"${args}\"]`",
        ),
        (
            "6868.yaml",
            "`command: [\"${env}\", \"${interpreter}\", \"-m\", \"train\", \"${args}\"]`",
        ),
        (
            "7260.yaml",
            "`[\"${env}\", \"${interpreter}\", \"${program}\", \"${args_no_boolean_flags}\"]`",
        ),
        ("shell.yaml", "`${program}` is part of a longer item"),
    ] {
        let checked = case.run(&["check", file]);
        assert!(
            checked.code == 0
                && checked.stderr.contains("warning: ")
                && checked.stderr.contains(warning),
            "{file}: {checked:?}"
        );
    }
    // The recommended command can be started.
    case.write(
        "train.py",
        "import sys\nassert sys.argv[1].startswith('--lr=')\n",
    );
    case.replace(
        "6868.yaml",
        "program: \"-m train\"",
        "command: [\"${env}\", \"${interpreter}\", \"-m\", \"train\", \"${args}\"]",
    );
    let outcome = case.execute("6868.yaml");
    assert!(
        outcome.runs.len() == 2 && outcome.runs.iter().all(|run| run["state"] == "finished"),
        "{}",
        outcome.output
    );
}

#[test]
fn files_11_import_wandb_csv() {
    let Some(case) = case("files/11-import-wandb-csv", "json") else {
        return;
    };
    let (id, _) = case.create("s.yaml");
    let imported = case.run(&["import", &id, "w.csv"]);
    assert!(
        imported.code == 0
            && imported.stdout.contains("5 runs imported")
            && imported.stdout.contains("1 left out"),
        "{imported:?}"
    );
    assert!(
        imported.stderr.contains("left out: line 5: `lr`"),
        "{imported:?}"
    );
    let runs = case.runs(&id);
    let states: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                run["state"].as_str().unwrap_or_default(),
                run["value"].as_f64(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("finished", Some(0.5)),
            ("failed", None),
            ("finished", Some(0.4)),
            ("failed", None),
            ("failed", None)
        ],
        "{runs:#?}"
    );
    assert_eq!(
        runs.iter()
            .map(|run| run["params"]["clip"].as_f64())
            .collect::<Vec<_>>(),
        [None, Some(0.5), None, None, Some(0.5)],
        "{runs:#?}"
    );
    assert_eq!(
        runs.iter()
            .map(|run| run["params"]["bn"].as_bool())
            .collect::<Vec<_>>(),
        [true, false, true, false, false].map(Some),
        "{runs:#?}"
    );
    assert!(
        runs.iter()
            .skip(1)
            .all(|run| parameter(&run["params"], "net.depth") == 4.0),
        "{runs:#?}"
    );
}

#[test]
fn files_13_cosmetics() {
    let Some(case) = case("files/13-cosmetics", "json") else {
        return;
    };
    let step = case.run(&["check", "step.yaml"]);
    assert!(
        step.code == 2 && step.stderr.contains("a metric called `step` is never read"),
        "{step:?}"
    );
    let huge = case.run(&["check", "huge.json"]);
    let said = format!("{}{}", huge.stdout, huge.stderr);
    assert!(
        huge.code == 0
            && said.contains("more than 10^38 points")
            && !said.contains("340282366920938463463374607431768211455"),
        "{huge:?}"
    );
}

#[test]
fn files_hyperband_silent() {
    let Some(case) = case("files/hyperband_silent.yaml", "json") else {
        return;
    };
    let checked = case.run(&["check", "hyperband_silent.yaml"]);
    assert!(
        checked.code == 0 && checked.stderr.contains("warning: `early_terminate`"),
        "{checked:?}"
    );
    assert!(
        checked.stderr.contains("no run is ever stopped") && checked.stderr.contains("help: "),
        "{checked:?}"
    );
}

#[test]
fn files_repeat_constant() {
    let Some(case) = case("files/repeat_constant.yaml", "json") else {
        return;
    };
    let checked = case.run(&["check", "repeat_constant.yaml"]);
    assert!(
        checked.code == 0 && checked.stderr.contains("warning: the space has 1 point"),
        "{checked:?}"
    );
    assert!(checked.stderr.contains("`repeats: 10`"), "{checked:?}");
}

#[test]
fn files_nulls() {
    let Some(case) = case("files/nulls.yaml", "json") else {
        return;
    };
    case.write("t.py", "print('{\"loss\": 1}')\n");
    let checked = case.run(&["check", "nulls.yaml"]);
    assert!(
        checked.code == 0 && !format!("{}{}", checked.stdout, checked.stderr).contains("warning"),
        "{checked:?}"
    );
    let (id, _) = case.create("nulls.yaml");
    assert!(
        case.show(&id)["planned"].is_null(),
        "a cap that is null is none"
    );
    let (_, output) = case.start_agent(&id, &["--count", "1"]).wait();
    let runs = case.runs(&id);
    assert!(
        runs.len() == 1 && runs[0]["state"] == "finished" && runs[0]["value"] == 1.0,
        "{runs:?} {output}"
    );
}

#[test]
fn files_count1() {
    let Some(case) = case("files/count1", "json") else {
        return;
    };
    let ended = case.run(&["run", "sweep.yaml", "--count", "1"]);
    let why = "no metric was seen and the sweep wants `loss`";
    assert!(ended.code != 0 && ended.stderr.contains(why), "{ended:?}");
}

#[test]
fn files_all_fail_1d() {
    let Some(case) = case("files/all_fail_1d.yaml", "json") else {
        return;
    };
    let yaml = case.read("all_fail_1d.yaml");
    let mut needed: Vec<u64> = (0..20)
        .map(|seed| {
            case.write(
                "seeded.yaml",
                &yaml.replace("seed: 0", &format!("seed: {seed}")),
            );
            let (id, _) = case.create("seeded.yaml");
            let is_success = || {
                let run = case.bench.json_lines(&["ask", &id]).remove(0);
                let x = parameter(&run["params"], "x");
                case.bench.ok(&[
                    "tell",
                    &format!("{id}/{}", run["run"]),
                    "--failed",
                    "CUDA out of memory",
                ]);
                x > 0.3 && x < 0.4
            };
            (1..=60).find(|_| is_success()).unwrap_or(61)
        })
        .collect();
    needed.sort_unstable();
    eprintln!("runs until the first success: {needed:?}");
    assert!(
        needed[9] + needed[10] <= 40,
        "the median is more than 20 runs: {needed:?}"
    );
}

/// Returns the share of each parameter in the differences of the objective, in percent.
fn shares(case: &Case, id: &str) -> BTreeMap<String, f64> {
    let shown = case.show(id);
    let effects = shown["analysis"]["effects"]
        .as_array()
        .unwrap_or_else(|| panic!("no effects: {shown}"));
    let share = |effect: &Value| {
        let name = effect["parameter"]
            .as_str()
            .expect("a parameter has a name")
            .to_owned();
        (
            name,
            effect["share"].as_f64().expect("a share is a number") * 100.0,
        )
    };
    effects.iter().map(share).collect()
}

/// Runs the sweeps without and with hyperband, adds a comment to the program half-way if asked for, and returns their ids.
fn run_importance(adds_comment: bool) -> Option<(Case, [String; 2])> {
    let case = case("files/importance", "json")?;
    // The program waits in place of training.
    let agents = ["none.yaml", "hb.yaml"].map(|file| {
        let (id, _) = case.create(file);
        let agent = case.start_agent(&id, &["--slots", "6"]);
        (id, agent)
    });
    let ids = agents.each_ref().map(|(id, _)| id.clone());
    let ended = |id: &str| {
        case.runs(id)
            .iter()
            .filter(|run| {
                ["finished", "stopped", "failed"]
                    .iter()
                    .any(|state| run["state"] == *state)
            })
            .count()
    };
    wait_for("half of the runs", || {
        ids.iter().all(|id| ended(id) >= 45).then_some(())
    });
    if adds_comment {
        case.write(
            "train.py",
            &format!(
                "# A comment that changes nothing.\n{}",
                case.read("train.py")
            ),
        );
    }
    for (_, agent) in agents {
        agent.wait();
    }
    let stopped = case
        .runs(&ids[1])
        .iter()
        .filter(|run| run["state"] == "stopped")
        .count();
    assert!(stopped > 10, "{stopped} runs were stopped");
    Some((case, ids))
}

#[test]
#[ignore = "shares vary with timing: with hyperband the learning rate had 78 %, 56 % and no share at all beside 60 to 75 % without"]
fn files_importance() {
    let Some((case, ids)) = run_importance(false) else {
        return;
    };
    let [without, with] = ids.each_ref().map(|id| shares(&case, id));
    eprintln!("without hyperband: {without:.1?}\nwith hyperband: {with:.1?}");
    for (name, share) in &without {
        let banded = with.get(name).copied().unwrap_or_default();
        assert!(
            (share - banded).abs() <= 10.0,
            "{name}: {share:.1} % without hyperband, {banded:.1} % with it"
        );
    }
    for shares in [&without, &with] {
        assert!((shares["learning_rate"] - 75.0).abs() <= 10.0, "{shares:?}");
    }
}

#[test]
#[ignore = "not seen to pass yet"]
fn files_importance_of_a_comment() {
    let Some((case, ids)) = run_importance(true) else {
        return;
    };
    for id in &ids {
        let shown = case.show(id);
        let agreements = shown["analysis"]["agreements"]
            .as_array()
            .unwrap_or_else(|| panic!("no agreements: {shown}"));
        let correlation = agreements
            .first()
            .and_then(|agreement| agreement["correlation"].as_f64());
        assert!(
            correlation.is_some_and(|correlation| correlation > 0.95),
            "{agreements:?}"
        );
    }
}

#[test]
#[ignore = "the share of the optimizer is 1 to 26 %: the search rarely tries the bad one, so that little of the difference is seen"]
fn files_importance_of_the_optimizer() {
    let Some((case, ids)) = run_importance(false) else {
        return;
    };
    for shares in ids.each_ref().map(|id| shares(&case, id)) {
        assert!((shares["optimizer"] - 15.0).abs() <= 10.0, "{shares:?}");
    }
}
