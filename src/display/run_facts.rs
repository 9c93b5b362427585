//! Facts of a run as text: its parameters, its notes, its metrics.

use std::collections::BTreeMap;

use serde_json::Value;
#[cfg(feature = "full")]
use sweep_lifecycle::spec;
use sweep_proto::v1::{Attempt, Repeats, Run, Sweep};

use super::text::{counted, number, printable};

/// More constants than these are counted, not listed: on a line, and in a list.
const CONSTANTS_IN_LINE_MAX: usize = 3;
const CONSTANTS_IN_LIST_MAX: usize = 8;

/// Names, each with its value as text.
type NamedValues = Vec<(String, String)>;

/// The parameters of a sweep that have one value, as text by name. Views show them after the varied ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constants(BTreeMap<String, String>);

impl Constants {
    /// Reads the file of a sweep. Without a file every parameter counts as varied.
    #[cfg(feature = "full")]
    pub(crate) fn of(sweep: &Sweep) -> Self {
        let constants = spec::parse(&sweep.yaml)
            .0
            .map(|file| spec::constants(&file));
        let mut parts = Vec::new();
        for (name, value) in constants.into_iter().flatten() {
            flatten(&name, &value, &mut parts);
        }
        Self(parts.into_iter().collect())
    }

    /// The build for agents does not read sweep files: every parameter counts as varied.
    #[cfg(not(feature = "full"))]
    pub(crate) fn of(_: &Sweep) -> Self {
        Self::default()
    }

    /// Returns the parameters of a run: the varied ones, and the constants. A value from an earlier revision of the file is varied.
    pub(crate) fn split(&self, run: &Run) -> (NamedValues, NamedValues) {
        params(run)
            .into_iter()
            .partition(|(name, value)| self.0.get(name) != Some(value))
    }
}

/// Returns the parameters of a run on one line, constants last: `lr=0.01 layers=3`, `lr=0.01 and 45 constants`.
pub(crate) fn params_line(run: &Run, constants: &Constants) -> String {
    let (mut shown, fixed) = constants.split(run);
    let mut rest = String::new();
    if shown.is_empty() || fixed.len() <= CONSTANTS_IN_LINE_MAX {
        shown.extend(fixed);
    } else {
        rest = format!(" and {}", counted(fixed.len() as u64, "constant"));
    }
    let shown: Vec<_> = shown
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    shown.join(" ") + &rest
}

/// Writes the parameters of a run, one a line, constants last. A short text counts many constants instead.
pub(super) fn params_block(run: &Run, constants: &Constants, in_full: bool) -> String {
    let (mut shown, fixed) = constants.split(run);
    let is_counted = !in_full && !shown.is_empty() && fixed.len() > CONSTANTS_IN_LIST_MAX;
    let rest = if is_counted {
        let many = counted(fixed.len() as u64, "constant");
        format!("  and {many}: `sweep show {}/{}`\n", run.sweep_id, run.run)
    } else {
        shown.extend(fixed);
        String::new()
    };
    let names = shown.iter().map(|(name, _)| name.chars().count());
    let widest = names.max().unwrap_or(0);
    let lines: String = shown
        .iter()
        .map(|(name, value)| format!("  {name:<widest$}  {value}\n"))
        .collect();
    lines + &rest
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

/// Rounds to two significant digits: more have no meaning for a deviation.
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

    #[cfg(feature = "full")]
    #[test]
    fn constants_come_after_varied_parameters_and_many_are_counted() {
        let sweep = |constants: usize| {
            let fixed: String = (0..constants)
                .map(|index| format!("  a_{index:02}: {{value: {index}}}\n"))
                .collect();
            Sweep {
                yaml: format!(
                    "method: random\nprogram: t.py\nparameters:\n{fixed}  z: {{min: 0.0, max: 1.0}}\n  net: {{parameters: {{kind: {{value: big}}}}}}\n"
                ),
                ..Sweep::default()
            }
        };
        let run = |constants: usize, kind: &str| {
            let fixed: String = (0..constants)
                .map(|index| format!("\"a_{index:02}\": {index}, "))
                .collect();
            Run {
                sweep_id: "ab12cd34".to_owned(),
                run: 7,
                params_json: format!("{{{fixed}\"net\": {{\"kind\": \"{kind}\"}}, \"z\": 0.5}}"),
                ..Run::default()
            }
        };
        let few = Constants::of(&sweep(1));
        assert_eq!(
            params_line(&run(1, "big"), &few),
            "z=0.5 a_00=0 net.kind=big"
        );
        let many = Constants::of(&sweep(44));
        let line = params_line(&run(44, "big"), &many);
        assert_eq!(line, "z=0.5 and 45 constants");
        let block = params_block(&run(44, "big"), &many, false);
        assert_eq!(
            block,
            "  z  0.5\n  and 45 constants: `sweep show ab12cd34/7`\n"
        );
        let block = params_block(&run(44, "big"), &many, true);
        assert!(
            block.starts_with("  z         0.5\n  a_00      0\n"),
            "{block}"
        );
        assert_eq!(block.lines().count(), 46);
        let earlier = params_line(&run(44, "small"), &many);
        assert_eq!(
            earlier, "net.kind=small z=0.5 and 44 constants",
            "the value of an earlier revision is none of them"
        );
        let unknown = params_line(&run(1, "big"), &Constants::default());
        assert_eq!(unknown, "a_00=0 net.kind=big z=0.5");
    }

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
