//! Early stopping of programs without code for it.

use serde_json::Value;

use super::{HF, Points, case, check, unknown};

/// Runs a case with a band that no run reaches as long as an iteration is an epoch, and not a refresh of a progress bar.
fn banded(name: &str, modules: &str, objective: &str, epochs: usize, points: Points) {
    let Some(case) = case(&format!("programs/{name}"), modules) else {
        return;
    };
    case.add(&format!(
        "early_terminate: {{type: hyperband, min_iter: {}, eta: 2}}",
        epochs + 2
    ));
    let outcome = case.execute("sweep.yaml");
    let points = |_: &Value| match &points {
        Points::At(steps) => Points::At(steps.clone()),
        Points::Count(count) => Points::Count(*count),
    };
    check(&case, &outcome, objective, points, unknown);
}

#[test]
fn h_hf() {
    // Three epochs, and the program evaluates once more.
    banded("h_hf", HF, "eval_loss", 3, Points::Count(4));
}

#[test]
fn h_keras() {
    banded("h_keras", "keras, torch", "val_loss", 5, Points::Count(5));
}

#[test]
fn h_pl() {
    banded(
        "h_pl",
        "lightning, torch, tensorboard",
        "val_loss",
        5,
        Points::At(vec![3, 7, 11, 15, 19]),
    );
}

#[test]
fn h_xgb() {
    banded(
        "h_xgb",
        "xgboost, sklearn",
        "valid-logloss",
        15,
        Points::Count(15),
    );
}

#[test]
fn i1_hydra_early() {
    let Some(case) = case("programs/i1_hydra_early", "hydra") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    let stopped = outcome
        .runs
        .iter()
        .filter(|run| run["state"] == "stopped")
        .count();
    assert!(
        outcome.runs.len() == 16 && stopped >= 6,
        "{stopped} of {} runs were stopped: {}",
        outcome.runs.len(),
        outcome.output
    );
    assert_eq!(case.versions(&outcome.id).len(), 1);
}

#[test]
fn j1_nan() {
    let Some(case) = case("programs/j1_nan", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    outcome.finished(1);
    assert_eq!(outcome.runs[0]["value"], 0.5, "{:#?}", outcome.runs);
    let values = case.values(&outcome, &outcome.runs[0], "val/acc");
    assert!(
        values.len() == 3 && values[0] == 0.5 && values[1].is_nan() && values[2].is_nan(),
        "{values:?}"
    );
}
