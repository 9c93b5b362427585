//! The results of the search for secrets in contents.

use std::collections::BTreeMap;

/// Contents that were looked at for secrets, by their hashes: what was found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) known: BTreeMap<Vec<u8>, Option<&'static str>>,
}
