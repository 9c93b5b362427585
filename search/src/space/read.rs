//! Configurations that come from elsewhere: read, and checked against the space.

use std::collections::BTreeMap;

use super::{Config, Distribution, Path, Space, Value};

/// The tolerance at a bound, relative to the bound: a number written in decimals and read again may
/// lose a digit.
const SLACK: f64 = 1e-9;

impl Space {
    /// Reads a configuration as the training program sees it (a JSON object, nested parameters as
    /// nested objects) or flat, by paths joined with dots. Parameters that are not active may be
    /// there or not; those of one value may be left out.
    ///
    /// # Errors
    /// All that is wrong: a value is missing, unknown, of another type or out of its range.
    pub fn read(&self, json: &serde_json::Value) -> Result<Config, Vec<String>> {
        let serde_json::Value::Object(entries) = json else {
            return Err(vec!["the parameters are no JSON object".to_owned()]);
        };
        let mut values = BTreeMap::new();
        let mut mistakes = Vec::new();
        for (key, json) in entries {
            self.place(&[], key, json, &mut values, &mut mistakes);
        }
        for parameter in self.parameters() {
            if let Distribution::Constant { value } = &parameter.distribution {
                values
                    .entry(parameter.path.clone())
                    .or_insert_with(|| value.clone());
            }
        }
        let config = self.activate(values);
        for parameter in self.parameters() {
            let active = parameter
                .when
                .iter()
                .all(|condition| condition.holds(&config));
            if let Some(value) = config.0.get(&parameter.path) {
                mistakes.extend(
                    parameter
                        .distribution
                        .refuses(value)
                        .map(|why| format!("`{}` {why}", parameter.path)),
                );
            } else if active {
                mistakes.push(format!("`{}` is missing", parameter.path));
            }
        }
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(mistakes)
        }
    }

    /// Puts a value where it belongs; of an object that is not a parameter itself the entries.
    fn place(
        &self,
        above: &[String],
        key: &str,
        json: &serde_json::Value,
        values: &mut BTreeMap<Path, Value>,
        mistakes: &mut Vec<String>,
    ) {
        let path = Path([above, &[key.to_owned()]].concat());
        if self.get(&path).is_some() {
            values.insert(path, Value::from_json(json));
            return;
        }
        let inner = self
            .parameters()
            .iter()
            .any(|parameter| parameter.path.0.starts_with(&path.0));
        match json {
            serde_json::Value::Object(entries) if inner => {
                for (key, json) in entries {
                    self.place(&path.0, key, json, values, mistakes);
                }
            }
            _ => match self
                .parameters()
                .iter()
                .find(|parameter| above.is_empty() && parameter.path.to_string() == key)
            {
                Some(parameter) => {
                    values.insert(parameter.path.clone(), Value::from_json(json));
                }
                None => mistakes.push(format!("the space has no parameter `{path}`")),
            },
        }
    }
}

impl Distribution {
    /// Returns the reason why the parameter cannot have a value, as the rest of a sentence that
    /// begins with "`lr` ..."; `None` where it can.
    pub fn refuses(&self, value: &Value) -> Option<String> {
        let listed = |values: &[Value]| {
            let known = values.iter().any(|own| own.identity() == value.identity());
            (!known).then(|| format!("is {}, which is none of its values", value.to_json()))
        };
        let within = |min: f64, max: f64| {
            let Some(number) = value.as_f64().filter(|number| number.is_finite()) else {
                return Some(format!("is {}, not a finite number", value.to_json()));
            };
            let slack = SLACK * min.abs().max(max.abs());
            (number < min - slack || number > max + slack)
                .then(|| format!("is {number}, out of its range from {min} to {max}"))
        };
        // A rounded value may lie beyond the bound by half a step.
        let rounded = |min: f64, max: f64, step: f64| within(min - step / 2.0, max + step / 2.0);
        match self {
            Self::Constant { value: own } => listed(std::slice::from_ref(own)),
            Self::Categorical { values, .. }
            | Self::CategoricalWithProbabilities { values, .. } => listed(values),
            Self::IntUniform { min, max } => {
                let fraction = value.as_f64().filter(|number| number.fract() != 0.0);
                fraction
                    .map(|number| format!("is {number}, not a whole number"))
                    .or_else(|| within(*min as f64, *max as f64))
            }
            Self::Uniform { min, max }
            | Self::LogUniformValues { min, max }
            | Self::InvLogUniformValues { min, max } => within(*min, *max),
            Self::LogUniform { min, max } => within(min.exp(), max.exp()),
            Self::InvLogUniform { min, max } => within((-max).exp(), (-min).exp()),
            Self::QUniform { min, max, q } | Self::QLogUniformValues { min, max, q } => {
                rounded(*min, *max, q.as_f64())
            }
            Self::QLogUniform { min, max, q } => rounded(min.exp(), max.exp(), q.as_f64()),
            Self::Beta { .. } => within(0.0, 1.0),
            Self::QBeta { q, .. } => rounded(0.0, 1.0, q.as_f64()),
            Self::Normal { .. } | Self::QNormal { .. } => within(f64::NEG_INFINITY, f64::INFINITY),
            Self::LogNormal { .. } => within(0.0, f64::INFINITY),
            Self::QLogNormal { q, .. } => rounded(0.0, f64::INFINITY, q.as_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Condition, Parameter};

    fn space() -> Space {
        let path = |path: &str| Path(path.split('.').map(str::to_owned).collect());
        let optimizers = vec![Value::Str("adam".into()), Value::Str("sgd".into())];
        let when = vec![Condition {
            on: path("optimizer"),
            values: vec![Value::Str("sgd".into())],
        }];
        Space::new(vec![
            Parameter {
                path: path("optimizer"),
                distribution: Distribution::Categorical {
                    values: optimizers,
                    ordered: None,
                },
                when: vec![],
            },
            Parameter {
                path: path("momentum"),
                distribution: Distribution::Uniform { min: 0.0, max: 0.9 },
                when,
            },
            Parameter {
                path: path("model.depth"),
                distribution: Distribution::IntUniform { min: 1, max: 5 },
                when: vec![],
            },
            Parameter {
                path: path("epochs"),
                distribution: Distribution::Constant {
                    value: Value::Int(9),
                },
                when: vec![],
            },
        ])
        .unwrap()
    }

    fn read(json: &str) -> Result<String, String> {
        let read = space().read(&serde_json::from_str(json).unwrap());
        read.map(|config| config.to_nested().to_json().to_string())
            .map_err(|mistakes| mistakes.join("; "))
    }

    #[test]
    fn what_was_written_is_read_again_nested_or_flat() {
        let config = r#"{"epochs":9,"model":{"depth":3},"optimizer":"adam"}"#;
        assert_eq!(read(config).as_deref(), Ok(config));
        assert_eq!(
            read(r#"{"model.depth": 3.0, "optimizer": "adam", "momentum": 7}"#).unwrap(),
            r#"{"epochs":9,"model":{"depth":3.0},"optimizer":"adam"}"#
        );
        assert!(
            read(r#"{"model.depth": 5, "optimizer": "sgd", "momentum": 0.9000000000001}"#).is_ok()
        );
    }

    #[test]
    fn all_mistakes_are_named() {
        let wrong = read(r#"{"model":{"depth":9,"width":1},"optimizer":"sgd","lr":1,"epochs":8}"#)
            .unwrap_err();
        assert_eq!(
            wrong,
            "the space has no parameter `model.width`; the space has no parameter `lr`; `epochs` is 8, which is none of its values; \
             `model.depth` is 9, out of its range from 1 to 5; `momentum` is missing"
        );
        assert_eq!(
            read(r#"{"model.depth": 2.5, "optimizer": 1}"#).unwrap_err(),
            "`model.depth` is 2.5, not a whole number; `optimizer` is 1, which is none of its values"
        );
        assert_eq!(read("[]").unwrap_err(), "the parameters are no JSON object");
    }
}
