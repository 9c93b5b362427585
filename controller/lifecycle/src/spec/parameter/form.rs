//! The form of a parameter: what `distribution` says, or what its keys fit.

use sweep_search::space::Value;

use crate::spec::diagnostic::{DiagnosticReport, instead, suggestion};
use crate::spec::fields::{Fields, at};
use crate::spec::yaml::{MappingEntry, NodeKind};

/// Every `distribution`, with the keys it takes: required ones, optional ones.
pub(in crate::spec) const FORMS: [(&str, &[&str], &[&str]); 20] = [
    ("constant", &["value"], &[]),
    ("categorical", &["values"], &["ordered"]),
    (
        "categorical_w_probabilities",
        &["values", "probabilities"],
        &[],
    ),
    ("int_uniform", &["min", "max"], &[]),
    ("uniform", &["min", "max"], &[]),
    ("q_uniform", &["min", "max"], &["q"]),
    ("log_uniform", &["min", "max"], &[]),
    ("log_uniform_values", &["min", "max"], &[]),
    ("inv_log_uniform", &["min", "max"], &[]),
    ("inv_log_uniform_values", &["min", "max"], &[]),
    ("q_log_uniform", &["min", "max"], &["q"]),
    ("q_log_uniform_values", &["min", "max"], &["q"]),
    ("normal", &[], &["mu", "sigma"]),
    ("q_normal", &[], &["mu", "sigma", "q"]),
    ("log_normal", &[], &["mu", "sigma"]),
    ("q_log_normal", &[], &["mu", "sigma", "q"]),
    ("beta", &[], &["a", "b"]),
    ("q_beta", &[], &["a", "b", "q"]),
    ("nested", &["parameters"], &[]),
    // W&B's name for a nested parameter, as some files write it.
    ("param_nested", &["parameters"], &[]),
];

/// Names that a user may write as `distribution`.
const DISTRIBUTIONS: [&str; 18] = [
    "constant",
    "categorical",
    "categorical_w_probabilities",
    "int_uniform",
    "uniform",
    "q_uniform",
    "log_uniform",
    "log_uniform_values",
    "inv_log_uniform",
    "inv_log_uniform_values",
    "q_log_uniform",
    "q_log_uniform_values",
    "normal",
    "q_normal",
    "log_normal",
    "q_log_normal",
    "beta",
    "q_beta",
];

/// Names of our distributions in other programs, without dashes and underscores.
const ELSEWHERE: [(&str, &str); 8] = [
    ("loguniform", "log_uniform_values"),
    ("quniform", "q_uniform"),
    ("qloguniform", "q_log_uniform_values"),
    ("randint", "int_uniform"),
    ("lognormal", "log_normal"),
    ("choice", "categorical"),
    ("int", "int_uniform"),
    ("float", "uniform"),
];

pub(super) fn shortened(text: &str) -> String {
    let start: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().count() > 40 {
        format!("{start}…")
    } else {
        start
    }
}

pub(super) fn keys_of(form: &str) -> Vec<&'static str> {
    let (_, required, optional) = FORMS
        .iter()
        .find(|(name, ..)| *name == form)
        .copied()
        .unwrap_or(("", &[], &[]));
    required
        .iter()
        .chain(optional)
        .copied()
        .chain(["distribution", "when", "was", "renamed_from"])
        .collect()
}

/// Finds the form of a parameter: what `distribution` says, or the first one that its keys fit.
pub(super) fn form(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<&'static str> {
    let has = |key: &str| fields.entry(key).is_some();
    if let Some(entry) = fields.entry("distribution") {
        return named(fields, entry, report);
    }
    let both = |a: &str, b: &str| has(a) && has(b);
    if has("parameters") {
        return Some("nested");
    }
    if has("values") {
        return Some(if has("probabilities") {
            "categorical_w_probabilities"
        } else {
            "categorical"
        });
    }
    if has("value") {
        return Some("constant");
    }
    if has("q") && both("min", "max") {
        let help = "say which one: `distribution: q_uniform`, `q_log_uniform_values`, …".to_owned();
        report.error(
            Some(fields.span),
            format!("{} has `q` but no `distribution`", fields.of),
            Some(help),
        );
        return None;
    }
    if both("min", "max") {
        let whole = |key: &str| {
            matches!(
                fields.entry(key).map(|entry| entry.value.to_value()),
                Some(Value::Int(_))
            )
        };
        return Some(if whole("min") && whole("max") {
            "int_uniform"
        } else {
            "uniform"
        });
    }
    unknown_form(fields, report);
    None
}

/// Finds the form that `distribution` names.
fn named(
    fields: &Fields<'_>,
    entry: &MappingEntry,
    report: &mut DiagnosticReport,
) -> Option<&'static str> {
    let Value::Str(word) = entry.value.to_value() else {
        report.error(
            Some(at(&entry.value, entry.key_span)),
            format!("{}: `distribution` must be a name", fields.of),
            None,
        );
        return None;
    };
    let known = FORMS
        .iter()
        .find(|(name, ..)| *name == word)
        .map(|(name, ..)| *name);
    if known.is_none() {
        let message = format!(
            "{}: there is no distribution `{}`",
            fields.of,
            shortened(&word)
        );
        let help = ELSEWHERE
            .iter()
            .find(|(theirs, _)| *theirs == word.to_lowercase().replace(['-', '_'], ""));
        let help = help.map_or_else(
            || suggestion(&word, &DISTRIBUTIONS),
            |(_, ours)| format!("did you mean `{ours}`?"),
        );
        report.error(Some(at(&entry.value, entry.key_span)), message, Some(help));
    }
    if known == Some("categorical") && fields.entry("probabilities").is_some() {
        let help = "write `distribution: categorical_w_probabilities`, or leave `distribution` out"
            .to_owned();
        report.error(
            Some(entry.key_span),
            format!("{}: `categorical` takes no `probabilities`", fields.of),
            Some(help),
        );
        return None;
    }
    known
}

fn unknown_form(fields: &Fields<'_>, report: &mut DiagnosticReport) {
    const KEYS: [&str; 14] = [
        "value",
        "values",
        "ordered",
        "min",
        "max",
        "distribution",
        "parameters",
        "probabilities",
        "mu",
        "sigma",
        "q",
        "a",
        "b",
        "when",
    ];
    let has = |key: &str| fields.entry(key).is_some();
    let mut help = "give `value`, `values`, `min` and `max`, or a `distribution`".to_owned();
    if has("mu") || has("sigma") {
        help = "say which one: `distribution: normal`, `log_normal`, …".to_owned();
    } else if has("min") != has("max") {
        help = format!("`{}` is missing", if has("min") { "max" } else { "min" });
    } else if !fields.entries.is_empty()
        && fields
            .entries
            .iter()
            .all(|entry| matches!(entry.value.kind, NodeKind::Map(_)))
    {
        help = "nested parameters stand under a key `parameters`".to_owned();
    }
    let misspelt = fields.strange(&KEYS).find(|(_, near)| near.is_some());
    match misspelt {
        Some((entry, near)) => {
            report.error(
                Some(entry.key_span),
                format!("{} has no key `{}`", fields.of, entry.key),
                Some(instead(near, &KEYS)),
            );
        }
        None => report.error(
            Some(fields.span),
            format!("{} does not say how it varies", fields.of),
            Some(help),
        ),
    }
}
