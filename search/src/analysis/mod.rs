//! The analysis of a sweep: the recommended run, the importance of the parameters, the region where
//! runs fail.

mod advice;
mod agreement;
mod best;
mod curve;
mod effects;
mod recommend;
mod region;
mod slice;

use std::collections::BTreeMap;

use crate::observation::{CodeLine, Goal, Observation};
use crate::sampler::random::generator;
use crate::space::Space;
use crate::space::unit_cube::UnitCube;
use crate::surrogate::{self, Surrogate};
use crate::tuning::EXPLORATION;
use crate::why::Prediction;

use advice::{SweepFacts, advise};

pub use crate::surrogate::OBSERVATIONS_MAX;
pub use advice::{Advice, NO_DIFFERENCE};
pub use agreement::Agreement;
pub use best::best;
pub use curve::{CurvePoint, Direction};
pub use effects::Effect;
pub use recommend::Recommendation;
pub use region::{Region, Side, failing};
pub use slice::{Cut, Slice, SliceError, SlicePoint, slice};

/// A model of n results has to predict this much of their variance, divided by n, beyond what the
/// search asks for. Without it, 14 % of the sweeps of 8 to 20 results that are noise alone had a
/// finding.
const LUCK: f64 = 4.0;

/// The analysis of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// The recommended run; `None` where no run has a value that counts.
    pub recommendation: Option<Recommendation>,
    /// The share of the variance of the results that the model predicts, each from all others (1 is
    /// perfect, below 0 their average is better); `None` without a model.
    pub skill: Option<f64>,
    /// The effects of the parameters, the most important first. Empty where there are too few
    /// values, or the model predicts too little of them.
    pub effects: Vec<Effect>,
    /// Where runs fail; `None` where none has.
    pub failing: Option<Region>,
    /// How far older versions of the code agree with the newest, the newest ones first.
    pub agreements: Vec<Agreement>,
    /// Advice on what to try next: at most one piece of advice about a parameter.
    pub advice: Vec<Advice>,
    /// The model's predictions for the runs that count, by index. Empty where there are too few
    /// values.
    pub expected: BTreeMap<u64, Prediction>,
}

/// Analyses the observations. A function of its arguments alone.
pub fn analyze(
    space: &Space,
    goal: Goal,
    observations: &[Observation],
    code: CodeLine<'_>,
    seed: u64,
) -> Analysis {
    let cube = UnitCube::new(space);
    // The draws that the next suggestion would be made with.
    let mut rng = generator(seed ^ surrogate::SEED, observations.len() as u64);
    let model = Surrogate::new(&cube, goal, observations, code, &mut rng)
        .filter(|model| !model.ensemble.members.is_empty());
    let skill = model.as_ref().and_then(Surrogate::predicted_share);
    // The search leaves such a model aside: what it says of the parameters is no finding either.
    // Few results can be predicted by luck.
    let results = model.as_ref().map_or(0, |model| model.at_seen().len());
    let skill_min = EXPLORATION.skill_min + LUCK / results.max(1) as f64;
    let is_trusted = skill.is_some_and(|skill| skill >= skill_min);
    let trusted = model.as_ref().filter(|_| is_trusted);
    let recommendation = recommend::recommend(goal, observations, code, trusted);
    let effects = trusted
        .map(|model| effects::effects(&cube, model, seed))
        .unwrap_or_default();
    let failing = failing(observations);
    let known = SweepFacts {
        space,
        goal,
        observations,
        effects: &effects,
        skill: skill.filter(|_| !is_trusted),
        failing: failing.as_ref(),
        recommendation: recommendation.as_ref(),
    };
    let advice = advise(&known);
    let expected = model.iter().flat_map(Surrogate::at_seen);
    let expected = expected
        .map(|(index, mean, deviation)| {
            (
                index,
                Prediction {
                    mean: goal.minimized(mean),
                    deviation,
                },
            )
        })
        .collect();
    let agreements = agreement::agreements(&cube, goal, observations, code, &mut rng);
    Analysis {
        recommendation,
        skill,
        effects,
        failing,
        agreements,
        advice,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::early_stop::{Endings, Peer};
    use crate::observation::Outcome;
    use crate::space::fixture::{choice, conditional, parameter};
    use crate::space::{Config, Distribution, Path, Value};

    fn space() -> Space {
        let parameters = vec![
            parameter("x", Distribution::Uniform { min: 0.0, max: 1.0 }),
            parameter("idle", Distribution::Uniform { min: 0.0, max: 1.0 }),
            parameter("word", choice(&["a", "b"])),
            conditional(
                "depth",
                Distribution::IntUniform { min: 1, max: 4 },
                ("word", "b"),
            ),
        ];
        Space::new(parameters).unwrap()
    }

    /// Points spread over the space, with what `outcome` says of (x, whether the word is b).
    fn seen(count: u64, outcome: impl Fn(f64, bool) -> Outcome) -> Vec<Observation> {
        let one = |index: u64| {
            let [x, idle] = [0.618, 0.755].map(|step| (index as f64 * step).fract());
            let is_b = index.is_multiple_of(2);
            let word = Value::Str(if is_b { "b" } else { "a" }.to_owned());
            let mut values = BTreeMap::from([
                (Path::flat("x"), Value::Float(x)),
                (Path::flat("idle"), Value::Float(idle)),
                (Path::flat("word"), word),
            ]);
            if is_b {
                values.insert(Path::flat("depth"), Value::Int(1 + (index % 4) as i64));
            }
            Observation::new(index, Config(values), outcome(x, is_b))
        };
        (1..=count).map(one).collect()
    }

    #[test]
    fn what_matters_comes_first_and_its_curve_follows_the_objective() {
        let observations = seen(40, |x, is_b| {
            Outcome::Value((x - 0.3).powi(2) + if is_b { 0.05 } else { 0.0 })
        });
        let analysis = analyze(
            &space(),
            Goal::Minimize,
            &observations,
            CodeLine::default(),
            1,
        );
        let names: Vec<_> = analysis
            .effects
            .iter()
            .map(|effect| effect.path.to_string())
            .collect();
        assert_eq!(names[..2], ["x", "word"], "{:?}", analysis.effects);
        assert!(
            analysis.effects[0].share > 0.5 && analysis.effects[2].share < 0.05,
            "{:?}",
            analysis.effects
        );
        let lowest = analysis.effects[0]
            .curve
            .iter()
            .min_by(|a, b| a.mean.total_cmp(&b.mean))
            .unwrap();
        assert!(
            (lowest.value.as_f64().unwrap() - 0.3).abs() < 0.15,
            "{lowest:?}"
        );
        assert_eq!(
            analysis,
            analyze(
                &space(),
                Goal::Minimize,
                &observations,
                CodeLine::default(),
                1
            )
        );
        assert_eq!(analysis.failing, None);
        assert_eq!(
            analysis.effects[0].direction,
            Some(Direction::Between),
            "{:?}",
            analysis.effects[0]
        );
        assert!(
            analysis
                .effects
                .iter()
                .all(|effect| effect.share_deviation < 0.2),
            "{:?}",
            analysis.effects
        );
    }

    /// Returns the same runs with a rule that stops all but the best third after three epochs.
    /// Every run falls towards its value by the same amount.
    fn stopped_early(whole: &[Observation]) -> Vec<Observation> {
        let curve = |seen: &Observation| -> Vec<f64> {
            let value = seen.outcome.value().unwrap_or_default();
            (0..20)
                .map(|epoch| {
                    value
                        + 1.5 * (-f64::from(epoch) / 4.0).exp()
                        + 0.005 * (f64::from(epoch) * 7.3 + value * 911.0).sin()
                })
                .collect()
        };
        let least = |series: &[f64]| series.iter().copied().fold(f64::INFINITY, f64::min);
        let curves: Vec<Vec<f64>> = whole.iter().map(curve).collect();
        let is_stopped = |place: usize| curves[place][2] > 1.0 + 0.02 * (place % 3) as f64;
        let ended = whole
            .iter()
            .zip(&curves)
            .enumerate()
            .map(|(place, (seen, series))| {
                let series = if is_stopped(place) {
                    &series[..3]
                } else {
                    &series[..]
                };
                (
                    seen.code_version.as_str(),
                    Peer {
                        series,
                        value: (!is_stopped(place)).then(|| least(series)),
                    },
                    least(series),
                )
            });
        let mut endings = Endings::new(Goal::Minimize, ended);
        let mut stopped = whole.to_vec();
        for (place, seen) in stopped
            .iter_mut()
            .enumerate()
            .filter(|(place, _)| is_stopped(*place))
        {
            let early = &curves[place][..3];
            seen.outcome =
                Outcome::Stopped(endings.ending(&seen.code_version, early, least(early)));
        }
        stopped
    }

    #[test]
    fn early_stopping_changes_neither_importance_nor_the_agreement_of_versions() {
        let value =
            |x: f64, is_b: bool| Outcome::Value((x - 0.3).powi(2) + if is_b { 0.1 } else { 0.0 });
        let mut whole = seen(60, value);
        whole
            .iter_mut()
            .skip(30)
            .for_each(|seen| seen.code_version = "b".to_owned());
        whole
            .iter_mut()
            .take(30)
            .for_each(|seen| seen.code_version = "a".to_owned());
        let stopped = stopped_early(&whole);
        let count = stopped
            .iter()
            .filter(|seen| matches!(seen.outcome, Outcome::Stopped(_)))
            .count();
        assert!((20..55).contains(&count), "{count} of 60 were stopped");
        let versions = ["a", "b"].map(str::to_owned);
        let learn = |observations: &[Observation]| {
            analyze(
                &space(),
                Goal::Minimize,
                observations,
                CodeLine {
                    versions: &versions,
                    probes: 2,
                },
                1,
            )
        };
        let (before, after) = (learn(&whole), learn(&stopped));
        for effect in &before.effects {
            let other = after
                .effects
                .iter()
                .find(|other| other.path == effect.path)
                .unwrap();
            assert!(
                (effect.share - other.share).abs() < 0.1,
                "{}: {} and {}",
                effect.path,
                effect.share,
                other.share
            );
        }
        assert!(
            after.agreements[0].correlation.0 > 0.9,
            "{:?}",
            after.agreements
        );
        let recommended = after.recommendation.unwrap().index;
        assert!(
            matches!(stopped[recommended as usize - 1].outcome, Outcome::Value(_)),
            "a stopped run is no result"
        );
    }

    #[test]
    fn the_recommended_run_is_not_the_luckiest() {
        // As much noise as there is signal around the best, and one lucky draw beside it.
        let noisy = |index: usize| ((index * 7919) % 13) as f64 / 13.0 - 0.5;
        let mut observations = seen(60, |x, _| Outcome::Value((x - 0.3).powi(2)));
        for (index, seen) in observations.iter_mut().enumerate() {
            let Outcome::Value(value) = seen.outcome else {
                continue;
            };
            seen.outcome = Outcome::Value(value + 0.1 * noisy(index));
        }
        let far = observations
            .iter()
            .position(|seen| {
                seen.config.0[&Path::flat("x")]
                    .as_f64()
                    .is_some_and(|x| x > 0.5 && x < 0.6)
            })
            .unwrap();
        observations[far].outcome = Outcome::Value(-0.055);
        let luckiest = best(Goal::Minimize, &observations).unwrap().index;
        assert_eq!(luckiest, observations[far].index);
        let recommended = analyze(
            &space(),
            Goal::Minimize,
            &observations,
            CodeLine::default(),
            1,
        )
        .recommendation
        .unwrap();
        assert_ne!(recommended.index, luckiest);
        let turned = |seen: &Observation| {
            let Outcome::Value(value) = seen.outcome else {
                return seen.clone();
            };
            Observation {
                outcome: Outcome::Value(-value),
                ..seen.clone()
            }
        };
        let turned: Vec<_> = observations.iter().map(turned).collect();
        let maximised = analyze(&space(), Goal::Maximize, &turned, CodeLine::default(), 1)
            .recommendation
            .unwrap();
        assert_eq!(
            (maximised.index, maximised.predicted.mean),
            (recommended.index, -recommended.predicted.mean)
        );
    }

    #[test]
    fn few_results_are_ranked_by_their_values_and_none_by_nothing() {
        let one = seen(1, |_, _| Outcome::Value(0.5));
        assert_eq!(
            analyze(&space(), Goal::Minimize, &one, CodeLine::default(), 1)
                .recommendation
                .unwrap()
                .index,
            1
        );
        let failed = seen(3, |_, _| Outcome::Failed);
        let analysis = analyze(&space(), Goal::Minimize, &failed, CodeLine::default(), 1);
        assert_eq!(
            (analysis.recommendation, analysis.effects),
            (None, Vec::new())
        );
        assert_eq!(
            analyze(&space(), Goal::Minimize, &[], CodeLine::default(), 1),
            Analysis::default()
        );
    }

    #[test]
    fn what_the_newest_code_has_changed_is_said() {
        let of = |count: u64, version: &str, shift: f64, sign: f64| {
            let mut observations = seen(count, |x, _| {
                Outcome::Value(sign * (x - 0.3).powi(2) + shift)
            });
            observations
                .iter_mut()
                .for_each(|seen| seen.code_version = version.to_owned());
            observations
        };
        let agree = |newest: Vec<Observation>| {
            let observations = [of(25, "a", 0.0, 1.0), newest].concat();
            let versions = ["a", "b"].map(str::to_owned);
            analyze(
                &space(),
                Goal::Minimize,
                &observations,
                CodeLine {
                    versions: &versions,
                    probes: 2,
                },
                1,
            )
            .agreements
        };
        let moved = agree(of(10, "b", -0.5, 1.0));
        assert_eq!((moved.len(), moved[0].version.as_str()), (1, "a"));
        assert!(
            moved[0].correlation.0 > 0.9 && (moved[0].shift + 0.5).abs() < 0.02,
            "{moved:?}"
        );
        let turned = agree(of(20, "b", 1.0, -1.0));
        assert!(turned[0].correlation.0 < 0.2, "{turned:?}");
        assert_eq!(agree(Vec::new()), []);
    }

    #[test]
    fn the_region_where_runs_fail_is_said_in_words() {
        let words =
            |observations: &[Observation]| failing(observations).map(|region| region.to_string());
        let edge = seen(30, |x, is_b| {
            if x > 0.5 && is_b {
                Outcome::Failed
            } else {
                Outcome::Value(x)
            }
        });
        assert_eq!(
            words(&edge).unwrap(),
            "runs fail where word is b and x ≥ 0.540: all 7 there, 0 of 23 elsewhere"
        );
        assert_eq!(words(&seen(5, |x, _| Outcome::Value(x))), None);
        assert_eq!(
            words(&seen(5, |_, _| Outcome::Failed)).unwrap(),
            "all 5 runs failed: nothing shows yet where one would not"
        );
        let one = seen(9, |x, _| {
            if x < 0.1 {
                Outcome::Failed
            } else {
                Outcome::Value(x)
            }
        });
        assert_eq!(
            words(&one).unwrap(),
            "1 of 9 runs failed: too few to say where"
        );
    }
}
