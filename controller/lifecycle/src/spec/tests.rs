//! Diagnostics of mistakes in sweep files, and of hostile files.

use insta::assert_snapshot;
use proptest::prelude::*;
use sweep_search::early_stop::{Asha, Bands, EarlyStop, Hyperband, Median, Predictive};
use sweep_search::space::{Distribution, Path, Step, Value};
use sweep_search::suggest::Method;

use super::{CodeMode, CodePolicy, OnLeaseLost, OverInits, Severity, parse, render};

mod limits;
mod lints;

fn seen(text: &str) -> String {
    render(&parse(text).1, "sweep.yaml", text, false)
}

/// The distribution of parameter `x` of a random sweep.
fn distribution(parameter: &str) -> Distribution {
    let (spec, diagnostics) = parse(&format!(
        "method: random\nprogram: t.py\nparameters:\n  x: {parameter}\n"
    ));
    let spec = spec.unwrap_or_else(|| panic!("{parameter}: {diagnostics:?}"));
    spec.space
        .get(&Path::flat("x"))
        .expect("it is there")
        .distribution
        .clone()
}

fn errors(text: &str) -> Vec<String> {
    let diagnostics = parse(text)
        .1
        .into_iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    diagnostics
        .map(|diagnostic| diagnostic.to_string())
        .collect()
}

#[test]
fn a_nested_min_above_max_is_shown_at_its_place() {
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\nparameters:\n  model:\n    parameters:\n      layers: {min: 5, max: 1}\n"
    ));
}

#[test]
fn a_grid_over_a_continuous_parameter() {
    assert_snapshot!(seen(
        "program: t.py\nmethod: grid\nparameters:\n  lr: {min: 0.001, max: 0.1}\n"
    ));
}

#[test]
fn a_logarithm_through_zero() {
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\nparameters:\n  lr:\n    distribution: log_uniform_values\n    min: 0\n    max: 0.1\n"
    ));
}

#[test]
fn misspelt_keys() {
    assert_snapshot!(seen(
        "program: t.py\nmetod: bayes\nparameters:\n  lr: {mni: 0.1, max: 1.0}\nmetric: {name: loss, gaol: minimize}\n"
    ));
}

#[test]
fn a_hyperband_without_min_iter() {
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\nmetric: {name: loss}\nearly_terminate:\n  type: hyperband\nparameters:\n  x: {value: 1}\n"
    ));
}

#[test]
fn keys_of_other_programs_in_early_terminate() {
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\nmetric: {name: loss}\nearly_terminate:\n  type: asha\n  grace_period: 4\n  reduction_factor: 3\n  \
         s: 2\nparameters:\n  x: {value: 1}\n"
    ));
}

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
        serde_json::from_value::<super::SweepSpec>(json.clone()).expect("it can be read"),
        spec
    );
    json["early_terminate"] = serde_json::Value::Null;
    assert_eq!(
        serde_json::from_value::<super::SweepSpec>(json)
            .expect("it can be read")
            .early_terminate,
        None
    );
}

#[test]
fn a_duplicate_key_and_a_deprecated_distribution_are_warnings() {
    let text = "program: t.py\nmethod: random\nparameters:\n  lr: {distribution: log_uniform, min: -5, max: 0}\nmethod: random\n";
    assert!(parse(text).0.is_some());
    assert_snapshot!(seen(text));
}

#[test]
fn how_new_code_is_probed_may_be_said() {
    let file = |code: &str| {
        format!(
            "program: t.py\nmethod: bayes\nmetric: {{name: loss}}\ncode: {code}\nparameters:\n  x: {{min: 0.0, max: 1.0}}\n"
        )
    };
    assert_eq!(parse(&file("{probe: 0}")).0.unwrap().code.probe, 0);
    assert_eq!(parse(&file("{}")).0.unwrap().code.probe, 2);
    assert_snapshot!(seen(&file("{probe: 101, prob: 3}")));
    assert_snapshot!(seen(&file("pin")));
}

#[test]
fn which_code_runs_execute_may_be_said() {
    let file = |code: &str| {
        format!(
            "program: t.py\nmethod: random\ncode: {code}\nparameters:\n  x: {{min: 0.0, max: 1.0}}\n"
        )
    };
    assert_eq!(
        parse(&file("{mode: pin}")).0.unwrap().code,
        CodePolicy {
            mode: CodeMode::Pin,
            probe: 2,
            include: vec![]
        }
    );
    assert_eq!(
        parse(&file("{mode: track, probe: 1}")).0.unwrap().code,
        CodePolicy {
            mode: CodeMode::Track,
            probe: 1,
            include: vec![]
        }
    );
    // As in logs from the time when there was one mode.
    assert_eq!(
        serde_json::from_str::<CodePolicy>("{\"probe\": 3}").unwrap(),
        CodePolicy {
            mode: CodeMode::Track,
            probe: 3,
            include: vec![]
        }
    );
    assert_snapshot!(seen(&file("{mode: pinned}")));
}

#[test]
fn a_key_of_a_later_version_is_refused() {
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\ntransfer: {from: ab12}\nparameters:\n  x: {value: 1, was: 2}\n"
    ));
}

#[test]
fn how_runs_are_looked_after() {
    let text = "program: t.py\nmethod: random\nmax_runtime: 1.5h\nmax_silence: 600\non_lease_lost: stop\npreflight: [test, -d, /data]\n\
                retry: {machine: 5}\nparameters:\n  x: {value: 1}\n";
    let spec = parse(text).0.unwrap();
    assert_eq!(
        (spec.max_runtime_ms, spec.max_silence_ms),
        (Some(5_400_000), Some(600_000))
    );
    assert_eq!(
        (spec.on_lease_lost, spec.preflight.len(), spec.retry.machine),
        (OnLeaseLost::Stop, 3, 5)
    );
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\nmax_runtime: soon\nmax_silence: 0\non_lease_lost: stopp\npreflight: nvidia-smi\nparameters:\n  x: {value: 1}\n"
    ));
}

#[test]
fn data_is_named_or_names_itself() {
    let text = |data: &str| {
        format!("program: t.py\nmethod: random\ndata: {data}\nparameters: {{x: {{value: 1}}}}\n")
    };
    let read = |data: &str| {
        parse(&text(data)).0.map(|spec| {
            spec.data
                .into_iter()
                .map(|set| (set.name, set.location))
                .collect::<Vec<_>>()
        })
    };
    let pair = |name: &str, location: &str| (name.to_owned(), location.to_owned());
    assert_eq!(
        read("[a/b.csv, 's3://b/p']"),
        Some(vec![
            pair("a/b.csv", "a/b.csv"),
            pair("s3://b/p", "s3://b/p")
        ])
    );
    assert_eq!(read("{train: /a}"), Some(vec![pair("train", "/a")]));
    assert_eq!(read("a.csv"), Some(vec![pair("a.csv", "a.csv")]));
    for wrong in ["[1]", "['']", "'http://x/y'", "'s3://'", "{a: [b]}"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn a_search_of_ones_own_needs_no_metric_and_wandb_s_word_for_it_is_explained() {
    let text = |method: &str| {
        format!("program: t.py\nmethod: {method}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n")
    };
    assert_eq!(
        parse(&text("external")).0.expect("it is right").method,
        Method::External
    );
    assert_snapshot!(seen(&text("custom")));
}

#[test]
fn constraints_are_bounds_on_metrics() {
    let text = |constraints: &str| {
        format!(
            "program: t.py\nmethod: random\nmetric: {{name: loss}}\nconstraints: {constraints}\nparameters: {{x: {{min: 1, max: 3}}}}\n"
        )
    };
    let spec = parse(&text(
        "[{metric: mem, max: 40}, {metric: recall, min: 0.9, reduce: max}]",
    ))
    .0
    .expect("it is right");
    let words: Vec<_> = spec.constraints.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["mem ≤ 40", "max of recall ≥ 0.9"]);
    assert_snapshot!(seen(&text(
        "[{metric: mem}, {max: 3}, {metric: mem, min: 1, max: 2}, {metric: loss, max: .inf}, {metric: a, max: b, reduce: mean}, 7]"
    )));
    assert_snapshot!(seen(
        "program: t.py\nmethod: random\nconstraints: {metric: mem, max: 40}\nparameters: {x: {min: 1, max: 3}}\n"
    ));
}

#[test]
fn repeats_are_a_number_within_bounds() {
    let text = |repeats: &str| {
        format!(
            "program: t.py\nmethod: random\nrepeats: {repeats}\nparameters: {{x: {{min: 1, max: 3}}}}\n"
        )
    };
    assert_eq!(parse(&text("3")).0.expect("it is right").repeats, 3);
    assert_snapshot!(seen(&text("101")));
    assert_snapshot!(seen(&text("0")));
}

#[test]
fn what_is_missing_is_told_without_a_place() {
    assert_snapshot!(seen("program: t.py\nmetric: {name: loss}\n"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "method: bayes\ncommand: python train.py\nparameters:\n  a: 3\n  b: {lr: {min: 1, max: 2}}\n  c: {min: \"1e-5\", max: 1.0}\n  d: {values: []}\n";
    assert_snapshot!(seen(text));
}

#[test]
fn whose_objective_counts_of_several_runs_of_wandb_is_one_of_three_words() {
    let text = |rest: &str| {
        format!("program: t.py\nmethod: random\nparameters:\n  x: {{value: 1}}\n{rest}")
    };
    for (rest, expected) in [
        ("", OverInits::Mean),
        ("objective_over_inits: last\n", OverInits::Last),
        ("objective_over_inits: first\n", OverInits::First),
    ] {
        let spec = parse(&text(&format!("metric: {{name: loss}}\n{rest}")))
            .0
            .expect("it is right");
        assert_eq!(spec.objective.expect("it has one").over_inits, expected);
    }
    for wrong in [
        "metric: {name: loss}\nobjective_over_inits: median\n",
        "objective_over_inits: mean\n",
        "metric: {name: loss}\nobjective_over_init: mean\n",
    ] {
        assert!(parse(&text(wrong)).0.is_none(), "{wrong}");
    }
}

#[test]
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

#[test]
fn hostile_files_are_refused() {
    let laughs: String = (1..40)
        .map(|level| {
            format!(
                "a{level}: &a{level} [*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0},*a{0}]\n",
                level - 1
            )
        })
        .collect();
    let chain: String = (1..5000)
        .map(|level| format!("c{level}: &c{level} [*c{}]\n", level - 1))
        .collect();
    let keys: String = (0..300_000).map(|key| format!("k{key}: \n")).collect();
    for (what, text) in [
        ("billion laughs", format!("a0: &a0 [lol]\n{laughs}")),
        ("a chain of aliases", format!("c0: &c0 [1]\n{chain}")),
        ("deep lists", "[".repeat(100_000)),
        ("deep maps", "{a: ".repeat(100_000)),
        (
            "deep blocks",
            (0..5000)
                .map(|depth| format!("{}a:\n", " ".repeat(depth)))
                .take(1000)
                .collect(),
        ),
        ("many keys", keys),
        ("100 MB", "x".repeat(100 << 20)),
        (
            "two documents",
            "method: random\n---\nmethod: grid\n".to_owned(),
        ),
        (
            "a tab",
            "method: random\nparameters:\n\tx: {value: 1}\n".to_owned(),
        ),
        (
            "a python object",
            "python/object/apply:os.system ['true']\n".to_owned(),
        ),
        ("an alias to itself", "a: &a [*a]\n".to_owned()),
        ("an unknown alias", "a: *b\n".to_owned()),
        ("nothing", String::new()),
        ("a comment", "# nothing\n".to_owned()),
        ("a scalar", "hello\n".to_owned()),
        ("a list", "- a\n".to_owned()),
        ("a list as key", "? [a]\n: b\n".to_owned()),
        ("a zero byte", "method: ra\0ndom\n".to_owned()),
        (
            "a number too long",
            "method: random\nparameters: {x: {value: 123456789012345678901234567890}}\n".to_owned(),
        ),
    ] {
        let (spec, diagnostics) = parse(&text);
        assert!(
            spec.is_none()
                && diagnostics
                    .iter()
                    .any(|diagnostic| diagnostic.severity == Severity::Error),
            "{what}"
        );
        assert!(
            diagnostics
                .iter()
                .all(|diagnostic| diagnostic.message.len() < 1000),
            "{what}: a message is no place for the file"
        );
    }
}

#[test]
fn the_schema_in_the_documentation_is_the_one_that_is_printed() {
    let documented = include_str!("../../../../docs/sweep.schema.json");
    assert!(
        documented == format!("{:#}\n", super::schema()),
        "regenerate it: cargo run -- schema > docs/sweep.schema.json"
    );
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let validator = jsonschema::validator_for(&super::schema()).expect("a schema");
    let examples = [
        include_str!("../../../../examples/wine/sweep.yaml"),
        include_str!("../../../../examples/digits/sweep.yaml"),
    ];
    for text in examples {
        let json = super::yaml::read(text, &mut super::diagnostic::DiagnosticReport::default())
            .expect("YAML")
            .to_value()
            .to_json();
        assert!(validator.is_valid(&json), "{text}");
    }
    for parameter in [
        "{min: 1}",
        "{values: []}",
        "{min: 1, max: 2, desc: x}",
        "{distribution: int_uniform, min: 1.5, max: 3}",
    ] {
        let text = format!("method: random\nparameters: {{x: {parameter}}}\n");
        let json = super::yaml::read(&text, &mut super::diagnostic::DiagnosticReport::default())
            .expect("YAML")
            .to_value()
            .to_json();
        assert!(!validator.is_valid(&json), "{parameter}");
    }
    for (constraint, right) in [
        ("{metric: mem, max: 4}", true),
        ("{metric: mem}", false),
        ("{metric: mem, min: 1, max: 2}", false),
        ("{max: 1}", false),
    ] {
        let text = format!(
            "method: random\nmetric: {{name: loss}}\nparameters: {{x: {{min: 1, max: 2}}}}\nconstraints: [{constraint}]\n"
        );
        let json = super::yaml::read(&text, &mut super::diagnostic::DiagnosticReport::default())
            .expect("YAML")
            .to_value()
            .to_json();
        assert_eq!(
            (validator.is_valid(&json), parse(&text).0.is_some()),
            (right, right),
            "{constraint}"
        );
    }
    for (rule, right) in [
        ("{type: hyperband, min_iter: 3}", true),
        ("{type: hyperband}", false),
        ("{type: asha}", true),
        ("{type: asha, s: 2}", false),
        ("{type: median, min_iter: 3, min_runs: 1}", true),
        ("{type: median, min_runs: 0}", false),
        (
            "{type: predictive, min_probability: 0.05, min_iter: 4, max_iter: 52}",
            true,
        ),
        ("{type: predictive, min_probability: 0.6}", false),
    ] {
        let text = format!(
            "method: random\nmetric: {{name: loss}}\nparameters: {{x: {{min: 1, max: 2}}}}\nearly_terminate: {rule}\n"
        );
        let json = super::yaml::read(&text, &mut super::diagnostic::DiagnosticReport::default())
            .expect("YAML")
            .to_value()
            .to_json();
        assert_eq!(
            (validator.is_valid(&json), parse(&text).0.is_some()),
            (right, right),
            "{rule}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[a-z:{}\\[\\], \n\"'&*!#|>0-9.-]{0,200}") {
        let (spec, diagnostics) = parse(&text);
        prop_assert_eq!(spec.is_none(), diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
        let _ = render(&diagnostics, "x", &text, false);
    }

    #[test]
    fn any_damage_to_a_good_file_is_answered(at in 0_usize..1000, insert in "[a-z:{}\\[\\], \n\"'é\u{202e}\t0-9.-]{0,5}", cut in 0_usize..20) {
        let good = include_str!("../../../../examples/wine/sweep.yaml");
        let at = (at % good.len()..).find(|at| good.is_char_boundary(*at)).unwrap_or(0);
        let rest = (at + cut.min(good.len() - at)..).find(|end| good.is_char_boundary(*end)).unwrap_or(good.len());
        let text = format!("{}{insert}{}", &good[..at], &good[rest..]);
        let (spec, diagnostics) = parse(&text);
        prop_assert_eq!(spec.is_none(), diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
        let _ = render(&diagnostics, "x", &text, false);
    }
}
