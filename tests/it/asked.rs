//! Programs that execute runs themselves: `sweep ask`, `sweep tell`, `sweep import`.

use serde_json::{Value, json};

use crate::harness::Bench;

const SWEEP: &str = "
method: bayes
metric: {name: loss, goal: minimize}
seed: 1
run_cap: 30
parameters:
  x: {min: 0.0, max: 1.0}
  optimizer: {values: [adam, sgd]}
  momentum: {min: 0.0, max: 0.9, when: {optimizer: sgd}}
";

fn create(bench: &Bench, file: &str) -> String {
    bench.create(&[&bench.write(file, SWEEP)])
}

fn loss(params: &Value) -> f64 {
    let x = params["x"].as_f64().expect("it is there");
    (x - 0.3).powi(2)
        + if params["optimizer"] == "adam" {
            0.0
        } else {
            0.1 + params["momentum"].as_f64().expect("it is there")
        }
}

#[test]
fn a_program_asks_and_tells_until_the_cap() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "sweep.yaml");
    for told in 0.. {
        let asked = bench.run(&["ask", &id, "--worker", "w1"]);
        let asked_for: Value = serde_json::from_str(&asked.stdout)
            .unwrap_or_else(|error| panic!("{error}: {asked:?}"));
        if asked.code == 3 {
            assert_eq!(
                (told, &asked_for["exhausted"], &asked_for["reason"]),
                (30, &json!(true), &json!("run cap of 30 reached"))
            );
            break;
        }
        assert_eq!(
            (asked.code, &asked_for["why"]["observations"]),
            (0, &json!(told)),
            "all that was told counts: {asked:?}"
        );
        let target = format!("{id}/{}", asked_for["run"]);
        let ended = if told == 3 {
            bench.run(&["tell", &target, "--failed", "out of memory"])
        } else {
            bench.run(&[
                "tell",
                &target,
                &loss(&asked_for["params"]).to_string(),
                "--metric",
                "epochs=3",
            ])
        };
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let best: Value =
        serde_json::from_str(&bench.run(&["best", &id, "--json"]).stdout).expect("it is there");
    assert!(
        best["value"].as_f64().expect("it is there") < 0.001,
        "{best}"
    );
    let failed = bench
        .run(&["runs", &id, "--state", "failed", "--json"])
        .stdout;
    assert!(
        failed.contains("out of memory") && failed.lines().count() == 1,
        "{failed}"
    );
    let again = bench.run(&["tell", &format!("{id}/1"), "0.5"]);
    assert!(
        again.code == 1 && again.stderr.contains("it was told before"),
        "{again:?}"
    );
}

#[test]
fn results_from_elsewhere_are_taken_in_and_what_does_not_fit_is_named() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "sweep.yaml");
    let lines = [
        r#"{"params": {"x": 0.25, "optimizer": "adam"}, "value": 0.0025}"#,
        r#"{"params": {"x": 0.5, "optimizer": "sgd", "momentum": 0.5}, "failure": "diverged"}"#,
        r#"{"params": {"x": 7, "optimizer": "adam"}, "value": 1}"#,
    ];
    let file = bench.write("old.jsonl", &lines.join("\n"));
    let imported = bench.run(&["import", &id, &file]);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(
        imported.stdout,
        format!("2 runs imported into {id}, 1 left out\n")
    );
    assert_eq!(
        imported.stderr,
        "left out: line 3: `x` is 7, out of its range from 0 to 1\n"
    );
    let windows = bench.write(
        "windows.csv",
        "Name,x,optimizer,loss\r\nfine-sun-1,7,adam,0.03\r\n",
    );
    let imported = bench.run(&["import", &id, &windows]);
    assert!(
        imported
            .stderr
            .ends_with("left out: line 2: `x` is 7, out of its range from 0 to 1\n"),
        "{imported:?}"
    );
    let csv = bench.write("old.csv", "Name,x,optimizer,momentum,loss\nfine-sun-1,0.125,adam,,0.03\nhot-sky-2,0.75,sgd,0.25,0.5\n");
    let imported = bench.run(&["import", &id, &csv]);
    assert_eq!(
        imported.stdout,
        format!("2 runs imported into {id}, 0 left out\n"),
        "{imported:?}"
    );
    assert_eq!(
        imported.stderr,
        "ignored, since no parameter is called so: Name\n"
    );
    let rows = "x,optimizer,loss,State\n9,adam,1,\n0.5,adam,1,\n0.6,adam,1,\n0.5,adam,2,\n0.25,adam,3,\n0.7,adam,,running\n";
    let places = bench.write("places.csv", rows);
    let imported = bench.run(&["import", &id, &places]);
    assert_eq!(
        imported.stdout,
        format!("2 runs imported into {id}, 4 left out\n"),
        "{imported:?}"
    );
    assert_eq!(
        imported.stderr,
        "left out: line 7: its state is running\n\
         left out: line 2: `x` is 9, out of its range from 0 to 1\n\
         left out: line 5: the same parameters as line 3\n\
         left out: line 6: the sweep has a run with these parameters\n"
    );
    let other = create(&bench, "other.yaml");
    let imported = bench.run(&["import", &other, "--from-sweep", &id, "--json"]);
    assert_eq!(
        imported.stdout,
        format!(
            "{}\n",
            json!({"sweep": other, "imported": 6, "skipped": []})
        )
    );
    let asked: Value =
        serde_json::from_str(&bench.run(&["ask", &other]).stdout).expect("it is there");
    assert_eq!(
        (&asked["run"], &asked["why"]["observations"]),
        (&json!(7), &json!(6))
    );
    let wrong = bench.run(&[
        "import",
        &id,
        &bench.write("bad.jsonl", "{\"params\": {}}\n"),
    ]);
    assert!(
        wrong.code == 2
            && wrong
                .stderr
                .contains("bad.jsonl:1: neither `value` nor `failure`"),
        "{wrong:?}"
    );
}

#[test]
fn asking_a_paused_sweep_is_answered_at_once() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, "sweep.yaml");
    bench.ok(&["pause", &id]);
    let asked = bench.run(&["ask", &id, "--worker", "w1"]);
    assert_eq!(
        (asked.code, asked.stderr.as_str()),
        (1, "error: the sweep is paused; ask again\n"),
        "{asked:?}"
    );
    bench.ok(&["resume", &id]);
    bench.ok(&["ask", &id, "--worker", "w1"]);
}

#[test]
fn a_sweep_says_that_its_target_is_reached_while_runs_are_in_progress() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let with_target = SWEEP.replace("goal: minimize", "goal: minimize, target: 0.01");
    let id = bench.create(&[&bench.write("target.yaml", &with_target)]);
    for worker in ["w1", "w2"] {
        bench.ok(&["ask", &id, "--worker", worker]);
    }
    bench.ok(&["tell", &format!("{id}/2"), "0.5"]);
    bench.ok(&["ask", &id, "--worker", "w2"]);
    bench.ok(&["tell", &format!("{id}/1"), "0.001"]);
    let shown = bench.ok(&["show", &id]);
    let expected = format!(
        "Sweep {id} is running: target reached by run 1: 0.001; no new runs begin, 1 in progress"
    );
    assert!(shown.contains(&expected), "{shown}");
    bench.ok(&["tell", &format!("{id}/3"), "0.7"]);
    let shown = bench.ok(&["show", &id]);
    let expected = format!("Sweep {id} is finished: target reached by run 1: 0.001\n");
    assert!(shown.contains(&expected), "{shown}");
}
