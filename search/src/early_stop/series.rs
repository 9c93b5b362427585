//! The series that rules compare.

use crate::observation::Goal;

/// The run that has just reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reporting<'a> {
    /// Whether small or large values are good.
    pub goal: Goal,
    /// The objective's values in the order of their arrival, the new ones included.
    pub series: &'a [f64],
    /// How many of `series` had been reported before.
    pub known: usize,
    /// The best value of the runs of the sweep that have ended, where there is one.
    pub best: Option<f64>,
}

/// Another run of the sweep, in any state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peer<'a> {
    /// The objective's values in the order of their arrival.
    pub series: &'a [f64],
    /// The final value of its series, if it was trained to its end.
    pub value: Option<f64>,
}

/// A run should stop now.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Why, in words.
    pub reason: String,
    /// The predicted final value; always finite. `None` where no longer run has finished.
    pub predicted: Option<f64>,
}

/// The most bands upwards from the first one; the series has no end.
pub(super) const BANDS_MAX: i32 = 100;

/// A value as people read it: six significant digits tell close ones apart.
pub(super) fn words(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let size = rounded.abs();
    if size == 0.0 || (1e-4..1e9).contains(&size) {
        rounded.to_string()
    } else {
        format!("{rounded:e}")
    }
}

/// Returns the bands `first * eta^k`, rising, each once.
pub(super) fn bands_upwards(first: u64, eta: f64) -> Vec<u64> {
    let mut bands: Vec<u64> = (0..BANDS_MAX)
        .map(|power| (first as f64 * eta.powi(power)) as u64)
        .collect();
    bands.dedup();
    bands
}

/// Returns the iterations of a series, turned so that small ones are good.
pub(super) fn iterations(goal: Goal, series: &[f64]) -> impl Iterator<Item = f64> + Clone {
    series
        .iter()
        .filter(|value| value.is_finite())
        .map(move |value| goal.minimized(*value))
}

/// Returns the values of the peers that have reached an iteration, counted from zero.
pub(super) fn at_iteration<'p>(
    goal: Goal,
    peers: impl Iterator<Item = Peer<'p>>,
    iteration: usize,
) -> Vec<f64> {
    let long = peers.filter(|peer| peer.series.len() > iteration);
    long.filter_map(|peer| iterations(goal, peer.series).nth(iteration))
        .collect()
}
