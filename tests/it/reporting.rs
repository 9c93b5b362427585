//! The ways in which a training program says how it is doing.

use std::process::{Child, Command, Stdio};

use crate::harness::{Bench, trainer, wait_for};

#[test]
fn metrics_are_read_wherever_they_come_from() {
    let bench = Bench::new();
    let yaml = format!(
        "name: reporting
method: grid
retry: {{crashed: 0}}
metric: {{name: loss, goal: minimize}}
metric_patterns:
  - 'loss=(?P<loss>[0-9.]+)'
command: [sh, {}, '${{args}}']
parameters:
  x: {{values: [1.5]}}
  way: {{values: [stdout, file, pattern, environment, obstacles, silence]}}
",
        trainer("reporting.sh")
    );
    let _controller = bench.controller();
    let file = bench.write("sweep.yaml", &yaml);
    let id = bench.create(&[&file]);
    let (_, output) = bench.start(&["agent", &id]).wait();
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 6, "{output}");
    for run in &runs {
        if run["params"]["way"] == "silence" {
            assert_eq!(run["state"], "failed", "{run}");
            assert!(
                run.to_string().contains("lost"),
                "a hint which metrics were seen: {run}"
            );
        } else {
            assert_eq!(
                (&run["state"], run["value"].as_f64()),
                (&"finished".into(), Some(1.5)),
                "{run}"
            );
        }
    }
}

/// Starts a command whose output nobody reads, as behind a `tee` or `head` that has ended.
fn unread(mut command: Command) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    drop((child.stdout.take(), child.stderr.take()));
    child
}

#[test]
fn an_agent_and_a_controller_go_on_when_nobody_reads_what_they_say() {
    let bench = Bench::new();
    let listen = format!("127.0.0.1:{}", bench.port());
    let data = bench.path("controller").display().to_string();
    let mut controller =
        unread(bench.sweep(&["controller", "--listen", &listen, "--data-dir", &data]));
    wait_for("the controller", || {
        bench
            .run(&["ls"])
            .stderr
            .contains("No sweeps yet")
            .then_some(())
    });
    let yaml = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, '${{args}}']\nparameters:\n  x: {{values: [1, 2]}}\n  y: {{value: 1}}\n  sleep: {{value: 0}}\n",
        trainer("quick.sh")
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &yaml)]);
    assert_eq!(
        unread(bench.sweep(&["agent", &id]))
            .wait()
            .expect("it was started")
            .code(),
        Some(0)
    );
    let states = bench
        .json_lines(&["runs", &id, "--json"])
        .iter()
        .map(|run| run["state"].clone())
        .collect::<Vec<_>>();
    assert_eq!(states, ["finished", "finished"]);
    assert_eq!(
        unread(bench.sweep(&["prune", "--older-than", "30d"]))
            .wait()
            .expect("it was started")
            .code(),
        Some(0)
    );
    bench.ok(&["controller", "stop"]);
    assert_eq!(controller.wait().expect("it was started").code(), Some(0));
}
