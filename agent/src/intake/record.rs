//! Maps in a line → metrics.

use serde_json::Value;

use super::Reading;
use super::literal::{Literal, Parsed, map_at};

/// A name longer than this is no metric.
const NAME_BYTES_MAX: usize = 256;
/// Keys that are no metrics: the step itself, and what W&B adds to each record.
const RESERVED: [&str; 4] = ["step", "_step", "_runtime", "_timestamp"];
/// How many times the length of a text is read at most: in a text full of `{` each one could be the
/// beginning of all the rest.
const WORK_MAX: usize = 8;

/// The metrics of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ParsedMetrics {
    /// In order.
    pub(crate) readings: Vec<Reading>,
    /// There was at least one map, with metrics or without.
    pub(crate) any: bool,
    /// Where a map begins that the text does not end.
    pub(crate) unfinished: Option<usize>,
    /// How many of the metrics come before that place. The others are those of maps within it, if
    /// it is a map.
    pub(crate) certain: usize,
}

/// Finds the numbers of all maps in a text, wherever they are in it. Nested maps are flattened,
/// with a dot between the names. Numbers may be written as text; NaN and the infinities as Python
/// or JavaScript writes them. Booleans, other texts and lists are no metrics.
pub(crate) fn find(text: &str) -> ParsedMetrics {
    let mut found = ParsedMetrics::default();
    let (mut at, mut work) = (0, 0);
    while let Some(start) = text[at..].find('{').map(|offset| at + offset) {
        match map_at(text, start) {
            Parsed::Map(entries, end) => {
                found.any = true;
                read(&entries, &mut found.readings);
                at = end;
            }
            parsed => {
                if parsed == Parsed::Unfinished && found.unfinished.is_none() {
                    (found.unfinished, found.certain) = (Some(start), found.readings.len());
                }
                at = start + 1;
                work += text.len() - start;
                if work > WORK_MAX * text.len() {
                    break;
                }
            }
        }
    }
    found
}

/// Returns whether a map in a text gives a metric a value that is no number, for example `{"loss":
/// true}`.
pub(crate) fn has_no_number(text: &str, metric: &str) -> bool {
    let dotted = metric.replace('/', ".");
    let (mut at, mut tries) = (0, 0);
    while let Some(start) = text[at..].find('{').map(|offset| at + offset)
        && tries < WORK_MAX
    {
        tries += 1;
        at = start + 1;
        if let Parsed::Map(entries, end) = map_at(text, start) {
            at = end;
            let value = value_at(&entries, metric).or_else(|| value_at(&entries, &dotted));
            if value.is_some_and(|value| number(value).is_none()) {
                return true;
            }
        }
    }
    false
}

/// Returns the value of a map under a name, whose dots may lead into maps within it.
fn value_at<'a>(entries: &'a [(String, Literal)], name: &str) -> Option<&'a Literal> {
    entries.iter().rev().find_map(|(key, value)| {
        let rest = name.strip_prefix(key.as_str())?;
        match (rest.strip_prefix('.'), value) {
            (None, value) if rest.is_empty() => Some(value),
            (Some(inner), Literal::Map(entries)) => value_at(entries, inner),
            _ => None,
        }
    })
}

/// Returns the metrics of a text that is one map and nothing else; `None`: it is not.
pub(crate) fn read_whole(text: &str) -> Option<Vec<Reading>> {
    let text = text.trim().trim_start_matches('\u{feff}');
    match (text.starts_with('{'), map_at(text, 0)) {
        (true, Parsed::Map(entries, end)) if end == text.len() => {
            let mut readings = Vec::new();
            read(&entries, &mut readings);
            Some(readings)
        }
        _ => None,
    }
}

/// Returns whether a metric may have this name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// Returns the number that one value of JSON is.
pub(super) fn value(json: &str) -> Option<f64> {
    match serde_json::from_str(json) {
        Ok(value) => number_of(&value),
        Err(_) => special(json.trim()),
    }
}

/// Returns the number that a value of JSON is.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => special(text),
        _ => None,
    }
}

fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn read(entries: &[(String, Literal)], readings: &mut Vec<Reading>) {
    let step = ["step", "_step"].iter().find_map(|key| {
        let (_, value) = entries.iter().rfind(|(name, _)| name == key)?;
        whole(value)
    });
    flatten("", entries, step, readings);
}

fn flatten(
    prefix: &str,
    entries: &[(String, Literal)],
    step: Option<i64>,
    readings: &mut Vec<Reading>,
) {
    for (index, (name, value)) in entries.iter().enumerate() {
        let is_reserved = prefix.is_empty() && RESERVED.contains(&name.as_str());
        // As in Python and JavaScript, the last one counts.
        if is_reserved || entries[index + 1..].iter().any(|(later, _)| later == name) {
            continue;
        }
        let name = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        if !is_name(&name) {
            continue;
        }
        match value {
            Literal::Map(entries) => flatten(&name, entries, step, readings),
            other => readings.extend(number(other).map(|value| Reading { name, step, value })),
        }
    }
}

fn number(value: &Literal) -> Option<f64> {
    match value {
        Literal::Number(number) => Some(*number),
        Literal::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn whole(value: &Literal) -> Option<i64> {
    number(value)
        .filter(|float| float.fract() == 0.0 && float.abs() < 9.0e15)
        .map(|float| float as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn readings(text: &str) -> Vec<(String, Option<i64>, f64)> {
        find(text)
            .readings
            .into_iter()
            .map(|reading| (reading.name, reading.step, reading.value))
            .collect()
    }

    fn values(text: &str) -> Vec<(String, f64)> {
        readings(text)
            .into_iter()
            .map(|(name, _, value)| (name, value))
            .collect()
    }

    fn one(name: &str, value: f64) -> Vec<(String, f64)> {
        vec![(name.to_owned(), value)]
    }

    #[test]
    fn a_value_that_is_no_number_is_told_from_a_metric() {
        for line in [
            r#"{"loss": true}"#,
            r#"x {"loss": [0.5]} y"#,
            "{'loss': None, 'epoch': 1}",
            r#"{"loss": "n/a"}"#,
            r#"{"loss": {"mean": 0.5}}"#,
        ] {
            assert!(has_no_number(line, "loss"), "{line}");
        }
        assert!(has_no_number(r#"{"val": {"loss": [1]}}"#, "val/loss"));
        for line in [
            r#"{"loss": 0.5}"#,
            r#"{"loss": "0.5"}"#,
            r#"{"val": {"loss": true}}"#,
            r#"{"los": true, "losses": true}"#,
            "{".repeat(99).as_str(),
            "loss: true",
        ] {
            assert!(!has_no_number(line, "loss"), "{line}");
        }
    }

    #[test]
    fn values_of_python_that_are_no_metrics_hide_no_other() {
        for other in [
            "{1, 2}",
            "{'a', 'b'}",
            "{(1, 2)}",
            "{<Kind.A: 1>, <Kind.B: 2>}",
            "<function <lambda> at 0x7f3a>",
            "<Layer in -> out>",
            "(1+2j)",
            "Ellipsis",
            "{(0, 1): 'x', None: 3}",
            "array([1, 2], dtype=float32)",
        ] {
            let line = format!("{{'step': 3, 'other': {other}, 'loss': np.float64(0.5)}}");
            assert_eq!(
                readings(&line),
                [("loss".to_owned(), Some(3), 0.5)],
                "{line}"
            );
        }
        for value in ["array(0.5)", "np.array(0.5, dtype=float32)"] {
            assert_eq!(values(&format!("{{'loss': {value}}}")), one("loss", 0.5));
        }
        assert_eq!(values("{'n': np.uint32(10)}"), one("n", 10.0));
        assert!(!find("{1, 2} {3, 4").any, "a set is no map");
    }

    #[test]
    fn numbers_are_metrics_and_nested_ones_get_dots() {
        let found = readings(
            r#" {"loss": 0.5, "acc": 1, "ok": true, "name": "x", "nested": {"a": 1, "step": 9}, "list": [1], "none": null, "step": 3} "#,
        );
        let expected = [
            ("loss", 0.5),
            ("acc", 1.0),
            ("nested.a", 1.0),
            ("nested.step", 9.0),
        ];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), Some(3), value))
        );
        assert_eq!(
            readings(r#"{"_step": 4.0, "_runtime": 9, "_timestamp": 9, "epoch": 1}"#),
            [("epoch".to_owned(), Some(4), 1.0)]
        );
        assert_eq!(
            find("{}"),
            ParsedMetrics {
                any: true,
                ..ParsedMetrics::default()
            }
        );
        assert_eq!(values(r#"{"a": 1, "a": 2}"#), one("a", 2.0));
    }

    #[test]
    fn a_map_may_be_anywhere_in_a_line() {
        for line in [
            r#"INFO:root:{"loss": 0.5}"#,
            r#"100%|█████| 10/10 [00:00<00:00, 9.5it/s]{"loss": 0.5}"#,
            "\u{feff}{\"loss\": 0.5}",
            "\u{1b}[32m{\"loss\": 0.5}\u{1b}[0m",
            r#"{not a map} {"loss": 0.5} and more"#,
        ] {
            assert_eq!(values(line)[..1], one("loss", 0.5)[..], "{line}");
        }
        assert_eq!(
            values(r#"{"loss": 0.5}{"loss": 0.4}"#),
            [("loss".to_owned(), 0.5), ("loss".to_owned(), 0.4)]
        );
    }

    #[test]
    fn python_prints_dictionaries() {
        assert_eq!(
            values("{'eval_loss': 0.69, 'epoch': 3.0}"),
            [("eval_loss".to_owned(), 0.69), ("epoch".to_owned(), 3.0)]
        );
        for line in [
            "{'loss': '0.5'}",
            "{'loss': np.float64(0.5)}",
            "{'loss': tensor(0.5000, device='cuda:0', grad_fn=<NllLossBackward0>)}",
            "{'loss': Decimal('0.5')}",
            "{'when': datetime.datetime(2026, 11, 29, 12, 0), 'f': <function f at 0x7f>, 'x': array([1., 2.]), 'loss': 0.5}",
            "{'ok': True, 'none': None, 'p': (1, 2), 'n': [nan, ...], 'b': b'x', 'k': Color.RED, 'loss': .5}",
        ] {
            assert_eq!(values(line), one("loss", 0.5), "{line}");
        }
        assert_eq!(values("{0: 0.5}"), one("0", 0.5));
    }

    #[test]
    fn what_python_writes_for_nan_is_read() {
        let found = readings(
            r#"{"a NaN \" {": NaN, "b": Infinity, "c": -Infinity, "d": "NaN", "e": 1e-05, "f": -inf, "g": nan}"#,
        );
        assert_eq!(found[0].0, "a NaN \" {");
        assert!(found[0].2.is_nan() && found[3].2.is_nan() && found[6].2.is_nan());
        assert_eq!(
            (found[1].2, found[2].2, found[4].2, found[5].2),
            (f64::INFINITY, f64::NEG_INFINITY, 1e-5, f64::NEG_INFINITY)
        );
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in [
            "",
            "loss 0.5",
            "{loss: 1}",
            "[1]",
            "{1, 2}",
            "{'a'; 1}",
            "{\"a\": x}",
            "if (x) { return 1; }",
        ] {
            assert_eq!(find(line), ParsedMetrics::default(), "{line}");
        }
        assert_eq!(
            find(&format!(
                "{{\"a\":{}{}}}",
                "[".repeat(100_000),
                "]".repeat(100_000)
            ))
            .readings,
            []
        );
        assert_eq!(values(&format!("{{\"{}\": 1}}", "x".repeat(1000))), []);
        assert_eq!(find(&"{".repeat(1_000_000)).readings, [], "in time");
        assert_eq!(find(&"{'a':".repeat(200_000)).readings, [], "in time");
    }

    #[test]
    fn an_unfinished_map_is_known() {
        for line in [
            "{",
            "  {\"a\": 1,",
            "{'a': 1",
            "x {\"a\": {",
            "{\"a\": \"b",
            "{'a': -",
            "{'a': tensor(1",
        ] {
            assert_eq!(find(line).unfinished, line.find('{'), "{line}");
        }
        assert_eq!(find("{}{").unfinished, Some(2));
    }

    #[test]
    fn a_whole_line_is_one_map() {
        assert!(read_whole("{'loss': 1}").is_some_and(|found| found.len() == 1));
        for line in [
            "",
            "loss,epoch",
            "x {\"a\": 1}",
            "{\"a\": 1} x",
            "{\"a\": 1}{\"a\": 2}",
            "{",
        ] {
            assert_eq!(read_whole(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\{\\}\\[\\]\\(\\)\"'<>a-z0-9é\\\\:,. -]{0,60}") {
            let _ = (find(&text), read_whole(&text));
        }

        #[test]
        fn json_is_read_as_json(map in proptest::collection::btree_map("[a-z\"\\\\é]{1,8}", proptest::num::f64::NORMAL, 1..6)) {
            let text = serde_json::to_string(&map).unwrap();
            let expected: Vec<_> = map.into_iter().filter(|(name, _)| name != "step").collect();
            prop_assert_eq!(values(&format!("x {text} y")), expected);
        }
    }
}
