//! Facts of a run as text: its parameters, its notes, its metrics.

use std::collections::BTreeMap;

use serde_json::Value;
use sweep_proto::v1::{Attempt, Repeats, Run};

use super::text::{number, printable};

/// Returns the parameters of a run on one line: `lr=0.01 layers=3`.
pub(crate) fn params_line(run: &Run) -> String {
    params(run)
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns the parameters of a run by name, as text that steers nothing.
pub(crate) fn params(run: &Run) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    flatten("", &configuration(run), &mut parts);
    parts
}

/// The configuration of a run; text that is no JSON would be the controller's mistake, and is shown as it is.
pub(crate) fn configuration(run: &Run) -> Value {
    serde_json::from_str(&run.params_json)
        .unwrap_or_else(|_| Value::String(run.params_json.clone()))
}

pub(super) fn flatten(above: &str, value: &Value, parts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) if !entries.contains_key("$float") => {
            for (key, value) in entries {
                let name = if above.is_empty() {
                    key.clone()
                } else {
                    format!("{above}.{key}")
                };
                flatten(&name, value, parts);
            }
        }
        Value::Object(entries) => parts.push((
            printable(above),
            printable(entries["$float"].as_str().unwrap_or_default()),
        )),
        Value::Number(float) if float.is_f64() => {
            parts.push((
                printable(above),
                float.as_f64().map(number).unwrap_or_default(),
            ));
        }
        Value::String(text) => parts.push((printable(above), printable(text))),
        other => parts.push((printable(above), printable(&other.to_string()))),
    }
}

/// Returns the annotation of a run, in a line; empty without one.
pub(crate) fn said(run: &Run) -> String {
    let tags: Vec<_> = run
        .tags
        .iter()
        .map(|tag| format!("#{}", printable(tag)))
        .collect();
    let parts = [
        if run.pinned {
            "pinned".to_owned()
        } else {
            String::new()
        },
        tags.join(" "),
        printable(&run.note),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
}

/// The last value of the objective, where the run has another one.
pub(crate) fn last_beside(run: &Run) -> Option<String> {
    let (value, last) = (run.value.or(run.best)?, run.last?);
    (number(value) != number(last)).then(|| format!("last {}", number(last)))
}

/// Where a run stands among those of its point.
pub(super) fn repeat(repeats: &Repeats) -> String {
    let place = format!("repeat {} of {}", repeats.number, repeats.of);
    match (repeats.mean, repeats.deviation) {
        (Some(mean), Some(deviation)) => format!(
            "{place}: mean {} ± {} of {}",
            number(mean),
            number(rounded(deviation)),
            repeats.values
        ),
        _ if repeats.number > 1 => format!("{place} of run {}", repeats.first),
        _ => place,
    }
}

/// Rounds to two significant digits: more would say nothing of a deviation.
pub(super) fn rounded(deviation: f64) -> f64 {
    format!("{deviation:.1e}").parse().unwrap_or(deviation)
}

/// The prefix of metrics that an agent measures.
const SYSTEM: &str = "system/";

/// Returns the metrics of an attempt by name: its program's own, and those that its agent has measured.
pub(crate) fn metrics(attempt: &Attempt) -> (BTreeMap<&String, &f64>, BTreeMap<&String, &f64>) {
    attempt
        .metrics
        .iter()
        .partition(|(name, _)| !name.starts_with(SYSTEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_is_labelled_where_it_is_another_one() {
        let run = |value, best, last| Run {
            value,
            best,
            last,
            ..Run::default()
        };
        assert_eq!(
            last_beside(&run(Some(0.25), Some(0.25), Some(0.5))),
            Some("last 0.5".to_owned())
        );
        assert_eq!(
            last_beside(&run(None, Some(0.25), Some(0.5))),
            Some("last 0.5".to_owned()),
            "it runs"
        );
        assert_eq!(last_beside(&run(Some(0.25), Some(0.25), Some(0.25))), None);
        assert_eq!(last_beside(&run(Some(0.25), None, None)), None);
    }
}
