//! The example that Python users copy: two agents, hyperband on.

use crate::harness::{Bench, Running, has_python};

#[test]
fn bayes_with_hyperband_over_digits() {
    if !has_python("sklearn", "python", "examples/digits/requirements.txt") {
        return;
    }
    let root = env!("CARGO_MANIFEST_DIR");
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.create(&[&format!("{root}/examples/digits/sweep.yaml")]);
    let agents: Vec<Running> = (0..2)
        .map(|_| bench.start(&["agent", &id, "--workdir", root]))
        .collect();
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
        assert!(
            run["state"] == "finished" || run["state"] == "stopped",
            "{run}"
        );
        assert!(
            run["value"].is_number() && run["params"]["learning_rate"].is_number(),
            "{run}"
        );
    }
    let stopped: Vec<_> = runs
        .iter()
        .filter(|run| run["state"] == "stopped")
        .collect();
    assert!(!stopped.is_empty(), "hyperband stopped nothing");
    assert!(
        stopped.iter().all(|run| run["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())),
        "{stopped:#?}"
    );
    let best = bench.ok(&["best", &id]);
    assert!(
        best.contains("val_loss") && best.contains("learning_rate"),
        "{best}"
    );
    let command = bench.ok(&["best", &id, "--command"]);
    assert!(
        command.contains("examples/digits/train.py") && command.contains("--learning_rate="),
        "{command}"
    );
}
