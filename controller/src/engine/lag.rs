//! Rows of runs that lag behind their reports for a moment.
//!
//! A report changes little of a run's row, and the whole row is written. Where few runs report, theirs is written with the report; where
//! many do, once a second. The report itself is in the log, and its points in their table, before it is acknowledged.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::{RunNumber, State, SweepId};

use super::group::Touched;
use crate::store::StaleRows;

/// Rows of runs that were changed together: at most this many are written with each commit.
const RANGE_ROWS_MAX: u64 = 256;
/// Rows that a commit writes of what its requests have changed; the others are written by and by.
const ROWS_AT_ONCE: usize = 1024;
/// Rows that are written with each commit.
const AT_ONCE_MAX: usize = 16;
/// No row lags behind for longer, unless the disk is full.
const LAG_MAX: Duration = Duration::from_secs(1);

/// The runs whose rows lag behind.
#[derive(Debug, Default)]
pub(super) struct Lag {
    runs: BTreeSet<(SweepId, RunNumber)>,
    /// When the first of them has lagged behind for long enough.
    until: Mono,
    /// Runs that were changed together and whose rows are still those of before. The store keeps the list: a crash loses none of it.
    stale: VecDeque<StaleRows>,
}

impl Lag {
    /// Returns the lag after a start: a row of any live run may have been behind when the last process ended.
    pub(super) fn of(state: &State, stale: Vec<StaleRows>, now: Mono) -> Self {
        let live = |(id, sweep): (&SweepId, &sweep_lifecycle::state::Sweep)| {
            sweep
                .index
                .live
                .iter()
                .map(|run| (id.clone(), *run))
                .collect::<Vec<_>>()
        };
        Self {
            runs: state.sweeps.iter().flat_map(live).collect(),
            until: now,
            stale: stale.into(),
        }
    }

    /// Adds to what a commit writes the rows that are due, and notes those that are not.
    pub(super) fn settle(&mut self, touched: &mut Touched, now: Mono) {
        if self.runs.is_empty() {
            self.until = now.saturating_add(LAG_MAX);
        }
        self.runs.extend(std::mem::take(&mut touched.reported));
        if self.runs.len() <= AT_ONCE_MAX || self.until <= now {
            touched.runs.extend(std::mem::take(&mut self.runs));
        } else {
            for run in &touched.runs {
                self.runs.remove(run);
            }
        }
        self.put_off(touched);
        self.settle_ranges(touched);
    }

    /// Puts off rows beyond [`ROWS_AT_ONCE`]: one call may create or change thousands of runs.
    fn put_off(&mut self, touched: &mut Touched) {
        let Some(first) = touched.runs.iter().nth(ROWS_AT_ONCE).cloned() else {
            return;
        };
        for (sweep, run) in touched.runs.split_off(&first) {
            match touched.ranges.last_mut() {
                Some((known, _, last)) if *known == sweep && *last + 1 == run => *last = run,
                _ => touched.ranges.push((sweep, run, run)),
            }
        }
    }

    /// Takes the next rows of runs that were changed together.
    fn settle_ranges(&mut self, touched: &mut Touched) {
        let is_new = !touched.ranges.is_empty() || !touched.deleted.is_empty();
        self.stale
            .retain(|rows| !touched.deleted.contains(&rows.sweep));
        let new = std::mem::take(&mut touched.ranges).into_iter();
        self.stale
            .extend(new.map(|(sweep, first, last)| StaleRows { sweep, first, last }));
        let mut left = RANGE_ROWS_MAX;
        while let Some(rows) = self.stale.front_mut().filter(|_| left > 0) {
            let last = rows.last.min(rows.first.saturating_add(left - 1));
            left = left.saturating_sub(last.saturating_sub(rows.first) + 1);
            touched
                .runs
                .extend((rows.first..=last).map(|run| (rows.sweep.clone(), run)));
            if last == rows.last {
                self.stale.pop_front();
            } else {
                rows.first = last + 1;
            }
        }
        if is_new || left < RANGE_ROWS_MAX {
            touched.stale = Some(self.stale.iter().cloned().collect());
        }
    }

    /// Returns when rows must be written even if nothing else is.
    pub(super) fn next_end(&self) -> Option<Mono> {
        if self.stale.is_empty() {
            (!self.runs.is_empty()).then_some(self.until)
        } else {
            Some(Mono::ZERO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(runs: std::ops::Range<u64>) -> Touched {
        Touched {
            reported: runs.map(|run| (SweepId("s".to_owned()), run)).collect(),
            ..Touched::default()
        }
    }

    #[test]
    fn few_reports_are_seen_at_once_and_many_after_a_moment() {
        let mut lag = Lag::default();
        let mut few = reported(0..AT_ONCE_MAX as u64);
        lag.settle(&mut few, Mono::ZERO);
        assert_eq!((few.runs.len(), lag.next_end()), (AT_ONCE_MAX, None));

        let mut many = reported(0..100);
        many.runs.insert((SweepId("s".to_owned()), 7));
        lag.settle(&mut many, Mono::ZERO);
        assert_eq!((many.runs.len(), lag.next_end()), (1, Some(LAG_MAX)));
        // The end of the lag is that of the first row.
        lag.settle(&mut reported(100..101), LAG_MAX / 2);
        assert_eq!(lag.next_end(), Some(LAG_MAX));
        let mut due = Touched::default();
        lag.settle(&mut due, LAG_MAX);
        assert_eq!((due.runs.len(), lag.next_end()), (100, None));
    }

    #[test]
    fn rows_of_runs_that_change_together_are_written_by_and_by_and_the_rest_is_listed() {
        let sweep = SweepId("s".to_owned());
        let mut lag = Lag::default();
        let mut first = Touched {
            ranges: vec![(sweep.clone(), 1, 300), (sweep.clone(), 310, 310)],
            ..Touched::default()
        };
        lag.settle(&mut first, Mono::ZERO);
        assert_eq!(first.runs.len(), 256);
        let left = |first, last| StaleRows {
            sweep: sweep.clone(),
            first,
            last,
        };
        assert_eq!(first.stale, Some(vec![left(257, 300), left(310, 310)]));
        assert_eq!(lag.next_end(), Some(Mono::ZERO));
        let mut second = Touched::default();
        lag.settle(&mut second, Mono::ZERO);
        assert_eq!((second.runs.len(), second.stale), (45, Some(Vec::new())));
        assert_eq!(lag.next_end(), None);
        let mut rest = Touched::default();
        lag.settle(&mut rest, Mono::ZERO);
        assert_eq!(rest.stale, None);

        let mut many = Touched {
            runs: (1..=1500).map(|run| (sweep.clone(), run)).collect(),
            ..Touched::default()
        };
        lag.settle(&mut many, Mono::ZERO);
        assert_eq!(
            (many.runs.len(), many.stale),
            (1024 + 256, Some(vec![left(1281, 1500)]))
        );
    }
}
