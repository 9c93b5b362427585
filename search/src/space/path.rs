//! The place of a parameter in a configuration.

use serde::{Deserialize, Serialize};

/// Where a parameter stands: one segment for a flat parameter (dots and all), more for a nested
/// one. Sorted as W&B sorts: by name at each level.
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
