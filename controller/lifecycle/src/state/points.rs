//! The points of the newest space that the runs of a sweep have taken.

use std::collections::BTreeMap;

use sweep_search::space::{PointKey, Taken};

/// The points of the newest space that runs have taken: a point is suggested once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenPoints {
    /// The points of all runs that are in the space.
    pub keys: Taken,
    /// Points of `keys` that several runs share, with the number of runs beyond the first.
    pub shared: BTreeMap<PointKey, u32>,
    /// How many of `keys` are points that were tried before: see [`RunPoint::again`](super::RunPoint::again).
    pub again: u64,
}

impl TakenPoints {
    /// Collects the points of runs, each with whether it is tried again.
    pub(crate) fn of(mut points: Vec<(PointKey, bool)>) -> Self {
        points.sort_unstable();
        let mut taken = Self::default();
        let mut distinct: Vec<PointKey> = Vec::with_capacity(points.len());
        for (key, is_again) in points {
            if distinct.last() == Some(&key) {
                *taken.shared.entry(key).or_default() += 1;
            } else {
                taken.again += u64::from(is_again);
                distinct.push(key);
            }
        }
        taken.keys = distinct.into_iter().collect();
        taken
    }

    /// Adds the point of one more run.
    pub(crate) fn add(&mut self, key: PointKey, is_again: bool) {
        if self.keys.insert(key).is_some() {
            *self.shared.entry(key).or_default() += 1;
        } else {
            self.again += u64::from(is_again);
        }
    }

    /// Removes the point of a run, unless other runs share it.
    pub(crate) fn remove(&mut self, key: PointKey, is_again: bool) {
        match self.shared.get_mut(&key) {
            Some(1) => drop(self.shared.remove(&key)),
            Some(others) => *others -= 1,
            None => {
                self.keys.remove(&key);
                self.again -= u64::from(is_again);
            }
        }
    }
}
