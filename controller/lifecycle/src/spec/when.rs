//! `when:`: a parameter that exists only for some values of others.

use sweep_search::space::{Condition, Distribution, Parameter, Path, Value};

use super::diagnostic::{DiagnosticReport, Span, suggestion};
use super::fields::{Fields, at};
use super::yaml::NodeKind;

/// A condition as the file says it: the other parameter is still a name.
#[derive(Clone, Debug)]
pub(super) struct RawCondition {
    /// Where names are looked up first: beside the parameter that has the condition.
    beside: Vec<String>,
    on: String,
    on_span: Span,
    values: Vec<(Value, Span)>,
}

/// Reads `when` of one parameter.
pub(super) fn read(
    path: &[String],
    fields: &Fields<'_>,
    report: &mut DiagnosticReport,
) -> Vec<RawCondition> {
    let Some(entry) = fields.entry("when") else {
        return Vec::new();
    };
    let of = format!("`when` of {}", fields.of);
    let Some(conditions) = Fields::new(
        of,
        entry.key_span,
        &entry.value,
        "`when: {optimizer: sgd}`",
        report,
    ) else {
        return Vec::new();
    };
    let beside = path[..path.len() - 1].to_vec();
    let wish = |condition: &super::yaml::MappingEntry| {
        let values = match &condition.value.kind {
            NodeKind::List(items) => items
                .iter()
                .map(|item| (item.to_value(), at(item, condition.key_span)))
                .collect(),
            _ => vec![(
                condition.value.to_value(),
                at(&condition.value, condition.key_span),
            )],
        };
        RawCondition {
            beside: beside.clone(),
            on: condition.key.clone(),
            on_span: condition.key_span,
            values,
        }
    };
    conditions.entries.iter().map(wish).collect()
}

/// Finds the parameter that a wish names and checks that it can have the values.
pub(super) fn resolve(
    wish: &RawCondition,
    of: &Path,
    parameters: &[Parameter],
    report: &mut DiagnosticReport,
) -> Option<Condition> {
    let mut beside = wish.beside.clone();
    beside.push(wish.on.clone());
    let found = parameters
        .iter()
        .find(|other| other.path.0 == beside)
        .or_else(|| {
            parameters
                .iter()
                .find(|other| other.path.to_string() == wish.on)
        });
    let Some(other) = found else {
        let names: Vec<String> = parameters
            .iter()
            .map(|other| other.path.to_string())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        report.error(
            Some(wish.on_span),
            format!(
                "`when` of parameter `{of}`: there is no parameter `{}`",
                wish.on
            ),
            Some(suggestion(&wish.on, &names)),
        );
        return None;
    };
    if wish.values.is_empty() {
        report.error(
            Some(wish.on_span),
            format!("`when` of parameter `{of}` lists no values, so it could never hold"),
            None,
        );
        return None;
    }
    for (value, span) in &wish.values {
        if let Err(help) = possible(value, &other.distribution) {
            let message = format!(
                "`when` of parameter `{of}`: `{}` can never be {}",
                other.path,
                value.to_json()
            );
            report.error(Some(*span), message, Some(help));
            return None;
        }
    }
    Some(Condition {
        on: other.path.clone(),
        values: wish.values.iter().map(|(value, _)| value.clone()).collect(),
    })
}

fn possible(value: &Value, distribution: &Distribution) -> Result<(), String> {
    let listed = |values: &[Value]| {
        let names: Vec<_> = values
            .iter()
            .map(|value| value.to_json().to_string())
            .collect();
        let same = values
            .iter()
            .any(|other| other.identity() == value.identity());
        if same {
            Ok(())
        } else {
            Err(format!("it is one of {}", names.join(", ")))
        }
    };
    match distribution {
        Distribution::Constant { value } => listed(std::slice::from_ref(value)),
        Distribution::Categorical { values, .. }
        | Distribution::CategoricalWithProbabilities { values, .. } => listed(values),
        Distribution::IntUniform { min, max } => match value {
            Value::Int(int) if (min..=max).contains(&int) => Ok(()),
            _ => Err(format!("it is a whole number from {min} to {max}")),
        },
        _ => Err(
            "a condition looks at a parameter with listed values or at an int_uniform".to_owned(),
        ),
    }
}
