//! One parameter, and the space of them all.

use serde::{Deserialize, Serialize};

use super::{Condition, Distribution};

/// Where a parameter stands: one segment for a flat parameter (dots and all), more for a nested one. Sorted as W&B sorts:
/// by name at each level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(pub Vec<String>);

impl Path {
    /// Makes the path of a flat parameter.
    pub fn flat(name: impl Into<String>) -> Self {
        Self(vec![name.into()])
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

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
    #[error("parameter `{parameter}` depends on `{on}`, which is no parameter")]
    UnknownCondition {
        /// The parameter with the condition.
        parameter: Path,
        /// What the condition names.
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
        if let Some(pair) = parameters.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(SpaceError::Duplicate(pair[0].path.clone()));
        }
        let space = Self { parameters };
        for parameter in &space.parameters {
            for condition in &parameter.when {
                if space.get(&condition.on).is_none() {
                    return Err(SpaceError::UnknownCondition { parameter: parameter.path.clone(), on: condition.on.clone() });
                }
            }
            if space.depends_on(&parameter.path, &parameter.path, 0) {
                return Err(SpaceError::ConditionCircle(parameter.path.clone()));
            }
        }
        Ok(space)
    }

    /// Returns the parameters, sorted by path.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Returns the parameter at a path.
    pub fn get(&self, path: &Path) -> Option<&Parameter> {
        self.parameters.binary_search_by(|parameter| parameter.path.cmp(path)).ok().map(|index| &self.parameters[index])
    }

    fn depends_on(&self, from: &Path, target: &Path, depth: usize) -> bool {
        let conditions = self.get(from).map(|parameter| parameter.when.as_slice()).unwrap_or_default();
        // A chain longer than the number of parameters has a circle in it.
        depth <= self.parameters.len()
            && conditions.iter().any(|condition| condition.on == *target || self.depends_on(&condition.on, target, depth + 1))
    }
}
