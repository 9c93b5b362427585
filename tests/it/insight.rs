//! Findings of a sweep: the recommended run, why a run was suggested, parameter importance, where runs fail.

use serde_json::Value;

use crate::harness::Bench;

const SWEEP: &str = "
method: bayes
metric: {name: loss, goal: minimize}
constraints: [{metric: memory, max: 6}]
seed: 1
run_cap: 24
parameters:
  x: {min: 0.0, max: 1.0}
  layers: {min: 1, max: 10}
";

/// Tells what the runs of a sweep come to until it ends: the loss wants many layers, which take memory; nine and more crash.
fn work(bench: &Bench, id: &str) {
    loop {
        let asked = bench.run(&["ask", id]);
        if asked.code == 3 {
            return;
        }
        let asked: Value = serde_json::from_str(&asked.stdout).expect("JSON");
        let (x, layers) = (
            asked["params"]["x"].as_f64().expect("x"),
            asked["params"]["layers"].as_f64().expect("layers"),
        );
        let target = format!("{id}/{}", asked["run"]);
        if layers > 8.5 {
            bench.ok(&["tell", &target, "--failed", "out of memory"]);
        } else {
            let loss = (x - 0.4).powi(2) + 1.0 / layers;
            bench.ok(&[
                "tell",
                &target,
                &loss.to_string(),
                "--metric",
                &format!("memory={layers}"),
            ]);
        }
    }
}

#[test]
fn a_sweep_says_what_it_has_shown() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", SWEEP)]);
    work(&bench, &id);
    let best: Value = serde_json::from_str(&bench.ok(&["best", &id, "--json"])).expect("JSON");
    assert_eq!(
        (&best["params"]["layers"], &best["chosen_by"]),
        (&6.into(), &"model".into()),
        "the best that keeps to the constraint: {best}"
    );
    assert!(
        best["expected"]["mean"]
            .as_f64()
            .is_some_and(|mean| (mean - 1.0 / 6.0).abs() < 0.05),
        "{best}"
    );
    let text = bench.ok(&["best", &id]);
    assert!(
        text.contains("recommended by a model of all results, which expects 0.1"),
        "{text}"
    );
    let by_value: Value =
        serde_json::from_str(&bench.ok(&["best", &id, "--by", "value", "--json"])).expect("JSON");
    assert_eq!(
        (&by_value["params"]["layers"], &by_value["chosen_by"]),
        (&6.into(), &"value".into())
    );

    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let over = runs
        .iter()
        .find(|run| run["state"] == "finished" && run["params"]["layers"].as_f64() > Some(6.0))
        .expect("one tried");
    let violated = format!(
        "memory ≤ 6, by {}",
        over["params"]["layers"].as_f64().expect("a number") - 6.0
    );
    assert_eq!(over["violates"][0].as_str(), Some(violated.as_str()));
    assert!(
        bench.ok(&["runs", &id]).contains("violates memory ≤ 6"),
        "{}",
        bench.ok(&["runs", &id])
    );

    let late = runs
        .iter()
        .rfind(|run| run["suggestion"]["mean"].is_number())
        .expect("a model suggested it");
    let why = bench.ok(&["show", "--why", &format!("{id}/{}", late["run"])]);
    for part in [
        "predicted",
        "result  ",
        "improvement",
        "success",
        "computed from",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let whole = bench.run(&["show", "--why", &id]);
    assert!(
        whole.code == 2 && whole.stderr.contains("is about one run"),
        "{whole:?}"
    );

    let shown = bench.ok(&["show", &id]);
    assert!(
        shown.contains("Parameter importance (based on ") && shown.contains("layers"),
        "{shown}"
    );
    let failed = bench
        .json_lines(&["runs", &id, "--state", "failed", "--json"])
        .len();
    assert!(failed == 0 || shown.contains("Where: "), "{shown}");
}

#[test]
fn a_sweep_in_which_nothing_keeps_to_the_constraints_says_which_is_nearest() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let text = SWEEP
        .replace("memory, max: 6", "memory, max: 0.5")
        .replace("run_cap: 24", "run_cap: 3")
        .replace("max: 10", "max: 8");
    let id = bench.create(&[&bench.write("sweep.yaml", &text)]);
    work(&bench, &id);
    let best = bench.run(&["best", &id]);
    assert!(
        best.code == 1
            && best.stderr.contains("none of 3 runs")
            && best.stderr.contains("violates memory ≤ 0.5"),
        "{best:?}"
    );
}

#[test]
fn repeats_are_told_apart_by_their_program_and_count_as_their_mean() {
    let bench = Bench::new();
    let program = "echo \"$SWEEP_RUN $SWEEP_REPEAT $SWEEP_SEED\" >> \"$SWEEP_TEST_STARTS\"; echo \"{\\\"loss\\\": $SWEEP_PARAM_X.$SWEEP_REPEAT}\"";
    let yaml = format!(
        "method: grid\nrepeats: 3\nmetric: {{name: loss, goal: minimize}}\ncommand: [sh, -c, {program:?}]\nparameters:\n  x: {{values: [1, 2]}}\n"
    );
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", &yaml)]);
    let (_, output) = bench.start(&["agent", &id]).wait();
    let starts: Vec<Vec<u32>> = bench
        .lines("starts")
        .iter()
        .map(|line| {
            line.split(' ')
                .map(|word| word.parse().expect("a number"))
                .collect()
        })
        .collect();
    let places: Vec<_> = starts.iter().map(|start| (start[0], start[1])).collect();
    assert_eq!(
        places,
        [(1, 1), (2, 2), (3, 3), (4, 1), (5, 2), (6, 3)],
        "{output}"
    );
    let seeds: std::collections::BTreeSet<_> = starts.iter().map(|start| start[2]).collect();
    assert_eq!(seeds.len(), 6);
    let best: Value = serde_json::from_str(&bench.ok(&["best", &id, "--json"])).expect("JSON");
    let mean = best["repeats"]["mean"].as_f64().expect("a mean");
    assert!(
        best["run"] == 1 && best["repeats"]["values"] == 3 && (mean - 1.2).abs() < 1e-12,
        "{best}"
    );
    let text = bench.ok(&["best", &id]);
    assert!(
        text.contains("Best: loss = 1.2 ± 0.1 in 3 repeats"),
        "{text}"
    );
    assert!(
        bench.ok(&["runs", &id]).contains("repeat 2 of 3 of run 4"),
        "{}",
        bench.ok(&["runs", &id])
    );
}
