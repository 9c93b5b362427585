//! Values as SQLite has them: signed integers, and JSON.

use crate::store::StoreError;

pub(super) fn to_json<T: serde::Serialize>(row: &T) -> Result<String, StoreError> {
    serde_json::to_string(row)
        .map_err(|error| StoreError::Failed(format!("cannot be written as JSON: {error}")))
}

/// SQLite's integers are signed; no count here comes near the limit.
pub(super) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count(int: i64) -> u64 {
    u64::try_from(int).unwrap_or(0)
}
