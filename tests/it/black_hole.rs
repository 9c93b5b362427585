//! One broken machine among good ones must not swallow the sweep.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Bench, trainer};

#[test]
fn a_broken_machine_gets_three_runs_and_some_probes() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let text = format!(
        "method: grid\nmetric: {{name: loss, goal: minimize}}\ncommand: [sh, {}, '${{args}}']\nparameters:\n  x: {{values: {:?}}}\n",
        trainer("broken.sh"),
        (0..500).collect::<Vec<_>>()
    );
    let file = bench.write("sweep.yaml", &text);
    let id = bench.create(&[&file]);
    // What the agents themselves write would be code that changes with each run.
    std::fs::create_dir(bench.path("project")).unwrap();
    let agent = ["agent", &id, "--workdir", "project"];
    let mut broken = bench.sweep(&agent);
    broken.env("SWEEP_TEST_BROKEN", "1");
    let broken = bench.start_command(broken);
    let good: Vec<_> = (0..5).map(|_| bench.start(&agent)).collect();
    for agent in good {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    broken.wait();
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 500);
    let finished = runs.iter().filter(|run| run["state"] == "finished").count();
    assert!(finished >= 495, "{finished} of 500 points");
    let points: BTreeSet<String> = runs.iter().map(|run| run["params"].to_string()).collect();
    assert_eq!(points.len(), 500, "each point is there once");
    let agents = bench.json_lines(&["agents", &id, "--all", "--json"]);
    let [broken] = agents
        .iter()
        .filter(|agent| agent["succeeded"] == 0)
        .collect::<Vec<&Value>>()[..]
    else {
        panic!("{agents:#?}")
    };
    let seconds = runs
        .iter()
        .filter_map(|run| run["ended_ms"].as_f64())
        .fold(0.0, f64::max)
        - runs
            .iter()
            .filter_map(|run| run["created_ms"].as_f64())
            .fold(f64::INFINITY, f64::min);
    // A second before the first probe, twice as long before each further one.
    let probes = (seconds / 1000.0 + 1.0).log2().ceil() + 1.0;
    let tried = broken["failed"].as_f64().expect("a number");
    assert!(
        (3.0..=3.0 + probes).contains(&tried),
        "{tried} runs, {probes} probes in {seconds} ms"
    );
}
