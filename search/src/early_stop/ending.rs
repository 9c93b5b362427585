//! Predictions of the values that stopped runs would have reached at their end, from the present
//! curves.

use std::collections::BTreeMap;

use super::extrapolation::{Extrapolation, FinishedCurve, Shape};
use super::series::{Peer, iterations};
use crate::observation::{Ending, Goal};

/// No more finished curves than this are compared with: an even choice of all.
const FINISHED_MAX: usize = 100;
/// With fewer finished curves of its own code, a run is compared with those of other code as well.
const OWN_ENOUGH: usize = 8;
/// A curve without a finished peer may still change by this many times the change of its last half.
const FALL: f64 = 2.0;
/// Half the distance of the quartiles of a normal distribution, in deviations.
const QUARTILE: f64 = 0.674;

/// Predicts what stopped runs would have reached at their end.
///
/// A run is compared with the finished runs of the same code whose curves are longer than its own;
/// where these are few, with those of other code as well, which may gain more or less by something
/// that is learnt. A run without any measure is weak evidence: the value that it reached, with a
/// deviation as large as the spread of all values.
#[derive(Clone, Debug)]
pub struct Endings {
    goal: Goal,
    by_code: BTreeMap<String, Pool>,
    spread: f64,
    /// By code, and by the length at which a run was stopped.
    models: BTreeMap<(String, usize), Option<Extrapolation>>,
}

impl Endings {
    /// Learns from runs that have ended: the code of each, its curve, and the value that it
    /// reached. `Peer::value` is there for finished runs only.
    pub fn new<'p>(goal: Goal, ended: impl Iterator<Item = (&'p str, Peer<'p>, f64)>) -> Self {
        let mut endings = Self {
            goal,
            by_code: BTreeMap::new(),
            spread: 1.0,
            models: BTreeMap::new(),
        };
        let mut reached = Vec::new();
        for (code, peer, value) in ended {
            reached.extend(Some(goal.minimized(value)).filter(|value| value.is_finite()));
            let Some(finished) = Finished::of(goal, peer) else {
                continue;
            };
            match endings.by_code.get_mut(code) {
                Some(pool) => pool.add(finished),
                None => endings
                    .by_code
                    .entry(code.to_owned())
                    .or_default()
                    .add(finished),
            }
        }
        endings.spread = spread(reached);
        endings
    }

    /// Predicts the final value of a run that has reached the value `reached`. The deviation is
    /// finite and above 0.
    pub fn ending(&mut self, code: &str, series: &[f64], reached: f64) -> Ending {
        let Some(shape) = Shape::of(iterations(self.goal, series)) else {
            return self.weak(reached, 0.0);
        };
        let by_code = &self.by_code;
        let model = self
            .models
            .entry((code.to_owned(), shape.length))
            .or_insert_with(|| learn(by_code, code, shape.length));
        match model.as_ref().map(|model| model.predict(&shape)) {
            Some((mean, deviation)) => Ending {
                mean: self.goal.minimized(mean),
                deviation,
            },
            None => self.weak(reached, shape.fall()),
        }
    }

    fn weak(&self, reached: f64, fall: f64) -> Ending {
        Ending {
            mean: reached,
            deviation: self.spread.max(FALL * fall).min(f64::MAX),
        }
    }
}

/// Predicts what a run would reach at its end from finished peers alone; `None` where no peer was
/// longer.
pub(super) fn expected<'p>(
    goal: Goal,
    series: &[f64],
    peers: impl Iterator<Item = Peer<'p>>,
) -> Option<f64> {
    let mut pool = Pool::default();
    peers
        .filter_map(|peer| Finished::of(goal, peer))
        .for_each(|finished| pool.add(finished));
    let shape = Shape::of(iterations(goal, series))?;
    let (mean, _) = Extrapolation::fit(&pool.curves(shape.length, false))?.predict(&shape);
    Some(goal.minimized(mean))
}

/// Learns from the curves that are longer than `length`: those of the code, and where these are
/// few, those of other code.
fn learn(by_code: &BTreeMap<String, Pool>, code: &str, length: usize) -> Option<Extrapolation> {
    let mut curves = by_code
        .get(code)
        .map(|pool| pool.curves(length, false))
        .unwrap_or_default();
    if curves.len() < OWN_ENOUGH {
        let others = by_code.iter().filter(|(other, _)| *other != code);
        curves.extend(others.flat_map(|(_, pool)| pool.curves(length, true)));
    }
    Extrapolation::fit(&curves)
}

/// Returns the robust standard deviation of values, or 1 where it is 0.
fn spread(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        values
            .get(((values.len().saturating_sub(1)) as f64 * share).round() as usize)
            .copied()
            .unwrap_or_default()
    };
    let between =
        |low: f64, high: f64, scale: f64| (at(high) / scale - at(low) / scale).min(f64::MAX);
    let candidates = [
        between(0.25, 0.75, 2.0 * QUARTILE),
        between(0.0, 1.0, 2.0),
        at(0.5).abs(),
    ];
    candidates
        .into_iter()
        .find(|spread| *spread > 0.0)
        .unwrap_or(1.0)
}

/// The curve of a finished run; small values are good.
#[derive(Clone, Debug)]
struct Finished {
    values: Vec<f64>,
    /// The best of the first values, for each number of them.
    bests: Vec<f64>,
    value: f64,
}

impl Finished {
    fn of(goal: Goal, peer: Peer<'_>) -> Option<Self> {
        let value = goal.minimized(peer.value.filter(|value| value.is_finite())?);
        let values: Vec<f64> = iterations(goal, peer.series).collect();
        let bests = values.iter().scan(f64::INFINITY, |best, value| {
            *best = best.min(*value);
            Some(*best)
        });
        Some(Self {
            bests: bests.collect(),
            values,
            value,
        })
    }

    /// Returns the shape that the curve had after some iterations; `None` where it was no longer
    /// than that.
    fn shape(&self, length: usize) -> Option<Shape> {
        if self.values.len() <= length || length == 0 {
            return None;
        }
        let half = length.div_ceil(2);
        Some(Shape {
            length,
            best: self.bests[length - 1],
            last: self.values[length - 1],
            half: self.bests[half - 1],
        })
    }
}

/// Finished curves of one version of the code.
#[derive(Clone, Debug, Default)]
struct Pool {
    finished: Vec<Finished>,
    /// How many were offered, and that every n-th of them is kept.
    offered: usize,
    every: usize,
}

impl Pool {
    fn add(&mut self, finished: Finished) {
        self.every = self.every.max(1);
        if self.offered.is_multiple_of(self.every) {
            self.finished.push(finished);
        }
        self.offered += 1;
        if self.finished.len() > FINISHED_MAX {
            let mut place = 0;
            self.finished.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.every *= 2;
        }
    }

    fn curves(&self, length: usize, is_other: bool) -> Vec<FinishedCurve> {
        let curve = |finished: &Finished| {
            Some(FinishedCurve {
                shape: finished.shape(length)?,
                value: finished.value,
                is_other,
            })
        };
        self.finished.iter().filter_map(curve).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Falls by 1.5 towards `floor`, as each run of the sweep does, with a little noise.
    fn curve(floor: f64, length: u32) -> Vec<f64> {
        let noise = |epoch: u32| 0.01 * ((f64::from(epoch) * 7.3 + floor * 911.0).sin());
        (0..length)
            .map(|epoch| floor + 1.5 * (-f64::from(epoch) / 4.0).exp() + noise(epoch))
            .collect()
    }

    fn least(series: &[f64]) -> f64 {
        series.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn endings(floors: &[f64], stopped: &[f64]) -> Endings {
        let finished: Vec<Vec<f64>> = floors.iter().map(|floor| curve(*floor, 20)).collect();
        let stopped: Vec<Vec<f64>> = stopped.iter().map(|floor| curve(*floor, 3)).collect();
        let finished = finished.iter().map(|series| {
            (
                "a",
                Peer {
                    series,
                    value: Some(least(series)),
                },
                least(series),
            )
        });
        let stopped = stopped.iter().map(|series| {
            (
                "a",
                Peer {
                    series,
                    value: None,
                },
                least(series),
            )
        });
        Endings::new(Goal::Minimize, finished.chain(stopped))
    }

    #[test]
    fn the_ending_of_a_stopped_run_follows_the_finished_ones() {
        let mut many = endings(&[0.25, 0.27, 0.3, 0.32, 0.35, 0.36, 0.4], &[0.5, 0.7, 0.9]);
        let mut one = endings(&[0.3], &[0.5, 0.7, 0.9]);
        for floor in [0.5, 0.7, 1.0] {
            let series = curve(floor, 3);
            let truth = least(&curve(floor, 20));
            let ending = many.ending("a", &series, least(&series));
            assert!(
                (ending.mean - truth).abs() < 0.1 && ending.deviation < 0.2,
                "{floor}: {ending:?} and not {truth}"
            );
            let unsure = one.ending("a", &series, least(&series));
            assert!(
                unsure.deviation > 1.5 * ending.deviation,
                "one curve says less than seven: {unsure:?} {ending:?}"
            );
            assert!(
                (unsure.mean - truth).abs() < 2.0 * unsure.deviation,
                "{unsure:?}"
            );
        }
    }

    #[test]
    fn a_value_that_cannot_be_extrapolated_is_weak_evidence() {
        let mut none = endings(&[], &[0.3, 0.5, 0.7, 0.9]);
        let series = curve(0.5, 3);
        let ending = none.ending("a", &series, least(&series));
        assert_eq!(ending.mean, least(&series));
        assert!(ending.deviation > 0.1, "{ending:?}");
        assert!(
            none.ending("a", &[], 0.4).deviation > 0.1,
            "its curve was deleted"
        );
        assert!(
            Endings::new(Goal::Minimize, std::iter::empty())
                .ending("a", &[], 0.4)
                .deviation
                > 0.0
        );
    }

    #[test]
    fn curves_of_other_code_are_a_measure_until_there_are_own_ones() {
        let curves: Vec<Vec<f64>> = [0.25, 0.3, 0.35, 0.4, 0.45]
            .map(|floor| curve(floor, 20))
            .into();
        let of = |code: &'static str, series: &'_ [f64]| (code, least(series));
        let endings = |own: usize| {
            let ended = curves.iter().enumerate().map(|(place, series)| {
                let (code, value) = of(if place < own { "b" } else { "a" }, series);
                (
                    code,
                    Peer {
                        series,
                        value: Some(value),
                    },
                    value,
                )
            });
            let series = curve(0.5, 3);
            Endings::new(Goal::Minimize, ended).ending("b", &series, least(&series))
        };
        let [none, one, all] = [0, 1, 5].map(endings);
        assert!(
            (none.mean - all.mean).abs() < 0.05 && none.deviation > 3.0 * all.deviation,
            "{none:?} {all:?}"
        );
        assert!(
            (one.mean - all.mean).abs() < 0.05 && one.deviation < 3.0 * all.deviation,
            "{one:?} {all:?}"
        );
    }

    #[test]
    fn large_values_are_good_where_they_are_to_be_maximised() {
        let turned: Vec<Vec<f64>> = [0.25, 0.3, 0.4]
            .iter()
            .map(|floor| curve(*floor, 20).iter().map(|value| -value).collect())
            .collect();
        let best = |series: &[f64]| series.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let finished = turned.iter().map(|series| {
            (
                "a",
                Peer {
                    series,
                    value: Some(best(series)),
                },
                best(series),
            )
        });
        let mut maximised = Endings::new(Goal::Maximize, finished);
        let series: Vec<f64> = curve(0.5, 3).iter().map(|value| -value).collect();
        let plain =
            endings(&[0.25, 0.3, 0.4], &[]).ending("a", &curve(0.5, 3), least(&curve(0.5, 3)));
        let ending = maximised.ending("a", &series, best(&series));
        assert_eq!(
            (ending.mean, ending.deviation),
            (-plain.mean, plain.deviation)
        );
    }

    #[test]
    fn of_many_finished_curves_an_even_choice_is_kept() {
        let finished: Vec<Vec<f64>> = (0..1000)
            .map(|run| curve(0.2 + f64::from(run) / 1000.0, 6))
            .collect();
        let endings = Endings::new(
            Goal::Minimize,
            finished.iter().map(|series| {
                (
                    "a",
                    Peer {
                        series,
                        value: Some(least(series)),
                    },
                    0.0,
                )
            }),
        );
        let all = &endings.by_code["a"].finished;
        let kept = all.len();
        assert!((FINISHED_MAX / 2..=FINISHED_MAX).contains(&kept), "{kept}");
        assert!(all[kept - 1].value > 1.1 && all[0].value < 0.7);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => 0.0..1.0, 2 => -1e3..1e3, 1 => Just(0.5), 1 => any::<f64>(), 1 => Just(f64::MAX), 1 => Just(-f64::MAX), 1 => Just(1e9)]
    }

    proptest! {
        #[test]
        fn any_curves_give_a_finite_ending(
            own in prop::collection::vec(value(), 0..30),
            others in prop::collection::vec((prop::collection::vec(value(), 0..40), prop::option::weighted(0.9, value())), 0..12),
            maximize in any::<bool>(),
        ) {
            let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
            let reached = |series: &[f64]| series.iter().copied().find(|value| value.is_finite()).unwrap_or(0.5);
            let ended = others.iter().map(|(series, value)| ("a", Peer { series, value: *value }, reached(series)));
            let ending = Endings::new(goal, ended).ending("a", &own, reached(&own));
            prop_assert!(ending.mean.is_finite() && ending.deviation > 0.0 && ending.deviation.is_finite(), "{ending:?}");
        }

        #[test]
        fn the_unit_of_the_objective_does_not_matter(unit in -20_i32..20, floor in 0.3..0.9_f64) {
            let unit = 2_f64.powi(unit);
            let turned: Vec<Vec<f64>> =
                [0.25, 0.3, 0.4].iter().map(|floor| curve(*floor, 20).iter().map(|value| unit * value).collect()).collect();
            let ended = turned.iter().map(|series| ("a", Peer { series, value: Some(least(series)) }, least(series)));
            let own: Vec<f64> = curve(floor, 3).iter().map(|value| unit * value).collect();
            let ending = Endings::new(Goal::Minimize, ended).ending("a", &own, least(&own));
            let plain = endings(&[0.25, 0.3, 0.4], &[]).ending("a", &curve(floor, 3), least(&curve(floor, 3)));
            prop_assert!((ending.mean / unit - plain.mean).abs() < 1e-6 && (ending.deviation / unit - plain.deviation).abs() < 1e-6);
        }
    }
}
