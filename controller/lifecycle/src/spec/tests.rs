//! Diagnostics of mistakes in sweep files, and of hostile files.

use insta::assert_snapshot;
use proptest::prelude::*;
use sweep_search::space::{Distribution, Path};
use sweep_search::suggest::Method;

use super::{CodeMode, CodePolicy, OnLeaseLost, OverInits, Severity, parse, render};

mod early_termination;
mod forms;
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
    let agree = |line: &str, right: bool| {
        let text = format!(
            "method: random\nmetric: {{name: loss}}\nparameters: {{x: {{min: 1, max: 2}}}}\n{line}\n"
        );
        let json = super::yaml::read(&text, &mut super::diagnostic::DiagnosticReport::default())
            .expect("YAML")
            .to_value()
            .to_json();
        assert_eq!(
            (validator.is_valid(&json), parse(&text).0.is_some()),
            (right, right),
            "{line}"
        );
    };
    for (constraint, right) in [
        ("{metric: mem, max: 4}", true),
        ("{metric: mem}", false),
        ("{metric: mem, min: 1, max: 2}", false),
        ("{max: 1}", false),
    ] {
        agree(&format!("constraints: [{constraint}]"), right);
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
        agree(&format!("early_terminate: {rule}"), right);
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
