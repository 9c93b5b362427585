//! Programs whose metrics are in files or printed lines.

use serde_json::Value;

use super::{Case, HF, Outcome, Points, case, is_close, lr, reason, regular, unknown};
use crate::harness::wait_for;

#[test]
fn c1_pl_csv() {
    regular(
        "c1_pl_csv",
        "lightning, torch",
        "val/loss",
        |_| Points::At(vec![3, 7, 11, 15, 19]),
        unknown,
    );
}

#[test]
fn c2b_hf_default() {
    regular(
        "c2b_hf_default",
        HF,
        "eval_loss",
        |_| Points::Count(4),
        unknown,
    );
}

#[test]
fn c11_npjson() {
    let Some((_, outcome)) = regular(
        "c11_npjson",
        "numpy",
        "val_loss",
        |_| Points::Count(4),
        |params| Some(lr(params)),
    ) else {
        return;
    };
    for run in &outcome.runs {
        let nested = run["metrics"]["val.loss"]
            .as_f64()
            .unwrap_or_else(|| panic!("no val.loss: {run}"));
        assert!(is_close(nested, lr(&run["params"]) / 4.0, 1e-9), "{run}");
    }
}

/// Returns the line of the sweep file that the agent recommends.
fn recommended_patterns(output: &str) -> String {
    let lead = "add to the sweep file: ";
    let line = output
        .lines()
        .find(|line| line.contains("is not read from the line") && line.contains(lead));
    let line = line.unwrap_or_else(|| panic!("no pattern is recommended: {output}"));
    line.split(lead).nth(1).expect("the line has it").to_owned()
}

/// Puts the recommended pattern into the sweep file, and reads the output of all runs again.
fn reread(case: &Case, outcome: Outcome) -> Outcome {
    let Outcome {
        id,
        created,
        output,
        ..
    } = outcome;
    case.add(&recommended_patterns(&output));
    let edited = case.run(&["edit", &id, "sweep.yaml", "--yes"]);
    assert_eq!(edited.code, 0, "{edited:?}");
    let ended = case.run(&["reread", &id]);
    assert_eq!(ended.code, 0, "{ended:?}");
    Outcome {
        runs: case.runs(&id),
        id,
        created,
        output: format!("{output}\n{edited:?}\n{ended:?}"),
    }
}

/// Checks that the agent names a line that is not read before a second training begins, and that the recommended pattern reads it.
fn printed(
    case: &Case,
    objective: &str,
    count: Option<usize>,
    value: impl Fn(&Value) -> Option<f64>,
) -> Outcome {
    let outcome = case.execute("sweep.yaml");
    let output = &outcome.output;
    let named = output
        .find("is not read from the line")
        .unwrap_or_else(|| panic!("nothing is named: {output}"));
    let second = output
        .find("Started run 2")
        .unwrap_or_else(|| panic!("no second run: {output}"));
    assert!(
        named < second,
        "named after the second training began: {output}"
    );
    let patterns = recommended_patterns(output);
    for run in &outcome.runs {
        assert!(
            run["state"] == "failed" && reason(run).contains(&patterns),
            "the failure names the pattern, too: {run}\n{output}"
        );
    }
    let outcome = reread(case, outcome);
    outcome.finished(2);
    for run in &outcome.runs {
        let values = case.values(&outcome, run, objective);
        assert!(
            count.is_none_or(|count| values.len() == count),
            "{values:?}\n{}",
            outcome.output
        );
        if let Some(value) = value(&run["params"]) {
            // Programs print a few digits.
            assert!(
                run["value"]
                    .as_f64()
                    .is_some_and(|found| is_close(found, value, 0.01)),
                "{value} is wanted: {run}"
            );
        }
    }
    assert_eq!(case.versions(&outcome.id).len(), 1);
    outcome
}

#[test]
fn c3_xgb() {
    let Some(case) = case("programs/c3_xgb", "xgboost, sklearn") else {
        return;
    };
    printed(&case, "valid-logloss", Some(15), unknown);
}

#[test]
fn c4_lgbm() {
    let Some(case) = case("programs/c4_lgbm", "lightgbm, sklearn") else {
        return;
    };
    printed(&case, "binary_logloss", Some(15), unknown);
}

#[test]
fn c5_sklearn() {
    let Some(case) = case("programs/c5_sklearn", "sklearn") else {
        return;
    };
    let outcome = printed(&case, "accuracy", Some(1), unknown);
    assert!(
        outcome.runs.iter().all(|run| run["value"]
            .as_f64()
            .is_some_and(|accuracy| accuracy > 0.3 && accuracy <= 1.0)),
        "{:#?}",
        outcome.runs
    );
}

#[test]
fn c6_tqdm() {
    let Some(case) = case("programs/c6_tqdm", "tqdm") else {
        return;
    };
    printed(&case, "val_loss", Some(4), |params| Some(lr(params)));
}

#[test]
fn c8_rich() {
    let Some(case) = case("programs/c8_rich", "rich") else {
        return;
    };
    printed(&case, "val_loss", Some(1), |params| Some(lr(params)));
}

#[test]
fn c9_pytorch_examples() {
    let Some(case) = case("programs/c9_pytorch_examples", "argparse") else {
        return;
    };
    case.execute("sweep.yaml")
        .refused("${args_no_boolean_flags}");
    case.use_macro("args_no_boolean_flags");
    // The losses of training and test are the same.
    printed(&case, "loss", None, |params| Some(lr(params) / 3.0));
}

#[test]
fn g1_burn() {
    let Some(case) = case("programs/g1_burn", "argparse") else {
        return;
    };
    let (id, created) = case.create("sweep.yaml");
    let agent = case.start_agent(&id, &[]);
    let paused = wait_for("the sweep to be paused", || {
        Some(case.show(&id)).filter(|sweep| sweep["state"] == "paused")
    });
    let runs = case.runs(&id);
    assert!(runs.len() <= 2, "at most two trainings: {runs:#?}");
    let said = wait_for("the agent to say why it waits", || {
        Some(agent.output()).filter(|output| output.contains("waiting: the sweep is paused"))
    });
    let patterns = recommended_patterns(&said);
    let shown = case.bench.ok(&["show", &id]);
    assert!(
        shown.contains(&patterns)
            && paused["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("val_loss")),
        "{shown}\n{paused}"
    );

    let outcome = reread(
        &case,
        Outcome {
            runs,
            id: id.clone(),
            created,
            output: said,
        },
    );
    for run in &outcome.runs {
        let (values, rate) = (case.values(&outcome, run, "val_loss"), lr(&run["params"]));
        assert!(
            run["state"] == "finished" && values.len() == 4,
            "{run} {values:?}\n{}",
            outcome.output
        );
        assert!(
            run["value"]
                .as_f64()
                .is_some_and(|value| (value - rate / 4.0).abs() < 1e-4),
            "{run}"
        );
    }
    assert_eq!(case.run(&["resume", &id]).code, 0);
    wait_for("new runs", || {
        (case
            .runs(&id)
            .iter()
            .filter(|run| run["state"] == "finished")
            .count()
            > 3)
        .then_some(())
    });
    assert_eq!(case.versions(&id).len(), 1);
    assert_eq!(case.run(&["cancel", &id]).code, 0);
    agent.wait();
}
