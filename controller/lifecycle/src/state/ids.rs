//! Ids and timestamps.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 by the controller's wall clock: for display only, never for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A sweep's id: 8 characters `[a-z0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SweepId(pub String);

/// An agent process's id, made by the agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub String);

/// A run's number in its sweep, from 1.
pub type RunNumber = u64;

/// An attempt's number in its run, from 1: the fencing token.
pub type AttemptNumber = u32;

/// Names one attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The sweep.
    pub sweep: SweepId,
    /// The run.
    pub run: RunNumber,
    /// The attempt.
    pub attempt: AttemptNumber,
}

/// A set of runs, as ranges of their numbers from the first to the last: `[[1, 40], [42, 42]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunRanges(Vec<(RunNumber, RunNumber)>);

impl RunRanges {
    /// Returns the ranges, each with its first and its last number.
    pub fn ranges(&self) -> &[(RunNumber, RunNumber)] {
        &self.0
    }

    /// Returns the numbers in order.
    pub fn numbers(&self) -> impl Iterator<Item = RunNumber> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Returns how many runs there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a run is one of them.
    pub fn contains(&self, number: RunNumber) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= number);
        behind > 0 && self.0[behind - 1].1 >= number
    }
}

/// Takes the numbers in ascending order.
impl FromIterator<RunNumber> for RunRanges {
    fn from_iter<I: IntoIterator<Item = RunNumber>>(numbers: I) -> Self {
        let mut ranges: Vec<(RunNumber, RunNumber)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Self(ranges)
    }
}

impl std::fmt::Display for SweepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for AgentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_written_as_ranges_of_their_numbers() {
        let runs: RunRanges = [1, 2, 3, 5, 8, 9].into_iter().collect();
        assert_eq!(runs.ranges(), [(1, 3), (5, 5), (8, 9)]);
        assert_eq!(runs.numbers().collect::<Vec<_>>(), [1, 2, 3, 5, 8, 9]);
        assert_eq!(runs.count(), 6);
        assert_eq!(
            (0..=10)
                .filter(|run| runs.contains(*run))
                .collect::<Vec<_>>(),
            [1, 2, 3, 5, 8, 9]
        );
        assert!(RunRanges::default().is_empty());
    }
}
