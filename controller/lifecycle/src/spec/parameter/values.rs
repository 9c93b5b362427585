//! The values of a parameter: its distribution, with all that its keys say.

use sweep_search::space::{Distribution, Step, Value};

use crate::spec::diagnostic::DiagnosticReport;
use crate::spec::fields::{Fields, at};
use crate::spec::yaml::{Node, NodeKind};

pub(super) fn distribution(
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
