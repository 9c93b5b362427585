//! The cases of `../shared/cases` beside the repository: programs and files that users have, each with the result that its README requires.
//!
//! The cases need many packages and minutes, so they run only with `SWEEP_TEST_CASES` set. A case is copied, since programs write beside
//! themselves.

mod command_lines;
mod early_stopping;
mod importance;
mod metric_forms;
mod notebooks;
mod printed;
mod searches;
mod sweep_files;
mod trackers;
mod wandb;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Bench, CommandResult, Running, finish, has_python, requires};

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
