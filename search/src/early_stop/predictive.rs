//! Stops a run by a prediction of its final value.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::regression::{Regression, Student};
use super::series::{Peer, Reporting, Stop, iterations};
use crate::observation::Goal;

/// Stops a run that will very probably not beat the best.
///
/// The finished runs of the sweep say how far curves still fall from here on: a Bayesian regression of what they gained after the same
/// iteration, on where they stood, how fast they had fallen, and how far they were above their own best. Where they say little, it falls
/// back to the run's own curve, continued as a power law. All of it is on a scale that is linear near the best value and logarithmic far
/// from it, so that one diverged run does no harm.
///
/// Each run is judged many times, and the finished runs are those that earlier judgements have spared: what starts slowly and wins is rare
/// among them. So the probability that stops a run is small at first and grows with its progress, as a trial that is looked at again and
/// again spends its errors (Lan and DeMets, "Discrete Sequential Boundaries for Clinical Trials", 1983: `α t³`), and a run that still falls
/// fast enough to reach the best, or is nearly done, goes on whatever the others say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictive {
    /// At its end a run would stop when it beats the best with less than this probability; before, at the share `t` of it, with less than
    /// `t³` of this. Above 0, below 1.
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
/// No run stops after this share of it: the little that is left costs less than what a finished curve teaches.
const NEARLY_DONE: f64 = 0.9;
/// A run is looked at about so often: looking more often costs time and stops more good runs by chance.
const LOOKS: usize = 64;
/// The power of a run's progress that the probability which stops it grows with.
const SPENDING: i32 = 3;
/// A run goes on if it could reach the best by falling this many times as fast as it did in the last half, in the logarithm of the iteration.
/// Curves that flatten as `1 / iteration` fall at most 0.7 times as fast.
const FALL: f64 = 2.0;
/// Curves fall like `iteration^-POWER`, until others say otherwise.
const POWER: f64 = 1.0;
const FEATURES: usize = 5;

impl Predictive {
    /// Returns whether the run should stop now, and why; `None` to let it go on.
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

    // `None`: too few runs have finished to learn it from, or to be compared with.
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

/// Returns the series of the runs that were trained to their end and were longer than `now`, and what they came to.
fn longer<'p>(
    now: usize,
    peers: impl Iterator<Item = Peer<'p>> + Clone,
) -> impl Iterator<Item = (&'p [f64], f64)> + Clone {
    peers
        .filter(move |peer| peer.series.len() > now)
        .filter_map(|peer| Some((peer.series, peer.value?)))
}

/// Returns the shapes that curves had after `now` iterations, and what they came to.
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
    /// Returns the shape of the first `length` values, or of all there are; `None` where there are none.
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

    /// Returns how much it falls until `horizon` if each doubling of the iteration brings as much as the last one did.
    fn fall(&self, horizon: usize) -> f64 {
        (self.half - self.best) * (horizon as f64 / self.length as f64).log2()
    }

    fn features(&self, scale: &RegretScale) -> [f64; FEATURES] {
        let [best, last, half, quarter] =
            [self.best, self.last, self.half, self.quarter].map(|value| scale.squash(value));
        [1.0, best, half - best, quarter - half, last - best]
    }
}

// What the run comes to, on the squashed scale.
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
    // Where the objective is the best value of a run, no run can end above what it has reached.
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

/// Returns the coefficients of a power law: it falls from `now` to the horizon by this many times what it fell since half of `now`.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Predictive = Predictive {
        min_probability: 0.2,
        min_iter: None,
        max_iter: None,
        min_runs: 5,
    };

    /// A power law of `length` values from about 1 to about `end`.
    fn curve(end: f64, length: u32) -> Vec<f64> {
        (1..=length)
            .map(|iteration| end + (1.0 - end) * 0.8 / f64::from(iteration))
            .collect()
    }

    fn finished(ends: &[f64], length: u32) -> Vec<(Vec<f64>, Option<f64>)> {
        let run = |end: &f64| {
            let curve = curve(*end, length);
            let value = curve.last().copied();
            (curve, value)
        };
        ends.iter().map(run).collect()
    }

    fn judge(
        rule: &Predictive,
        goal: Goal,
        series: &[f64],
        known: usize,
        others: &[(Vec<f64>, Option<f64>)],
    ) -> Option<Stop> {
        let best = others
            .iter()
            .filter_map(|(_, value)| *value)
            .reduce(|a, b| if goal.is_better(b, a) { b } else { a });
        let peers = others.iter().map(|(series, value)| Peer {
            series,
            value: *value,
        });
        rule.judge(
            &Reporting {
                goal,
                series,
                known,
                best,
            },
            peers,
        )
    }

    const ENDS: [f64; 6] = [0.2, 0.25, 0.3, 0.35, 0.4, 0.5];

    #[test]
    fn what_will_not_win_stops_with_its_prediction() {
        let others = finished(&ENDS, 52);
        let bad = curve(0.45, 52);
        let stop = judge(&RULE, Goal::Minimize, &bad[..11], 10, &others).unwrap();
        assert_eq!(
            stop.reason,
            "iteration 11: predicted 0.457 ± 0.084 at step 52, best 0.212: better with a probability of 0.1 %, judged by 6 finished runs"
        );
        assert!((stop.predicted.unwrap() - bad[51]).abs() < 0.01, "{stop:?}");
        let negative = |series: &[f64]| series.iter().map(|value| -value).collect::<Vec<_>>();
        let mirrored: Vec<_> = others
            .iter()
            .map(|(series, value)| (negative(series), value.map(|value| -value)))
            .collect();
        let mirrored = judge(&RULE, Goal::Maximize, &negative(&bad[..11]), 10, &mirrored).unwrap();
        assert_eq!(mirrored.predicted, stop.predicted.map(|value| -value));
        assert_eq!(
            mirrored.reason,
            stop.reason
                .replace("predicted ", "predicted -")
                .replace("best ", "best -")
        );
    }

    #[test]
    fn what_may_win_goes_on() {
        let others = finished(&ENDS, 52);
        for end in [0.1, 0.19, 0.2, 0.21] {
            let good = curve(end, 52);
            for now in 1..=52 {
                assert_eq!(
                    judge(&RULE, Goal::Minimize, &good[..now], now - 1, &others),
                    None,
                    "to {end} at {now}"
                );
            }
        }
    }

    #[test]
    fn nobody_stops_early_in_a_run_or_in_a_sweep() {
        let bad = curve(0.9, 52);
        let judge = |rule: &Predictive, now: usize, runs: usize| {
            judge(
                rule,
                Goal::Minimize,
                &bad[..now],
                now - 1,
                &finished(&ENDS[..runs], 52),
            )
            .is_some()
        };
        assert_eq!(
            [
                judge(&RULE, 10, 6),
                judge(&RULE, 11, 6),
                judge(&RULE, 11, 5),
                judge(&RULE, 11, 4)
            ],
            [false, true, true, false]
        );
        assert!(judge(
            &Predictive {
                min_iter: Some(8),
                ..RULE
            },
            8,
            6
        ));
        assert!(!judge(
            &Predictive {
                min_iter: Some(12),
                ..RULE
            },
            11,
            6
        ));
        assert!(!judge(
            &Predictive {
                max_iter: Some(100),
                ..RULE
            },
            19,
            6
        ));
        assert!(judge(&RULE, 46, 6));
        assert!(!judge(&RULE, 47, 6), "it is nearly done");
        assert!(!judge(&RULE, 52, 6), "it is at its end");
    }

    #[test]
    fn the_same_doubt_stops_a_run_late_and_not_early() {
        let others = finished(&ENDS, 52);
        let stops = |now: usize| {
            let flat = vec![0.24; now];
            judge(
                &Predictive {
                    min_probability: 0.5,
                    ..RULE
                },
                Goal::Minimize,
                &flat,
                now - 1,
                &others,
            )
        };
        let late = stops(46).unwrap();
        assert!(
            late.reason.contains("better with a probability of "),
            "{late:?}"
        );
        assert_eq!((11..26).map(stops).find(Option::is_some), None);
    }

    #[test]
    fn what_still_falls_fast_goes_on_whatever_the_others_did() {
        let others = finished(&ENDS, 52);
        let falling: Vec<f64> = (1..=26)
            .map(|iteration| 1.2 - 0.15 * f64::from(iteration).log2())
            .collect();
        let flat = vec![falling[25]; 26];
        assert!(judge(&RULE, Goal::Minimize, &flat, 25, &others).is_some());
        assert_eq!(judge(&RULE, Goal::Minimize, &falling, 25, &others), None);
    }

    #[test]
    fn only_finished_runs_and_new_iterations_count() {
        let (others, bad) = (finished(&ENDS, 52), curve(0.9, 52));
        let running: Vec<_> = others
            .iter()
            .map(|(series, _)| (series.clone(), None))
            .collect();
        assert_eq!(judge(&RULE, Goal::Minimize, &bad[..20], 19, &running), None);
        let mut series = bad[..20].to_vec();
        series.push(f64::NAN);
        assert_eq!(
            judge(&RULE, Goal::Minimize, &series, 20, &others),
            None,
            "a NaN is no iteration"
        );
        assert!(judge(&RULE, Goal::Minimize, &series, 19, &others).is_some());
    }

    #[test]
    fn a_long_run_is_looked_at_now_and_then() {
        let (others, bad) = (finished(&ENDS, 6400), curve(0.9, 6400));
        let looks = (1..6400)
            .filter(|now| judge(&RULE, Goal::Minimize, &bad[..*now], now - 1, &others).is_some())
            .count();
        assert_eq!(
            looks, 45,
            "a hundredth of them, after the first fifth and before the last tenth"
        );
        assert!(
            judge(&RULE, Goal::Minimize, &bad[..1399], 1290, &others).is_some(),
            "a report may bring many"
        );
    }

    #[test]
    fn one_diverged_run_does_no_harm() {
        let mut others = finished(&ENDS, 52);
        others.push((vec![1e9; 52], Some(1e9)));
        assert!(judge(&RULE, Goal::Minimize, &curve(0.45, 52)[..11], 10, &others).is_some());
        assert_eq!(
            judge(&RULE, Goal::Minimize, &curve(0.19, 52)[..11], 10, &others),
            None
        );
    }

    #[test]
    fn flat_and_equal_curves_are_no_reason_to_stop() {
        let others = vec![(vec![0.5; 52], Some(0.5)); 8];
        assert_eq!(judge(&RULE, Goal::Minimize, &[0.5; 30], 29, &others), None);
        assert!(
            judge(&RULE, Goal::Minimize, &[0.9; 46], 45, &others)
                .is_none_or(|stop| stop.predicted.is_some())
        );
    }

    #[test]
    fn what_has_been_reached_is_not_lost_again() {
        let mut others = finished(&ENDS, 52);
        for (series, value) in &mut others {
            series.truncate(30);
            series.extend([0.9; 22]);
            *value = Some(series.iter().copied().fold(f64::INFINITY, f64::min));
        }
        for now in 11..47 {
            let own = vec![0.6; now];
            let stop = judge(&RULE, Goal::Minimize, &own, now - 1, &others);
            assert!(
                stop.is_some_and(|stop| stop
                    .predicted
                    .is_some_and(|predicted| predicted < 0.600_001)),
                "at {now}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_numbers_give_a_finite_prediction_or_none(
            own in prop::collection::vec(value(), 0..30),
            others in prop::collection::vec((prop::collection::vec(value(), 0..40), prop::option::weighted(0.9, value())), 0..12),
            known in 0_usize..30,
            maximize in any::<bool>(),
            min_iter in prop::option::of(0_u64..5),
            max_iter in prop::option::of(prop_oneof![0_u64..60, Just(u64::MAX)]),
        ) {
            let rule = Predictive { min_probability: 0.5, min_iter, max_iter, min_runs: 1 };
            let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
            let others: Vec<_> = others.into_iter().map(|(series, value)| (series, value.filter(|value| value.is_finite()))).collect();
            if let Some(stop) = judge(&rule, goal, &own, known.min(own.len()), &others) {
                prop_assert!(stop.predicted.is_some_and(f64::is_finite), "{stop:?}");
                prop_assert!(!stop.reason.contains("NaN"), "{stop:?}");
            }
        }

        #[test]
        fn the_unit_of_the_objective_does_not_matter(unit in -20_i32..20, offset in -3.0..3.0_f64, end in 0.3..0.9_f64, now in 11_usize..40) {
            let unit = 10_f64.powi(unit);
            let turn = |series: &[f64]| series.iter().map(|value| (value + offset) * unit).collect::<Vec<_>>();
            let others = finished(&ENDS, 52);
            let turned: Vec<_> = others.iter().map(|(series, value)| (turn(series), value.map(|value| (value + offset) * unit))).collect();
            let own = curve(end, 52);
            let plain = judge(&RULE, Goal::Minimize, &own[..now], now - 1, &others).is_some();
            prop_assert_eq!(plain, judge(&RULE, Goal::Minimize, &turn(&own[..now]), now - 1, &turned).is_some());
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => 0.0..1.0, 2 => -1e3..1e3, 1 => Just(0.5), 1 => any::<f64>(), 1 => Just(f64::MAX), 1 => Just(-f64::MAX), 1 => Just(0.0)]
    }
}
