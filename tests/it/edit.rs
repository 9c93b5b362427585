//! `sweep edit`, `sweep history`: a sweep becomes another one while agents work, and nothing is lost.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Bench, wait_for};

const GRID: &str = "method: grid
metric: {name: loss}
program: train.sh
command: [sh, '${program}', '${args}']
parameters:
  x: {values: [1, 2, 3, 4]}
  kind: {values: [a, b]}
";

/// Says what it was given, and how good that is.
const PROGRAM: &str = "echo \"{\\\"loss\\\": 1, \\\"recall\\\": 0.9}\"\n";

fn finished(runs: &[Value]) -> usize {
    runs.iter().filter(|run| run["state"] == "finished").count()
}

fn params(runs: &[Value]) -> BTreeSet<String> {
    runs.iter()
        .filter(|run| run["state"] == "finished")
        .map(|run| run["params"].to_string())
        .collect()
}

#[test]
fn a_grid_is_edited_half_way_and_goes_on_with_the_difference() {
    let bench = Bench::new();
    bench.write("train.sh", PROGRAM);
    let file = bench.write("sweep.yaml", GRID);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--count", "3"]);

    // A value is dropped, one is added, a parameter is new.
    let edited = GRID.replace("[1, 2, 3, 4]", "[1, 2, 3, 5]").replace(
        "kind: {values: [a, b]}",
        "kind: {values: [a, b]}\n  depth: {values: [1, 2], was: 1}",
    );
    let new = bench.write("new.yaml", &edited);
    let said = bench.ok(&["edit", &id, &new, "--dry-run"]);
    assert!(
        said.contains("parameter `x`: 4 dropped; 5 added")
            && said.contains("the code used 1 before"),
        "{said}"
    );
    assert!(said.contains("3 in the space"), "{said}");
    assert!(
        !bench.ok(&["history", &id]).contains("edited"),
        "looking changes nothing"
    );
    let unasked = bench.run(&["edit", &id, &new]);
    assert!(
        unasked.code == 2 && unasked.stderr.contains("--yes"),
        "{}",
        unasked.stderr
    );
    let done = bench.ok(&["edit", &id, &new, "--yes"]);
    assert!(done.contains("is at revision 2"), "{done}");
    bench.ok(&["agent", &id]);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    // 4 x 2 x 2 points, of which 3 were tried before there was a depth.
    assert_eq!((runs.len(), params(&runs).len()), (16, 16));
    assert!(
        runs[..3]
            .iter()
            .all(|run| run["params"].get("depth").is_none()),
        "old runs stay what they are"
    );
    assert!(
        runs[3..].iter().all(|run| run["params"]["x"] != 4),
        "nothing is tried that was dropped"
    );

    // The way back: points that were never tried, and only those.
    bench.ok(&["edit", &id, "--undo", "--yes"]);
    bench.ok(&["agent", &id]);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let flat = |run: &Value| run["params"].get("depth").is_none() || run["params"]["depth"] == 1;
    let points: BTreeSet<_> = runs
        .iter()
        .filter(|run| flat(run))
        .map(|run| format!("{} {}", run["params"]["x"], run["params"]["kind"]))
        .collect();
    assert_eq!(
        (runs.len(), points.len()),
        (18, 10),
        "x = 4 is tried twice with each kind: {points:?}"
    );
    let history = bench.ok(&["history", &id]);
    for part in [
        "created: revision 1",
        "edited: revision 2, space version 2",
        "back to revision 1",
        "runs then: 3 inside",
    ] {
        assert!(history.contains(part), "{part} in {history}");
    }
    assert_eq!(bench.ok(&["history", &id, "--yaml", "2"]), edited);
}

#[test]
fn a_metric_and_a_constraint_are_set_after_the_fact() {
    let bench = Bench::new();
    bench.write(
        "train.sh",
        "x=${1#--x=}\necho \"{\\\"loss\\\": $x, \\\"pedestrians\\\": 0.99$((9 - x))}\"\n",
    );
    let text = "method: grid\nmetric: {name: loss}\nprogram: train.sh\ncommand: [sh, '${program}', '${args}']\nparameters:\n  x: {values: [4, 1, 2, 3]}\n";
    let file = bench.write("sweep.yaml", text);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id]);
    let best = |bench: &Bench| {
        bench
            .json_lines(&["best", &id, "--json", "--by", "value"])
            .remove(0)["params"]["x"]
            .clone()
    };
    assert_eq!(best(&bench), 1);
    // At least 99.7 % on pedestrians: nobody had said so when the runs ran. x = 1 has 0.998, x = 2 has 0.997.
    let bounded = bench.write(
        "bounded.yaml",
        &format!("{text}constraints:\n  - {{metric: pedestrians, max: 0.997}}\n"),
    );
    bench.ok(&["edit", &id, &bounded, "--yes"]);
    assert_eq!(best(&bench), 2);
    let other = bench.write(
        "other.yaml",
        &text.replace(
            "metric: {name: loss}",
            "metric: {name: pedestrians, goal: minimize}",
        ),
    );
    bench.ok(&["edit", &id, &other, "--yes"]);
    assert_eq!(best(&bench), 4);
    let unknown = bench.write("unknown.yaml", &text.replace("name: loss", "name: recall"));
    let said = bench.ok(&["edit", &id, &unknown, "--yes"]);
    assert!(
        said.contains("4 of these ended without a report of the new metric"),
        "{said}"
    );
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.iter()
            .all(|run| run["value"].is_null() && run["aside"] == "never reported recall"),
        "{runs:?}"
    );
    bench.ok(&["edit", &id, "--undo", "--yes"]);
    assert_eq!(best(&bench), 4);
}

#[test]
fn what_is_wrong_with_an_edit_is_said_before_anything_is_done() {
    let bench = Bench::new();
    bench.write("train.sh", PROGRAM);
    let file = bench.write("sweep.yaml", GRID);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    bench.ok(&["agent", &id, "--count", "1"]);
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let ended = bench.run(arguments);
        assert!(
            ended.code == code && ended.stderr.contains(part),
            "{} {}",
            ended.code,
            ended.stderr
        );
    };
    let new = bench.write(
        "new.yaml",
        &GRID.replace(
            "kind: {values: [a, b]}",
            "kind: {values: [a, b]}\n  depth: {values: [1, 2]}",
        ),
    );
    refused(
        &["edit", &id, &new, "--yes"],
        2,
        "what the code used for `depth`",
    );
    refused(
        &["edit", &id, &new, "--yes", "--was", "width=1"],
        2,
        "has no parameter `width`",
    );
    refused(
        &["edit", &id, &new, "--yes", "--was", "depth"],
        2,
        "NAME=VALUE",
    );
    refused(&["edit", &id], 2, "no terminal for an editor");
    let typo = bench.write("typo.yaml", &GRID.replace("method: grid", "method: gird"));
    refused(&["edit", &id, &typo, "--yes"], 2, "typo.yaml:1");
    refused(&["edit", &id, "--undo", "--yes"], 1, "no edit to undo");
    assert!(
        bench
            .ok(&["edit", &id, &file, "--yes"])
            .contains("Nothing changes")
    );
    let unknown = bench.ok(&["edit", &id, &new, "--yes", "--was", "depth=?"]);
    assert!(
        unknown.contains("1 cannot be placed in the new space"),
        "{unknown}"
    );
    bench.ok(&["edit", &id, "--undo", "--yes"]);
    bench.ok(&["edit", &id, &new, "--yes", "--was", "depth=2"]);
    let known = bench
        .json_lines(&["history", &id, "--json"])
        .pop()
        .expect("there are four");
    assert_eq!(known["effect"]["inside"], 1, "{known}");
}

#[test]
fn agents_that_are_at_work_execute_new_runs_by_the_new_file() {
    let bench = Bench::new();
    bench.write("train.sh", "echo \"{\\\"loss\\\": 1}\"\nsleep 0.2\n");
    bench.write("other.sh", "echo \"score=0.5 of $1\"\n");
    let text = "method: random\nmetric: {name: loss}\nprogram: train.sh\nrun_cap: 8\ncommand: [sh, '${program}', '${args}']\nparameters:\n  x: {min: 0.0, max: 1.0}\n";
    let file = bench.write("sweep.yaml", text);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let agent = bench.start(&["agent", &id]);
    wait_for("two runs", || {
        (finished(&bench.json_lines(&["runs", &id, "--json"])) >= 2).then_some(())
    });
    let edited = text
        .replace(
            "program: train.sh",
            "program: other.sh\nmetric_patterns: ['score=(?<score>[0-9.]+)']",
        )
        .replace("name: loss", "name: score")
        .replace(
            "  x: {min: 0.0, max: 1.0}",
            "  y: {min: 0.0, max: 1.0, renamed_from: x}",
        );
    let new = bench.write("new.yaml", &edited);
    bench.ok(&["edit", &id, &new, "--yes"]);
    let (code, said) = agent.wait();
    assert_eq!(code, 0, "it goes on to the end: {said}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 8);
    let (old, new): (Vec<_>, Vec<_>) = runs
        .iter()
        .partition(|run| run["params"].get("x").is_some());
    assert!(old.len() >= 2 && new.len() >= 3, "{runs:?}");
    assert!(
        new.iter()
            .all(|run| run["state"] == "finished" && run["value"] == 0.5 && run["revision"] == 2),
        "{new:?}"
    );
}
