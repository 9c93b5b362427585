//! `parameters`: one entry to one [`Parameter`], nested ones included. W&B's inference: the first form that fits.

mod form;
mod values;

use sweep_search::space::{Distribution, Parameter, Path, Value};

pub(super) use self::form::FORMS;
use self::form::{form, keys_of, shortened};
use self::values::distribution;

use super::diagnostic::{DiagnosticReport, Span};
use super::fields::{Fields, at};
use super::when::{self, RawCondition};
use super::yaml::{MappingEntry, Node, NodeKind};

/// A sweep with more parameters than this is a mistake or an attack.
const PARAMETERS_MAX: usize = 1000;
/// Longer names are a mistake or an attack.
const NAME_BYTES_MAX: usize = 256;

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
            let help = "a name begins with a letter or `_` and continues with letters, digits, `_`, `.` and `-`".to_owned();
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
            leaf(form, path, &fields, entry.key_span, wishes, found, report);
        }
        None => {}
    }
}

/// Reads a parameter that has values.
fn leaf(
    form: &str,
    path: Vec<String>,
    fields: &Fields<'_>,
    span: Span,
    wishes: Vec<RawCondition>,
    found: &mut Vec<Read>,
    report: &mut DiagnosticReport,
) {
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
    if let Some(distribution) = distribution(form, fields, report) {
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
        } else if let Some((was, value)) = &was
            && !matches!(value, Value::Null)
            && !matches!(parameter.distribution, Distribution::Constant { .. })
            && let Some(why) = parameter.distribution.refuses(value)
        {
            report.warning(
                Some(at(&was.value, was.key_span)),
                format!("parameter `{}`: `was` {why}", parameter.path),
                Some(
                    "right if the code used that; earlier runs then count as outside of the space"
                        .to_owned(),
                ),
            );
        }
        let was = was.map(|(_, was)| was);
        let renamed_from = fields.text("renamed_from", report).map(Path::flat);
        found.push(Read {
            parameter,
            span,
            wishes,
            was,
            renamed_from,
        });
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
