//! Parameter importance.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Case, case};
use crate::harness::wait_for;

/// Returns the share of each parameter in the differences of the objective, in percent.
fn shares(case: &Case, id: &str) -> BTreeMap<String, f64> {
    let shown = case.show(id);
    let effects = shown["analysis"]["effects"]
        .as_array()
        .unwrap_or_else(|| panic!("no effects: {shown}"));
    let share = |effect: &Value| {
        let name = effect["parameter"]
            .as_str()
            .expect("a parameter has a name")
            .to_owned();
        (
            name,
            effect["share"].as_f64().expect("a share is a number") * 100.0,
        )
    };
    effects.iter().map(share).collect()
}

/// Runs the sweeps without and with hyperband, adds a comment to the program half-way if asked for, and returns their ids.
fn run_importance(adds_comment: bool) -> Option<(Case, [String; 2])> {
    let case = case("files/importance", "json")?;
    let ended = |id: &str| {
        case.runs(id)
            .iter()
            .filter(|run| {
                ["finished", "stopped", "failed"]
                    .iter()
                    .any(|state| run["state"] == *state)
            })
            .count()
    };
    // One after the other, or one may have ended before the other is half-way.
    let ids = ["none.yaml", "hb.yaml"].map(|file| {
        let (id, _) = case.create(file);
        let agent = case.start_agent(&id, &["--slots", "6"]);
        wait_for("half of the runs", || (ended(&id) >= 45).then_some(()));
        if adds_comment {
            case.write(
                "train.py",
                &format!(
                    "# A comment that changes nothing.\n{}",
                    case.read("train.py")
                ),
            );
        }
        agent.wait();
        id
    });
    let stopped = case
        .runs(&ids[1])
        .iter()
        .filter(|run| run["state"] == "stopped")
        .count();
    assert!(stopped > 10, "{stopped} runs were stopped");
    Some((case, ids))
}

#[test]
#[ignore = "shares vary with timing: with hyperband the learning rate had 78 %, 56 % and no share at all beside 60 to 75 % without"]
fn files_importance() {
    let Some((case, ids)) = run_importance(false) else {
        return;
    };
    let [without, with] = ids.each_ref().map(|id| shares(&case, id));
    eprintln!("without hyperband: {without:.1?}\nwith hyperband: {with:.1?}");
    for (name, share) in &without {
        let banded = with.get(name).copied().unwrap_or_default();
        assert!(
            (share - banded).abs() <= 10.0,
            "{name}: {share:.1} % without hyperband, {banded:.1} % with it"
        );
    }
    for shares in [&without, &with] {
        assert!((shares["learning_rate"] - 75.0).abs() <= 10.0, "{shares:?}");
    }
}

#[test]
fn files_importance_of_a_comment() {
    let Some((case, ids)) = run_importance(true) else {
        return;
    };
    for id in &ids {
        let shown = case.show(id);
        let agreements = shown["analysis"]["agreements"]
            .as_array()
            .unwrap_or_else(|| panic!("no agreements: {shown}"));
        let correlation = agreements
            .first()
            .and_then(|agreement| agreement["correlation"].as_f64());
        assert!(
            correlation.is_some_and(|correlation| correlation > 0.95),
            "{agreements:?}"
        );
    }
}

#[test]
#[ignore = "the share of the optimizer is 1 to 26 %: the search rarely tries the bad one, so that little of the difference is seen"]
fn files_importance_of_the_optimizer() {
    let Some((case, ids)) = run_importance(false) else {
        return;
    };
    for shares in ids.each_ref().map(|id| shares(&case, id)) {
        assert!((shares["optimizer"] - 15.0).abs() <= 10.0, "{shares:?}");
    }
}
