//! Entries of a call that were passed over, in words.

/// Entries that are named one by one; of further ones only the number is told.
const NAMED_MAX: usize = 100;

/// Why entries were passed over.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    named: Vec<String>,
    unnamed: usize,
}

impl Skipped {
    /// Notes why an entry was passed over; entries count from 1.
    pub(super) fn note(&mut self, entry: u64, reason: &str) {
        if self.named.len() < NAMED_MAX {
            self.named.push(format!("entry {entry}: {reason}"));
        } else {
            self.unnamed += 1;
        }
    }

    /// Returns a line for each.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        if self.unnamed > 0 {
            self.named
                .push(format!("and {} more for such reasons", self.unnamed));
        }
        self.named
    }
}
