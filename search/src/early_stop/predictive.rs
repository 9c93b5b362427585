//! Stops a run by a prediction of its final value.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::regression::{Regression, Student};
use super::series::{Peer, Reporting, Stop, iterations};
use crate::observation::Goal;

/// Stops a run that will very probably not beat the best one.
///
/// The prediction is a Bayesian regression on the finished runs: their gain after the same
/// iteration, given their position, their recent fall and the distance to their own best. With
/// little evidence it falls back to the run's own curve, continued as a power law. The scale is
/// linear near the best value and logarithmic far from it, so that one diverged run does no harm.
///
/// Each run is judged many times, and the finished runs are those that earlier judgements have
/// spared, so slow starters that win are rare among them. For this reason the probability that
/// stops a run is small at first and grows with its progress, as a sequential trial spends its
/// errors (Lan and DeMets, "Discrete Sequential Boundaries for Clinical Trials", 1983: `α t³`). A
/// run that falls fast enough to reach the best, or is nearly done, always continues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictive {
    /// The threshold at the end of a run: it would stop if it beats the best with less than this
    /// probability. Earlier, at the share `t` of the run, the threshold is `t³` times this. Above
    /// 0, below 1.
    pub min_probability: f64,
    /// No run stops before this many iterations; by default a fifth of a run.
    #[serde(default)]
    pub min_iter: Option<u64>,
    /// How many iterations a run has; by default learnt from the runs that have finished.
    #[serde(default)]
    pub max_iter: Option<u64>,
    /// No run stops before this many others have finished that were longer than it is now.
    pub min_runs: u64,
}

/// By default no run stops before this share of it.
const WARM_UP: f64 = 0.2;
/// No run stops after this share of it: the rest costs less than a finished curve is worth.
const NEARLY_DONE: f64 = 0.9;
/// The approximate number of judgements of a run. More of them cost time and stop more good runs by
/// chance.
const LOOKS: usize = 64;
/// The exponent of a run's progress in the threshold.
const SPENDING: i32 = 3;
/// A run continues if it could reach the best by falling this many times as fast as in its last
/// half, in the logarithm of the iteration. Curves that flatten as `1 / iteration` fall at most 0.7
/// times as fast.
const FALL: f64 = 2.0;
/// The exponent of the power law `iteration^-POWER` that a curve follows without other evidence.
const POWER: f64 = 1.0;
const FEATURES: usize = 5;

impl Predictive {
    /// Returns the reason to stop the run now, or `None` if it should continue.
    pub fn judge<'p>(
        &self,
        run: &Reporting<'_>,
        peers: impl Iterator<Item = Peer<'p>> + Clone,
    ) -> Option<Stop> {
        let best = run.goal.minimized(run.best?);
        let own = CurveFeatures::of(iterations(run.goal, run.series), usize::MAX)?;
        let now = own.length;
        let known = iterations(run.goal, run.series.get(..run.known)?).count();
        let finished = longer(now, peers);
        let horizon = self
            .horizon(finished.clone().map(|(series, _)| series.len()))?
            .max(now + 1);
        let every = horizon.div_ceil(LOOKS);
        let min_iter = self
            .min_iter
            .unwrap_or((horizon as f64 * WARM_UP).ceil() as u64);
        let progress = now as f64 / horizon as f64;
        let reachable = own.best - FALL * own.fall(horizon);
        if reachable <= best
            || (now as u64) < min_iter
            || progress > NEARLY_DONE
            || now / every == known / every
        {
            return None;
        }
        let curves = curves(run.goal, now, finished);
        if (curves.len() as u64) < self.min_runs.max(1) {
            return None;
        }
        let scale = RegretScale::around(
            best,
            own.best,
            curves.iter().map(|(_, value)| *value).collect(),
        );
        let forecast = forecast(&own, &curves, &scale, horizon);
        let probability = forecast.below(0.0)?;
        let needed = self.min_probability * progress.powi(SPENDING);
        (probability < needed).then(|| {
            scale.stop(
                run.goal,
                &own,
                &forecast,
                horizon,
                probability,
                curves.len(),
            )
        })
    }

    // `None`: too few runs have finished to learn the length of a run, or to compare with.
    fn horizon(&self, lengths: impl Iterator<Item = usize>) -> Option<usize> {
        let mut lengths: Vec<usize> = lengths.collect();
        if lengths.is_empty() || (lengths.len() as u64) < self.min_runs {
            return None;
        }
        let middle = lengths.len() / 2;
        let (_, median, _) = lengths.select_nth_unstable(middle);
        Some(self.max_iter.map_or(*median, |max_iter| {
            usize::try_from(max_iter).unwrap_or(usize::MAX)
        }))
    }
}

/// Returns the series and final values of the runs that were trained to their end and are longer
/// than `now`.
fn longer<'p>(
    now: usize,
    peers: impl Iterator<Item = Peer<'p>> + Clone,
) -> impl Iterator<Item = (&'p [f64], f64)> + Clone {
    peers
        .filter(move |peer| peer.series.len() > now)
        .filter_map(|peer| Some((peer.series, peer.value?)))
}

/// Returns the features of curves after `now` iterations, with their final values.
fn curves<'p>(
    goal: Goal,
    now: usize,
    finished: impl Iterator<Item = (&'p [f64], f64)>,
) -> Vec<(CurveFeatures, f64)> {
    let finished = finished.filter_map(|(series, value)| {
        let shape = CurveFeatures::of(iterations(goal, series), now)?;
        (shape.length == now && value.is_finite()).then(|| (shape, goal.minimized(value)))
    });
    finished.collect()
}

/// The features of a curve up to an iteration; small values are good.
#[derive(Clone, Debug, PartialEq)]
struct CurveFeatures {
    length: usize,
    best: f64,
    last: f64,
    /// The best by half of the way, and by a quarter.
    half: f64,
    quarter: f64,
}

impl CurveFeatures {
    /// Returns the shape of the first `length` values, or of all there are; `None` where there are
    /// none.
    fn of(values: impl Iterator<Item = f64> + Clone, length: usize) -> Option<Self> {
        let length = values.clone().take(length).count();
        let (half, quarter) = (length.div_ceil(2), length.div_ceil(4));
        let first = values.clone().next()?;
        let mut shape = Self {
            length,
            best: first,
            last: first,
            half: first,
            quarter: first,
        };
        for (index, value) in values.take(length).enumerate() {
            shape.last = value;
            shape.best = shape.best.min(value);
            if index < half {
                shape.half = shape.best;
            }
            if index < quarter {
                shape.quarter = shape.best;
            }
        }
        Some(shape)
    }

    /// Returns how much it falls until `horizon` if each doubling of the iteration brings as much
    /// as the last one did.
    fn fall(&self, horizon: usize) -> f64 {
        (self.half - self.best) * (horizon as f64 / self.length as f64).log2()
    }

    fn features(&self, scale: &RegretScale) -> [f64; FEATURES] {
        let [best, last, half, quarter] =
            [self.best, self.last, self.half, self.quarter].map(|value| scale.squash(value));
        [1.0, best, half - best, quarter - half, last - best]
    }
}

// Predicts the final value on the squashed scale.
fn forecast(
    own: &CurveFeatures,
    curves: &[(CurveFeatures, f64)],
    scale: &RegretScale,
    horizon: usize,
) -> Student {
    let gains = curves.iter().map(|(shape, value)| {
        (
            shape.features(scale),
            scale.squash(*value) - scale.squash(shape.best),
        )
    });
    let gains: Vec<_> = gains.collect();
    let model = Regression::fit(&gains, continued(own.length, horizon));
    let gain = model.predict(&own.features(scale));
    // Where the objective is the best value of a run, no run can end above its best value so far.
    let least = gains
        .iter()
        .map(|(_, gain)| *gain)
        .reduce(f64::max)
        .unwrap_or(f64::INFINITY);
    Student {
        mean: scale.squash(own.best) + gain.mean.min(least),
        ..gain
    }
}

/// Returns the coefficients of a power law. Its fall from `now` to the horizon is this many times
/// its fall since half of `now`.
fn continued(now: usize, horizon: usize) -> [f64; FEATURES] {
    let left = 1.0 - (horizon as f64 / now as f64).powf(-POWER);
    let times = if now > 1 {
        left / (2_f64.powf(POWER) - 1.0)
    } else {
        0.0
    };
    [0.0, 0.0, -times, 0.0, 0.0]
}

impl Student {
    fn below(&self, value: f64) -> Option<f64> {
        let distribution = StudentsT::new(self.mean, self.scale, self.freedom).ok()?;
        Some(distribution.cdf(value)).filter(|probability| probability.is_finite())
    }
}

/// A scale on which the best value is 0: linear near it and logarithmic far from it.
struct RegretScale {
    best: f64,
    unit: f64,
}

impl RegretScale {
    // The unit is how far a usual run ends from the best.
    fn around(best: f64, own: f64, mut finals: Vec<f64>) -> Self {
        let middle = finals.len() / 2;
        let (_, median, _) = finals.select_nth_unstable_by(middle, f64::total_cmp);
        let usual = *median - best;
        let unit = if usual > 0.0 { usual } else { own - best };
        Self {
            best,
            unit: unit.clamp(f64::MIN_POSITIVE, f64::MAX),
        }
    }

    fn squash(&self, value: f64) -> f64 {
        // The bounds keep what follows finite.
        ((value - self.best) / self.unit)
            .clamp(-1e100, 1e100)
            .asinh()
    }

    fn unsquash(&self, squashed: f64) -> f64 {
        self.best + self.unit * squashed.sinh()
    }

    fn stop(
        &self,
        goal: Goal,
        own: &CurveFeatures,
        forecast: &Student,
        horizon: usize,
        probability: f64,
        finished: usize,
    ) -> Stop {
        let predicted = Some(self.unsquash(forecast.mean))
            .filter(|value| value.is_finite())
            .unwrap_or(own.best);
        let deviation = self.unit * forecast.mean.cosh() * forecast.scale;
        let shown = |value: f64| rounded(goal.minimized(value), deviation);
        let reason = format!(
            "iteration {}: predicted {} ± {} at step {horizon}, best {}: better with a probability of {}, judged by {finished} finished runs",
            own.length,
            shown(predicted),
            rounded(deviation, deviation),
            shown(self.best),
            percent(probability),
        );
        Stop {
            reason,
            predicted: Some(goal.minimized(predicted)),
        }
    }
}

fn percent(probability: f64) -> String {
    if probability < 0.001 {
        "less than 0.1 %".to_owned()
    } else {
        format!("{:.1} %", 100.0 * probability)
    }
}

/// Writes a value with as many places as its deviation has a meaning in.
fn rounded(value: f64, deviation: f64) -> String {
    let places = 1.0 - deviation.log10().floor();
    if (0.0..=12.0).contains(&places) && value.abs() < 1e12 {
        format!("{value:.*}", places as usize)
    } else {
        format!("{value:.3e}")
    }
}
