//! The meaning of a scalar: YAML 1.1 as PyYAML reads it (`yaml/resolver.py`), and the floats of YAML 1.2 beside its own.

use sweep_search::space::Value;

/// An exponent without sign and point (`1e5`) makes a number only up to this many digits.
const PLAIN_DIGITS_MAX: usize = 15;

/// Resolves a scalar.
///
/// # Errors
/// The tag is unknown or does not fit the text, or an integer does not fit into 64 bits.
pub(super) fn resolve(text: &str, quoted: bool, tag: Option<&str>) -> Result<Value, String> {
    let core = tag.map(|tag| {
        tag.trim_start_matches("tag:yaml.org,2002:")
            .trim_start_matches('!')
    });
    match core {
        None if quoted => Ok(Value::Str(text.to_owned())),
        None => plain(text),
        Some("str") => Ok(Value::Str(text.to_owned())),
        Some("null") => Ok(Value::Null),
        Some("bool") => boolean(text)
            .map(Value::Bool)
            .ok_or_else(|| format!("`{text}` is not a boolean")),
        Some("int") => integer(text)?
            .map(Value::Int)
            .ok_or_else(|| format!("`{text}` is not an integer")),
        Some("float") => number(text)
            .map(Value::Float)
            .ok_or_else(|| format!("`{text}` is not a number")),
        Some(_) => Err(format!(
            "the tag {} is not known here",
            tag.unwrap_or_default()
        )),
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

/// Decimal, `0b`, `0x`, octal with a leading zero, and base 60 (`1:30`); underscores group digits.
fn integer(text: &str) -> Result<Option<i64>, String> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if unsigned.starts_with('_') {
        return Ok(None);
    }
    if let Some(seconds) = base_60(unsigned) {
        return Ok(Some(if negative { -seconds } else { seconds }));
    }
    let (radix, digits) = match unsigned.get(..2) {
        Some("0x") => (16, &unsigned[2..]),
        Some("0b") => (2, &unsigned[2..]),
        Some(two) if two.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    let digits: String = digits.chars().filter(|char| *char != '_').collect();
    if digits.is_empty() || !digits.chars().all(|char| char.is_digit(radix)) {
        return Ok(None);
    }
    let signed = if negative {
        format!("-{digits}")
    } else {
        digits
    };
    match i64::from_str_radix(&signed, radix) {
        Ok(int) => Ok(Some(int)),
        Err(_) => Err(format!(
            "{text} does not fit into 64 bits; write it with a decimal point or in quotes"
        )),
    }
}

/// Hours, minutes and seconds, as `1:30`: 90.
fn base_60(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let first = parts.next()?;
    if !text.contains(':') || !first.starts_with(|char: char| matches!(char, '1'..='9')) {
        return None;
    }
    let digits: String = first.chars().filter(|char| *char != '_').collect();
    let mut value: i64 = digits.parse().ok()?;
    for part in parts {
        let is_part = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        let part: i64 = part.parse().ok().filter(|part| is_part && *part < 60)?;
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value)
}

fn number(text: &str) -> Option<f64> {
    match integer(text) {
        Ok(Some(int)) => Some(int as f64),
        _ => float(text),
    }
}

/// YAML 1.2's floats: digits on at least one side of the point, an exponent with or without a point. Text stays what may be an identifier (`08`,
/// `1234e56`) and what no 64-bit float holds.
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
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_grouped = |part: &str| {
        part.chars()
            .all(|char| char.is_ascii_digit() || char == '_')
            && !part.starts_with('_')
    };
    let (whole, fraction) = mantissa
        .split_once('.')
        .map_or((mantissa, None), |(whole, fraction)| {
            (whole, Some(fraction))
        });
    if !is_grouped(whole) || !fraction.is_none_or(is_grouped) || mantissa.ends_with('_') {
        return None;
    }
    match (fraction, exponent) {
        (None, None) => return None,
        (None, Some(exponent)) if !exponent.starts_with(['+', '-']) => {
            // A commit or an id rather than a number: `3e21455`.
            let digits = whole.len() + exponent.parse::<usize>().ok()?;
            if digits > PLAIN_DIGITS_MAX || (whole.len() > 1 && whole.starts_with('0')) {
                return None;
            }
        }
        _ => {}
    }
    let digits: String = unsigned.chars().filter(|char| *char != '_').collect();
    digits
        .parse::<f64>()
        .ok()
        .filter(|float| float.is_finite())
        .map(|float| sign * float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        plain(text).expect("resolves")
    }

    #[test]
    fn numbers_are_those_of_yaml_1_2_and_pyyaml_together() {
        for (text, float) in [
            ("1e-4", 1e-4),
            ("1E-3", 1e-3),
            (".5", 0.5),
            ("1.", 1.0),
            ("-2.5e+3", -2500.0),
            ("1_0.5", 10.5),
            ("1e4", 1e4),
            ("1E5", 1e5),
            ("7e1", 70.0),
            ("+1e3", 1e3),
            ("5e-300", 5e-300),
            ("1.5e300", 1.5e300),
            ("08.5", 8.5),
        ] {
            assert_eq!(read(text), Value::Float(float), "{text}");
        }
        for (text, int) in [
            ("10", 10),
            ("-3", -3),
            ("+4", 4),
            ("1_000", 1000),
            ("010", 8),
            ("0x1f", 31),
            ("0b11", 3),
            ("0", 0),
            ("007", 7),
            ("2024_01_01", 20_240_101),
            ("1:30", 90),
            ("-1:00:05", -3605),
        ] {
            assert_eq!(read(text), Value::Int(int), "{text}");
        }
        assert_eq!(read("-.inf"), Value::Float(f64::NEG_INFINITY));
    }

    #[test]
    fn words_are_text_or_booleans_as_in_pyyaml() {
        for text in [
            "y",
            "n",
            "None",
            "1-2",
            "e5",
            "2024-01-02",
            "1.2.3",
            "0.1a",
            "-",
            ".",
            "_1",
            "Infinity",
            "0o10",
            "1:75",
            "12_e3",
        ] {
            assert_eq!(read(text), Value::Str(text.to_owned()), "{text}");
        }
        assert_eq!(read("on"), Value::Bool(true));
        assert_eq!(read("No"), Value::Bool(false));
        assert_eq!(read("~"), Value::Null);
    }

    #[test]
    fn identifiers_are_text_and_nothing_becomes_infinite() {
        for text in [
            "08", "009", "3e21455", "1234e56", "12e4567", "1e400", "1.5e400", "1.5e+400",
            "-1e+999", "1a2b3c4", "05e3", "0X1F",
        ] {
            assert_eq!(read(text), Value::Str(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn tags_decide() {
        assert_eq!(
            resolve("1e-5", false, Some("tag:yaml.org,2002:float")),
            Ok(Value::Float(1e-5))
        );
        assert_eq!(
            resolve("3", false, Some("tag:yaml.org,2002:str")),
            Ok(Value::Str("3".to_owned()))
        );
        assert!(resolve("x", false, Some("!python/object:os.system")).is_err());
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused() {
        assert!(
            plain("92233720368547758080")
                .unwrap_err()
                .contains("64 bits")
        );
    }
}
