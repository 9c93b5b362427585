//! Advice on what to try next: at most one piece of advice about a parameter, and only where the
//! results support it.

use std::fmt;

use super::effects::Effect;
use super::region::{Region, Side};
use super::{Direction, Recommendation};
use crate::observation::{Goal, Observation};
use crate::space::{Distribution, Path, Space, Value};
use crate::why::short;

/// A parameter makes no difference where the 95 % credible interval of its share ends below this.
pub const NO_DIFFERENCE: f64 = 0.05;
/// With fewer results than this nothing is said to make no difference.
const FIX_MIN: usize = 20;
/// A range is worth widening, and a value worth a closer look, where two deviations below the share
/// lies above this.
const WIDEN_SHARE: f64 = 0.05;
const AROUND_SHARE: f64 = 0.1;
/// Parameters that are examined closely.
const AROUND_MAX: usize = 2;
/// The least lead of the best category over the second, in standard deviations.
const CLEAR: f64 = 2.0;
/// A value is at the end of a range that holds this share of it or less.
const END: f64 = 0.02;
/// A best run is old where none of this share of the runs, the last ones, is better; and there are
/// this many.
const OLD_SHARE: f64 = 0.4;
const OLD_MIN: usize = 30;

/// A piece of advice.
#[derive(Clone, Debug, PartialEq)]
pub enum Advice {
    /// The recommended run is at the end of a range, and the objective improves towards it.
    Widen {
        /// The parameter.
        path: Path,
        /// The end of the range.
        bound: f64,
        /// Whether it is the upper end.
        is_upper: bool,
    },
    /// The model clearly expects the best objective near a value.
    Around {
        /// The parameter.
        path: Path,
        /// The value.
        value: Value,
        /// The model's prediction there.
        mean: f64,
    },
    /// The parameter makes no difference: the 95 % credible interval of its share ends below
    /// [`NO_DIFFERENCE`].
    Fix {
        /// The parameter.
        path: Path,
        /// The end of that interval.
        share_max: f64,
    },
    /// The model predicts too little of the results to name a parameter.
    Unclear {
        /// The share of their variance that it predicts.
        skill: f64,
    },
    /// The last two fifths of the runs have found nothing better than the recommended run.
    Repeat {
        /// The recommended run.
        run: u64,
    },
}

impl Advice {
    /// Returns the parameter that it is about; `None` where it is about all.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Widen { path, .. } | Self::Around { path, .. } | Self::Fix { path, .. } => {
                Some(path)
            }
            Self::Unclear { .. } | Self::Repeat { .. } => None,
        }
    }
}

/// The facts about a sweep.
pub(super) struct SweepFacts<'a> {
    pub(super) space: &'a Space,
    pub(super) goal: Goal,
    pub(super) observations: &'a [Observation],
    pub(super) effects: &'a [Effect],
    /// The share of the variance that the model predicts, where that is too little.
    pub(super) skill: Option<f64>,
    pub(super) failing: Option<&'a Region>,
    pub(super) recommendation: Option<&'a Recommendation>,
}

/// Returns what to try next, the most important parameter first.
pub(super) fn advise(known: &SweepFacts<'_>) -> Vec<Advice> {
    if let Some(skill) = known.skill {
        let unclear = Advice::Unclear { skill };
        return Vec::from_iter((known.valued() >= FIX_MIN).then_some(unclear));
    }
    let mut advice = Vec::new();
    let mut around = 0;
    for effect in known.effects {
        let widen = known.widen(effect);
        let found = widen
            .or_else(|| known.around(effect).filter(|_| around < AROUND_MAX))
            .or_else(|| known.fix(effect));
        around += usize::from(matches!(found, Some(Advice::Around { .. })));
        advice.extend(found);
    }
    advice.extend(known.repeat());
    advice
}

impl SweepFacts<'_> {
    /// Returns the number of results.
    fn valued(&self) -> usize {
        let values = self.observations.iter().map(|seen| seen.outcome.value());
        values
            .filter(|value| value.is_some_and(f64::is_finite))
            .count()
    }

    fn widen(&self, effect: &Effect) -> Option<Advice> {
        let run = self.recommendation?.index;
        let config = &self
            .observations
            .iter()
            .find(|seen| seen.index == run)?
            .config;
        let value = config.0.get(&effect.path)?.as_f64()?;
        let distribution = &self.space.get(&effect.path)?.distribution;
        let (low, high) = bounds(distribution)?;
        let share = distribution.cdf(&Value::Float(value)).unwrap_or(0.5);
        let is_upper = match effect.direction? {
            Direction::Higher => true,
            Direction::Lower => false,
            Direction::Between | Direction::Outside => return None,
        };
        let (bound, is_there) = if is_upper {
            (high, value >= high || share >= 1.0 - END)
        } else {
            (low, value <= low || share <= END)
        };
        // A number of things, a probability or a rate ends there.
        let is_natural = if is_upper {
            (low, high) == (0.0, 1.0)
        } else {
            low == 0.0 || (low == 1.0 && is_whole(distribution))
        };
        let fails = self.sides(&effect.path).any(|side| {
            matches!(
                (side, is_upper),
                (Side::AtLeast(_), true) | (Side::AtMost(_), false)
            )
        });
        let supported = is_there
            && !is_natural
            && !fails
            && effect.share - 2.0 * effect.share_deviation >= WIDEN_SHARE;
        supported.then(|| Advice::Widen {
            path: effect.path.clone(),
            bound,
            is_upper,
        })
    }

    fn around(&self, effect: &Effect) -> Option<Advice> {
        let mut curve: Vec<_> = effect
            .curve
            .iter()
            .filter(|point| point.mean.is_finite())
            .collect();
        curve.sort_by(|a, b| {
            self.goal
                .minimized(a.mean)
                .total_cmp(&self.goal.minimized(b.mean))
        });
        let [best, second, ..] = curve[..] else {
            return None;
        };
        let has_order = self
            .space
            .get(&effect.path)
            .is_some_and(|parameter| bounds(&parameter.distribution).is_some());
        let gap = (best.mean - second.mean).abs() > CLEAR * best.deviation.hypot(second.deviation);
        let is_clear = effect.direction.is_some() || (!has_order && gap);
        let fails = self.sides(&effect.path).any(|side| match side {
            Side::AtLeast(least) => best.value.as_f64().is_some_and(|value| value >= *least),
            Side::AtMost(most) => best.value.as_f64().is_some_and(|value| value <= *most),
            Side::Is(value) => value.identity() == best.value.identity(),
        });
        let supported =
            is_clear && !fails && effect.share - 2.0 * effect.share_deviation >= AROUND_SHARE;
        supported.then(|| Advice::Around {
            path: effect.path.clone(),
            value: best.value.clone(),
            mean: best.mean,
        })
    }

    fn fix(&self, effect: &Effect) -> Option<Advice> {
        let fails = self.sides(&effect.path).next().is_some();
        // The share is one of the whole space: within its branch the parameter may be all that
        // matters.
        let is_conditional = self
            .space
            .get(&effect.path)
            .is_some_and(|parameter| !parameter.when.is_empty());
        let supported = !is_conditional
            && self.valued() >= FIX_MIN
            && !fails
            && effect.share_max < NO_DIFFERENCE;
        supported.then(|| Advice::Fix {
            path: effect.path.clone(),
            share_max: effect.share_max,
        })
    }

    fn repeat(&self) -> Option<Advice> {
        let run = self.recommendation?.index;
        let place = self
            .observations
            .iter()
            .position(|seen| seen.index == run)?;
        let count = self.observations.len();
        let value = self.observations[place].outcome.value()?;
        // A stopped run may have ended better than is predicted.
        let may_be_better = |later: &Observation| {
            later.outcome.value().is_some_and(|mean| {
                let best = self.goal.minimized(mean) - CLEAR * later.outcome.deviation();
                best < self.goal.minimized(value)
            })
        };
        let is_old = count > OLD_MIN && (place as f64) < (1.0 - OLD_SHARE) * count as f64;
        let supported = is_old && !self.observations[place + 1..].iter().any(may_be_better);
        supported.then_some(Advice::Repeat { run })
    }

    fn sides<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Side> {
        let conditions = self
            .failing
            .map(|region| region.conditions.as_slice())
            .unwrap_or_default();
        conditions
            .iter()
            .filter(move |(other, _)| other == path)
            .map(|(_, side)| side)
    }
}

fn is_whole(distribution: &Distribution) -> bool {
    matches!(distribution, Distribution::IntUniform { .. })
}

/// Returns the ends of a range; `None` where a parameter has none.
fn bounds(distribution: &Distribution) -> Option<(f64, f64)> {
    match distribution {
        Distribution::IntUniform { min, max } => Some((*min as f64, *max as f64)),
        Distribution::Uniform { min, max }
        | Distribution::QUniform { min, max, .. }
        | Distribution::LogUniformValues { min, max }
        | Distribution::InvLogUniformValues { min, max }
        | Distribution::QLogUniformValues { min, max, .. } => Some((*min, *max)),
        Distribution::LogUniform { min, max } | Distribution::QLogUniform { min, max, .. } => {
            Some((min.exp(), max.exp()))
        }
        Distribution::InvLogUniform { min, max } => Some(((-max).exp(), (-min).exp())),
        _ => None,
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Widen {
                path,
                bound,
                is_upper,
            } => {
                let way = if *is_upper { "above" } else { "below" };
                write!(
                    f,
                    "widen {path} {way} {}: the recommended run is at the end of its range",
                    short(*bound)
                )
            }
            Self::Around { path, value, mean } => {
                let value = match value {
                    Value::Str(text) => text.clone(),
                    Value::Float(number) => short(*number),
                    other => other.to_json().to_string(),
                };
                write!(
                    f,
                    "look around {path} = {value}: the best average over the other parameters is expected there ({})",
                    short(*mean)
                )
            }
            Self::Fix { path, share_max } => {
                let percent = (100.0 * share_max).ceil();
                write!(
                    f,
                    "fix {path}: it makes less than {percent} % of the differences (95 % credible)"
                )
            }
            Self::Unclear { skill } => write!(
                f,
                "more runs, or `repeats: 3` against noise: the model predicts {:.0} % of the differences between results, so no parameter stands out yet",
                100.0 * skill.max(0.0)
            ),
            Self::Repeat { run } => write!(
                f,
                "repeat the recommended run, {run}, or change the space: the last two fifths of the runs found nothing better"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::super::analyze;
    use super::*;
    use crate::observation::{CodeLine, Ending, Outcome};
    use crate::space::fixture::{choice, parameter};
    use crate::space::unit_cube::UnitCube;

    fn space() -> Space {
        Space::new(vec![
            parameter(
                "rate",
                Distribution::LogUniformValues {
                    min: 1e-4,
                    max: 1.0,
                },
            ),
            parameter("width", Distribution::Uniform { min: 1.0, max: 9.0 }),
            parameter("layers", Distribution::IntUniform { min: 2, max: 8 }),
            parameter("word", choice(&["sgd", "adam", "adamw"])),
        ])
        .unwrap()
    }

    /// Points spread over the space, with the value that each has by its coordinates: layers, rate,
    /// width, word.
    fn seen(count: u64, outcome: impl Fn(u64, &[f64]) -> Outcome) -> Vec<Observation> {
        let space = space();
        let cube = UnitCube::new(&space);
        let one = |index: u64| {
            let mut point: Vec<f64> = [0.618, 0.755, 0.414, 0.303]
                .map(|step| (index as f64 * step).fract())
                .to_vec();
            cube.snap(&mut point);
            Observation::new(index, cube.config_at(&point), outcome(index, &point))
        };
        (1..=count).map(one).collect()
    }

    fn advice(observations: &[Observation]) -> Vec<String> {
        analyze(
            &space(),
            Goal::Minimize,
            observations,
            CodeLine::default(),
            1,
        )
        .advice
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    #[test]
    fn what_makes_no_difference_is_fixed_and_a_range_that_ends_too_early_is_widened() {
        let value = |point: &[f64]| Outcome::Value((point[1] - 0.5).powi(2) - 0.6 * point[2]);
        let mut observations = seen(40, |_, point| value(point));
        let (space, best) = (space(), [0.5, 0.5, 1.0, 0.1]);
        observations.push(Observation::new(
            41,
            UnitCube::new(&space).config_at(&best),
            value(&best),
        ));
        let words = advice(&observations);
        assert!(
            words
                .iter()
                .any(|words| words.starts_with("widen width above 9")),
            "{words:?}"
        );
        assert!(
            words
                .iter()
                .any(|words| words.starts_with("fix layers: it makes less than")),
            "{words:?}"
        );
    }

    #[test]
    fn noise_supports_no_statement() {
        let mut statements = 0;
        for seed in 1..=20_u64 {
            let mut noise = ChaCha8Rng::seed_from_u64(seed);
            let draws: Vec<f64> = (0..40).map(|_| noise.sample(StandardNormal)).collect();
            let observations = seen(40, |index, _| Outcome::Value(draws[index as usize - 1]));
            let words = advice(&observations);
            statements += usize::from(!words.iter().all(|words| words.starts_with("more runs")));
        }
        assert!(statements <= 1, "{statements} of 20");
    }

    #[test]
    fn few_results_support_no_advice() {
        let few = seen(6, |_, point| Outcome::Value(point[2]));
        assert_eq!(advice(&few), Vec::<String>::new());
    }

    #[test]
    fn nobody_is_sent_to_where_runs_fail() {
        let words = advice(&seen(40, |_, point| {
            if point[2] > 0.8 {
                Outcome::Failed
            } else {
                Outcome::Value(-point[2])
            }
        }));
        assert!(
            !words.iter().any(|words| words.starts_with("widen width")),
            "{words:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_parameter_gets_two_statements(
            weights in prop::array::uniform4(prop_oneof![Just(0.0), -2.0..2.0f64]),
            places in prop::array::uniform4(0.0..1.0f64),
            noise in prop_oneof![Just(0.0), 0.0..1.0f64],
            cliff in prop_oneof![Just(2.0), 0.3..1.0f64],
            count in 3u64..50,
            stopped in 0u64..3,
        ) {
            let observations = seen(count, |index, point| {
                if point[2] > cliff {
                    return Outcome::Failed;
                }
                let shape: f64 = (0..4).map(|j| weights[j] * (point[j] - places[j]).powi(2)).sum();
                let mean = shape + noise * ((index as f64 * 12.9898).sin() * 43_758.545).fract();
                if index % 3 < stopped { Outcome::Stopped(Ending { mean, deviation: 0.2 }) } else { Outcome::Value(mean) }
            });
            let analysis = analyze(&space(), Goal::Minimize, &observations, CodeLine::default(), 1);
            let mut told = BTreeSet::new();
            for advice in &analysis.advice {
                prop_assert!(advice.path().is_none_or(|path| told.insert(path.clone())), "{:?}", analysis.advice);
                let effect = analysis.effects.iter().find(|effect| Some(&effect.path) == advice.path());
                match advice {
                    Advice::Fix { .. } => prop_assert!(effect.is_some_and(|effect| effect.share <= effect.share_max && effect.share_max < NO_DIFFERENCE)),
                    Advice::Widen { .. } | Advice::Around { .. } => prop_assert!(effect.is_some_and(|effect| effect.share >= WIDEN_SHARE)),
                    Advice::Unclear { .. } => prop_assert!(analysis.advice.len() == 1 && analysis.effects.is_empty()),
                    Advice::Repeat { .. } => {}
                }
            }
        }
    }
}
