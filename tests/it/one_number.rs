//! One number for a run everywhere: the objective's value; another last value is labelled.

use serde_json::Value;

use crate::harness::{Bench, has_python};

/// Each step is reported twice, and only the second value of a step counts.
const PROGRAM: &str = "import json, os, sys\n\
    for step, value in enumerate([0.6, 0.8, 0.75]):\n    \
        print(json.dumps({'step': step, 'acc': 0.99}))\n    \
        print(json.dumps({'step': step, 'acc': value}))\n\
    sys.exit(3 if os.environ['SWEEP_PARAM_X'] == '2' else 0)\n";

#[test]
fn lists_details_and_agents_name_the_same_value() {
    if !has_python("json", "python", "") {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    bench.write("train.py", PROGRAM);
    let file = bench.write(
        "sweep.yaml",
        "method: grid\nmetric: {name: acc, goal: maximize}\nprogram: train.py\nretry: {crashed: 0}\nparameters: {x: {values: [1, 2, 3]}}\n",
    );
    let id = bench.create(&[&file]);
    let (_, output) = bench.start(&["agent", &id]).wait();
    assert!(
        output.contains("Finished run 1  0.8 (last 0.75)"),
        "{output}"
    );
    assert!(
        output.contains("Failed run 2  last 0.75  exit status 3"),
        "{output}"
    );
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let numbers = |run: &Value| {
        (
            run["value"].as_f64(),
            run["best"].as_f64(),
            run["last"].as_f64(),
        )
    };
    assert_eq!(numbers(&runs[0]), (Some(0.8), Some(0.8), Some(0.75)));
    assert_eq!(numbers(&runs[1]), (None, Some(0.8), Some(0.75)));
    let shown = bench.ok(&["show", &format!("{id}/1")]);
    assert!(
        shown.contains("best 0.8, last 0.75") && !shown.contains("best 0.99"),
        "{shown}"
    );
    let compared = bench.ok(&["diff", &format!("{id}/1"), &format!("{id}/3")]);
    assert!(
        compared.contains("acc (objective)") && compared.contains("acc (last)"),
        "{compared}"
    );
}
