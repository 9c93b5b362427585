//! Recognises the entries of a file that its program has written again.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Entries of a file that are recognised once it is rewritten.
const KNOWN_MAX: usize = 100_000;

/// The entries of a file so far, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    seen: Vec<u64>,
    /// Those of the file before it was rewritten, as far as the file now repeats them.
    before: Vec<u64>,
}

impl Repeats {
    /// Records that the file is read from its beginning.
    pub(crate) fn restart(&mut self) {
        self.before = std::mem::take(&mut self.seen);
    }

    /// Takes in the next entry; returns whether the file held it in the same place before it was
    /// rewritten, and all entries above it.
    pub(crate) fn is_repeated(&mut self, entry: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let (place, hash) = (self.seen.len(), hasher.finish());
        let is_repeated = self.before.get(place) == Some(&hash);
        if !is_repeated {
            self.before.clear();
        }
        // Of a file that is only appended to, the entries are not needed beyond this.
        if place < KNOWN_MAX {
            self.seen.push(hash);
        }
        is_repeated
    }
}
