//! A configuration: the value of every active parameter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Path, Value};

/// The value of every active parameter, by path. Inactive parameters (a `when:` that does not hold)
/// are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(pub BTreeMap<Path, Value>);

/// The identity of a configuration as a point: see [`Config::key`]. The beginning of a SHA-256,
/// since a sweep may have a million points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PointKey([u8; 16]);

/// The points that were tried or are being tried. A copy costs nothing.
pub type Taken = imbl::OrdSet<PointKey>;

impl Config {
    /// Returns the identity of the point. Two configurations that differ only in inactive
    /// parameters have the same key, since those are absent; values compare by [`Value::identity`].
    pub fn key(&self) -> PointKey {
        let entries: Vec<_> = self
            .0
            .iter()
            .map(|(path, value)| format!("{:?}={}", path.0, value.identity()))
            .collect();
        let digest = Sha256::digest(entries.join(";"));
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        PointKey(key)
    }

    /// Returns the identity of the point where it is tried again with other code, although it was
    /// tried before.
    pub fn key_again(&self, code_version: &str) -> PointKey {
        let PointKey(first) = self.key();
        let digest = Sha256::new()
            .chain_update(first)
            .chain_update(code_version)
            .finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        PointKey(key)
    }

    /// Returns the configuration as the training program sees it: nested parameters as nested maps,
    /// keys sorted at each level.
    pub fn to_nested(&self) -> Value {
        let mut root = Vec::new();
        for (path, value) in &self.0 {
            insert(&mut root, &path.0, value);
        }
        Value::Map(root)
    }
}

fn insert(level: &mut Vec<(String, Value)>, path: &[String], value: &Value) {
    let Some((head, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        level.push((head.clone(), value.clone()));
        return;
    }
    // Paths arrive sorted, so a nested map under construction is always the last entry.
    match level.last_mut() {
        Some((key, Value::Map(entries))) if key == head => insert(entries, rest, value),
        _ => {
            let mut entries = Vec::new();
            insert(&mut entries, rest, value);
            level.push((head.clone(), Value::Map(entries)));
        }
    }
}

// Written as a list of [path, value], since a dotted name and a nested one must stay apart.
impl Serialize for Config {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<(Path, Value)>::deserialize(deserializer)?;
        Ok(Self(entries.into_iter().collect()))
    }
}
