//! Forms of sweep files.

use serde_json::{Value, json};

use super::{Case, Outcome, case, reason};

/// Asks for all points of a grid, and returns their parameters.
fn grid(case: &Case, file: &str, count: usize) -> Vec<Value> {
    let (id, _) = case.create(file);
    let mut points = Vec::new();
    for _ in 0..count {
        let run = case
            .bench
            .json_lines(&["ask", &id, "--worker", "a"])
            .remove(0);
        points.push(run["params"].clone());
    }
    let over = case.run(&["ask", &id, "--worker", "a"]);
    assert!(
        !over.stdout.contains("\"params\""),
        "more than {count} points: {over:?}"
    );
    points
}

/// Returns the values that a parameter has, each once, as JSON.
fn values_of(points: &[Value], parameter: &str) -> Vec<String> {
    let mut values: Vec<_> = points
        .iter()
        .map(|params| params[parameter].to_string())
        .collect();
    values.sort();
    values.dedup();
    values
}

fn as_json(values: &Value) -> Vec<String> {
    let mut values: Vec<_> = values
        .as_array()
        .expect("a list")
        .iter()
        .map(Value::to_string)
        .collect();
    values.sort();
    values
}

#[test]
fn files_03_leading_zeros() {
    let Some(case) = case("files/03-leading-zeros", "json") else {
        return;
    };
    let wanted = as_json(&json!([1, 2, 3, 4, 5, 6, 7, "008", "009", 8, 9, 10]));
    assert_eq!(values_of(&grid(&case, "subj.yaml", 12), "subject"), wanted);
    let outcome = case.execute("subj.yaml");
    assert!(
        outcome.runs.len() == 12 && outcome.runs.iter().all(|run| run["state"] == "finished"),
        "{}",
        outcome.output
    );
}

#[test]
fn files_leading_zero() {
    let Some(case) = case("files/leading_zero.yaml", "json") else {
        return;
    };
    case.write("t.py", "print(1)\n");
    let points = grid(&case, "leading_zero.yaml", 10);
    assert_eq!(
        values_of(&points, "subject"),
        as_json(&json!([1, 7, "08", "09", 10]))
    );
    assert_eq!(
        values_of(&points, "commit"),
        as_json(&json!(["3e21455", "1a2b3c4"]))
    );
    // Literals of the command are passed as they are written.
    let outcome = case.execute("leading_zero.yaml");
    for run in &outcome.runs {
        let command = run["executions"][0]["command"]
            .as_array()
            .expect("a command is a list");
        assert_eq!(
            command[2..8],
            ["--month", "08", "--lr", "1e-4", "--commit", "1234e56"],
            "{run}"
        );
    }
}

#[test]
fn files_scalars_words() {
    let Some(case) = case("files/scalars_words.yaml", "json") else {
        return;
    };
    case.write("t.py", "print(1)\n");
    // Values that are the same number are one point.
    let points = grid(&case, "scalars_words.yaml", 65);
    let number = |values: Vec<String>| -> Vec<String> {
        values
            .into_iter()
            .map(|value| value.trim_end_matches(".0").to_owned())
            .collect()
    };
    assert_eq!(
        number(values_of(&points, "commit")),
        number(as_json(&json!([
            "1234e56", "5e12345", "12e4567", "1a2b3c4", 70
        ])))
    );
    let words = json!([
        20_240_101,
        "2024-01-01",
        90,
        1000,
        "08",
        7,
        "0o10",
        "1.2.3",
        100_000,
        "1e400",
        0.5,
        31,
        "12_e3"
    ]);
    assert_eq!(number(values_of(&points, "ts")), number(as_json(&words)));
}

/// Returns the configuration that a program of 07-hydra has printed.
fn hydra_config(case: &Case, outcome: &Outcome, run: &Value) -> Value {
    let log = case
        .bench
        .ok(&["logs", &format!("{}/{}", outcome.id, run["run"])]);
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("CFG "))
        .unwrap_or_else(|| panic!("no configuration: {log}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn files_07_hydra() {
    let Some(case) = case("files/07-hydra", "hydra") else {
        return;
    };
    // Where the macro of the file does not suit, the failure names the one that does.
    for file in ["s.yaml", "n.yaml"] {
        let outcome = case.execute(file);
        let failed: Vec<_> = outcome
            .runs
            .iter()
            .filter(|run| run["state"] == "failed")
            .collect();
        assert!(
            !failed.is_empty()
                && failed
                    .iter()
                    .all(|run| reason(run).contains("${args_hydra}")),
            "{failed:#?}"
        );
        case.replace(file, "${args_no_hyphens}", "${args_hydra}");
    }
    let outcome = case.execute("s.yaml");
    outcome.finished(9);
    for run in &outcome.runs {
        let config = hydra_config(&case, &outcome, run);
        assert_eq!(
            config["agent"]["name"], run["params"]["agent.name"],
            "{config}"
        );
        assert_eq!(
            (&config["drop"], &config["flag"], &config["l"]),
            (&Value::Null, &json!(true), &json!([1, "a b", null])),
            "{config}"
        );
        assert_eq!(config["model"]["kind"], "b", "{config}");
    }
    let outcome = case.execute("n.yaml");
    outcome.finished(1);
    assert_eq!(
        hydra_config(&case, &outcome, &outcome.runs[0])["opt"],
        json!({"lr": 0.5, "name": "adam"})
    );

    let outcome = case.execute("boom2.yaml");
    outcome.refused("Could not override 'nosuch'");
    assert!(
        reason(&outcome.runs[0]).contains("+nosuch=0.1")
            && !reason(&outcome.runs[0]).contains("HYDRA_FULL_ERROR"),
        "{:#?}",
        outcome.runs
    );
}

#[test]
fn files_09_program_with_args() {
    let Some(case) = case("files/09-program-with-args", "json") else {
        return;
    };
    for (file, warning) in [
        (
            "3225.yaml",
            "`command: [\"torchrun\", \"--nproc_per_node=4\", \"train.py\", \"${args}\"]`",
        ),
        (
            "6868.yaml",
            "`command: [\"${env}\", \"${interpreter}\", \"-m\", \"train\", \"${args}\"]`",
        ),
        (
            "7260.yaml",
            "`[\"${env}\", \"${interpreter}\", \"${program}\", \"${args_no_boolean_flags}\"]`",
        ),
        ("shell.yaml", "`${program}` is part of a longer item"),
    ] {
        let checked = case.run(&["check", file]);
        assert!(
            checked.code == 0
                && checked.stderr.contains("warning: ")
                && checked.stderr.contains(warning),
            "{file}: {checked:?}"
        );
    }
    // The recommended command can be started.
    case.write(
        "train.py",
        "import sys\nassert sys.argv[1].startswith('--lr=')\n",
    );
    case.replace(
        "6868.yaml",
        "program: \"-m train\"",
        "command: [\"${env}\", \"${interpreter}\", \"-m\", \"train\", \"${args}\"]",
    );
    let outcome = case.execute("6868.yaml");
    assert!(
        outcome.runs.len() == 2 && outcome.runs.iter().all(|run| run["state"] == "finished"),
        "{}",
        outcome.output
    );
}

#[test]
fn files_13_cosmetics() {
    let Some(case) = case("files/13-cosmetics", "json") else {
        return;
    };
    let step = case.run(&["check", "step.yaml"]);
    assert!(
        step.code == 2 && step.stderr.contains("a metric called `step` is never read"),
        "{step:?}"
    );
    let huge = case.run(&["check", "huge.json"]);
    let said = format!("{}{}", huge.stdout, huge.stderr);
    assert!(
        huge.code == 0
            && said.contains("more than 10^38 points")
            && !said.contains("340282366920938463463374607431768211455"),
        "{huge:?}"
    );
}

#[test]
fn files_nulls() {
    let Some(case) = case("files/nulls.yaml", "json") else {
        return;
    };
    case.write("t.py", "print('{\"loss\": 1}')\n");
    let checked = case.run(&["check", "nulls.yaml"]);
    assert!(
        checked.code == 0 && !format!("{}{}", checked.stdout, checked.stderr).contains("warning"),
        "{checked:?}"
    );
    let (id, _) = case.create("nulls.yaml");
    assert!(
        case.show(&id)["planned"].is_null(),
        "a cap that is null is none"
    );
    let (_, output) = case.start_agent(&id, &["--count", "1"]).wait();
    let runs = case.runs(&id);
    assert!(
        runs.len() == 1 && runs[0]["state"] == "finished" && runs[0]["value"] == 1.0,
        "{runs:?} {output}"
    );
}
