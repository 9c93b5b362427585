//! Runs for the tests of the rules.

use super::series::{Peer, Reporting};
use crate::observation::Goal;

/// Returns a run that has reported `series`, the first `known` values of it before.
pub(super) fn reporting(goal: Goal, series: &[f64], known: usize) -> Reporting<'_> {
    Reporting {
        goal,
        series,
        known,
        best: None,
    }
}

/// Returns other runs, none of which was trained to its end.
pub(super) fn unfinished<'a>(others: &'a [&'a [f64]]) -> impl Iterator<Item = Peer<'a>> + Clone {
    others.iter().map(|series| Peer {
        series,
        value: None,
    })
}
