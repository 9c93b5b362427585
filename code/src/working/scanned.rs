//! What was found when contents were looked at for secrets.

use std::collections::BTreeMap;

/// Contents that were looked at for secrets, by their hashes: what was found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) known: BTreeMap<Vec<u8>, Option<&'static str>>,
}
