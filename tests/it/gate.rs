//! `sweep gate`: a sweep against another one.

use crate::harness::Bench;

/// Runs a sweep of one point, five times, with results about a mean, and returns its id.
fn swept(bench: &Bench, name: &str, mean: &str) -> String {
    let program = format!(
        r#"awk -v r=$SWEEP_REPEAT 'BEGIN {{ printf "{{\"loss\": %f, \"accuracy\": 0.9}}\n", {mean} + (r % 3) / 1000 }}'"#
    );
    let program = bench.write(&format!("{name}.sh"), &program);
    let file = format!(
        "name: {name}\nmethod: grid\nrepeats: 5\nmetric: {{name: loss, goal: minimize}}\ncommand: [sh, {program}]\nparameters:\n  x: {{values: [1]}}\n"
    );
    let id = bench.create(&[&bench.write(&format!("{name}.yaml"), &file)]);
    let (code, said) = bench.start(&["agent", &id]).wait();
    assert_eq!(code, 0, "{said}");
    id
}

#[test]
fn a_worse_sweep_fails_and_an_equal_one_passes() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let (old, same, worse) = (
        swept(&bench, "old", "0.3"),
        swept(&bench, "same", "0.3"),
        swept(&bench, "worse", "0.35"),
    );
    let passed = bench.run(&["gate", &same, "--baseline", &old]);
    assert!(
        passed.code == 0
            && passed
                .stdout
                .starts_with("pass: loss 0 better than baseline (90 % CI "),
        "{passed:?}"
    );
    let junit = bench.path("gate.xml").display().to_string();
    let failed = bench.run(&[
        "gate",
        &worse,
        "--baseline",
        &old,
        "--margin",
        "0.01",
        "--junit",
        &junit,
    ]);
    assert!(
        failed.code == 1
            && failed
                .stdout
                .starts_with("fail: loss 0.05 worse than baseline ("),
        "{failed:?}"
    );
    assert!(
        bench.read("gate.xml").contains("<failure")
            && bench.read("gate.xml").contains("0.05 worse"),
        "{}",
        bench.read("gate.xml")
    );
    assert_eq!(
        bench
            .run(&["gate", &worse, "--baseline", &old, "--margin", "0.1"])
            .code,
        0
    );
    assert_eq!(
        bench
            .run(&[
                "gate",
                &worse,
                "--baseline",
                &old,
                "--metric",
                "accuracy",
                "--goal",
                "maximize"
            ])
            .code,
        0
    );
    // A baseline outlives the sweep that it was made from.
    let saved = bench.path("baseline.json").display().to_string();
    bench.ok(&["gate", &old, "--save", &saved]);
    let json = bench.run(&["gate", &worse, "--baseline", &saved, "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert!(
        json.code == 1
            && verdict["verdict"] == "fails"
            && verdict["baseline"]["values"]
                .as_array()
                .is_some_and(|values| values.len() == 5)
    );
    let report = bench.ok(&["report", &worse, "--baseline", &old]);
    for said in [
        "## Sweep `worse` is finished",
        "is `loss` lowest?",
        "fail: loss 0.05 worse than baseline",
        "5 runs by grid search",
        "Budget: ",
        "sweep reproduce",
        "sweep create sweep.yaml",
        "repeats: 5",
    ] {
        assert!(report.contains(said), "no {said} in\n{report}");
    }
    let few = bench.write("few.txt", "0.3\n");
    let unsure = bench.run(&["gate", &worse, "--baseline", &few]);
    assert!(
        unsure.code == 3 && unsure.stdout.starts_with("inconclusive: "),
        "{unsure:?}"
    );
    for (arguments, said) in [
        (
            vec!["--baseline", &old, "--metric", "accuracy"],
            "the goal of `accuracy` is unknown",
        ),
        (
            vec!["--baseline", &old, "--metric", "los", "--goal", "minimize"],
            "did not report `los`",
        ),
        (
            vec!["--baseline", &bench.write("words.txt", "0.3\nhello\n")],
            "line 2: `hello` is not a number",
        ),
        (vec!["--baseline", "nowhere"], "no sweep `nowhere`"),
        (
            vec!["--baseline", &old, "--alpha", "2"],
            "above 0 and below 0.5",
        ),
        (
            vec!["--baseline", &old, "--margin", "-1"],
            "a number from 0 on",
        ),
    ] {
        let refused = bench.run(&[&["gate", worse.as_str()], arguments.as_slice()].concat());
        assert!(
            refused.code == 2 && refused.stderr.contains(said),
            "{arguments:?}: {refused:?}"
        );
    }
}
