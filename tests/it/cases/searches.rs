//! Searches that are told results from elsewhere, or that meet failures.

use serde_json::json;

use super::{case, parameter};

#[test]
fn files_06_tell_negative() {
    let Some(case) = case("files/06-tell-negative", "json") else {
        return;
    };
    let (id, _) = case.create("cont.yaml");
    for (index, value) in ["-3.2e-05", "-1.5e+20", "-.5", "-0.5", "-1e5"]
        .into_iter()
        .enumerate()
    {
        let run = case
            .bench
            .json_lines(&["ask", &id, "--worker", "a"])
            .remove(0);
        assert_eq!(run["run"], index + 1);
        let told = case.run(&["tell", &format!("{id}/{}", index + 1), value]);
        assert_eq!(told.code, 0, "{value}: {told:?}");
        let run = case.runs(&id).remove(index);
        assert_eq!(
            (&run["state"], run["value"].as_f64()),
            (&json!("finished"), value.parse().ok()),
            "{run}"
        );
    }
}

#[test]
fn files_11_import_wandb_csv() {
    let Some(case) = case("files/11-import-wandb-csv", "json") else {
        return;
    };
    let (id, _) = case.create("s.yaml");
    let imported = case.run(&["import", &id, "w.csv"]);
    assert!(
        imported.code == 0
            && imported.stdout.contains("5 runs imported")
            && imported.stdout.contains("1 left out"),
        "{imported:?}"
    );
    assert!(
        imported.stderr.contains("left out: line 5: `lr`"),
        "{imported:?}"
    );
    let runs = case.runs(&id);
    let states: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                run["state"].as_str().unwrap_or_default(),
                run["value"].as_f64(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("finished", Some(0.5)),
            ("failed", None),
            ("finished", Some(0.4)),
            ("failed", None),
            ("failed", None)
        ],
        "{runs:#?}"
    );
    assert_eq!(
        runs.iter()
            .map(|run| run["params"]["clip"].as_f64())
            .collect::<Vec<_>>(),
        [None, Some(0.5), None, None, Some(0.5)],
        "{runs:#?}"
    );
    assert_eq!(
        runs.iter()
            .map(|run| run["params"]["bn"].as_bool())
            .collect::<Vec<_>>(),
        [true, false, true, false, false].map(Some),
        "{runs:#?}"
    );
    assert!(
        runs.iter()
            .skip(1)
            .all(|run| parameter(&run["params"], "net.depth") == 4.0),
        "{runs:#?}"
    );
}

#[test]
fn files_hyperband_silent() {
    let Some(case) = case("files/hyperband_silent.yaml", "json") else {
        return;
    };
    let checked = case.run(&["check", "hyperband_silent.yaml"]);
    assert!(
        checked.code == 0 && checked.stderr.contains("warning: `early_terminate`"),
        "{checked:?}"
    );
    assert!(
        checked.stderr.contains("no run is ever stopped") && checked.stderr.contains("help: "),
        "{checked:?}"
    );
}

#[test]
fn files_repeat_constant() {
    let Some(case) = case("files/repeat_constant.yaml", "json") else {
        return;
    };
    let checked = case.run(&["check", "repeat_constant.yaml"]);
    assert!(
        checked.code == 0 && checked.stderr.contains("warning: the space has 1 point"),
        "{checked:?}"
    );
    assert!(checked.stderr.contains("`repeats: 10`"), "{checked:?}");
}

#[test]
fn files_count1() {
    let Some(case) = case("files/count1", "json") else {
        return;
    };
    let ended = case.run(&["run", "sweep.yaml", "--count", "1"]);
    let why = "no metric was seen and the sweep wants `loss`";
    assert!(ended.code != 0 && ended.stderr.contains(why), "{ended:?}");
}

#[test]
fn files_all_fail_1d() {
    let Some(case) = case("files/all_fail_1d.yaml", "json") else {
        return;
    };
    let yaml = case.read("all_fail_1d.yaml");
    let mut needed: Vec<u64> = (0..20)
        .map(|seed| {
            case.write(
                "seeded.yaml",
                &yaml.replace("seed: 0", &format!("seed: {seed}")),
            );
            let (id, _) = case.create("seeded.yaml");
            let is_success = || {
                let run = case.bench.json_lines(&["ask", &id]).remove(0);
                let x = parameter(&run["params"], "x");
                case.bench.ok(&[
                    "tell",
                    &format!("{id}/{}", run["run"]),
                    "--failed",
                    "CUDA out of memory",
                ]);
                x > 0.3 && x < 0.4
            };
            (1..=60).find(|_| is_success()).unwrap_or(61)
        })
        .collect();
    needed.sort_unstable();
    eprintln!("runs until the first success: {needed:?}");
    assert!(
        needed[9] + needed[10] <= 40,
        "the median is more than 20 runs: {needed:?}"
    );
}
