//! The examples of programs as their frameworks' documentation writes them: each runs unedited, with its own sweep file.

use std::fs;
use std::path::Path;

use crate::harness::{Bench, has_python};

/// Runs two runs of an example in a copy of its folder, and checks that its objective is read at `steps` or more steps, from one version of its code.
fn run(example: &str, objective: &str, steps: usize) {
    let bench = Bench::new();
    let folder = format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"));
    copy(Path::new(&folder), &bench.path("project"));
    let text = bench.read("project/sweep.yaml");
    let cap = text
        .lines()
        .find(|line| line.starts_with("run_cap: "))
        .expect("it has one");
    let file = bench.write("project/sweep.yaml", &text.replace(cap, "run_cap: 2"));
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let mut agent = bench.sweep(&["agent", &id, "--workdir", "project"]);
    agent
        .env("CUDA_VISIBLE_DEVICES", "")
        .env("HF_HUB_OFFLINE", "1");
    let (code, output) = bench.start_command(agent).wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 2, "{output}");
    for run in &runs {
        let number = run["run"].as_u64().expect("a number");
        let has_ended = run["state"] == "finished" || run["state"] == "stopped";
        assert!(has_ended && run["value"].is_number(), "{run}\n{output}");
        let read = bench.steps(&id, number, objective);
        assert!(
            run["state"] == "stopped" || read.len() >= steps,
            "{read:?}\n{output}"
        );
        let mut distinct = read.clone();
        distinct.dedup();
        assert_eq!(distinct, read, "each step once");
    }
    let versions = bench.json_lines(&["code", &id, "--json"]);
    assert_eq!(
        versions
            .iter()
            .filter(|version| version["version"].is_string())
            .count(),
        1,
        "outputs are no code: {versions:?}"
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("the temporary folder can be written");
    for entry in fs::read_dir(from).expect("the example is there") {
        let path = entry.expect("it can be listed").path();
        let name = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &name);
        } else {
            fs::copy(&path, &name).expect("it can be copied");
        }
    }
}

#[test]
fn tensorboard() {
    if has_python(
        "tensorboardX, numpy",
        "tensorboardx",
        "examples/tensorboard/requirements.txt",
    ) {
        run("tensorboard", "Loss/val", 60);
    }
}

#[test]
fn hydra() {
    if has_python("hydra", "hydra", "examples/hydra/requirements.txt") {
        run("hydra", "val_loss", 10);
    }
}

#[test]
fn mlflow() {
    if has_python("mlflow", "mlflow", "examples/mlflow/requirements.txt") {
        run("mlflow", "val_loss", 20);
    }
}

#[test]
fn lightning() {
    if has_python(
        "lightning",
        "lightning",
        "examples/lightning/requirements.txt",
    ) {
        run("lightning", "val_loss", 10);
    }
}

#[test]
fn huggingface() {
    if has_python(
        "transformers, torch, accelerate",
        "transformers",
        "examples/huggingface/requirements.txt",
    ) {
        // What the Trainer prints has no step.
        run("huggingface", "eval_loss", 0);
    }
}
