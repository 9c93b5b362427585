//! The rules of early termination in sweep files.

use sweep_search::early_stop::{Asha, EarlyStop, Median, Predictive};

use super::super::parse;
use super::errors;

#[test]
fn values_that_no_rule_can_use() {
    for (rule, error) in [
        (
            "{type: predict}",
            "line 4, column 25: `early_terminate`: there is no type `predict`",
        ),
        (
            "{type: asha, min_iter: 0}",
            "line 4, column 41: `early_terminate`: `min_iter` must be a whole number of at least 1, not the number 0",
        ),
        (
            "{type: asha, eta: 1}",
            "line 4, column 36: `early_terminate`: `eta` must be above 1, not 1",
        ),
        (
            "{type: asha, eta: many}",
            "line 4, column 36: `early_terminate`: `eta` must be a finite number, not ",
        ),
        (
            "{type: asha, min_iter: 9, max_iter: 9}",
            "line 4, column 41: `early_terminate`: `min_iter` must be below `max_iter`, but 9 is not below 9",
        ),
        (
            "{type: median, min_runs: 0}",
            "line 4, column 43: `early_terminate`: `min_runs` must be a whole number of at least 1, not the number 0",
        ),
        (
            "{type: predictive, min_runs: 2}",
            "line 4, column 47: `early_terminate`: `min_runs` must be a whole number of at least 3, not the number 2",
        ),
        (
            "{type: predictive, min_probability: 0.6}",
            "line 4, column 54: `early_terminate`: `min_probability` must be above 0 and at most 0.5, not 0.6",
        ),
        (
            "{type: predictive, min_probability: .nan}",
            "line 4, column 54: `early_terminate`: `min_probability` must be a finite number, not ",
        ),
    ] {
        let text = format!(
            "program: t.py\nmethod: random\nmetric: {{name: loss}}\nearly_terminate: {rule}\nparameters: {{x: {{value: 1}}}}\n"
        );
        let seen = errors(&text);
        assert!(
            seen.len() == 1 && seen[0].starts_with(error),
            "{rule}: {seen:?}"
        );
    }
}

#[test]
fn rules_with_their_defaults() {
    let rule = |text: &str| {
        let text = format!(
            "program: t.py\nmethod: random\nmetric: {{name: loss}}\nearly_terminate: {text}\nparameters: {{x: {{value: 1}}}}\n"
        );
        let (spec, diagnostics) = parse(&text);
        spec.unwrap_or_else(|| panic!("{diagnostics:?}"))
            .early_terminate
            .expect("it is there")
    };
    assert_eq!(
        rule("{type: asha}"),
        EarlyStop::Asha(Asha {
            min_iter: 1,
            max_iter: None,
            eta: 3.0
        })
    );
    assert_eq!(
        rule("{type: asha, min_iter: 2, max_iter: 50, eta: 4}"),
        EarlyStop::Asha(Asha {
            min_iter: 2,
            max_iter: Some(50),
            eta: 4.0
        })
    );
    assert_eq!(
        rule("{type: median}"),
        EarlyStop::Median(Median {
            min_iter: 1,
            min_runs: 5
        })
    );
    assert_eq!(
        rule("{type: median, min_iter: 3, min_runs: 1}"),
        EarlyStop::Median(Median {
            min_iter: 3,
            min_runs: 1
        })
    );
    let by_default = Predictive {
        min_probability: 0.2,
        min_iter: None,
        max_iter: None,
        min_runs: 5,
    };
    assert_eq!(
        rule("{type: predictive}"),
        EarlyStop::Predictive(by_default)
    );
    let all = Predictive {
        min_probability: 0.05,
        min_iter: Some(4),
        max_iter: Some(52),
        min_runs: 3,
    };
    assert_eq!(
        rule("{type: predictive, min_probability: 0.05, min_iter: 4, max_iter: 52, min_runs: 3}"),
        EarlyStop::Predictive(all)
    );
}

#[test]
fn keys_of_hyperband_without_effect_are_warned_of() {
    let text = |rule: &str| {
        format!(
            "program: t.py\nmethod: random\nmetric: {{name: loss}}\nearly_terminate: {rule}\nparameters:\n  x: {{min: 0.0, max: 1.0}}\n"
        )
    };
    for (rule, key) in [
        ("{type: hyperband, min_iter: 3, s: 2}", "`s`"),
        ("{type: hyperband, min_iter: 3, max_iter: 27}", "`max_iter`"),
    ] {
        let (spec, diagnostics) = parse(&text(rule));
        assert!(spec.is_some());
        assert!(
            diagnostics.iter().any(|diagnostic| diagnostic
                .message
                .contains(&format!("{key} has no effect beside `min_iter`"))),
            "{rule}"
        );
    }
    assert!(
        parse(&text("{type: hyperband, max_iter: 27, s: 2}"))
            .1
            .is_empty()
    );
}

#[test]
fn a_log_from_before_there_were_other_rules_can_be_read() {
    let (spec, _) = parse(
        "program: t.py\nmethod: random\nmetric: {name: loss}\nearly_terminate: {type: hyperband, min_iter: 3}\nparameters: {x: {value: 1}}\n",
    );
    let spec = spec.expect("it is right");
    let mut json = serde_json::to_value(&spec).expect("it can be written");
    assert_eq!(json["early_terminate"]["type"], "hyperband");
    json["early_terminate"] =
        serde_json::json!({"bands": {"min_iter": 3}, "eta": 3.0, "strict": true});
    assert_eq!(
        serde_json::from_value::<crate::spec::SweepSpec>(json.clone()).expect("it can be read"),
        spec
    );
    json["early_terminate"] = serde_json::Value::Null;
    assert_eq!(
        serde_json::from_value::<crate::spec::SweepSpec>(json)
            .expect("it can be read")
            .early_terminate,
        None
    );
}
