//! `method: external`: the search is a program of the user.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::{Bench, finish, has_python, trainer};

fn create(bench: &Bench) -> String {
    let yaml = format!(
        "method: external
metric: {{name: loss}}
command: [sh, {}, '${{args}}']
parameters:
  x: {{min: 0, max: 9}}
  y: {{min: 0, max: 9}}
",
        trainer("quick.sh")
    );
    bench.create(&[&bench.write("sweep.yaml", &yaml)])
}

#[test]
fn agents_execute_what_is_offered_until_no_more_will_come() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench);
    let agent = bench.start(&["agent", &id]);
    let offered = bench.ok(&[
        "offer",
        &id,
        "--params",
        r#"{"x": 3, "y": 1}"#,
        "--why",
        "a good guess",
    ]);
    assert_eq!(offered, format!("{id}/1\n"));
    let file =
        bench.write("trials.jsonl", "{\"params\": {\"x\": 2, \"y\": 5}, \"why\": \"trial 1\"}\n\n{\"params\": {\"y\": 1, \"x\": 3}}\n");
    let again = bench.run(&["offer", &id, &file]);
    assert_eq!((again.code, again.stdout), (0, format!("{id}/2\n{id}/1\n")));
    assert_eq!(
        again.stderr,
        "no new run: entry 2: the sweep has a run with these parameters: run 1\n"
    );
    let last = bench.json_lines(&[
        "offer",
        &id,
        "--params",
        r#"{"x": 0, "y": 4}"#,
        "--end",
        "--json",
    ]);
    assert_eq!(last, [json!({"sweep": id, "runs": [3], "skipped": []})]);
    let (code, output) = agent.wait();
    assert!(
        code == 0 && output.contains("no more runs will be offered"),
        "{output}"
    );
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let seen: Vec<_> = runs
        .iter()
        .map(|run| (&run["why"], &run["suggestion"]["kind"], &run["value"]))
        .collect();
    let external = json!("external");
    assert_eq!(
        seen,
        [
            (&json!("a good guess"), &external, &json!(3.1)),
            (&json!("trial 1"), &external, &json!(2.5)),
            (&json!("offered"), &external, &json!(0.4))
        ]
    );
    let why = bench.ok(&["show", "--why", &format!("{id}/3")]);
    assert_eq!(
        why,
        format!(
            "Run {id}/3: offered\n  external: a person or their program chose it\n  result        loss = 0.4\n"
        )
    );
}

#[test]
fn what_cannot_be_offered_is_refused_in_words() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench);
    let unfit = bench.run(&[
        "offer",
        &id,
        "--params",
        r#"{"x": 1, "y": 1}"#,
        "--params",
        r#"{"x": 10, "z": 1}"#,
    ]);
    assert_eq!(unfit.code, 2, "{unfit:?}");
    let wrong = "entry 2: the space has no parameter `z`; `x` is 10, out of its range from 0 to 9; `y` is missing";
    assert!(unfit.stderr.contains(wrong), "{unfit:?}");
    assert_eq!(bench.ok(&["runs", &id, "--json"]), "", "all or none");
    let no_params = bench.run(&["offer", &id, &bench.write("bad.jsonl", "{\"x\": 1}\n")]);
    assert!(
        no_params.code == 2
            && no_params
                .stderr
                .contains("bad.jsonl:1: `params` is missing"),
        "{no_params:?}"
    );
    let nothing = bench.run(&["offer", &id, &bench.write("empty.jsonl", "\n")]);
    assert!(
        nothing.code == 2 && nothing.stderr.contains("nothing is offered"),
        "{nothing:?}"
    );
    let alone = bench.run(&["run", &bench.path("sweep.yaml").display().to_string()]);
    assert!(
        alone.code == 2 && alone.stderr.contains("to which no program can offer runs"),
        "{alone:?}"
    );
    bench.ok(&["stop", &id]);
    let stopped = bench.run(&["offer", &id, "--params", r#"{"x": 1, "y": 1}"#]);
    assert!(
        stopped.code == 1
            && stopped
                .stderr
                .contains("is stopped (stopped by user): it takes no more runs"),
        "{stopped:?}"
    );
}

#[test]
fn optuna_chooses_the_runs() {
    if has_python("optuna", "optuna", "examples/optuna/requirements.txt") {
        run_example("optuna");
    }
}

#[test]
fn a_searcher_of_ray_tune_chooses_the_runs() {
    if has_python(
        "ray.tune.search.optuna",
        "ray",
        "examples/ray/requirements.txt",
    ) {
        run_example("ray");
    }
}

/// Runs an example of 30 runs with an agent of four slots.
fn run_example(name: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.create(&[&format!("{root}/examples/{name}/sweep.yaml")]);
    let agent = bench.start(&["agent", &id, "--workdir", root, "--slots", "4"]);
    let mut search = Command::new("python");
    let binaries = Path::new(env!("CARGO_BIN_EXE_sweep"))
        .parent()
        .expect("it is in a folder")
        .to_path_buf();
    let known = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([binaries].into_iter().chain(std::env::split_paths(&known)))
        .expect("it was a path before");
    search
        .arg(format!("{root}/examples/{name}/search.py"))
        .arg(&id)
        .current_dir(root)
        .env("PATH", path);
    search
        .env(
            "SWEEP_CONTROLLER",
            format!("http://127.0.0.1:{}", bench.port()),
        )
        .env("SWEEP_TOKEN", bench.token());
    let searched = finish(search);
    assert_eq!(searched.code, 0, "{searched:?}");
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 30);
    assert!(
        runs.iter()
            .all(|run| run["state"] == "finished" && run["suggestion"]["kind"] == "external"),
        "{runs:#?}"
    );
    let best = runs
        .iter()
        .filter_map(|run| run["value"].as_f64())
        .fold(f64::INFINITY, f64::min);
    assert!(best < 0.3, "the best of 30 has learnt something: {best}");
}
