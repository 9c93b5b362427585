//! The points that a table has given. A table whose old rows change, or that has the newest row
//! first, is read again as a whole: each row counts once.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::digest;
use super::series::Sample;

/// Points of a table that are recorded.
const POINTS_MAX: usize = 200_000;

/// Points, by hashes.
#[derive(Debug, Default)]
pub(crate) struct GivenPoints {
    /// The number of points of each tag at each step; without steps, of each value.
    counts: BTreeMap<u64, u32>,
    /// Tag, step and value.
    exact: BTreeSet<u64>,
    /// The last step of each tag.
    newest: BTreeMap<u64, i64>,
}

impl GivenPoints {
    /// Records that a point was given.
    pub(crate) fn add(&mut self, tag: &str, step: Option<i64>, value: f64) {
        if self.exact.len() >= POINTS_MAX {
            return;
        }
        *self.counts.entry(place_of(tag, step, value)).or_default() += 1;
        self.exact.insert(exact_of(tag, step, value));
        if let Some(step) = step {
            self.newest.insert(tag_of(tag), step);
        }
    }

    pub(crate) fn add_all(&mut self, samples: &[Sample]) {
        for sample in samples {
            self.add(&sample.tag, sample.step, sample.value);
        }
    }

    /// Returns those points of a table that was written again which were not given, by their steps.
    /// Where no point of a tag is as it was, another series begins, and all of them count. Another
    /// value of the newest step replaces it.
    pub(crate) fn fresh(&self, samples: Vec<Sample>) -> Vec<Sample> {
        let exact = |sample: &Sample| {
            self.exact
                .contains(&exact_of(&sample.tag, sample.step, sample.value))
        };
        let continued: BTreeSet<u64> = samples
            .iter()
            .filter(|sample| exact(sample))
            .map(|sample| tag_of(&sample.tag))
            .collect();
        let mut counts = self.counts.clone();
        let is_fresh = |sample: &Sample| {
            let tag = tag_of(&sample.tag);
            if !continued.contains(&tag) {
                return true;
            }
            match counts.get_mut(&place_of(&sample.tag, sample.step, sample.value)) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    sample.step.is_some()
                        && self.newest.get(&tag).copied() == sample.step
                        && !exact(sample)
                }
                _ => true,
            }
        };
        let mut fresh: Vec<Sample> = samples.into_iter().filter(is_fresh).collect();
        if !continued.is_empty() {
            fresh.sort_by_key(|sample| sample.step);
        }
        fresh
    }
}

/// Turns rows that have the newest one first: at least three, each with a smaller step than the one
/// before. Each row is its samples.
pub(crate) fn in_order(mut rows: Vec<Vec<Sample>>) -> Vec<Sample> {
    let steps: Vec<Option<i64>> = rows
        .iter()
        .filter_map(|row| Some(row.first()?.step))
        .collect();
    let falls = |pair: &[Option<i64>]| matches!(pair, [Some(one), Some(next)] if next < one);
    if steps.len() >= 3 && steps.windows(2).all(falls) {
        rows.reverse();
    }
    rows.into_iter().flatten().collect()
}

fn tag_of(tag: &str) -> u64 {
    digest(tag, "")
}

fn place_of(tag: &str, step: Option<i64>, value: f64) -> u64 {
    match step {
        Some(step) => digest(tag, &step.to_string()),
        None => digest(tag, &format!("={:x}", value.to_bits())),
    }
}

fn exact_of(tag: &str, step: Option<i64>, value: f64) -> u64 {
    digest(tag, &format!("{step:?}={:x}", value.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(points: &[(i64, f64)]) -> Vec<Sample> {
        let sample = |(step, value): &(i64, f64)| Sample {
            tag: "loss".to_owned(),
            step: Some(*step),
            value: *value,
        };
        points.iter().map(sample).collect()
    }

    fn fresh(given: &[(i64, f64)], now: &[(i64, f64)]) -> Vec<(i64, f64)> {
        let mut points = GivenPoints::default();
        points.add_all(&samples(given));
        let fresh = points.fresh(samples(now));
        fresh
            .into_iter()
            .map(|sample| (sample.step.unwrap(), sample.value))
            .collect()
    }

    #[test]
    fn a_row_counts_once_wherever_it_is() {
        let given = [(0, 0.5), (1, 0.4)];
        assert_eq!(
            fresh(&given, &[(3, 0.2), (2, 0.3), (1, 0.4), (0, 0.5)]),
            [(2, 0.3), (3, 0.2)],
            "the newest first"
        );
        assert_eq!(
            fresh(&given, &[(0, 0.6), (1, 0.4), (2, 0.3)]),
            [(2, 0.3)],
            "an old row has changed"
        );
        assert_eq!(
            fresh(&given, &[(0, 0.5), (1, 0.35)]),
            [(1, 0.35)],
            "the newest row is replaced"
        );
        assert_eq!(
            fresh(&given, &[(0, 0.5), (1, 0.4), (1, 0.38)]),
            [(1, 0.38)],
            "a step that comes twice"
        );
        assert_eq!(
            fresh(&given, &[(0, 0.9), (1, 0.8)]),
            [(0, 0.9), (1, 0.8)],
            "another series"
        );
    }

    #[test]
    fn rows_with_the_newest_first_are_turned() {
        let rows = |steps: &[i64]| {
            let rows = steps.iter().map(|step| samples(&[(*step, 0.5)])).collect();
            let steps = in_order(rows)
                .into_iter()
                .map(|sample| sample.step.unwrap());
            steps.collect::<Vec<_>>()
        };
        assert_eq!(rows(&[2, 1, 0]), [0, 1, 2]);
        assert_eq!(rows(&[9, 0]), [9, 0], "the count has begun again");
        assert_eq!(rows(&[2, 3, 1]), [2, 3, 1]);
    }
}
