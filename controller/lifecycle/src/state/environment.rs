//! Environments of runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The environment of an attempt, as its agent found it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Names it: the same facts have the same digest.
    pub digest: String,
    /// Facts about the machine and the interpreter, by name.
    pub facts: BTreeMap<String, String>,
    /// Installed packages, `name==version`.
    pub packages: Vec<String>,
    /// Variables, `NAME=value`; only `NAME` where the value is private.
    pub variables: Vec<String>,
    /// The data sets that the sweep file declares.
    pub data: Vec<DataSet>,
}

/// A declared data set, as an agent has found it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataSet {
    /// Its name in the sweep file.
    pub name: String,
    /// A path, or the address of a bucket.
    pub location: String,
    /// Names what is in it; empty: it cannot be told.
    pub digest: String,
    /// The input of the digest: `content`, `size and time`, `versions`; empty without one.
    pub basis: String,
    /// How many files or objects.
    pub files: u64,
    /// All their bytes.
    pub bytes: u64,
    /// Why it cannot be told, or not in full; mostly empty.
    pub note: String,
}
