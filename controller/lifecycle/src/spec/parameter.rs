//! `parameters`: one entry to one [`Parameter`], nested ones included. W&B's inference: the first form that fits.

use sweep_search::space::{Distribution, Parameter, Path, Step, Value};

use super::diagnostic::{DiagnosticReport, Span, instead, suggestion};
use super::fields::{Fields, at};
use super::when::{self, RawCondition};
use super::yaml::{MappingEntry, Node, NodeKind};

/// A sweep with more parameters than this is a mistake or an attack.
const PARAMETERS_MAX: usize = 1000;
/// Longer names are a mistake or an attack.
const NAME_BYTES_MAX: usize = 256;

/// Every `distribution`, with the keys it takes: required ones, optional ones.
pub(super) const FORMS: [(&str, &[&str], &[&str]); 20] = [
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
pub(super) const DISTRIBUTIONS: [&str; 18] = [
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

/// Names of our distributions in other programs.
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

/// A parameter with its place in the file, before conditions are resolved.
pub(super) struct Read {
    pub(super) parameter: Parameter,
    pub(super) span: Span,
    pub(super) wishes: Vec<RawCondition>,
    /// `was`.
    pub(super) was: Option<Value>,
    /// `renamed_from`.
    pub(super) renamed_from: Option<Path>,
}

/// Reads the map `parameters`.
pub(super) fn read_all(node: &Node, key_span: Span, report: &mut DiagnosticReport) -> Vec<Read> {
    let mut found = Vec::new();
    level(&[], node, key_span, &[], &mut found, report);
    if found.len() > PARAMETERS_MAX {
        let message = format!(
            "the sweep has {} parameters; at most {PARAMETERS_MAX} are possible",
            found.len()
        );
        report.error(Some(key_span), message, None);
        found.truncate(PARAMETERS_MAX);
    }
    found
}

fn level(
    above: &[String],
    node: &Node,
    key_span: Span,
    wishes: &[RawCondition],
    found: &mut Vec<Read>,
    report: &mut DiagnosticReport,
) {
    let of = if above.is_empty() {
        "`parameters`".to_owned()
    } else {
        format!("`parameters` of `{}`", above.join("."))
    };
    let Some(fields) = Fields::new(
        of,
        key_span,
        node,
        "`parameters: {lr: {min: 0.001, max: 0.1}}`",
        report,
    ) else {
        return;
    };
    if fields.entries.is_empty() {
        report.error(
            Some(key_span),
            format!("{} is empty", fields.of),
            Some("name at least one parameter".to_owned()),
        );
    }
    for entry in fields.entries {
        if let Some(problem) = name_problem(&entry.key) {
            let help = "a name begins with a letter or `_` and goes on with letters, digits, `_`, `.` and `-`".to_owned();
            report.error(
                Some(entry.key_span),
                format!(
                    "`{}` is no name for a parameter: {problem}",
                    shortened(&entry.key)
                ),
                Some(help),
            );
            continue;
        }
        if let Some(prefix) = hydra_prefix(&entry.key) {
            let help = "write the name alone, and `${args_append_hydra}` or `${args_override_hydra}` in `command`".to_owned();
            let message = format!(
                "parameter `{}` begins with `{prefix}`, which Hydra reads on the command line",
                shortened(&entry.key)
            );
            report.warning(Some(entry.key_span), message, Some(help));
        }
        let mut path = above.to_vec();
        path.push(entry.key.clone());
        one(path, entry, wishes, found, report);
    }
}

/// Returns what Hydra's command line puts before a name to add to or override a configuration.
fn hydra_prefix(name: &str) -> Option<&'static str> {
    ["++", "+", "^"]
        .into_iter()
        .find(|prefix| name.starts_with(prefix))
}

fn name_problem(name: &str) -> Option<String> {
    let name = &name[hydra_prefix(name).map_or(0, str::len)..];
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("it is longer than {NAME_BYTES_MAX} bytes"));
    }
    let Some(first) = name.chars().next() else {
        return Some("it is empty".to_owned());
    };
    if !(first.is_ascii_alphabetic() || first == '_') {
        return Some(format!("it begins with {first:?}"));
    }
    let wrong = name
        .chars()
        .find(|char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-')))?;
    Some(format!("it holds {wrong:?}"))
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().count() > 40 {
        format!("{start}…")
    } else {
        start
    }
}

fn one(
    path: Vec<String>,
    entry: &MappingEntry,
    above: &[RawCondition],
    found: &mut Vec<Read>,
    report: &mut DiagnosticReport,
) {
    let name = path.join(".");
    let fields = match &entry.value.kind {
        NodeKind::Map(entries) => Fields {
            of: format!("parameter `{name}`"),
            span: entry.key_span,
            entries,
            is_null,
        },
        NodeKind::List(_) => {
            let help = format!("`{}: {{values: […]}}`", entry.key);
            report.error(
                Some(entry.key_span),
                format!("parameter `{name}` is a bare list"),
                Some(help),
            );
            return;
        }
        NodeKind::Scalar { .. } => {
            let help = format!("`{}: {{value: …}}` for a constant", entry.key);
            report.error(
                Some(at(&entry.value, entry.key_span)),
                format!(
                    "parameter `{name}` is {}, not a map",
                    entry.value.described()
                ),
                Some(help),
            );
            return;
        }
    };
    let mut wishes = above.to_vec();
    wishes.extend(when::read(&path, &fields, report));
    match form(&fields, report) {
        Some("nested" | "param_nested") => {
            fields.close(&["distribution", "parameters", "when"], report);
            if let Some(nested) = fields.required("parameters", report) {
                level(
                    &path,
                    &nested.value,
                    nested.key_span,
                    &wishes,
                    found,
                    report,
                );
            }
        }
        Some(form) => {
            // A key of another form that has no value is absent.
            let is_absent = |key: &&str| {
                fields
                    .entries
                    .iter()
                    .any(|entry| entry.key == *key && entry.value.is_blank())
            };
            let others = FORMS
                .iter()
                .flat_map(|(_, required, optional)| required.iter().chain(*optional))
                .copied()
                .filter(is_absent);
            let known: Vec<_> = keys_of(form).into_iter().chain(others).collect();
            fields.close(&known, report);
            if let Some(distribution) = distribution(form, &fields, report) {
                let parameter = Parameter {
                    path: Path(path),
                    distribution,
                    when: Vec::new(),
                };
                let was = fields
                    .entry("was")
                    .map(|entry| (entry, entry.value.to_value()));
                if let Some((was, mistake)) = was
                    .as_ref()
                    .and_then(|(entry, was)| Some((entry, was_mistake(&parameter, was)?)))
                {
                    report.error(
                        Some(at(&was.value, was.key_span)),
                        mistake,
                        Some("what the code used before there was the parameter".to_owned()),
                    );
                }
                let was = was.map(|(_, was)| was);
                let renamed_from = fields.text("renamed_from", report).map(Path::flat);
                found.push(Read {
                    parameter,
                    span: entry.key_span,
                    wishes,
                    was,
                    renamed_from,
                });
            }
        }
        None => {}
    }
}

/// Of a parameter, `value: null` is a value, unless another key says what the values are, and `was: null` always is one.
fn is_null(entries: &[MappingEntry], key: &str) -> bool {
    let says_values = |entry: &MappingEntry| {
        ["values", "min", "max", "mu", "parameters"].contains(&&*entry.key)
            && !entry.value.is_blank()
    };
    key == "was" || (key == "value" && !entries.iter().any(says_values))
}

/// Returns why a parameter cannot have had a value before it was one: its values are of another kind.
pub fn was_mistake(parameter: &Parameter, was: &Value) -> Option<String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Str(_) => "text",
        Value::List(_) | Value::Map(_) => "a collection",
    };
    let kinds: Vec<_> = match &parameter.distribution {
        Distribution::Constant { .. } => return None,
        Distribution::IntUniform { .. } if matches!(was, Value::Float(float) if float.fract() != 0.0) =>
        {
            return Some(format!(
                "parameter `{}`: `was` is a fraction, and its values are whole numbers",
                parameter.path
            ));
        }
        Distribution::Categorical { values, .. } => values.iter().map(kind).collect(),
        Distribution::CategoricalWithProbabilities { values, .. } => {
            values.iter().map(kind).collect()
        }
        _ => vec!["a number"],
    };
    let is_possible = matches!(was, Value::Null) || kinds.contains(&kind(was));
    (!is_possible).then(|| {
        format!(
            "parameter `{}`: `was` is {}, and none of its values is",
            parameter.path,
            kind(was)
        )
    })
}

fn keys_of(form: &str) -> Vec<&'static str> {
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
fn form(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<&'static str> {
    let has = |key: &str| fields.entry(key).is_some();
    if let Some(entry) = fields.entry("distribution") {
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
                .find(|(theirs, _)| *theirs == word.to_lowercase());
            let help = help.map_or_else(
                || suggestion(&word, &DISTRIBUTIONS),
                |(_, ours)| format!("did you mean `{ours}`?"),
            );
            report.error(Some(at(&entry.value, entry.key_span)), message, Some(help));
        }
        if known == Some("categorical") && has("probabilities") {
            let help =
                "write `distribution: categorical_w_probabilities`, or leave `distribution` out"
                    .to_owned();
            report.error(
                Some(entry.key_span),
                format!("{}: `categorical` takes no `probabilities`", fields.of),
                Some(help),
            );
            return None;
        }
        return known;
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

fn distribution(
    form: &str,
    fields: &Fields<'_>,
    report: &mut DiagnosticReport,
) -> Option<Distribution> {
    deprecated(form, fields, report);
    Some(match form {
        "constant" => Distribution::Constant {
            value: fields.required("value", report)?.value.to_value(),
        },
        "categorical" => Distribution::Categorical {
            values: values(fields, report)?,
            ordered: fields.boolean("ordered", report),
        },
        "categorical_w_probabilities" => {
            let values = values(fields, report)?;
            Distribution::CategoricalWithProbabilities {
                probabilities: probabilities(values.len(), fields, report)?,
                values,
            }
        }
        "int_uniform" => {
            let (min, max) = (whole(fields, "min", report), whole(fields, "max", report));
            let (min, max) = (min?, max?);
            ordered(min as f64, max as f64, fields, report)?;
            Distribution::IntUniform { min, max }
        }
        "normal" | "q_normal" | "log_normal" | "q_log_normal" => normal(form, fields, report)?,
        "beta" | "q_beta" => {
            let (a, b) = (
                at_least_zero("a", 1.0, fields, report),
                at_least_zero("b", 1.0, fields, report),
            );
            let (a, b, q) = (a?, b?, step(fields, report)?);
            if form == "beta" {
                Distribution::Beta { a, b }
            } else {
                Distribution::QBeta { a, b, q }
            }
        }
        _ => ranged(form, fields, report)?,
    })
}

fn ranged(form: &str, fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Distribution> {
    let bounds = (
        fields.required("min", report),
        fields.required("max", report),
    );
    let (min, max) = (fields.number("min", report), fields.number("max", report));
    let q = step(fields, report);
    bounds.0.and(bounds.1)?;
    let (min, max, q) = (min?, max?, q?);
    if form.ends_with("_values") && min <= 0.0 {
        let entry = fields.entry("min")?;
        let message = format!(
            "{}: `min` of a {form} must be above 0, not {min}",
            fields.of
        );
        let help =
            "a logarithm has no value at 0; for a range through 0 use `distribution: uniform`"
                .to_owned();
        report.error(Some(at(&entry.value, entry.key_span)), message, Some(help));
        return None;
    }
    ordered(min, max, fields, report)?;
    if !form.ends_with("_values")
        && form.contains("log_uniform")
        && !max.abs().max(min.abs()).exp().is_finite()
    {
        let help =
            "its bounds are base-e exponents; for the values themselves use `log_uniform_values`"
                .to_owned();
        report.error(
            Some(fields.span),
            format!(
                "{}: e to the power of a bound of {form} is not finite",
                fields.of
            ),
            Some(help),
        );
        return None;
    }
    Some(match form {
        "uniform" => Distribution::Uniform { min, max },
        "q_uniform" => Distribution::QUniform { min, max, q },
        "log_uniform" => Distribution::LogUniform { min, max },
        "log_uniform_values" => Distribution::LogUniformValues { min, max },
        "inv_log_uniform" => Distribution::InvLogUniform { min, max },
        "inv_log_uniform_values" => Distribution::InvLogUniformValues { min, max },
        "q_log_uniform" => Distribution::QLogUniform { min, max, q },
        _ => Distribution::QLogUniformValues { min, max, q },
    })
}

fn normal(form: &str, fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Distribution> {
    let mu = if fields.entry("mu").is_some() {
        fields.number("mu", report)
    } else {
        Some(0.0)
    };
    let sigma = at_least_zero("sigma", 1.0, fields, report);
    let (mu, sigma, q) = (mu?, sigma?, step(fields, report)?);
    Some(match form {
        "normal" => Distribution::Normal { mu, sigma },
        "q_normal" => Distribution::QNormal { mu, sigma, q },
        "log_normal" => Distribution::LogNormal { mu, sigma },
        _ => Distribution::QLogNormal { mu, sigma, q },
    })
}

fn deprecated(form: &str, fields: &Fields<'_>, report: &mut DiagnosticReport) {
    let replacement = match form {
        "log_uniform" => "log_uniform_values",
        "q_log_uniform" => "q_log_uniform_values",
        "inv_log_uniform" => "inv_log_uniform_values",
        _ => return,
    };
    let span = fields
        .entry("distribution")
        .map_or(fields.span, |entry| at(&entry.value, entry.key_span));
    let mut help = format!("`{replacement}` takes the values themselves");
    let bound = |key| {
        fields
            .entry(key)
            .and_then(|entry| entry.value.to_value().as_f64())
    };
    if let (Some(min), Some(max)) = (bound("min"), bound("max")) {
        // The inverse distribution runs from 1/e^max to 1/e^min.
        let (low, high) = if form.starts_with("inv") {
            (-max, -min)
        } else {
            (min, max)
        };
        help = format!(
            "use `{replacement}` with the values themselves: min {:.3e}, max {:.3e}",
            low.exp(),
            high.exp()
        );
    }
    report.warning(
        Some(span),
        format!(
            "{}: `{form}` is deprecated; its min and max are base-e exponents",
            fields.of
        ),
        Some(help),
    );
}

fn values(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Vec<Value>> {
    let entry = fields.required("values", report)?;
    match &entry.value.kind {
        NodeKind::List(items) if !items.is_empty() => {
            Some(items.iter().map(Node::to_value).collect())
        }
        NodeKind::List(_) => {
            report.error(
                Some(entry.key_span),
                format!("{}: `values` is empty", fields.of),
                Some("list at least one value".to_owned()),
            );
            None
        }
        _ => {
            let message = format!(
                "{}: `values` must be a list, not {}",
                fields.of,
                entry.value.described()
            );
            report.error(
                Some(at(&entry.value, entry.key_span)),
                message,
                Some("`values: [a, b]`; one value alone is `value: a`".to_owned()),
            );
            None
        }
    }
}

fn probabilities(
    count: usize,
    fields: &Fields<'_>,
    report: &mut DiagnosticReport,
) -> Option<Vec<f64>> {
    let entry = fields.required("probabilities", report)?;
    let numbers: Option<Vec<f64>> = match &entry.value.kind {
        NodeKind::List(items) => items
            .iter()
            .map(|item| {
                item.to_value()
                    .as_f64()
                    .filter(|number| number.is_finite() && *number >= 0.0)
            })
            .collect(),
        _ => None,
    };
    let Some(numbers) = numbers else {
        report.error(
            Some(entry.key_span),
            format!(
                "{}: `probabilities` must be a list of numbers of at least 0",
                fields.of
            ),
            None,
        );
        return None;
    };
    let sum: f64 = numbers.iter().sum();
    if numbers.len() != count {
        let message = format!(
            "{}: {} `probabilities` for {count} `values`",
            fields.of,
            numbers.len()
        );
        report.error(
            Some(entry.key_span),
            message,
            Some("one for each value".to_owned()),
        );
        return None;
    }
    // numpy's isclose, as W&B checks it.
    if (sum - 1.0).abs() > 1e-8 + 1e-5 {
        report.error(
            Some(entry.key_span),
            format!("{}: the `probabilities` sum to {sum}, not to 1", fields.of),
            None,
        );
        return None;
    }
    Some(numbers)
}

fn whole(fields: &Fields<'_>, key: &str, report: &mut DiagnosticReport) -> Option<i64> {
    let entry = fields.required(key, report)?;
    match entry.value.to_value() {
        Value::Int(int) => Some(int),
        value => {
            let help = value
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 1e15)
                .map(|float| format!("`{key}: {float}`"));
            let message = format!(
                "{}: `{key}` of an int_uniform must be a whole number, not {}",
                fields.of,
                entry.value.described()
            );
            report.error(Some(at(&entry.value, entry.key_span)), message, help);
            None
        }
    }
}

fn ordered(min: f64, max: f64, fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<()> {
    if min < max {
        return Some(());
    }
    let entry = fields.entry("min")?;
    let how = if min == max { "equal to" } else { "above" };
    let help = if min == max {
        format!("for a constant write `value: {min}`")
    } else {
        "swap them".to_owned()
    };
    report.error(
        Some(at(&entry.value, entry.key_span)),
        format!("{}: min {min} is {how} max {max}", fields.of),
        Some(help),
    );
    None
}

fn at_least_zero(
    key: &str,
    default: f64,
    fields: &Fields<'_>,
    report: &mut DiagnosticReport,
) -> Option<f64> {
    let Some(entry) = fields.entry(key) else {
        return Some(default);
    };
    let number = fields.number(key, report)?;
    if number < 0.0 {
        report.error(
            Some(at(&entry.value, entry.key_span)),
            format!(
                "{}: `{key}` must not be negative, but is {number}",
                fields.of
            ),
            None,
        );
        return None;
    }
    Some(number)
}

fn step(fields: &Fields<'_>, report: &mut DiagnosticReport) -> Option<Step> {
    let Some(entry) = fields.entry("q") else {
        return Some(Step::Float(1.0));
    };
    let number = fields.number("q", report)?;
    if number <= 0.0 {
        report.error(
            Some(at(&entry.value, entry.key_span)),
            format!("{}: `q` must be above 0, not {number}", fields.of),
            None,
        );
        return None;
    }
    Some(match entry.value.to_value() {
        Value::Int(int) => Step::Int(int),
        _ => Step::Float(number),
    })
}
