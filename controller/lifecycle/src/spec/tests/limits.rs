//! Files with very many mistakes, and mappings that are merged.

use super::super::{Severity, diagnostic, parse, yaml};

#[test]
fn of_very_many_mistakes_the_first_are_told_and_the_rest_counted() {
    let keys = |count: usize| {
        (0..count)
            .map(|key| format!("k{key}: 1\n"))
            .collect::<String>()
    };
    let (spec, diagnostics) = parse(&(keys(50_000) + "program: x\n"));
    let told = |severity: Severity| {
        diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    assert!(spec.is_none());
    assert_eq!(
        (told(Severity::Warning), told(Severity::Error)),
        (101, 2),
        "the file says no method and has no parameters"
    );
    assert_eq!(
        diagnostics.last().unwrap().message,
        "the file has 49900 more warnings than the 100 that are told"
    );

    let twice = "method: random\n".repeat(50_000) + "parameters: {x: {value: 1}}\n";
    let (spec, diagnostics) = parse(&twice);
    assert!(
        spec.is_some() && diagnostics.len() == 101,
        "{diagnostics:?}"
    );
}

#[test]
fn a_mapping_s_own_keys_win_over_merged_ones_and_the_first_merged_wins() {
    let text = "{a: &a {k: 1, l: 1}, b: &b {k: 2, m: 2}, c: {<<: [*a, *b], l: 3, n: 3, l: 4}}";
    let json = yaml::read(text, &mut diagnostic::DiagnosticReport::default())
        .expect("YAML")
        .to_value()
        .to_json();
    assert_eq!(
        json["c"],
        serde_json::json!({"n": 3, "l": 4, "k": 1, "m": 2})
    );
}
