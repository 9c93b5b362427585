//! One parameter, and the space of them all.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Condition, Config, Distribution, Path, Value};

/// One parameter: where it stands, how it varies, and when it exists at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Where it stands.
    pub path: Path,
    /// How it varies.
    pub distribution: Distribution,
    /// The parameter is active only where all of these hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
}

/// All parameters of a sweep, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    parameters: Vec<Parameter>,
}

/// Why a set of parameters makes no space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Two parameters stand at one path.
    #[error("parameter `{0}` is given twice")]
    Duplicate(Path),
    /// A condition names a parameter that does not exist.
    #[error("parameter `{parameter}` depends on `{on}`, which is not a parameter")]
    UnknownCondition {
        /// The parameter with the condition.
        parameter: Path,
        /// The missing parameter.
        on: Path,
    },
    /// Conditions depend on each other in a circle.
    #[error("the conditions of parameter `{0}` lead back to itself")]
    ConditionCircle(Path),
}

impl Space {
    /// Makes a space, sorting the parameters.
    ///
    /// # Errors
    /// Two parameters with one path, a condition on an unknown parameter, conditions in a circle.
    pub fn new(mut parameters: Vec<Parameter>) -> Result<Self, SpaceError> {
        parameters.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = parameters
            .windows(2)
            .find(|pair| pair[0].path == pair[1].path)
        {
            return Err(SpaceError::Duplicate(pair[0].path.clone()));
        }
        let space = Self { parameters };
        for parameter in &space.parameters {
            for condition in &parameter.when {
                if space.get(&condition.on).is_none() {
                    return Err(SpaceError::UnknownCondition {
                        parameter: parameter.path.clone(),
                        on: condition.on.clone(),
                    });
                }
            }
        }
        let order = space.parents_first();
        if let Some(stuck) = (0..space.parameters.len()).find(|index| !order.contains(index)) {
            return Err(SpaceError::ConditionCircle(
                space.parameters[stuck].path.clone(),
            ));
        }
        Ok(space)
    }

    /// Returns the parameters, sorted by path.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Returns the parameter at a path.
    pub fn get(&self, path: &Path) -> Option<&Parameter> {
        self.parameters
            .binary_search_by(|parameter| parameter.path.cmp(path))
            .ok()
            .map(|index| &self.parameters[index])
    }

    /// Drops the values of inactive parameters, and those that are none of the space's.
    pub fn activate(&self, values: BTreeMap<Path, Value>) -> Config {
        self.activate_in(&self.parents_first(), values)
    }

    /// As [`Space::activate`], with the order of [`Space::parents_first`] at hand.
    pub(crate) fn activate_in(
        &self,
        parents_first: &[usize],
        mut values: BTreeMap<Path, Value>,
    ) -> Config {
        let mut config = Config::default();
        for parameter in parents_first.iter().map(|index| &self.parameters[*index]) {
            let Some((path, value)) = values.remove_entry(&parameter.path) else {
                continue;
            };
            if parameter
                .when
                .iter()
                .all(|condition| condition.holds(&config))
            {
                config.0.insert(path, value);
            }
        }
        config
    }

    /// Returns the places of the parameters such that each comes after those that its conditions
    /// look at, else by name. Parameters in a circle of conditions are left out.
    pub(crate) fn parents_first(&self) -> Vec<usize> {
        let place = |path: &Path| {
            self.parameters
                .binary_search_by(|parameter| parameter.path.cmp(path))
                .ok()
        };
        let mut waits_for: Vec<BTreeSet<usize>> = self
            .parameters
            .iter()
            .map(|parameter| {
                parameter
                    .when
                    .iter()
                    .filter_map(|condition| place(&condition.on))
                    .collect()
            })
            .collect();
        let mut children = vec![Vec::new(); self.parameters.len()];
        for (child, parents) in waits_for.iter().enumerate() {
            for parent in parents {
                children[*parent].push(child);
            }
        }
        let mut ready: BTreeSet<usize> = (0..self.parameters.len())
            .filter(|index| waits_for[*index].is_empty())
            .collect();
        let mut order = Vec::with_capacity(self.parameters.len());
        while let Some(next) = ready.pop_first() {
            order.push(next);
            for child in &children[next] {
                waits_for[*child].remove(&next);
                if waits_for[*child].is_empty() {
                    ready.insert(*child);
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, on: &[&str]) -> Parameter {
        let when = on
            .iter()
            .map(|on| Condition {
                on: Path::flat(*on),
                values: vec![Value::Int(1)],
            })
            .collect();
        Parameter {
            path: Path::flat(name),
            distribution: Distribution::IntUniform { min: 0, max: 1 },
            when,
        }
    }

    #[test]
    fn conditions_in_a_circle_are_refused_even_with_many_ways_round() {
        let names: Vec<_> = (0..100).map(|index| format!("p{index:02}")).collect();
        let mut parameters: Vec<_> = names
            .windows(3)
            .map(|names| parameter(&names[0], &[&names[1], &names[2]]))
            .collect();
        parameters.extend([parameter("p98", &[]), parameter("p99", &[])]);
        assert!(Space::new(parameters.clone()).is_ok());
        parameters[98] = parameter("p98", &["p00"]);
        assert!(matches!(
            Space::new(parameters),
            Err(SpaceError::ConditionCircle(_))
        ));
    }

    #[test]
    fn only_active_parameters_stay() {
        let space = Space::new(vec![
            parameter("a", &["b"]),
            parameter("b", &["c"]),
            parameter("c", &[]),
        ])
        .unwrap();
        let config = |b, c| {
            let values = [("a", 0), ("b", b), ("c", c)]
                .map(|(name, value)| (Path::flat(name), Value::Int(value)));
            space
                .activate(values.into())
                .0
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("")
        };
        assert_eq!(
            [config(1, 1), config(0, 1), config(1, 0)],
            ["abc", "bc", "c"]
        );
    }

    #[test]
    fn a_grid_over_a_continuous_parameter_has_no_size() {
        let lr = Parameter {
            path: Path::flat("lr"),
            distribution: Distribution::Uniform { min: 0.0, max: 1.0 },
            when: Vec::new(),
        };
        let space = Space::new(vec![lr, parameter("a", &[])]).unwrap();
        assert_eq!(space.size(), None);
    }
}
