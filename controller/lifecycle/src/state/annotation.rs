//! The annotation of a run. The search does not use it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The annotation of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// A note, or empty.
    pub note: String,
    /// Words by which runs are found.
    pub tags: BTreeSet<String>,
    /// It is listed above the others.
    pub pinned: bool,
}

impl Annotation {
    /// Returns whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
