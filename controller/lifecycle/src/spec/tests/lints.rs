//! Warnings about keys of a sweep file that its author probably did not intend.

use super::super::{Severity, example_configuration, parameter_summaries, parse};
use super::errors;

fn warnings(text: &str) -> Vec<String> {
    let diagnostics = parse(text)
        .1
        .into_iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Warning);
    diagnostics
        .map(|diagnostic| diagnostic.to_string())
        .collect()
}

fn warns(text: &str, of: &str) {
    let warnings = warnings(text);
    assert!(
        parse(text).0.is_some() && warnings.iter().any(|warning| warning.contains(of)),
        "{text}: {warnings:?} has no `{of}`"
    );
}

#[test]
fn probable_mistakes_are_warned_of() {
    let file = |parameters: &str| {
        format!(
            "program: t.py\nmethod: random\nmetric: {{name: loss}}\nparameters: {{{parameters}}}\n"
        )
    };
    warns(&file("x: {value: [1, 2, 3]}"), "`value` holds a list");
    warns(&file("x: {min: 0, max: 1}"), "has two values, 0 and 1");
    warns(
        &file("a.b: {value: 1}, a_b: {value: 1}"),
        "have one environment variable, SWEEP_PARAM_A_B",
    );
    warns(&file("++model.lr: {value: 1}"), "begins with `++`");
    warns(&file("+lr: {value: 1}, ^x: {value: 1}"), "begins with `^`");
    assert!(errors(&file("-lr: {value: 1}"))[0].contains("no name for a parameter"));
    warns(
        &(file("x: {value: 1}, m: {values: [a, b]}") + "run_cap: 10\n"),
        "the space has 2 points, and `run_cap` is 10",
    );
    warns(
        &(file("x: {min: 0.0, max: 1.0}")
            + "early_terminate: {type: hyperband, max_iter: 2, s: 2, eta: 3}\n"),
        "make no band",
    );
    warns(
        &(file("x: {value: 1}")
            + "command: [bash, -c, 'exec python ${program} ${args} --out ${run_dir}']\n"),
        "`${program}` is part of a longer item",
    );
    assert!(
        warnings(&file(
            "x: {min: 0, max: 2}, y: {value: a}, z: {min: 0.0, max: 1.0}"
        ))
        .is_empty()
    );
}

#[test]
fn an_objective_that_is_never_read_is_a_mistake() {
    let text = "program: t.py\nmethod: random\nmetric: {name: step}\nparameters: {x: {value: 1}}\n";
    assert!(
        errors(text)[0].contains("is never read"),
        "{:?}",
        errors(text)
    );
}

#[test]
fn near_misses_of_every_key_are_mistakes() {
    let file = |key: &str| {
        format!(
            "program: t.py\nmethod: random\nmetric: {{name: loss}}\nparameters: {{x: {{value: 1}}}}\n{key}: 3\n"
        )
    };
    for (key, meant) in [
        ("runcap", "run_cap"),
        ("run_cp", "run_cap"),
        ("repeat", "repeats"),
        ("Seed", "seed"),
    ] {
        let errors = errors(&file(key));
        assert!(
            errors[0].contains(&format!("unknown key `{key}`")) && errors[0].contains(meant),
            "{errors:?}"
        );
    }
    let progam = "progam: t.py\nmethod: random\nparameters: {x: {value: 1}}\n";
    assert!(
        errors(progam)[0].contains("did you mean `program`?"),
        "{:?}",
        errors(progam)
    );
    for word in ["log-uniform", "LogUniform", "q_loguniform", "q-log-uniform"] {
        let text = format!(
            "program: t.py\nmethod: random\nparameters: {{x: {{distribution: {word}, min: 0.1, max: 1}}}}\n"
        );
        let ours = if word.starts_with('q') {
            "did you mean `q_log_uniform_values`?"
        } else {
            "did you mean `log_uniform_values`?"
        };
        assert!(errors(&text)[0].contains(ours), "{:?}", errors(&text));
    }
    let loguniform = "program: t.py\nmethod: random\nparameters: {x: {distribution: loguniform, min: 0.1, max: 1}}\n";
    assert!(
        errors(loguniform)[0].contains("did you mean `log_uniform_values`?"),
        "{:?}",
        errors(loguniform)
    );
}

#[test]
fn keys_without_a_value_are_absent() {
    let text = "program: t.py\nmethod: random\nname:\nproject:\nentity: null\ndescription: ~\nrun_cap: null\nearly_terminate:\ncommand:\n\
                metric: {name: loss, goal: , target: null}\nparameters: {a: {min: 0.0, max: 1.0}, b: {value: null}}\n";
    let (spec, diagnostics) = parse(text);
    let spec = spec.unwrap_or_else(|| panic!("{diagnostics:?}"));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(
        (
            spec.name,
            spec.run_cap,
            spec.early_terminate,
            spec.command.len()
        ),
        (None, None, None, 4)
    );
    assert_eq!(spec.space.parameters().len(), 2);
}

#[test]
fn keys_of_a_parameter_without_a_value_are_absent() {
    let text = "program: t.py\nmethod: random\nparameters:\n  a: {min: 0.0, max: 1.0, distribution: , q: }\n  b: {values: [1, 2], probabilities: }\n\
                \x20 c: {min: 1, max: 3, value: }\n  d: {value: }\n  e: {value: null, distribution: constant}\n";
    let (spec, diagnostics) = parse(text);
    let spec = spec.unwrap_or_else(|| panic!("{diagnostics:?}"));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(spec.space.parameters().len(), 5);
    let mistake = "program: t.py\nmethod: random\nparameters: {a: {min: 0.0, max: 1.0, mim: }}\n";
    assert!(
        errors(mistake)[0].contains("has no key `mim`"),
        "{:?}",
        errors(mistake)
    );
}

#[test]
fn literals_of_a_command_are_passed_as_written() {
    let text = "program: t.py\nmethod: random\nparameters: {x: {value: 1}}\n\
                command: [python, t.py, --month, 08, --lr, 1e-4, --commit, 1234e56, --ratio, 0.10, --flag, true, --none, null, '']\n";
    let command = parse(text).0.unwrap().command;
    assert_eq!(
        command[2..],
        [
            "--month", "08", "--lr", "1e-4", "--commit", "1234e56", "--ratio", "0.10", "--flag",
            "true", "--none", "null", ""
        ]
    );
    assert!(errors("program: t.py\nmethod: random\nparameters: {x: {value: 1}}\ncommand:\n  - python\n  -\n")[0].contains("is empty"));
    let first = errors(
        "program: t.py\nmethod: random\nparameters: {x: {value: 1}}\ncommand: ['', python]\n",
    );
    assert!(
        first[0].contains("the first item of `command` is empty"),
        "{first:?}"
    );
}

#[test]
fn values_that_look_like_numbers_stay_apart() {
    let text = "program: t.py\nmethod: grid\nparameters:\n  subject: {values: [001, 002, 003, 004, 005, 006, 007, 008, 009, 010, 011, 012]}\n\
                \x20 commit: {values: [3e21455, 1a2b3c4, 1234e56]}\n";
    assert_eq!(parse(text).0.unwrap().space.size(), Some(36));
}

#[test]
fn a_file_is_described_as_it_was_understood() {
    let text = "program: t.py\nmethod: random\nparameters:\n  lr: {distribution: log_uniform_values, min: 1e-4, max: 0.1}\n\
                \x20 opt: {values: [sgd, adam]}\n  momentum: {min: 0.0, max: 1.0, when: {opt: sgd}}\n";
    let spec = parse(text).0.unwrap();
    let said: Vec<_> = parameter_summaries(&spec)
        .into_iter()
        .map(|found| format!("{}: {} [{}]", found.name, found.values, found.condition))
        .collect();
    assert_eq!(
        said,
        [
            "lr: 1e-4 to 0.1, logarithmic []",
            "momentum: 0 to 1 [opt is sgd]",
            "opt: one of sgd, adam []"
        ]
    );
    let example = example_configuration(&spec);
    assert!(
        example.contains_key("lr") && example.contains_key("opt"),
        "{example:?}"
    );
}

#[test]
fn what_the_code_used_before_has_to_be_possible() {
    let file = |was: &str| {
        format!(
            "program: t.py\nmethod: random\nparameters: {{y: {{values: [1, 2], was: {was}}}, z: {{min: 0.0, max: 1.0}}}}\n"
        )
    };
    assert!(
        errors(&file("banana"))[0]
            .contains("parameter `y`: `was` is text, and none of its values is"),
        "{:?}",
        errors(&file("banana"))
    );
    for possible in ["7", "0.5", "null"] {
        assert!(parse(&file(possible)).0.is_some(), "{possible}");
    }
    let whole = |was: &str| file(was).replace("values: [1, 2]", "min: 1, max: 9");
    assert!(
        errors(&whole("2.5"))[0]
            .contains("parameter `y`: `was` is a fraction, and its values are whole numbers"),
        "{:?}",
        errors(&whole("2.5"))
    );
    for possible in ["700", "2.0"] {
        assert!(parse(&whole(possible)).0.is_some(), "{possible}");
    }
    let warned = |was: &str| warnings(&whole(was)).join("\n");
    assert!(
        warned("700").contains("`was` is 700, out of its range from 1 to 9"),
        "{}",
        warned("700")
    );
    assert!(!warned("7").contains("`was`"), "{}", warned("7"));
}

#[test]
fn an_item_of_several_macros_is_none_itself() {
    let file = |item: &str| {
        format!(
            "program: t.py\nmethod: random\ncommand: [python, t.py, \"{item}\", \"${{args}}\"]\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n"
        )
    };
    let warned = |item: &str| warnings(&file(item)).join("\n");
    let both = warned("${sweep_id}-${run}");
    assert!(!both.contains("macro"), "{both}");
    assert!(warned("${arg}").contains("is not a macro: the item is dropped"));
    assert!(warned("${sweep_id}-${rnu}").contains("`${rnu}` is not a macro"));
}

#[test]
fn the_space_in_words_tells_whole_numbers_and_texts_apart() {
    let file = "program: t.py\nmethod: random\nparameters:\n  a: {min: 1, max: 10}\n  b: {min: 1.0, max: 10}\n  c: {values: ['1e5', 'inf', adam, 3, 'true', '']}\n";
    let spec = parse(file).0.expect("it is right");
    let values: Vec<_> = parameter_summaries(&spec)
        .into_iter()
        .map(|parameter| parameter.values)
        .collect();
    assert_eq!(
        values,
        [
            "1 to 10, whole numbers",
            "1 to 10",
            "one of \"1e5\", \"inf\", adam, 3, \"true\", \"\""
        ]
    );
}
