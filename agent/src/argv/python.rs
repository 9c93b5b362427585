//! Values as the text that Python programs expect: `str()`, `json.dumps()`, and YAML that PyYAML
//! reads back unchanged.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// The key that marks a float which JSON cannot write: `{"$float": "inf"}`.
const FLOAT_TAG: &str = "$float";

/// Writes a value as Python's `str()` does: strings as they are, everything else as `repr()`.
pub(crate) fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => render(other, &Repr),
    }
}

/// Writes a value as Python's `json.dumps()` does, NaN and Infinity included.
pub(crate) fn json(value: &Value) -> String {
    render(value, &Json)
}

/// Writes a value as YAML in flow style. PyYAML takes `1e-05` for a string, so floats always have a
/// point.
pub(crate) fn yaml(value: &Value) -> String {
    render(value, &Yaml)
}

/// Returns whether a map is a float that JSON cannot write.
pub(super) fn is_float(value: &Value) -> bool {
    matches!(value, Value::Object(map) if map.len() == 1 && map.contains_key(FLOAT_TAG))
}

/// How one notation writes what has no parts.
trait Notation {
    fn null(&self) -> &'static str;
    fn bool(&self, value: bool) -> &'static str;
    fn float(&self, value: f64) -> String;
    fn string(&self, out: &mut String, text: &str);
}

struct Repr;
struct Json;
struct Yaml;

impl Notation for Repr {
    fn null(&self) -> &'static str {
        "None"
    }

    fn bool(&self, value: bool) -> &'static str {
        if value { "True" } else { "False" }
    }

    fn float(&self, value: f64) -> String {
        float_repr(value, ["nan", "inf", "-inf"])
    }

    fn string(&self, out: &mut String, text: &str) {
        let quote = if text.contains('\'') && !text.contains('"') {
            '"'
        } else {
            '\''
        };
        out.push(quote);
        for character in text.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c == quote => {
                    out.push('\\');
                    out.push(c);
                }
                c if is_printable(c) => out.push(c),
                c => push_escape(out, u32::from(c)),
            }
        }
        out.push(quote);
    }
}

impl Notation for Json {
    fn null(&self) -> &'static str {
        "null"
    }

    fn bool(&self, value: bool) -> &'static str {
        if value { "true" } else { "false" }
    }

    fn float(&self, value: f64) -> String {
        float_repr(value, ["NaN", "Infinity", "-Infinity"])
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            if push_quoted(out, character) {
                continue;
            }
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out.push('"');
    }
}

impl Notation for Yaml {
    fn null(&self) -> &'static str {
        "null"
    }

    fn bool(&self, value: bool) -> &'static str {
        if value { "true" } else { "false" }
    }

    fn float(&self, value: f64) -> String {
        let text = float_repr(value, [".nan", ".inf", "-.inf"]);
        match text.split_once('e') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => {
                format!("{mantissa}.0e{exponent}")
            }
            _ => text,
        }
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            if push_quoted(out, character) {
                continue;
            }
            if is_printable(character) && u32::from(character) <= 0xffff {
                out.push(character);
            } else {
                push_escape(out, u32::from(character));
            }
        }
        out.push('"');
    }
}

/// Writes what all double-quoted notations write alike; returns whether it did.
fn push_quoted(out: &mut String, character: char) -> bool {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        ' '..='~' => out.push(character),
        _ => return false,
    }
    true
}

fn push_escape(out: &mut String, code: u32) {
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

fn render(value: &Value, notation: &impl Notation) -> String {
    let mut out = String::new();
    push_value(&mut out, value, notation);
    out
}

fn push_value(out: &mut String, value: &Value, notation: &impl Notation) {
    match value {
        Value::Null => out.push_str(notation.null()),
        Value::Bool(value) => out.push_str(notation.bool(*value)),
        Value::Number(number) => out.push_str(&number_text(number, notation)),
        Value::String(text) => notation.string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_value(out, item, notation);
            }
            out.push(']');
        }
        Value::Object(map) => match tagged_float(map) {
            Some(float) => out.push_str(&notation.float(float)),
            None => push_map(out, map, notation),
        },
    }
}

fn push_map(out: &mut String, map: &Map<String, Value>, notation: &impl Notation) {
    out.push('{');
    for (index, (key, item)) in map.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        notation.string(out, key);
        out.push_str(": ");
        push_value(out, item, notation);
    }
    out.push('}');
}

fn number_text(number: &Number, notation: &impl Notation) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => notation.float(float),
        _ => number.to_string(),
    }
}

fn tagged_float(map: &Map<String, Value>) -> Option<f64> {
    let Some(Value::String(text)) = map.get(FLOAT_TAG).filter(|_| map.len() == 1) else {
        return None;
    };
    match text.as_str() {
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        "nan" => Some(f64::NAN),
        _ => None,
    }
}

/// Python's `repr` of a float: the shortest digits that read back as the same number, with an
/// exponent below 1e-4 and from 1e16 on.
fn float_repr(value: f64, [nan, inf, minus_inf]: [&str; 3]) -> String {
    if value.is_nan() {
        return nan.to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { inf } else { minus_inf }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') {
            plain
        } else {
            format!("{plain}.0")
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Returns whether Python's `repr` leaves a character as it is: an approximation of
/// `str.isprintable` without a table of all characters.
fn is_printable(character: char) -> bool {
    let invisible = matches!(u32::from(character),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f
        | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0xe0000..=0x10_ffff);
    character == ' ' || !(character.is_control() || character.is_whitespace() || invisible)
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        let cases = [
            (1e-5, "1e-05"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1.0, "1.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (-0.0, "-0.0"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
        ];
        for (float, expected) in cases {
            assert_eq!(str(&value!(float)), expected);
        }
        assert_eq!(str(&value!({"$float": "inf"})), "inf");
        assert_eq!(str(&value!({"$float": "-inf"})), "-inf");
        assert_eq!(str(&value!([{"$float": "nan"}])), "[nan]");
    }

    #[test]
    fn strings_are_bare_alone_and_quoted_inside() {
        assert_eq!(str(&value!("it's")), "it's");
        assert_eq!(
            str(&value!([
                "it's",
                "say \"x\"",
                "both ' and \"",
                "a\\b\n\u{7f}\u{202e}é😀"
            ])),
            { r#"["it's", 'say "x"', 'both \' and "', 'a\\b\n\x7f\u202eé😀']"# }
        );
        assert_eq!(
            str(&value!({"lr": 0.1, "layers": [1, null, true]})),
            "{'lr': 0.1, 'layers': [1, None, True]}"
        );
    }

    #[test]
    fn json_has_the_spacing_and_escapes_of_json_dumps() {
        let params = value!({"a": true, "b": false, "c": 1, "d": null, "e": "é😀\u{7f}", "f": {"$float": "nan"}, "g": [1e-5]});
        let expected = r#"{"a": true, "b": false, "c": 1, "d": null, "e": "\u00e9\ud83d\ude00\u007f", "f": NaN, "g": [1e-05]}"#;
        assert_eq!(json(&params), expected);
    }

    #[test]
    fn yaml_floats_have_a_point_because_pyyaml_asks_for_one() {
        assert_eq!(yaml(&value!(1e-5)), "1.0e-05");
        assert_eq!(yaml(&value!(1.5e-7)), "1.5e-07");
        assert_eq!(
            yaml(&value!([{"$float": "inf"}, {"$float": "nan"}, "no", null])),
            r#"[.inf, .nan, "no", null]"#
        );
        assert_eq!(yaml(&value!("é😀")), "\"é\\U0001f600\"");
    }
}
