//! A Gaussian process learns from what has ended, and the point that promises most is tried next.

use rand_chacha::ChaCha8Rng;

use super::random::{Free, generator};
use super::{Ask, Suggestion, Suggestions, random, sobol};
use crate::acquisition::feasibility::Feasibility;
use crate::acquisition::log_ei::{log_expected_improvement, log_h};
use crate::acquisition::maximize::{Candidate, maximize};
use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::posterior::Posterior;
use crate::gp::warp::Warp;
use crate::observation::{Goal, Observation, Outcome, Pending};
use crate::space::enumeration::Enumeration;
use crate::space::unit_cube::{Scale, UnitCube};
use crate::why::{Kind, Prediction, Why};

/// So many points are spread over the cube before the model is asked: one a dimension, within these bounds. With half as many, a model
/// that had seen one value of a category alone could stay with it.
const START: (usize, usize) = (4, 12);
/// With fewer finite values there is nothing to model.
const VALUES_MIN: usize = 2;
/// The model sees no more observations than this: its cost grows with the cube of their number.
const OBSERVATIONS_MAX: usize = 400;
/// Candidates spread over the cube.
const SPREAD: u64 = 1024;
/// With more dimensions than this only the surroundings of good points are searched: elsewhere a point promises much only because
/// nothing is known of it, and there is no end of such points.
const SPREAD_DIMENSIONS_MAX: usize = 15;
/// A finite space with no more points than this is looked at whole.
const WHOLE_MAX: u128 = 2000;
/// The local search starts around this many of the best observations.
const AROUND: usize = 5;
/// Keeps the spread candidates apart from the start-up points, which are the same sequence under the sweep's own seed.
const SPREAD_SEED: u64 = 0x5eed_0f5b_12ea_d001;

/// What the sampler knows of the past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History<'a> {
    pub(crate) goal: Goal,
    pub(crate) observations: &'a [Observation],
    pub(crate) pending: &'a [Pending],
}

/// Suggests in three steps:
///
/// A. start-up: the first points come from a scrambled Sobol sequence, by the number of the run;
/// B. one model is fitted to the values of what has ended (of a stopped run, the value it had reached), another to where runs failed. What
///    is pending, and what this call has suggested already, is believed to end as expected;
/// C. of many candidates the free one with the highest expected improvement, times the probability that it does not fail, is taken.
pub(crate) fn suggest(ask: &Ask<'_>, history: &History<'_>) -> Suggestions {
    let cube = UnitCube::new(ask.space);
    if cube.scales().len() == 0 {
        return random::suggest(ask);
    }
    let start = cube.scales().len().clamp(START.0, START.1);
    let points = Enumeration::of_support(ask.space);
    let mut free = Free::new(ask, points.as_ref());
    let mut model = None;
    let mut found = Suggestions::default();
    let known = history.observations.len() + history.pending.len();
    for (made, index) in (ask.next_index..).take(ask.count).enumerate() {
        let suggestion = if known + made < start {
            start_up(ask, &cube, &mut free, index, &format!("start-up point {} of {start} (Sobol)", known + made + 1))
        } else {
            let model = model.get_or_insert_with(|| Model::new(&cube, history, &found.suggestions));
            match model {
                None => start_up(ask, &cube, &mut free, index, "too few results for a model yet (Sobol)"),
                Some(model) => model.suggest(&cube, &mut free, points.as_ref(), ask.seed, index),
            }
        };
        let Some(suggestion) = suggestion else {
            found.exhausted = true;
            return found;
        };
        found.suggestions.push(suggestion);
    }
    found.exhausted = free.is_exhausted();
    found
}

fn start_up(ask: &Ask<'_>, cube: &UnitCube<'_>, free: &mut Free<'_>, index: u64, reason: &str) -> Option<Suggestion> {
    let config = cube.config_at(&sobol::point(index, cube.scales().len(), ask.seed));
    let key = config.key();
    if free.holds(&key) {
        free.choose(key);
        return Some(Suggestion { config, why: Why::new(Kind::StartUp, reason) });
    }
    let config = free.draw(index)?;
    Some(Suggestion { config, why: Why::new(Kind::Random, "random draw, since the start-up point is taken") })
}

struct Model {
    theta: Vec<f64>,
    posterior: Posterior,
    /// The lowest expected value where something was seen.
    incumbent: f64,
    /// Where runs fail, if any has.
    feasibility: Option<Feasibility>,
    warp: Warp,
    goal: Goal,
    /// The best value that was seen, turned so that small is good.
    best: f64,
    /// The best points that were seen.
    around: Vec<Vec<f64>>,
}

impl Model {
    fn new(cube: &UnitCube<'_>, history: &History<'_>, suggested: &[Suggestion]) -> Option<Self> {
        let seen = seen(cube, history);
        let values: Vec<f64> = seen.iter().filter_map(|(_, value)| *value).collect();
        if values.len() < VALUES_MIN {
            return None;
        }
        let warp = Warp::new(&values);
        let geometry = Geometry(cube.scales().map(|scale| matches!(scale, Scale::Nominal(_))).collect());
        let failed: Vec<bool> = seen.iter().map(|(_, value)| value.is_none()).collect();
        let everywhere: Vec<_> = seen.iter().map(|(point, _)| point.clone()).collect();
        let feasibility = Feasibility::new(&geometry, &everywhere, &failed);
        let (x, z): (Vec<_>, Vec<_>) = seen.iter().filter_map(|(point, value)| Some((point.clone(), warp.warped((*value)?)))).unzip();
        let theta = fit(&geometry, &x, &z);
        let around = seen.iter().filter(|(_, value)| value.is_some()).take(AROUND).map(|(point, _)| point.clone()).collect();
        let waiting = history.pending.iter().map(|pending| &pending.config).chain(suggested.iter().map(|suggestion| &suggestion.config));
        let waiting: Vec<_> = waiting.map(|config| cube.point_of(config)).collect();
        let posterior = Posterior::new(geometry, &theta, x, z)?.believe(&theta, &waiting)?;
        let incumbent = posterior.incumbent();
        Some(Self { theta, posterior, incumbent, feasibility, warp, goal: history.goal, best: values[0], around })
    }

    fn suggest(
        &mut self,
        cube: &UnitCube<'_>,
        free: &mut Free<'_>,
        points: Option<&Enumeration>,
        seed: u64,
        index: u64,
    ) -> Option<Suggestion> {
        let mut rng = generator(seed, index);
        let candidates = match points.filter(|points| points.size() <= WHOLE_MAX) {
            Some(points) => self.whole(cube, free, points),
            None => self.search(cube, seed, index, &mut rng),
        };
        for candidate in candidates {
            let config = cube.config_at(&candidate.point);
            let key = config.key();
            if free.holds(&key) {
                free.choose(key);
                let (predicted, reason) = self.explain(&candidate.point);
                if let Some(posterior) = self.posterior.believe(&self.theta, std::slice::from_ref(&candidate.point)) {
                    self.incumbent = posterior.incumbent();
                    self.posterior = posterior;
                }
                return Some(Suggestion {
                    config,
                    why: Why {
                        predicted: Some(Prediction { mean: predicted.0, deviation: predicted.1 }),
                        ..Why::new(Kind::Exploit, reason)
                    },
                });
            }
        }
        let config = free.draw(index)?;
        Some(Suggestion { config, why: Why::new(Kind::Random, "random draw, since every promising point is taken") })
    }

    fn search(&self, cube: &UnitCube<'_>, seed: u64, index: u64, rng: &mut ChaCha8Rng) -> Vec<Candidate> {
        let dimensions = cube.scales().len();
        // A scramble of its own for each run: the same candidates every time would leave the same gaps.
        let scramble = seed ^ SPREAD_SEED.wrapping_mul(index.wrapping_add(1));
        let spread = if dimensions > SPREAD_DIMENSIONS_MAX { 0 } else { SPREAD };
        let spread = (0..spread).map(|place| sobol::point(place, dimensions, scramble)).collect();
        maximize(cube, spread, &self.around, |points| self.scores(points), rng)
    }

    fn whole(&self, cube: &UnitCube<'_>, free: &Free<'_>, points: &Enumeration) -> Vec<Candidate> {
        let all = points.configs().filter(|config| free.holds(&config.key())).map(|config| cube.point_of(&config)).collect::<Vec<_>>();
        let scores = self.scores(&all);
        let mut candidates: Vec<_> = scores.into_iter().zip(all).map(|(score, point)| Candidate { score, point }).collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates
    }

    fn scores(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let predictions = self.posterior.predict(points).into_iter();
        let scores = predictions.map(|(mean, deviation)| log_expected_improvement(mean, deviation, self.incumbent));
        match &self.feasibility {
            Some(feasibility) => scores.zip(feasibility.log_probabilities(points)).map(|(score, log)| score + log).collect(),
            None => scores.collect(),
        }
    }

    /// Returns the prediction in the objective's own unit, and the reason in words.
    fn explain(&self, point: &[f64]) -> ((f64, f64), String) {
        let (mean, deviation) = self.posterior.predict(&[point.to_vec()])[0];
        let (mean, deviation) = self.warp.unwarped(mean, deviation);
        let improvement = if deviation > 0.0 { deviation * log_h((self.best - mean) / deviation).exp() } else { 0.0 };
        let (mean, best) = (self.goal.minimized(mean), self.goal.minimized(self.best));
        let [improvement, over, expected, spread] = [improvement, best, mean, deviation].map(short);
        ((mean, deviation), format!("expected improvement {improvement} over {over}, predicted {expected} ± {spread}"))
    }
}

/// Returns what has ended: points with their values turned so that small is good, the best first, failures (and values that are no
/// numbers) last. Of too many, the better half and an even choice of the rest.
fn seen(cube: &UnitCube<'_>, history: &History<'_>) -> Vec<(Vec<f64>, Option<f64>)> {
    let value = |outcome: &Outcome| match outcome {
        Outcome::Value(value) | Outcome::Stopped(value) => Some(history.goal.minimized(*value)).filter(|value| value.is_finite()),
        Outcome::Failed => None,
    };
    let ended = history.observations.iter().map(|observation| (observation, value(&observation.outcome)));
    let mut ended: Vec<_> = ended.collect();
    ended.sort_by(|a, b| a.1.unwrap_or(f64::INFINITY).total_cmp(&b.1.unwrap_or(f64::INFINITY)));
    if ended.len() > OBSERVATIONS_MAX {
        let rest = ended.split_off(OBSERVATIONS_MAX / 2);
        let places = OBSERVATIONS_MAX - OBSERVATIONS_MAX / 2;
        ended.extend((0..places).map(|place| rest[place * rest.len() / places]));
    }
    ended.into_iter().map(|(observation, value)| (cube.point_of(&observation.config), value)).collect()
}

/// Writes a number with three significant digits.
fn short(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || !size.is_finite() {
        format!("{number}")
    } else if (1e-4..1e6).contains(&size) {
        let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
        format!("{number:.decimals$}")
    } else {
        format!("{number:.2e}")
    }
}
