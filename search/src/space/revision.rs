//! A space that was changed: where the configurations of the one before are in the new one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Config, Distribution, Path, Space, Value};

/// The user's statements of where the parameters of a new space come from. The others keep their
/// names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origins {
    /// `renamed_from`: the earlier path by the new one. Written as a list, since a path is no key
    /// of JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
    pub renamed: BTreeMap<Path, Path>,
    /// `was`: the value that the code used before the parameter existed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
    pub was: BTreeMap<Path, Value>,
}

/// Where a configuration is in a space.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigLocation {
    /// It is one of the space's.
    Inside(Config),
    /// It has a value that the parameter cannot have (any more), but stands somewhere beside what
    /// can.
    Outside(Config),
    /// Unknown.
    Nowhere,
}

impl Origins {
    /// Returns whether there are no such statements.
    pub fn is_empty(&self) -> bool {
        self.renamed.is_empty() && self.was.is_empty()
    }

    /// Returns the path that a parameter of `to` had in `from`; `None` where it is new.
    pub fn before<'a>(&'a self, path: &'a Path, from: &Space) -> Option<&'a Path> {
        let renamed = self
            .renamed
            .get(path)
            .filter(|earlier| from.get(earlier).is_some());
        let same = Some(path).filter(|path| from.get(path).is_some());
        same.or(renamed)
    }
}

impl Space {
    /// Returns whether a configuration is one of this space's: a value that can occur for each
    /// active parameter, and nothing else.
    pub fn holds(&self, config: &Config) -> bool {
        let known = config.0.keys().all(|path| self.get(path).is_some());
        known
            && self.parameters().iter().all(|parameter| {
                let active = parameter
                    .when
                    .iter()
                    .all(|condition| condition.holds(config));
                match config.0.get(&parameter.path) {
                    Some(value) => active && parameter.distribution.refuses(value).is_none(),
                    None => !active,
                }
            })
    }

    /// Says where a configuration of the parameters of this space is in it.
    pub fn locate(&self, config: Config) -> ConfigLocation {
        if self.holds(&config) {
            return ConfigLocation::Inside(config);
        }
        let is_missing = |parameter: &super::Parameter| {
            let active = parameter
                .when
                .iter()
                .all(|condition| condition.holds(&config));
            active && !config.0.contains_key(&parameter.path)
        };
        // What does not vary is no coordinate: the models cannot tell such a configuration from one
        // that has the right value.
        let is_elsewhere = |parameter: &super::Parameter| match &parameter.distribution {
            Distribution::Constant { value } => config
                .0
                .get(&parameter.path)
                .is_some_and(|other| other.identity() != value.identity()),
            Distribution::Categorical { values, .. } if values.len() < 2 => {
                config.0.get(&parameter.path).is_some_and(|other| {
                    values
                        .iter()
                        .all(|value| value.identity() != other.identity())
                })
            }
            other => config
                .0
                .get(&parameter.path)
                .is_some_and(|value| !other.has_place_for(value)),
        };
        if self
            .parameters()
            .iter()
            .any(|parameter| is_missing(parameter) || is_elsewhere(parameter))
        {
            ConfigLocation::Nowhere
        } else {
            ConfigLocation::Outside(config)
        }
    }
}

/// Carries a configuration of the space `from` over into the space `to` that came after it; `None`
/// where a parameter's value is not known.
pub fn carry(config: &Config, from: &Space, to: &Space, origins: &Origins) -> Option<Config> {
    let value = |path: &Path, distribution: &Distribution| match origins.before(path, from) {
        Some(earlier) => config.0.get(earlier).cloned(),
        None => match (origins.was.get(path), distribution) {
            (Some(was), _) => Some(was.clone()),
            (None, Distribution::Constant { value }) => Some(value.clone()),
            (None, _) => None,
        },
    };
    filled(to, value)
}

/// Carries a configuration of the space `to` back into the space `from` that came before it; `None`
/// where it has no place there.
pub fn carry_back(config: &Config, from: &Space, to: &Space, origins: &Origins) -> Option<Config> {
    let mut later = BTreeMap::new();
    for parameter in to.parameters() {
        match origins.before(&parameter.path, from) {
            Some(earlier) => {
                later.insert(earlier.clone(), &parameter.path);
            }
            // Before, the code used one value: a run with another one is none of that space.
            None => {
                let used = match (origins.was.get(&parameter.path), &parameter.distribution) {
                    (Some(was), _) => Some(was),
                    (None, Distribution::Constant { value }) => Some(value),
                    (None, _) => None,
                };
                let tried = config.0.get(&parameter.path);
                if tried.is_some_and(|tried| {
                    used.is_none_or(|used| used.identity() != tried.identity())
                }) {
                    return None;
                }
            }
        }
    }
    let value = |path: &Path, distribution: &Distribution| match (later.get(path), distribution) {
        (Some(later), _) => config.0.get(*later).cloned(),
        (None, Distribution::Constant { value }) => Some(value.clone()),
        (None, _) => None,
    };
    filled(from, value)
}

/// Makes a configuration of a space; `None` where an active parameter has no value.
fn filled(space: &Space, value: impl Fn(&Path, &Distribution) -> Option<Value>) -> Option<Config> {
    let values = space.parameters().iter().filter_map(|parameter| {
        let value = value(&parameter.path, &parameter.distribution)?;
        Some((parameter.path.clone(), value))
    });
    let config = space.activate(values.collect());
    let complete = space.parameters().iter().all(|parameter| {
        config.0.contains_key(&parameter.path)
            || !parameter
                .when
                .iter()
                .all(|condition| condition.holds(&config))
    });
    complete.then_some(config)
}

/// Maps whose keys are paths, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Path;

    pub(super) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<Path, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.iter())
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Path, V>, D::Error> {
        Ok(Vec::<(Path, V)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::fixture::{choice, parameter};
    use crate::space::{Condition, Parameter};

    fn uniform(min: f64, max: f64) -> Distribution {
        Distribution::Uniform { min, max }
    }

    fn space(parameters: Vec<Parameter>) -> Space {
        Space::new(parameters).unwrap()
    }

    fn config(values: &[(&str, Value)]) -> Config {
        Config(
            values
                .iter()
                .map(|(name, value)| (Path::flat(*name), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn a_new_parameter_has_the_value_that_the_code_used() {
        let from = space(vec![parameter("lr", uniform(0.0, 1.0))]);
        let to = space(vec![
            parameter("lr", uniform(0.0, 1.0)),
            parameter("dropout", uniform(0.0, 0.5)),
        ]);
        let old = config(&[("lr", Value::Float(0.3))]);
        assert_eq!(
            carry(&old, &from, &to, &Origins::default()),
            None,
            "the value that the code used is unknown"
        );
        let origins = Origins {
            was: [(Path::flat("dropout"), Value::Float(0.1))].into(),
            ..Origins::default()
        };
        let new = carry(&old, &from, &to, &origins).unwrap();
        assert_eq!(
            new,
            config(&[("lr", Value::Float(0.3)), ("dropout", Value::Float(0.1))])
        );
        assert_eq!(carry_back(&new, &from, &to, &origins).as_ref(), Some(&old));
        let other = config(&[("lr", Value::Float(0.3)), ("dropout", Value::Float(0.2))]);
        assert_eq!(
            carry_back(&other, &from, &to, &origins),
            None,
            "with dropout it is another program"
        );
    }

    #[test]
    fn a_renamed_parameter_keeps_its_values_and_a_removed_one_is_dropped() {
        let from = space(vec![
            parameter("bs", uniform(1.0, 9.0)),
            parameter("old", uniform(0.0, 1.0)),
        ]);
        let to = space(vec![parameter("batch_size", uniform(1.0, 9.0))]);
        let origins = Origins {
            renamed: [(Path::flat("batch_size"), Path::flat("bs"))].into(),
            ..Origins::default()
        };
        let old = config(&[("bs", Value::Float(4.0)), ("old", Value::Float(0.5))]);
        let new = config(&[("batch_size", Value::Float(4.0))]);
        assert_eq!(carry(&old, &from, &to, &origins), Some(new.clone()));
        assert_eq!(
            carry_back(&new, &from, &to, &origins),
            None,
            "the value of `old` is unknown"
        );
        assert_eq!(
            carry(&new, &to, &to, &origins),
            Some(new),
            "an earlier rename is done already"
        );
    }

    #[test]
    fn what_a_space_has_no_value_for_is_beside_it_or_nowhere() {
        let narrow = space(vec![
            parameter("lr", uniform(0.0, 0.1)),
            parameter("opt", choice(&["adam", "sgd"])),
        ]);
        let of = |lr, opt: &str| {
            config(&[
                ("lr", Value::Float(lr)),
                ("opt", Value::Str(opt.to_owned())),
            ])
        };
        assert!(matches!(
            narrow.locate(of(0.05, "sgd")),
            ConfigLocation::Inside(_)
        ));
        assert!(matches!(
            narrow.locate(of(0.5, "sgd")),
            ConfigLocation::Outside(_)
        ));
        assert!(matches!(
            narrow.locate(of(0.05, "lamb")),
            ConfigLocation::Outside(_)
        ));
        let fixed = space(vec![
            parameter("lr", uniform(0.0, 0.1)),
            parameter(
                "opt",
                Distribution::Constant {
                    value: Value::Str("sgd".into()),
                },
            ),
        ]);
        assert_eq!(
            fixed.locate(of(0.05, "adam")),
            ConfigLocation::Nowhere,
            "the models see no optimizer any more"
        );
        assert!(matches!(
            fixed.locate(of(0.05, "sgd")),
            ConfigLocation::Inside(_)
        ));
        assert_eq!(
            narrow.locate(config(&[("lr", Value::Float(0.05))])),
            ConfigLocation::Nowhere
        );
        let text = space(vec![
            parameter("lr", choice(&["small", "large"])),
            parameter("opt", choice(&["adam", "sgd"])),
        ]);
        assert!(
            matches!(text.locate(of(0.05, "sgd")), ConfigLocation::Outside(_)),
            "an unknown value of a list is its own value"
        );
    }

    #[test]
    fn conditions_decide_what_has_to_be_known() {
        let when = vec![Condition {
            on: Path::flat("opt"),
            values: vec![Value::Str("sgd".into())],
        }];
        let to = space(vec![
            parameter("opt", choice(&["adam", "sgd"])),
            Parameter {
                when,
                ..parameter("momentum", uniform(0.0, 1.0))
            },
        ]);
        let from = space(vec![parameter("opt", choice(&["adam", "sgd"]))]);
        let with = |opt: &str| {
            carry(
                &config(&[("opt", Value::Str(opt.to_owned()))]),
                &from,
                &to,
                &Origins::default(),
            )
        };
        assert!(with("adam").is_some_and(|config| to.holds(&config)));
        assert_eq!(with("sgd"), None);
    }

    #[test]
    fn origins_are_written_as_pairs_and_read_again() {
        let origins = Origins {
            renamed: [(Path(vec!["a".into(), "b".into()]), Path::flat("c"))].into(),
            was: [(Path::flat("x"), Value::Float(f64::INFINITY))].into(),
        };
        let json = serde_json::to_string(&origins).unwrap();
        assert_eq!(
            json,
            r#"{"renamed":[[["a","b"],["c"]]],"was":[[["x"],{"$float":"inf"}]]}"#
        );
        assert_eq!(serde_json::from_str::<Origins>(&json).unwrap(), origins);
        assert_eq!(
            serde_json::from_str::<Origins>("{}").unwrap(),
            Origins::default()
        );
    }
}
