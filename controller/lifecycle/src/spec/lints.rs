//! Warns of what a sweep file says and its author probably does not mean.

use std::collections::BTreeMap;

use sweep_search::early_stop::{Bands, EarlyStop};
use sweep_search::space::{Distribution, Path, Value};
use sweep_search::suggest::Method;

use super::diagnostic::{DiagnosticReport, Span};
use super::fields::{Fields, at};
use super::model::SweepSpec;
use super::parameter::Read;

/// Names under which programs report where they are, and not how well they do.
const STEPS: [&str; 4] = ["step", "_step", "_runtime", "_timestamp"];

/// Looks at each parameter, and at their names together.
pub(super) fn parameters(read: &[Read], report: &mut DiagnosticReport) {
    let mut variables: BTreeMap<String, &Path> = BTreeMap::new();
    for Read {
        parameter, span, ..
    } in read
    {
        let path = &parameter.path;
        match &parameter.distribution {
            Distribution::Constant {
                value: Value::List(_),
            } => {
                let help =
                    format!("to choose one of them, write `values`: `{path}: {{values: […]}}`");
                report.warning(
                    Some(*span),
                    format!(
                        "parameter `{path}`: `value` holds a list, which each run gets as a whole"
                    ),
                    Some(help),
                );
            }
            Distribution::IntUniform { min, max } if max - min == 1 => {
                let help = format!(
                    "for the numbers between them, write `min: {min}.0` and `max: {max}.0`"
                );
                report.warning(
                    Some(*span),
                    format!("parameter `{path}` has two values, {min} and {max}, since both bounds are whole"),
                    Some(help),
                );
            }
            _ => {}
        }
        // Nested parameters arrive as one variable, that of the outermost.
        let Some(name) = path.0.first() else { continue };
        let variable: String = name
            .chars()
            .map(|char| {
                if char.is_ascii_alphanumeric() {
                    char.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        match variables.get(&variable) {
            Some(other) if other.0.first() != Some(name) => {
                let message = format!(
                    "parameters `{other}` and `{path}` have one environment variable, SWEEP_PARAM_{variable}"
                );
                report.warning(
                    Some(*span),
                    message,
                    Some("rename one of them if the program reads the variable".to_owned()),
                );
            }
            Some(_) => {}
            None => drop(variables.insert(variable, path)),
        }
    }
}

/// Looks at the file as a whole.
pub(super) fn whole(spec: &SweepSpec, fields: &Fields<'_>, report: &mut DiagnosticReport) {
    let place = |key: &str| {
        fields
            .entry(key)
            .map(|entry| at(&entry.value, entry.key_span))
    };
    if let Some(objective) = spec
        .objective
        .as_ref()
        .filter(|objective| STEPS.contains(&objective.metric.as_str()))
    {
        let message = format!(
            "`metric`: a metric called `{}` is never read: programs count with it",
            objective.metric
        );
        report.error(
            place("metric"),
            message,
            Some("name the metric that says how well a run does".to_owned()),
        );
    }
    if let Some(EarlyStop::Hyperband(hyperband)) = &spec.early_terminate
        && let Bands::MaxIter { max_iter, s } = &hyperband.bands
        && hyperband.bands().is_empty()
    {
        let message = format!(
            "`early_terminate`: max_iter {max_iter} and s {s} with eta {} make no band, so no run is ever stopped",
            hyperband.eta
        );
        report.warning(
            place("early_terminate"),
            message,
            Some("raise `max_iter`, lower `eta`, or give `min_iter`".to_owned()),
        );
    }
    repeated(spec, place("run_cap"), report);
}

/// W&B draws with replacement: a space with fewer points than the cap gives the same point again.
fn repeated(spec: &SweepSpec, place: Option<Span>, report: &mut DiagnosticReport) {
    let (Some(size), Some(cap)) = (spec.space.size(), spec.run_cap) else {
        return;
    };
    let runs = size.saturating_mul(u128::from(spec.repeats));
    if matches!(spec.method, Method::Random | Method::Bayes) && runs < u128::from(cap) {
        let points = if size == 1 {
            "1 point".to_owned()
        } else {
            format!("{size} points")
        };
        let times = u128::from(cap).div_ceil(size.max(1));
        let message = format!(
            "the space has {points}, and `run_cap` is {cap}: no point is run twice, so the sweep ends after {runs}"
        );
        report.warning(
            place,
            message,
            Some(format!("`repeats: {times}` runs each point {times} times")),
        );
    }
}
