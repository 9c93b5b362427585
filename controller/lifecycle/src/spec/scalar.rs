//! What a scalar means: YAML 1.1 as PyYAML reads it, but with the floats of YAML 1.2.

use sweep_search::space::Value;

/// Resolves a scalar.
///
/// # Errors
/// The tag is unknown or does not fit the text, or an integer does not fit into 64 bits.
pub(super) fn resolve(text: &str, quoted: bool, tag: Option<&str>) -> Result<Value, String> {
    let core = tag.map(|tag| tag.trim_start_matches("tag:yaml.org,2002:").trim_start_matches('!'));
    match core {
        None if quoted => Ok(Value::Str(text.to_owned())),
        None => plain(text),
        Some("str") => Ok(Value::Str(text.to_owned())),
        Some("null") => Ok(Value::Null),
        Some("bool") => boolean(text).map(Value::Bool).ok_or_else(|| format!("`{text}` is no boolean")),
        Some("int") => integer(text)?.map(Value::Int).ok_or_else(|| format!("`{text}` is no integer")),
        Some("float") => number(text).map(Value::Float).ok_or_else(|| format!("`{text}` is no number")),
        Some(_) => Err(format!("the tag {} is not known here", tag.unwrap_or_default())),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Value::Null);
    }
    if let Some(bool) = boolean(text) {
        return Ok(Value::Bool(bool));
    }
    if let Some(int) = integer(text)? {
        return Ok(Value::Int(int));
    }
    Ok(float(text).map_or_else(|| Value::Str(text.to_owned()), Value::Float))
}

/// PyYAML's booleans: `y` and `n` are text.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Decimal, `0b`, `0x`, `0o` and (as in YAML 1.1) octal with a leading zero; underscores group digits.
fn integer(text: &str) -> Result<Option<i64>, String> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some(two) if two.starts_with('0') && two.as_bytes()[1].is_ascii_digit() => (8, &digits[1..]),
        _ => (10, digits),
    };
    let digits: String = digits.chars().filter(|char| *char != '_').collect();
    if digits.is_empty() || text.starts_with('_') || !digits.chars().all(|char| char.is_digit(radix)) {
        return Ok(None);
    }
    let signed = if negative { format!("-{digits}") } else { digits };
    match i64::from_str_radix(&signed, radix) {
        Ok(int) => Ok(Some(int)),
        Err(_) => Err(format!("{text} does not fit into 64 bits; write it with a decimal point or in quotes")),
    }
}

fn number(text: &str) -> Option<f64> {
    match integer(text) {
        Ok(Some(int)) => Some(int as f64),
        _ => float(text),
    }
}

/// YAML 1.2's floats: digits on at least one side of the point, an exponent with or without a point.
fn float(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let first = unsigned.bytes().next()?;
    let known = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-' | b'_');
    if !(first.is_ascii_digit() || first == b'.') || !unsigned.bytes().all(known) {
        return None;
    }
    let digits: String = unsigned.chars().filter(|char| *char != '_').collect();
    digits.parse::<f64>().ok().map(|float| sign * float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        plain(text).expect("resolves")
    }

    #[test]
    fn numbers_are_those_of_yaml_1_2_and_pyyaml_together() {
        for (text, float) in [("1e-4", 1e-4), ("1E-3", 1e-3), (".5", 0.5), ("1.", 1.0), ("-2.5e+3", -2500.0), ("1_0.5", 10.5), ("1e4", 1e4)]
        {
            assert_eq!(read(text), Value::Float(float), "{text}");
        }
        for (text, int) in [("10", 10), ("-3", -3), ("+4", 4), ("1_000", 1000), ("010", 8), ("0x1f", 31), ("0b11", 3), ("0", 0)] {
            assert_eq!(read(text), Value::Int(int), "{text}");
        }
        assert_eq!(read("-.inf"), Value::Float(f64::NEG_INFINITY));
    }

    #[test]
    fn words_are_text_or_booleans_as_in_pyyaml() {
        for text in ["y", "n", "None", "1-2", "e5", "1:30", "2024-01-02", "1.2.3", "0.1a", "-", ".", "_1", "Infinity"] {
            assert_eq!(read(text), Value::Str(text.to_owned()), "{text}");
        }
        assert_eq!(read("on"), Value::Bool(true));
        assert_eq!(read("No"), Value::Bool(false));
        assert_eq!(read("~"), Value::Null);
    }

    #[test]
    fn tags_decide() {
        assert_eq!(resolve("1e-5", false, Some("tag:yaml.org,2002:float")), Ok(Value::Float(1e-5)));
        assert_eq!(resolve("3", false, Some("tag:yaml.org,2002:str")), Ok(Value::Str("3".to_owned())));
        assert!(resolve("x", false, Some("!python/object:os.system")).is_err());
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused() {
        assert!(plain("92233720368547758080").unwrap_err().contains("64 bits"));
    }
}
