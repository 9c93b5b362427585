//! A grid is a set: every point is run once, whatever happens to agents and controller.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Bench, Running, trainer, wait_for};

/// 60 points.
fn grid(sleep: &str) -> String {
    format!(
        "method: grid
metric: {{name: loss, goal: minimize}}
command: [sh, {}, '${{args}}']
parameters:
  x: {{values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}
  y: {{values: [0, 1, 2, 3, 4, 5]}}
  sleep: {{value: {sleep}}}
",
        trainer("quick.sh")
    )
}

fn create(bench: &Bench, yaml: &str) -> String {
    let file = bench.write("sweep.yaml", yaml);
    bench.create(&[&file])
}

fn agents(bench: &Bench, id: &str) -> Vec<Running> {
    (0..3)
        .map(|_| bench.start(&["agent", id, "--slots", "2"]))
        .collect()
}

/// Returns the runs, after a look that there are 60 finished ones with 60 distinct points and the right values.
fn sixty(bench: &Bench, id: &str) -> Vec<Value> {
    let runs = bench.json_lines(&["runs", id, "--json"]);
    let states: Vec<&Value> = runs
        .iter()
        .map(|run| &run["state"])
        .filter(|state| *state != "finished")
        .collect();
    assert_eq!((runs.len(), states), (60, vec![]), "{runs:#?}");
    let points: BTreeSet<String> = runs.iter().map(|run| run["params"].to_string()).collect();
    assert_eq!(points.len(), 60);
    for run in &runs {
        let expected = run["params"]["x"].as_f64().expect("a number")
            + run["params"]["y"].as_f64().expect("a number") / 10.0;
        assert!(
            (run["value"].as_f64().expect("a number") - expected).abs() < 1e-9,
            "{run}"
        );
    }
    runs
}

#[test]
fn three_agents_run_each_point_once() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, &grid("0"));
    for agent in agents(&bench, &id) {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    let runs = sixty(&bench, &id);
    assert!(runs.iter().all(|run| run["attempts"] == 1), "{runs:#?}");
    assert_eq!(
        bench.lines("starts").len(),
        60,
        "each program was started once"
    );
    let numbers: Vec<u64> = runs
        .iter()
        .map(|run| run["run"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<u64>>());
    let best = bench.ok(&["best", &id]);
    assert!(best.contains("loss"), "{best}");
}

#[test]
fn a_killed_agent_and_a_killed_controller_lose_nothing() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = create(&bench, &grid("0.3"));
    // Its programs do not end before it is killed.
    let mut slow = bench.sweep(&["agent", &id, "--slots", "2"]);
    slow.envs([
        ("SWEEP_TEST_SLEEP", "600"),
        (
            "SWEEP_TEST_STARTS",
            bench.path("slow").to_str().expect("a path of ours"),
        ),
    ]);
    let slow = bench.start_command(slow);
    wait_for("2 slow starts", || {
        (bench.lines("slow").len() == 2).then_some(())
    });
    let agents = agents(&bench, &id);
    wait_for("20 starts", || {
        (bench.lines("starts").len() >= 20).then_some(())
    });
    slow.kill();
    wait_for("30 starts", || {
        (bench.lines("starts").len() >= 30).then_some(())
    });
    controller.kill();
    let _controller = bench.controller();
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    let runs = sixty(&bench, &id);
    let retried = runs
        .iter()
        .filter(|run| run["attempts"].as_u64() > Some(1))
        .count();
    assert!(
        retried >= 2,
        "the runs of the killed agent were tried again"
    );
    assert!(
        bench.lines("starts").len() <= 60 + retried * 3,
        "nothing was run again without need"
    );
}

#[test]
fn a_preempted_agent_gives_its_runs_back() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, &grid("0.2"));
    let mut agents = agents(&bench, &id);
    wait_for("10 starts", || {
        (bench.lines("starts").len() >= 10).then_some(())
    });
    let preempted = agents.remove(0);
    preempted.signal(Signal::SIGTERM);
    preempted.wait();
    for agent in agents {
        assert_eq!(agent.wait().0, 0);
    }
    sixty(&bench, &id);
}
