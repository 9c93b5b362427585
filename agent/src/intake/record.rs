//! One JSON object → metrics.

use serde_json::{Map, Value};

use super::Reading;

/// A name longer than this is no metric.
const NAME_BYTES_MAX: usize = 256;
/// Keys that are no metrics: the step itself, and what W&B adds to each record.
const RESERVED: [&str; 4] = ["step", "_step", "_runtime", "_timestamp"];

/// Returns the numbers at the top level of a JSON object, `None` if the text is none. `NaN`, `Infinity` and `-Infinity` are read as Python writes
/// them, bare or as strings; booleans, other strings, lists and maps are no metrics.
pub(crate) fn read(text: &str) -> Option<Vec<Reading>> {
    let object = parse(text)?;
    let step = ["step", "_step"].iter().find_map(|key| object.get(*key).and_then(whole));
    let metrics = object.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()) && is_name(name));
    Some(metrics.filter_map(|(name, value)| Some(Reading { name: name.clone(), step, value: number(value)? })).collect())
}

/// Returns whether a metric may have this name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// Returns the number that one value of JSON is, read as [`read`] does.
pub(super) fn value(json: &str) -> Option<f64> {
    number(&serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.trim().to_owned())))
}

fn parse(text: &str) -> Option<Map<String, Value>> {
    let text = text.trim();
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    match serde_json::from_str(text).or_else(|_| serde_json::from_str(&quote_special_floats(text))) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// JSON has no NaN, but Python writes it.
fn quote_special_floats(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let (mut in_string, mut escaped) = (false, false);
    while let Some(character) = rest.chars().next() {
        let special = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = special {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
            continue;
        }
        if character == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && character == '\\' && !escaped;
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9.0e15).map(|float| float as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn readings(text: &str) -> Vec<(String, Option<i64>, f64)> {
        read(text).unwrap().into_iter().map(|reading| (reading.name, reading.step, reading.value)).collect()
    }

    #[test]
    fn numbers_at_the_top_are_metrics() {
        let found =
            readings(r#" {"loss": 0.5, "acc": 1, "ok": true, "name": "x", "nested": {"a": 1}, "list": [1], "none": null, "step": 3} "#);
        assert_eq!(found, [("loss".to_owned(), Some(3), 0.5), ("acc".to_owned(), Some(3), 1.0)]);
        assert_eq!(readings(r#"{"_step": 4.0, "_runtime": 9, "_timestamp": 9, "epoch": 1}"#), [("epoch".to_owned(), Some(4), 1.0)]);
        assert_eq!(readings("{}"), []);
    }

    #[test]
    fn what_python_writes_for_nan_is_read() {
        let found = readings(r#"{"a NaN \" {": NaN, "b": Infinity, "c": -Infinity, "d": "NaN", "e": 1e-05}"#);
        assert_eq!(found[0].0, "a NaN \" {");
        assert!(found[0].2.is_nan() && found[3].2.is_nan());
        assert_eq!((found[1].2, found[2].2, found[4].2), (f64::INFINITY, f64::NEG_INFINITY, 1e-5));
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in ["", "loss 0.5", "{", "{loss: 1}", "{'loss': 0.5}", "[1]", "{\"a\": 1} trailing", "{\"a\": 1"] {
            assert_eq!(read(line), None, "{line}");
        }
        assert_eq!(read(&format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))), None);
        assert_eq!(read(&format!("{{\"{}\": 1}}", "x".repeat(1000))), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\{\"[ -~é\"\\\\]{0,40}\\}") {
            let _ = read(&text);
        }
    }
}
