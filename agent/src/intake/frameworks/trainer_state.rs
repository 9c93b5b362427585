//! `trainer_state.json`, which Hugging Face's `Trainer` writes into each checkpoint: its
//! `log_history` holds all that was logged so far.

use serde_json::{Map, Value};

use super::series::Sample;
use crate::intake::record;

/// Returns what was logged, in order; `None`: the file is not complete, or holds something else.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<Sample>> {
    // Python writes NaN and Infinity, which are no JSON.
    let state: Value = serde_json::from_slice(bytes)
        .ok()
        .or_else(|| serde_json::from_str(&without_nan(bytes)).ok())?;
    let history = state.get("log_history")?.as_array()?;
    Some(
        history
            .iter()
            .filter_map(Value::as_object)
            .flat_map(entry)
            .collect(),
    )
}

fn entry(entry: &Map<String, Value>) -> Vec<Sample> {
    let step = entry.get("step").and_then(number).map(|step| step as i64);
    let metrics = entry
        .iter()
        .filter(|(name, _)| *name != "step" && record::is_name(name));
    metrics
        .filter_map(|(name, value)| {
            Some(Sample {
                tag: name.clone(),
                step,
                value: number(value)?,
            })
        })
        .collect()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            NAN => Some(f64::NAN),
            INFINITY => Some(f64::INFINITY),
            MINUS_INFINITY => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

const NAN: &str = "\u{1}NaN";
const INFINITY: &str = "\u{1}Infinity";
const MINUS_INFINITY: &str = "\u{1}-Infinity";

/// Returns the text with words outside of texts that JSON does not know as texts that no program
/// writes.
fn without_nan(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (mut json, mut rest, mut is_text) = (String::with_capacity(text.len()), &text[..], false);
    while let Some(first) = rest.chars().next() {
        let words = [
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
            ("Infinity", "Infinity"),
        ];
        if !is_text
            && let Some((word, name)) = words.into_iter().find(|(word, _)| rest.starts_with(word))
        {
            json.push_str(&format!("\"\\u0001{name}\""));
            rest = &rest[word.len()..];
            continue;
        }
        let length = if is_text && first == '\\' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            first.len_utf8()
        };
        is_text ^= first == '"';
        json.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_read_with_its_steps() {
        let text = r#"{"epoch": 2.0, "log_history": [{"epoch": 1.0, "loss": 0.7, "step": 2}, {"eval_loss": NaN, "step": 8, "name": "a \" NaN"}]}"#;
        let found: Vec<_> = read(text.as_bytes()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|sample| (sample.tag.as_str(), sample.step))
            .collect();
        assert_eq!(
            names,
            [
                ("epoch", Some(2)),
                ("loss", Some(2)),
                ("eval_loss", Some(8))
            ]
        );
        assert!(found[2].value.is_nan() && found[1].value == 0.7);
    }

    #[test]
    fn half_a_file_is_waited_for() {
        for text in [
            "",
            "{\"log_history\": [{\"loss\": 0.5",
            "[]",
            "{}",
            "{\"a\\",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
