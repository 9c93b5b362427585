//! The ways in which a training program says how it is doing.

use crate::harness::{Bench, trainer};

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
    let id = bench.ok(&["create", &file]).trim().to_owned();
    let (_, output) = bench.start(&["agent", &id]).wait();
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 6, "{output}");
    for run in &runs {
        if run["params"]["way"] == "silence" {
            assert_eq!(run["state"], "failed", "{run}");
            assert!(run.to_string().contains("lost"), "a hint which metrics were seen: {run}");
        } else {
            assert_eq!((&run["state"], run["value"].as_f64()), (&"finished".into(), Some(1.5)), "{run}");
        }
    }
}
