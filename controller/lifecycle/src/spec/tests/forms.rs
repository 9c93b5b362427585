//! The forms of parameters in sweep files.

use sweep_search::early_stop::{Bands, EarlyStop, Hyperband};
use sweep_search::space::{Distribution, Path, Step, Value};

use super::super::parse;
use super::{distribution, errors};

#[test]
#[expect(clippy::too_many_lines, reason = "one form after the other")]
fn each_form_is_inferred_as_wandb_infers_it() {
    assert_eq!(
        distribution("{min: 1, max: 3}"),
        Distribution::IntUniform { min: 1, max: 3 }
    );
    assert_eq!(
        distribution("{min: 1, max: 3.0}"),
        Distribution::Uniform { min: 1.0, max: 3.0 }
    );
    assert_eq!(
        distribution("{min: 1e-4, max: 1e-2, distribution: log_uniform_values}"),
        Distribution::LogUniformValues {
            min: 1e-4,
            max: 1e-2
        }
    );
    assert_eq!(
        distribution("{min: 0, max: 10, q: 3, distribution: q_uniform}"),
        Distribution::QUniform {
            min: 0.0,
            max: 10.0,
            q: Step::Int(3)
        }
    );
    assert_eq!(
        distribution("{distribution: q_uniform, min: 0, max: 10}"),
        Distribution::QUniform {
            min: 0.0,
            max: 10.0,
            q: Step::Float(1.0)
        }
    );
    assert_eq!(
        distribution("{distribution: normal}"),
        Distribution::Normal {
            mu: 0.0,
            sigma: 1.0
        }
    );
    assert_eq!(
        distribution("{distribution: beta, a: 2}"),
        Distribution::Beta { a: 2.0, b: 1.0 }
    );
    assert_eq!(
        distribution("{value: null}"),
        Distribution::Constant { value: Value::Null }
    );
    assert_eq!(
        distribution("{values: [yes, 1e3, [1], {a: b}]}"),
        Distribution::Categorical {
            values: vec![
                Value::Bool(true),
                Value::Float(1000.0),
                Value::List(vec![Value::Int(1)]),
                Value::Map(vec![("a".to_owned(), Value::Str("b".to_owned()))]),
            ],
            ordered: None,
        }
    );
    for ordered in [true, false] {
        let values = [3, 1, 2].map(Value::Int).to_vec();
        let written = format!("{{values: [3, 1, 2], ordered: {ordered}}}");
        assert_eq!(
            distribution(&written),
            Distribution::Categorical {
                values,
                ordered: Some(ordered)
            }
        );
    }
    let probabilities = distribution("{values: [a, b], probabilities: [0.25, 0.75]}");
    assert!(
        matches!(probabilities, Distribution::CategoricalWithProbabilities { probabilities, .. } if probabilities == [0.25, 0.75])
    );
}

#[test]
fn what_wandb_refuses_is_refused() {
    for parameter in [
        "{min: 2.0, max: 8.0, distribution: int_uniform}",
        "{min: true, max: 3}",
        "{min: 1, max: 1}",
        "{min: 0, max: 1, q: 0.1}",
        "{distribution: normal, sigma: -1}",
        "{distribution: q_uniform, min: 0, max: 1, q: 0}",
        "{distribution: categorical, values: [a], probabilities: [1]}",
        "{values: [a, b], probabilities: [0.5, 0.4]}",
        "{values: [a, b], probabilities: [1]}",
        "{values: [1, 2, 3], ordered: rising}",
        "{min: 1, max: 3, ordered: true}",
        "{min: 1, max: 2, desc: no}",
        "{distribution: unifrom, min: 0, max: 1}",
        "{min: .inf, max: 1.0}",
        "{}",
    ] {
        let found = errors(&format!(
            "method: random\nprogram: t.py\nparameters:\n  x: {parameter}\n"
        ));
        assert!(!found.is_empty(), "{parameter}");
        assert!(found[0].starts_with("line 4, "), "{found:?}");
    }
    for name in ["1x", "a b", "a/b", "é", "\"\""] {
        assert_eq!(
            errors(&format!(
                "method: random\nprogram: t.py\nparameters:\n  {name}: {{value: 1}}\n"
            ))
            .len(),
            1,
            "{name}"
        );
    }
    for line in [
        "run_cap: 0",
        "run_cap: -1",
        "seed: -1",
        "seed: x",
        "retry: {lost: -1}",
        "retry: {crashd: 1}",
        "metric: {goal: minimize}",
        "command: []",
        "metric_patterns: {loss: '('}",
    ] {
        assert_eq!(
            errors(&format!(
                "method: random\nprogram: t.py\n{line}\nparameters: {{x: {{value: 1}}}}\n"
            ))
            .len(),
            1,
            "{line}"
        );
    }
}

#[test]
fn keys_of_our_own_work() {
    let text = "method: random\nprogram: t.py\nseed: 7\nretry: {lost: 0, crashed: 5}\nmetric: {name: loss, goal: maximize, target: 0.9, impute_while_running: false, reduce: {mean_last: 3}}\n\
        early_terminate: {type: hyperband, max_iter: 27, s: 2.0}\nmetric_patterns: ['(?<acc>[0-9.]+)%']\nparameters:\n  optimizer: {values: [adam, sgd]}\n  \
        momentum: {min: 0.0, max: 0.9, when: {optimizer: sgd}}\n  net:\n    parameters:\n      kind: {values: [a, b]}\n      depth: {min: 1, max: 3, when: {kind: [a]}}\n    when: {optimizer: adam}\n";
    let (spec, diagnostics) = parse(text);
    let spec = spec.unwrap_or_else(|| panic!("{diagnostics:?}"));
    assert_eq!(
        (spec.seed, spec.retry.lost, spec.retry.crashed),
        (Some(7), 0, 5)
    );
    let bands = Bands::MaxIter { max_iter: 27, s: 2 };
    assert_eq!(
        spec.early_terminate,
        Some(EarlyStop::Hyperband(Hyperband {
            bands,
            eta: 3.0,
            strict: true
        }))
    );
    let depth = spec
        .space
        .get(&Path(vec!["net".into(), "depth".into()]))
        .expect("it is there");
    let on: Vec<_> = depth
        .when
        .iter()
        .map(|condition| condition.on.to_string())
        .collect();
    assert_eq!(on, ["optimizer", "net.kind"]);
    for when in [
        "{optimiser: sgd}",
        "{optimizer: sdg}",
        "{momentum: 0.5}",
        "{}x",
        "{optimizer: []}",
    ] {
        let text = format!(
            "method: random\nprogram: t.py\nparameters:\n  optimizer: {{values: [adam, sgd]}}\n  momentum: {{min: 0.0, max: 0.9}}\n  x: {{value: 1, when: {when}}}\n"
        );
        assert!(parse(&text).0.is_none(), "{when}");
    }
}

#[test]
fn a_dotted_name_is_flat_and_yaml_is_read_as_people_mean_it() {
    let text = "# comment\nmethod: grid\nprogram: t.py\nbase: &base {values: [1, 2]}\nparameters:\n  optimizer.lr: *base\n  b: {<<: *base}\n  c:\n    value: float 1\n";
    let (spec, diagnostics) = parse(text);
    let spec = spec.unwrap_or_else(|| panic!("{diagnostics:?}"));
    assert_eq!(spec.space.size(), Some(4));
    assert!(spec.space.get(&Path::flat("optimizer.lr")).is_some());
    assert!(
        parse(
            "{\"method\": \"random\", \"program\": \"t\", \"parameters\": {\"x\": {\"value\": 1}}}"
        )
        .0
        .is_some(),
        "JSON is YAML"
    );
}
