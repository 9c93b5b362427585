//! When a parameter exists: `when: {optimizer: sgd}`.

use serde::{Deserialize, Serialize};

use super::{Config, Path, Value};

/// Holds where the parameter `on` is active and has one of `values`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The parameter it looks at.
    pub on: Path,
    /// The values with which it holds.
    pub values: Vec<Value>,
}

impl Condition {
    /// Returns whether the condition holds in a configuration.
    pub fn holds(&self, config: &Config) -> bool {
        config.0.get(&self.on).is_some_and(|value| {
            self.values
                .iter()
                .any(|wanted| wanted.identity() == value.identity())
        })
    }
}
