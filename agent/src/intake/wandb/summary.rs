//! A run's summary, as W&B's library keeps it: one value for each name, nested, changed by what is
//! logged and by the program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::record;
use super::messages::{Item, SummaryChange, is_own, name_of};

/// The key by which media (images, tables, histograms) are told from maps of numbers.
const MEDIA: &str = "_type";

/// The numbers of a summary.
#[derive(Debug, Default)]
pub(super) struct WandbSummary {
    /// By the keys that lead to them.
    values: BTreeMap<Vec<String>, Number>,
}

/// A number of a summary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) value: f64,
    /// The program has set it, not the library by what was logged.
    pub(super) is_set: bool,
}

impl WandbSummary {
    /// Changes the summary.
    pub(super) fn change(&mut self, change: &SummaryChange, media: &mut MediaKeys) {
        media.see(&change.update);
        // The library changes the summary with each step of the history.
        let is_set = !change.update.iter().any(|item| item.path() == ["_step"]);
        for item in &change.update {
            if is_own(item.path()) {
                continue;
            }
            match record::value(&item.value_json) {
                // The usual case: the same number as before, or another one.
                Some(value) if self.values.contains_key(item.path()) => {
                    self.values
                        .insert(item.path().to_vec(), Number { value, is_set });
                }
                number => {
                    self.remove(item.path());
                    for length in 1..item.path().len() {
                        // What was one number is a map now.
                        self.values.remove(&item.path()[..length]);
                    }
                    if let Some(value) = number {
                        self.values
                            .insert(item.path().to_vec(), Number { value, is_set });
                    } else if let Ok(value @ Value::Object(_)) =
                        serde_json::from_str(&item.value_json)
                    {
                        self.insert(&mut item.path().to_vec(), &value, is_set, media);
                    }
                }
            }
        }
        change
            .remove
            .iter()
            .for_each(|item| self.remove(item.path()));
    }

    /// Returns the numbers with their names.
    pub(super) fn numbers(&self, media: &MediaKeys) -> Vec<(String, Number)> {
        let values = self.values.iter().filter(|(path, _)| !media.hold(path));
        values
            .filter_map(|(path, number)| Some((name_of(path)?, *number)))
            .collect()
    }

    fn insert(
        &mut self,
        path: &mut Vec<String>,
        value: &Value,
        is_set: bool,
        media: &mut MediaKeys,
    ) {
        if let Value::Object(map) = value {
            if map.contains_key(MEDIA) {
                media.keys.insert(path.clone());
                return;
            }
            for (key, value) in map {
                path.push(key.clone());
                self.insert(path, value, is_set, media);
                path.pop();
            }
        } else if let Some(value) = record::number_of(value) {
            self.values.insert(path.clone(), Number { value, is_set });
        }
    }

    /// Removes a value and what is nested in it.
    fn remove(&mut self, path: &[String]) {
        let within = self
            .values
            .range(path.to_vec()..)
            .map(|(known, _)| known)
            .take_while(|known| known.starts_with(path));
        for known in within.cloned().collect::<Vec<_>>() {
            self.values.remove(&known);
        }
    }
}

/// The keys below which media are: their sizes and counts are no metrics.
#[derive(Debug, Default)]
pub(super) struct MediaKeys {
    keys: BTreeSet<Vec<String>>,
}

impl MediaKeys {
    /// Takes in which of the values belong to media.
    pub(super) fn see(&mut self, items: &[Item]) {
        for item in items {
            if let [before @ .., last] = item.path()
                && last == MEDIA
                && !self.keys.contains(before)
            {
                self.keys.insert(before.to_vec());
            }
        }
    }

    /// Returns whether a value belongs to media.
    pub(super) fn hold(&self, path: &[String]) -> bool {
        !self.keys.is_empty() && (1..path.len()).any(|length| self.keys.contains(&path[..length]))
    }
}
