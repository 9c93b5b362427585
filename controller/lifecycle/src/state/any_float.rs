//! Writes a float as a JSON number, or as `"nan"`, `"inf"`, `"-inf"` where JSON has none.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes it.
///
/// # Errors
/// As the serializer has them.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.serialize_str(&value.to_string().to_lowercase())
    }
}

/// Reads it.
///
/// # Errors
/// Neither a number nor one of the three words.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let json = serde_json::Value::deserialize(deserializer)?;
    let float = json
        .as_f64()
        .or_else(|| json.as_str().and_then(|word| word.parse().ok()));
    float.ok_or_else(|| {
        serde::de::Error::custom(format!("neither a number nor nan, inf, -inf: {json}"))
    })
}
