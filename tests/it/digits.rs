//! The example that Python users copy: two agents, hyperband on.

use std::process::{Command, Stdio};

use crate::harness::{Bench, Running};

/// Says whether Python with scikit-learn is here. Without it the test is skipped, unless `SWEEP_TEST_REQUIRE` names python.
fn has_sklearn() -> bool {
    let mut python = Command::new("python");
    python.args(["-c", "import sklearn"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let found = python.status().is_ok_and(|status| status.success());
    let required = std::env::var("SWEEP_TEST_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == "python"));
    assert!(found || !required, "SWEEP_TEST_REQUIRE asks for python with scikit-learn, and there is none");
    if !found {
        eprintln!("SKIPPED: no python with scikit-learn; pip install -r examples/digits/requirements.txt");
    }
    found
}

#[test]
fn bayes_with_hyperband_over_digits() {
    if !has_sklearn() {
        return;
    }
    let root = env!("CARGO_MANIFEST_DIR");
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.ok(&["create", &format!("{root}/examples/digits/sweep.yaml")]).trim().to_owned();
    let agents: Vec<Running> = (0..2).map(|_| bench.start(&["agent", &id, "--workdir", root])).collect();
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 24);
    for run in &runs {
        for key in ["run", "state", "params", "value", "attempts"] {
            assert!(run.get(key).is_some(), "{key} is missing: {run}");
        }
        assert!(run["state"] == "finished" || run["state"] == "stopped", "{run}");
        assert!(run["value"].is_number() && run["params"]["learning_rate"].is_number(), "{run}");
    }
    let stopped: Vec<_> = runs.iter().filter(|run| run["state"] == "stopped").collect();
    assert!(!stopped.is_empty(), "hyperband stopped nothing");
    assert!(stopped.iter().all(|run| run["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{stopped:#?}");
    let best = bench.ok(&["best", &id]);
    assert!(best.contains("val_loss") && best.contains("learning_rate"), "{best}");
    let command = bench.ok(&["best", &id, "--command"]);
    assert!(command.contains("examples/digits/train.py") && command.contains("--learning_rate="), "{command}");
}
