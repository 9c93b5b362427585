//! Programs that log to W&B.

use serde_json::{Value, json};

use super::{
    HF, Points, case, check, distance, failure, first, has_program, is_close, lr, parameter,
    reason, regular, unknown,
};
use crate::harness::requires;

#[test]
fn a01_basic() {
    regular(
        "a01_basic",
        "wandb",
        "val/loss",
        |_| first(8),
        |params| Some(distance(params) / 8.0 + 0.1),
    );
}

#[test]
fn a02_config_only() {
    let steps = |_: &Value| Points::At((0..8).map(|step| step * 10).collect());
    let value = |params: &Value| Some(parameter(params, "optimizer.momentum") / 8.0);
    let Some((_, outcome)) = regular("a02_config_only", "wandb", "val_loss", steps, value) else {
        return;
    };
    for run in &outcome.runs {
        assert_eq!(
            (&run["metrics"]["train.loss"], &run["metrics"]["best_val"]),
            (&json!(0.125), &json!(0.5)),
            "{run}"
        );
    }
}

#[test]
fn a03_define() {
    let steps = |_: &Value| Points::At((0..6).map(|epoch| 5 + 6 * epoch).collect());
    let Some((_, outcome)) = regular("a03_define", "wandb", "val/acc", steps, |params| {
        Some(0.9 * lr(params))
    }) else {
        return;
    };
    for run in &outcome.runs {
        let test = run["metrics"]["test/acc"]
            .as_f64()
            .unwrap_or_else(|| panic!("no test/acc: {run}"));
        assert!(is_close(test, 0.42 * lr(&run["params"]), 1e-9), "{run}");
    }
}

#[test]
fn a04_media() {
    let Some((_, outcome)) = regular(
        "a04_media",
        "wandb, torch, matplotlib, plotly, PIL",
        "loss",
        |_| first(5),
        unknown,
    ) else {
        return;
    };
    for run in &outcome.runs {
        let metrics = run["metrics"].as_object().expect("metrics are a map");
        assert!(
            metrics.contains_key("loss_tensor") && metrics.contains_key("np"),
            "{metrics:?}"
        );
        let is_media = |name: &&String| {
            [
                "img",
                "hist",
                "table",
                "fig",
                "conf",
                "gradients",
                "parameters",
            ]
            .iter()
            .any(|media| name.starts_with(media))
        };
        assert_eq!(
            metrics.keys().find(is_media),
            None,
            "sizes of media are no metrics: {metrics:?}"
        );
    }
}

#[test]
fn a05b_several_same() {
    let Some((case, outcome)) = regular(
        "a05b_several_same",
        "wandb",
        "acc",
        |_| first(4),
        |params| Some(lr(params) + 0.01),
    ) else {
        return;
    };
    for run in &outcome.runs {
        for (fold, metric) in ["acc", "init-2/acc", "init-3/acc"].into_iter().enumerate() {
            let values = case.values(&outcome, run, metric);
            let wanted = (1..5)
                .map(|epoch| lr(&run["params"]) * f64::from(epoch) / 4.0 + fold as f64 * 0.01);
            assert!(
                values.len() == 4
                    && values
                        .iter()
                        .zip(wanted)
                        .all(|(value, wanted)| is_close(*value, wanted, 1e-9)),
                "{metric}: {values:?}"
            );
        }
    }
    assert!(
        outcome.output.contains("wandb.init several times"),
        "{}",
        outcome.output
    );
}

#[test]
fn a06_child() {
    regular(
        "a06_child",
        "wandb",
        "acc",
        |_| first(5),
        |params| Some(5.0 * lr(params)),
    );
}

#[test]
fn a07_ddp_rank0() {
    if has_program("torchrun") {
        regular(
            "a07_ddp_rank0",
            "wandb, torch",
            "loss",
            |_| first(5),
            unknown,
        );
    }
}

#[test]
fn a08_pyagent() {
    let Some(case) = case("programs/a08_pyagent", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    outcome.refused("wandb.sweep");
    for part in [
        "copy the parameters into the sweep file",
        "`import os, sys`",
        "`if \"SWEEP_RUN\" in os.environ:`",
        "main(); sys.exit()",
    ] {
        assert!(
            reason(&outcome.runs[0]).contains(part),
            "{part}: {}",
            reason(&outcome.runs[0])
        );
    }
    // The way that the failure names works.
    let begin = "sweep_id = wandb.sweep(";
    case.replace(
        "train.py",
        begin,
        &format!(
            "import os, sys\nif \"SWEEP_RUN\" in os.environ:\n    main(); sys.exit()\n{begin}"
        ),
    );
    case.replace(
        "sweep.yaml",
        "parameters: {",
        "parameters: {epochs: {values: [5, 10, 15]}, ",
    );
    let outcome = case.execute("sweep.yaml");
    let epochs = |params: &Value| params["epochs"].as_i64().expect("epochs are a number");
    check(
        &case,
        &outcome,
        "val_acc",
        |params| first(epochs(params)),
        |params| Some(lr(params) * (epochs(params) - 1) as f64),
    );
}

#[test]
fn a09_online() {
    let Some(case) = case("programs/a09_online", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    if requires(
        "wandb-online",
        std::env::var_os("WANDB_API_KEY").is_some(),
        "reading of online runs: no WANDB_API_KEY",
    ) {
        check(
            &case,
            &outcome,
            "val/acc",
            |_| first(5),
            |params| Some(4.0 * lr(params)),
        );
        return;
    }
    for run in &outcome.runs {
        assert!(
            run["state"] == "failed" && reason(run).contains("API key"),
            "{run}"
        );
        assert_eq!(failure(run)["kind"], "usage", "{run}");
    }
}

#[test]
fn a09c_settings() {
    regular(
        "a09c_settings",
        "wandb",
        "val/acc",
        |_| first(5),
        |params| Some(4.0 * lr(params)),
    );
}

#[test]
fn a10_early() {
    let Some(case) = case("programs/a10_early", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    assert_eq!(outcome.runs.len(), 5, "{}", outcome.output);
    let stopped: Vec<_> = outcome
        .runs
        .iter()
        .filter(|run| run["state"] == "stopped")
        .collect();
    assert!(
        !stopped.is_empty(),
        "{:#?}\n{}",
        outcome.runs,
        outcome.output
    );
    for run in stopped {
        let points = case.steps(&outcome, run, "val_loss").len();
        // An epoch takes half a second.
        assert!(
            [3, 6, 12, 24]
                .iter()
                .any(|band| (*band..=band + 4).contains(&points)),
            "more than 2 s after the band: {points} points, {run}"
        );
    }
    assert_eq!(case.versions(&outcome.id).len(), 1);
}

#[test]
fn a13_hf() {
    let Some((case, outcome)) = regular(
        "a13_hf",
        &format!("wandb, {HF}"),
        "eval/loss",
        |_| Points::Count(4),
        unknown,
    ) else {
        return;
    };
    for run in &outcome.runs {
        let steps = case.steps(&outcome, run, "eval/loss");
        assert!(
            steps.len() == 4 && steps.is_sorted(),
            "each evaluation has its step: {steps:?}"
        );
    }
}

#[test]
fn a14_keras() {
    regular(
        "a14_keras",
        "wandb, keras, tensorflow",
        "epoch/val_loss",
        |_| first(5),
        unknown,
    );
}

#[test]
fn a16_xgb() {
    regular(
        "a16_xgb",
        "wandb, xgboost, sklearn",
        "validation-logloss",
        |_| first(20),
        unknown,
    );
}

#[test]
fn a17_sklearn() {
    let Some((_, outcome)) = regular(
        "a17_sklearn",
        "wandb, sklearn, matplotlib, plotly",
        "accuracy",
        |_| Points::Count(1),
        unknown,
    ) else {
        return;
    };
    assert!(outcome.runs.iter().all(|run| {
        run["value"]
            .as_f64()
            .is_some_and(|accuracy| accuracy > 0.8 && accuracy <= 1.0)
    }));
}

#[test]
fn a18_crash() {
    let Some(case) = case("programs/a18_crash", "wandb") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    let run = |how: &str| {
        outcome
            .runs
            .iter()
            .find(|run| run["params"]["how"] == how)
            .unwrap_or_else(|| panic!("no {how}: {}", outcome.output))
    };
    let crashed = run("exc");
    assert_eq!(
        (&crashed["state"], reason(crashed)),
        (&json!("failed"), "exit status 1: RuntimeError: boom"),
        "{crashed}"
    );
    assert_eq!(
        (&failure(crashed)["kind"], &failure(crashed)["blame"]),
        (&json!("crashed"), &json!("configuration")),
        "{crashed}"
    );
    let killed = run("kill");
    assert!(
        killed["state"] == "failed" && reason(killed).contains("SIGKILL"),
        "{killed}"
    );
    assert_eq!(failure(killed)["signal"], 9, "{killed}");
    assert_eq!(case.versions(&outcome.id).len(), 1);
}

#[test]
fn a19_synctb() {
    regular(
        "a19_synctb",
        "wandb, torch, tensorboard",
        "val/acc",
        |_| first(10),
        |params| Some(9.0 * lr(params)),
    );
}
