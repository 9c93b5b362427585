//! Programs with each kind of command line.

use serde_json::{Value, json};

use super::{
    Case, Outcome, Points, case, check, depth, failure, first, has_program, lr, parameter, reason,
    regular, unknown,
};
use crate::harness::wait_for;

fn hydra_value(params: &Value) -> Option<f64> {
    let rate = params
        .get("optimizer.lr")
        .and_then(Value::as_f64)
        .unwrap_or_else(|| parameter(params, "optimizer.lr"));
    Some(rate / 4.0 + depth(params))
}

#[test]
fn e1_hydra() {
    regular("e1_hydra", "hydra", "val_loss", |_| first(4), hydra_value);
}

#[test]
fn e1b_hydra_nested() {
    let Some(case) = case("programs/e1b_hydra_nested", "hydra") else {
        return;
    };
    case.execute("sweep.yaml").refused("${args_hydra}");
    case.replace("sweep.yaml", "${args_no_hyphens}", "${args_hydra}");
    // The program asks for types, and `optimizer` is a group of the configuration.
    let outcome = case.execute("sweep.yaml");
    check(&case, &outcome, "val_loss", |_| first(4), hydra_value);
}

#[test]
fn e1c_hydra_m() {
    // Two jobs in one run: resnet and vit.
    let steps = |_: &Value| Points::At((0..4).chain(0..4).collect());
    regular("e1c_hydra_m", "hydra", "val_loss", steps, |params| {
        Some(parameter(params, "optimizer.lr") / 4.0 + 12.0)
    });
}

#[test]
fn e1d_hydra_wandb() {
    regular(
        "e1d_hydra_wandb",
        "hydra, wandb",
        "val_loss",
        |_| first(4),
        hydra_value,
    );
}

#[test]
fn e1e_hydra_wandb_nodir() {
    regular(
        "e1e_hydra_wandb_nodir",
        "hydra, wandb",
        "val_loss",
        |_| first(4),
        hydra_value,
    );
}

#[test]
fn e1f_hydra_err() {
    let Some(case) = case("programs/e1f_hydra_err", "hydra") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    for run in &outcome.runs {
        assert!(
            run["state"] == "failed" && reason(run).ends_with("ValueError: lr too big"),
            "{run}"
        );
        assert_eq!(
            (&failure(run)["kind"], &failure(run)["blame"]),
            (&json!("crashed"), &json!("configuration")),
            "{run}"
        );
    }
    assert_eq!(
        (outcome.runs.len(), case.versions(&outcome.id).len()),
        (2, 1),
        "{}",
        outcome.output
    );
}

#[test]
fn e2b_lcli_nested() {
    regular(
        "e2b_lcli_nested",
        "lightning, torch, jsonargparse, tensorboard",
        "val_loss",
        |_| Points::At(vec![3, 7]),
        unknown,
    );
}

fn rate_and_n(params: &Value) -> Option<f64> {
    let rate = params
        .get("lr")
        .and_then(Value::as_f64)
        .unwrap_or_else(|| parameter(params, "opt.lr"));
    Some(rate + parameter(params, "n"))
}

/// Executes a program that reports `val_loss` once.
fn one_point(name: &str, modules: &str) -> Option<(Case, Outcome)> {
    regular(name, modules, "val_loss", |_| Points::Count(1), rate_and_n)
}

/// Checks that a program refuses the default arguments, that the failure names the macro, and that the macro works.
fn remedied(name: &str, modules: &str, macro_name: &str) -> Option<Outcome> {
    let case = case(&format!("programs/{name}"), modules)?;
    case.execute("sweep.yaml")
        .refused(&format!("${{{macro_name}}}"));
    case.use_macro(macro_name);
    Some(checked(&case, rate_and_n))
}

/// Executes a sweep, and checks that each run has one point, by its parameters.
fn checked(case: &Case, value: impl Fn(&Value) -> Option<f64>) -> Outcome {
    let outcome = case.execute("sweep.yaml");
    check(case, &outcome, "val_loss", |_| Points::Count(1), value);
    outcome
}

/// Checks that the program got a boolean as the run has it.
fn is_passed(outcome: Option<Outcome>, parameter: &str, metric: &str) {
    for run in outcome.iter().flat_map(|outcome| &outcome.runs) {
        let wanted = run["params"][parameter]
            .as_bool()
            .map(|flag| f64::from(u8::from(flag)));
        assert_eq!(run["metrics"][metric].as_f64(), wanted, "{run}");
    }
}

#[test]
fn e3_click() {
    is_passed(remedied("e3_click", "click", "args_flags"), "use-bn", "bn");
}

#[test]
fn e3b_click_flags() {
    let found = one_point("e3b_click_flags", "click");
    is_passed(found.map(|(_, outcome)| outcome), "use-bn", "bn");
}

#[test]
fn e4_typer() {
    is_passed(remedied("e4_typer", "typer", "args_flags"), "use-bn", "bn");
}

#[test]
fn e4b_typer_flags() {
    let found = one_point("e4b_typer_flags", "typer");
    is_passed(found.map(|(_, outcome)| outcome), "use-bn", "bn");
}

#[test]
fn e5_fire() {
    one_point("e5_fire", "fire");
}

#[test]
fn e6_tyro() {
    remedied("e6_tyro", "tyro", "args_flags");
}

#[test]
fn e6b_tyro_flags() {
    one_point("e6b_tyro_flags", "tyro");
}

#[test]
fn e7_simplep() {
    one_point("e7_simplep", "simple_parsing");
}

#[test]
fn e9_gin() {
    let Some(case) = case("programs/e9_gin", "gin, absl") else {
        return;
    };
    let outcome = case.execute("sweep.yaml");
    assert!(
        outcome.created.contains("--gin=${args_no_hyphens}"),
        "the default fails, and nothing names a macro: {}",
        outcome.created
    );
    outcome.refused("");
    case.replace(
        "sweep.yaml",
        "\"--gin=train.lr=${lr}\", \"${args}\"",
        "\"--gin=${args_no_hyphens}\"",
    );
    checked(&case, |params| {
        Some(parameter(params, "train.lr") + parameter(params, "train.n"))
    });
}

#[test]
fn e9b_absl() {
    one_point("e9b_absl", "absl");
}

#[test]
fn e10_argbool() {
    let Some(case) = case("programs/e10_argbool", "argparse") else {
        return;
    };
    case.execute("sweep.yaml")
        .refused("${args_no_boolean_flags}");
    case.use_macro("args_no_boolean_flags");
    let outcome = checked(&case, |params| Some(lr(params)));
    assert!(
        outcome
            .runs
            .iter()
            .all(|run| run["metrics"]["bug"] == 0.0 || run["metrics"]["bug"] == 0),
        "{:#?}",
        outcome.runs
    );
}

#[test]
#[ignore = "no macro passes `use_bn: false` beside a store_true flag; the failure says that the default applies"]
fn e10_argbool_gets_the_values_of_its_run() {
    let Some(case) = case("programs/e10_argbool", "argparse") else {
        return;
    };
    case.use_macro("args_no_boolean_flags");
    let outcome = case.execute("sweep.yaml");
    assert!(
        outcome
            .runs
            .iter()
            .any(|run| run["params"]["use_bn"] == false),
        "{:#?}",
        outcome.runs
    );
    is_passed(Some(outcome), "use_bn", "bn");
}

#[test]
fn e11_accel() {
    if !has_program("accelerate") {
        return;
    }
    let Some((case, _)) = regular(
        "e11_accel",
        "accelerate, torch, wandb",
        "loss",
        |_| first(5),
        unknown,
    ) else {
        return;
    };
    is_cancelled_with_all_processes(case, 2);
}

#[test]
fn e12_workers() {
    let Some(case) = case("programs/e12_workers", "torch") else {
        return;
    };
    // The program itself and its workers.
    is_cancelled_with_all_processes(case, 5);
}

/// Cancels a sweep once the program has a number of processes, and checks that none is left.
fn is_cancelled_with_all_processes(case: Case, count: usize) {
    let (id, _) = case.create("sweep.yaml");
    let agent = case.start_agent(&id, &[]);
    let programs = || {
        let processes = case.bench.processes();
        processes
            .into_iter()
            .filter(|process| {
                process.command.starts_with("python") || process.command.contains("/python")
            })
            .count()
    };
    wait_for("the processes of the program", || {
        (programs() >= count).then_some(())
    });
    if count > 2 {
        wait_for("the first points", || {
            (case.bench.steps(&id, 1, "val_loss").len() > 3).then_some(())
        });
    }
    let cancelled = case.run(&["cancel", &id]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    let (_, output) = agent.wait();
    assert_eq!(case.show(&id)["state"], "cancelled", "{output}");
    case.nothing_left();
}
