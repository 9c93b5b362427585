//! Values in the grammar of Hydra's command line (`OverrideLexer.g4` of Hydra 1.3).

use serde_json::{Map, Value};

use super::python;

/// The characters that need no quotes, besides letters and digits.
const PLAIN: &str = "/-\\+.$%*@?|_";

/// Writes a configuration as overrides: `optimizer.lr=0.01`, nested maps as dots.
pub(super) fn overrides(params: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    flatten("", params, &mut found);
    found
}

fn flatten(prefix: &str, params: &Map<String, Value>, found: &mut Vec<String>) {
    for (name, value) in params {
        match value {
            Value::Object(map) if !map.is_empty() && !python::is_float(value) => {
                flatten(&format!("{prefix}{name}."), map, found);
            }
            other => found.push(format!("{prefix}{name}={}", text(other))),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(_) => python::str(value),
        Value::String(plain) => string(plain),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Object(_) if python::is_float(value) => python::str(value),
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(name, value)| format!("{}:{}", string(name), text(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

/// Quotes a text where Hydra would read something else: a list of choices, a number, a boolean,
/// null.
fn string(text: &str) -> String {
    let is_other = matches!(
        text.to_lowercase().as_str(),
        "null" | "true" | "false" | "nan" | "inf" | ""
    ) || text.replace('_', "").parse::<f64>().is_ok();
    let is_plain = text
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || PLAIN.contains(char));
    if is_plain && !is_other && !text.ends_with('\\') && !text.contains('$') {
        return text.to_owned();
    }
    let mut quoted = String::from("'");
    let mut backslashes = 0;
    for char in text.chars() {
        match char {
            '\\' => backslashes += 1,
            '\'' => {
                // A backslash before a quote escapes it, so those of the text are doubled there.
                quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(char);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_in_hydras_grammar() {
        let Value::Object(params) = json!({
            "optimizer": {"lr": 1e-5, "name": "adam", "betas": [0.9, 0.99]},
            "d": null, "flag": true, "n": 3, "path": "/data/x-1.tar", "empty": {}
        }) else {
            panic!("it is a map")
        };
        let expected = [
            "optimizer.lr=1e-05",
            "optimizer.name=adam",
            "optimizer.betas=[0.9,0.99]",
            "d=null",
            "flag=true",
            "n=3",
            "path=/data/x-1.tar",
            "empty={}",
        ];
        assert_eq!(overrides(&params), expected);
    }

    #[test]
    fn what_hydra_would_read_otherwise_is_quoted() {
        for (value, expected) in [
            ("a,b", "'a,b'"),
            ("a=b", "'a=b'"),
            ("two words", "'two words'"),
            ("[x]", "'[x]'"),
            ("007", "'007'"),
            ("1e5", "'1e5'"),
            ("None", "None"),
            ("null", "'null'"),
            ("True", "'True'"),
            ("", "''"),
            ("it's", r"'it\'s'"),
            (r"a\'b", r"'a\\\'b'"),
            (r"end\", r"'end\\'"),
            ("${x}", "'${x}'"),
            ("Grüße", "'Grüße'"),
        ] {
            assert_eq!(string(value), expected, "{value}");
        }
    }
}
