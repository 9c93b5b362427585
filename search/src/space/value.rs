//! A value a parameter can take, as YAML can write it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number};

/// The key that marks a float which JSON cannot write: `{"$float": "inf"}`.
const FLOAT_TAG: &str = "$float";

/// A value a parameter can take. Integers and floats are kept apart, since a program may treat `1`
/// and `1.0` differently.
///
/// `==` compares floats by bits through `f64`'s rules; for "is this the same point" use
/// [`Value::identity`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, NaN and infinities included.
    Float(f64),
    /// Text.
    Str(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping in the order of the file.
    Map(Vec<(String, Self)>),
}

impl Value {
    /// Returns the value as a number: integers and floats only.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// Returns a text that two values share exactly when they are the same point of a grid: at the
    /// top level a whole float equals its integer (`3e6` and `3000000`), inside lists and maps it
    /// does not, `true` is not `1`, NaN equals NaN, and the order of a map's keys does not matter.
    /// These are W&B's rules.
    pub fn identity(&self) -> String {
        match self {
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => {
                (*float as i64).to_string()
            }
            other => other.nested_identity(),
        }
    }

    fn nested_identity(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(bool) => bool.to_string(),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => format!("{float:?}"),
            Self::Str(text) => format!("{text:?}"),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::nested_identity).collect();
                format!("[{}]", items.join(","))
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| format!("{key:?}:{}", value.nested_identity()))
                    .collect();
                entries.sort();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    /// Writes the value as JSON. Lossless: a float that JSON cannot write becomes `{"$float": "inf"
    /// | "-inf" | "nan"}`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(bool) => (*bool).into(),
            Self::Int(int) => (*int).into(),
            Self::Float(float) => match Number::from_f64(*float) {
                Some(number) => serde_json::Value::Number(number),
                None => serde_json::json!({ FLOAT_TAG: non_finite_name(*float) }),
            },
            Self::Str(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// Reads what [`Value::to_json`] wrote. Integers beyond 64 bits become floats.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(*bool),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Str(text.clone()),
            serde_json::Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(entries) => match tagged_float(entries) {
                Some(float) => Self::Float(float),
                None => Self::Map(
                    entries
                        .iter()
                        .map(|(key, value)| (key.clone(), Self::from_json(value)))
                        .collect(),
                ),
            },
        }
    }
}

fn non_finite_name(float: f64) -> &'static str {
    if float.is_nan() {
        "nan"
    } else if float > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

fn tagged_float(entries: &Map<String, serde_json::Value>) -> Option<f64> {
    let name = entries.get(FLOAT_TAG).filter(|_| entries.len() == 1)?;
    match name.as_str()? {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer).map_err(D::Error::custom)?;
        Ok(Self::from_json(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_follows_the_grid_rules_of_wandb() {
        let same = |a: Value, b: Value| a.identity() == b.identity();
        assert!(same(Value::Float(3e6), Value::Int(3_000_000)));
        assert!(!same(
            Value::List(vec![Value::Int(1)]),
            Value::List(vec![Value::Float(1.0)])
        ));
        assert!(!same(Value::Str("1e-4".into()), Value::Float(1e-4)));
        assert!(!same(Value::Bool(true), Value::Int(1)));
        assert!(same(Value::Float(f64::NAN), Value::Float(f64::NAN)));
        let map = |keys: [&str; 2]| {
            Value::Map(
                keys.iter()
                    .map(|key| ((*key).to_owned(), Value::Null))
                    .collect(),
            )
        };
        assert!(same(map(["a", "b"]), map(["b", "a"])));
    }

    #[test]
    fn json_keeps_every_value() {
        for value in [
            Value::Float(f64::INFINITY),
            Value::Float(0.1),
            Value::Int(-3),
            Value::Float(1.0),
            Value::Null,
        ] {
            assert_eq!(Value::from_json(&value.to_json()), value);
        }
        assert!(
            matches!(Value::from_json(&Value::Float(f64::NAN).to_json()), Value::Float(float) if float.is_nan())
        );
    }
}
