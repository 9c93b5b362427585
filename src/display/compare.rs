//! Prints the differences between two runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sweep_agent::Reproduced;
use sweep_proto::v1::{Attempt, Run};

use super::run_facts::{configuration, flatten, metrics};
use super::{number, printable, table};

/// The outcome of a run that was executed again.
pub(crate) fn reproduced(
    metric: &str,
    attempt: &Attempt,
    again: &Reproduced,
    same: bool,
) -> String {
    let mut text = String::new();
    let recorded = metrics(attempt).0;
    let names: BTreeSet<&String> = recorded
        .keys()
        .copied()
        .chain(again.metrics.keys())
        .collect();
    let rows = names.into_iter().map(|name| {
        let (then, now) = (recorded.get(name).copied(), again.metrics.get(name));
        let verdict = match (then, now) {
            (Some(then), Some(now)) if then.to_bits() == now.to_bits() => "the same".to_owned(),
            (Some(then), Some(now)) => format!("differs by {}", number(now - then)),
            (Some(_), None) => "not seen now".to_owned(),
            (None, _) => "was not seen then".to_owned(),
        };
        [printable(name), exact(then), exact(now), verdict]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let _ = writeln!(
            text,
            "{}",
            table::compared(&["METRIC", "RECORDED", "NOW", ""], &rows)
        );
    }
    if let Some(trouble) = &again.trouble {
        let _ = writeln!(text, "It did not end well: {}", printable(trouble));
    }
    let what = if metric.is_empty() {
        "what was recorded".to_owned()
    } else {
        printable(metric)
    };
    let verdict = if same {
        format!("Reproduced: {what} is the same to the last bit.")
    } else {
        format!("Not reproduced: {what} is not the same.")
    };
    let _ = writeln!(text, "{verdict}");
    if !same || again.trouble.is_some() {
        let _ = writeln!(text, "Its output: {}", again.output.display());
    }
    text
}

/// The same for programs.
pub(crate) fn metrics_json(attempt: &Attempt, now: &BTreeMap<String, f64>) -> Value {
    let then = metrics(attempt).0;
    let names: BTreeSet<&String> = then.keys().copied().chain(now.keys()).collect();
    let one = |name: &String| {
        let (then, now) = (then.get(name), now.get(name));
        let same = then.map(|then| then.to_bits()) == now.map(|now| now.to_bits());
        (
            name.clone(),
            json!({"recorded": then, "now": now, "same": same}),
        )
    };
    Value::Object(names.into_iter().map(one).collect::<Map<_, _>>())
}

/// How the parameters of two runs differ, and what they came to: the values of the objective first, by the names of their metrics.
pub(crate) fn runs(
    heads: (&str, &str),
    objectives: (&str, &str),
    left: &Run,
    right: &Run,
) -> String {
    let mut text = String::new();
    let parts = |run: &Run| -> BTreeMap<String, String> {
        let mut parts = Vec::new();
        flatten("", &configuration(run), &mut parts);
        parts.into_iter().collect()
    };
    let differing = differing(&parts(left), &parts(right));
    if differing.is_empty() {
        let _ = writeln!(text, "The same parameters.");
    } else {
        let _ = writeln!(
            text,
            "{}",
            table::compared(&["PARAMETER", heads.0, heads.1], &differing)
        );
    }
    let metrics = |objective: &str, run: &Run| -> BTreeMap<String, String> {
        let label = |name: &str| {
            let is_last = name == objective && run.value.is_some();
            format!(
                "{}{}",
                printable(name),
                if is_last { " (last)" } else { "" }
            )
        };
        let newest = run.attempts.last();
        newest
            .into_iter()
            .flat_map(|attempt| metrics(attempt).0)
            .map(|(name, value)| (label(name), number(*value)))
            .collect()
    };
    let value = |metric: &str, run: &Run| -> BTreeMap<String, String> {
        run.value
            .map(|value| (format!("{} (objective)", printable(metric)), number(value)))
            .into_iter()
            .collect()
    };
    let values = (value(objectives.0, left), value(objectives.1, right));
    let (left, right) = (metrics(objectives.0, left), metrics(objectives.1, right));
    let rows: Vec<[String; 3]> = merged(&values.0, &values.1)
        .chain(merged(&left, &right))
        .collect();
    if !rows.is_empty() {
        let _ = writeln!(
            text,
            "\n{}",
            table::compared(&["METRIC", heads.0, heads.1], &rows)
        );
    }
    text
}

fn differing(
    left: &BTreeMap<String, String>,
    right: &BTreeMap<String, String>,
) -> Vec<[String; 3]> {
    merged(left, right)
        .filter(|[_, left, right]| left != right)
        .collect()
}

fn merged<'a>(
    left: &'a BTreeMap<String, String>,
    right: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = [String; 3]> + 'a {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let cell = |side: &BTreeMap<String, String>, name: &String| {
        side.get(name).cloned().unwrap_or_else(|| "-".to_owned())
    };
    names
        .into_iter()
        .map(move |name| [name.clone(), cell(left, name), cell(right, name)])
}

/// A value so that a difference in the last bit shows.
fn exact(value: Option<&f64>) -> String {
    value.map_or_else(|| "-".to_owned(), f64::to_string)
}
