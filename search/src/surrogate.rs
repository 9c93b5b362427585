//! From what has ended to an ensemble of models.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::acquisition::effort::Effort;
use crate::acquisition::ensemble::{Ensemble, Member};
use crate::acquisition::feasibility::Feasibility;
use crate::gp::fit::fit;
use crate::gp::kernel::Geometry;
use crate::gp::likelihood::Evidence;
use crate::gp::posterior::{Posterior, Seen};
use crate::gp::sample::{Views, sample};
use crate::gp::warp::{FLOORS, Warp};
use crate::observation::{Goal, Observation, Outcome};
use crate::space::unit_cube::UnitCube;

/// Keeps the draws of hyperparameters apart from all others.
pub(crate) const SEED: u64 = 0x0de1_5eed_77ab_c0de;
/// With fewer finite values there is nothing to model.
const VALUES_MIN: usize = 2;
/// The models see no more observations than this, since their cost grows with the cube of the number: the best half and an even choice of
/// the rest.
const OBSERVATIONS_MAX: usize = 400;
/// The hyperparameters are learnt from no more than this.
const LEARN_MAX: usize = 100;

/// How much of the deviation there is in what a member believes of a run in flight: with all of it, the luckiest belief leads too far.
const BELIEF: f64 = 0.7;

/// What has ended, as the models see it.
#[derive(Clone, Debug)]
struct Ended<'a> {
    observation: &'a Observation,
    point: Vec<f64>,
    /// Turned so that small is good; `None` for failures and values that are no numbers.
    value: Option<f64>,
    /// Whether it violates no constraint, as far as is known.
    counts: bool,
}

/// Learns where runs fail or violate constraints, and nothing else. `None` where none did.
pub(crate) fn feasibility(cube: &UnitCube<'_>, observations: &[Observation]) -> Option<Feasibility> {
    hazards(&Arc::new(Geometry::of(cube)), &ended(cube, Goal::default(), observations))
}

fn hazards(geometry: &Arc<Geometry>, ended: &[Ended<'_>]) -> Option<Feasibility> {
    let everywhere: Vec<_> = ended.iter().map(|ended| ended.point.clone()).collect();
    // A violation without measure is no distance to learn from, only something that went wrong.
    let beyond = |ended: &Ended<'_>| ended.observation.violations.iter().flatten().any(|violation| !violation.is_finite());
    let failed: Vec<bool> = ended.iter().map(|ended| ended.value.is_none() || beyond(ended)).collect();
    let violations: Vec<_> = ended.iter().map(|ended| ended.observation.violations.clone()).collect();
    Feasibility::new(geometry, &everywhere, &failed, &violations)
}

/// The models and what they were made of.
#[derive(Debug)]
pub(crate) struct Surrogate {
    pub(crate) ensemble: Ensemble,
    /// How much may be computed.
    pub(crate) effort: Effort,
    /// The warp of each member.
    warps: Vec<Warp>,
    pub(crate) goal: Goal,
    /// The best value that was seen and counts, turned so that small is good.
    pub(crate) best: Option<f64>,
    /// The best points that were seen, the best first.
    pub(crate) around: Vec<Vec<f64>>,
    /// The indices of the observations that the members have seen, in their order; those that count.
    seen: Vec<(u64, bool)>,
    /// Their points.
    points: Vec<Vec<f64>>,
}

impl Surrogate {
    /// Learns from what has ended. `None` where there is too little to learn from.
    pub(crate) fn new(cube: &UnitCube<'_>, goal: Goal, observations: &[Observation], rng: &mut ChaCha8Rng) -> Option<Self> {
        let ended = ended(cube, goal, observations);
        let geometry = Arc::new(Geometry::of(cube));
        let feasibility = hazards(&geometry, &ended);
        let valued: Vec<&Ended<'_>> = ended.iter().filter(|ended| ended.value.is_some()).collect();
        let values: Vec<f64> = valued.iter().filter_map(|ended| ended.value).collect();
        if values.len() < VALUES_MIN && feasibility.is_none() {
            return None;
        }
        let best = valued.iter().filter(|ended| ended.counts).find_map(|ended| ended.value);
        let seen = valued.iter().map(|ended| (ended.observation.index, ended.counts)).collect();
        let around = valued.iter().filter(|ended| ended.counts || best.is_none()).map(|ended| ended.point.clone()).take(AROUND).collect();
        let points = valued.iter().map(|ended| ended.point.clone()).collect();
        let ensemble = Ensemble { members: Vec::new(), feasibility };
        let effort = Effort::of(values.len());
        let mut surrogate = Self { ensemble, effort, warps: Vec::new(), goal, best, around, seen, points };
        // Without a value that counts, what matters is to find one.
        if let Some(best) = best.filter(|_| values.len() >= VALUES_MIN) {
            surrogate.learn(&geometry, &valued, &values, best, rng);
        }
        Some(surrogate)
    }

    fn learn(&mut self, geometry: &Arc<Geometry>, valued: &[&Ended<'_>], values: &[f64], best: f64, rng: &mut ChaCha8Rng) {
        let warps: Vec<Warp> = FLOORS.iter().map(|floor| Warp::new(values, *floor)).collect();
        let zs: Vec<Vec<f64>> = warps.iter().map(|warp| values.iter().map(|value| warp.warped(*value)).collect()).collect();
        let x: Vec<_> = valued.iter().map(|ended| ended.point.clone()).collect();
        let shares: Vec<f64> = valued.iter().map(|ended| 1.0 / f64::from(ended.observation.repeats.max(1))).collect();
        let mut seen = Seen { x: x.clone(), z: Vec::new(), shares: shares.clone() };
        for (theta, view) in draws(geometry, &x, &shares, &Values { zs: &zs, warps: &warps, values }, self.effort.draws, rng) {
            seen.z.clone_from(&zs[view]);
            let Some(posterior) = Posterior::new(Arc::clone(geometry), &theta, &seen) else { continue };
            let log_scale = warps[view].log_scale(best);
            self.ensemble.members.push(Member { posterior, incumbent: f64::INFINITY, log_scale });
            self.warps.push(warps[view].clone());
        }
        self.rank();
    }

    /// Makes the lowest expected value where something was seen the one to beat: with noise, the lowest seen one may only have been lucky.
    fn rank(&mut self) {
        for member in &mut self.ensemble.members {
            let known = member.posterior.means_at_seen().enumerate();
            // What is only believed counts too: it stands behind what was seen.
            let counting = known.filter(|(place, _)| self.seen.get(*place).is_none_or(|(_, counts)| *counts));
            member.incumbent = counting.map(|(_, mean)| mean).fold(f64::INFINITY, f64::min);
        }
    }

    /// Lets each member believe an outcome of its own at a point that is being tried, so that all of them look elsewhere. Drawn from the
    /// posterior, if somewhat narrower, rather than its mean: what comes out there is not known.
    ///
    /// Snoek, Larochelle, Adams (2012), Practical Bayesian optimization of machine learning algorithms, section 3.1.
    pub(crate) fn believe(&mut self, point: &[f64], rng: &mut ChaCha8Rng) {
        for member in &mut self.ensemble.members {
            let (mean, deviation) = member.posterior.predict(&[point.to_vec()])[0];
            let fantasy = mean + BELIEF * deviation * rng.sample::<f64, _>(StandardNormal);
            // A point where everything is known already has nothing to believe.
            member.posterior.believe(point, fantasy);
        }
        self.rank();
    }

    /// Returns mean and standard deviation of the objective at points, turned so that small is good: of the mixture of all members.
    pub(crate) fn predict(&self, points: &[Vec<f64>]) -> Vec<(f64, f64)> {
        self.mixed(points.len(), |member| member.posterior.predict(points))
    }

    /// Returns mean and standard deviation at what was seen and counts, by the index of the observation.
    pub(crate) fn at_seen(&self) -> Vec<(u64, f64, f64)> {
        let all = self.predict(&self.points);
        let counting = self.seen.iter().zip(all).filter(|((_, counts), _)| *counts);
        counting.map(|((index, _), (mean, deviation))| (*index, mean, deviation)).collect()
    }

    /// Returns what the models see at points, averaged over the members: small is good, in no unit, terrible values drawn near.
    pub(crate) fn warped_means(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let all: Vec<Vec<f64>> = self.ensemble.members.iter().map(|member| member.posterior.means(points)).collect();
        (0..points.len()).map(|point| all.iter().map(|own| own[point]).sum::<f64>() / all.len().max(1) as f64).collect()
    }

    /// Returns the objective, turned so that small is good, at the average of what each member sees at several points.
    pub(crate) fn typical(&self, points: &[Vec<f64>]) -> f64 {
        let members = self.ensemble.members.iter().zip(&self.warps);
        let each = members.map(|(member, warp)| {
            let means = member.posterior.means(points);
            warp.unwarped(means.iter().sum::<f64>() / means.len().max(1) as f64, 0.0).0
        });
        each.sum::<f64>() / self.warps.len().max(1) as f64
    }

    fn mixed(&self, count: usize, of: impl Fn(&Member) -> Vec<(f64, f64)>) -> Vec<(f64, f64)> {
        let unwarped = |(member, warp): (&Member, &Warp)| -> Vec<(f64, f64)> {
            of(member).into_iter().map(|(mean, deviation)| warp.unwarped(mean, deviation)).collect()
        };
        let all: Vec<Vec<(f64, f64)>> = self.ensemble.members.iter().zip(&self.warps).map(unwarped).collect();
        let members = all.len() as f64;
        let mixture = |point: usize| {
            let mean = all.iter().map(|own| own[point].0 / members).sum::<f64>();
            // Squares of large values would overflow.
            let deviation =
                all.iter().fold(0.0f64, |sum, own| sum.hypot(own[point].1 / members.sqrt()).hypot((own[point].0 - mean) / members.sqrt()));
            (mean, deviation.min(f64::MAX))
        };
        (0..count).map(mixture).collect()
    }
}

/// The local search starts around this many of the best observations.
const AROUND: usize = 5;

/// The values as they are and as each warp shows them.
struct Values<'a> {
    values: &'a [f64],
    zs: &'a [Vec<f64>],
    warps: &'a [Warp],
}

/// Draws hyperparameters, each with the place of a warp.
fn draws(
    geometry: &Geometry,
    x: &[Vec<f64>],
    shares: &[f64],
    seen: &Values<'_>,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<(Vec<f64>, usize)> {
    let places = thinned(x.len(), LEARN_MAX);
    let pick = |all: &[f64]| places.iter().map(|place| all[*place]).collect::<Vec<_>>();
    let x: Vec<_> = places.iter().map(|place| x[*place].clone()).collect();
    let values = pick(seen.values);
    let zs: Vec<Vec<f64>> = seen.zs.iter().map(|z| pick(z)).collect();
    let views = Views { zs, log_jacobians: seen.warps.iter().map(|warp| warp.log_jacobian(&values)).collect() };
    let evidence = Evidence::new(geometry, &x, &pick(shares));
    let start = fit(&evidence, &views.zs[views.zs.len() / 2]);
    sample(&evidence, &views, &start, count, rng)
}

/// Returns whether it violates no constraint as far as is known: were what is not known a violation, a metric that no run reports would leave
/// the search nothing to go by.
fn keeps(seen: &Observation) -> bool {
    seen.violations.iter().flatten().all(|violation| *violation <= 0.0)
}

/// Returns `max` of `count` places, all if they are no more: the first half of `max`, and an even choice of the rest.
fn thinned(count: usize, max: usize) -> Vec<usize> {
    if count <= max {
        return (0..count).collect();
    }
    let (first, rest) = (max / 2, max - max / 2);
    (0..first).chain((0..rest).map(|place| first + place * (count - first) / rest)).collect()
}

/// Returns what has ended, the best first, then what violates a constraint, failures last. Of too many, the better half and an even choice of
/// the rest.
fn ended<'a>(cube: &UnitCube<'_>, goal: Goal, observations: &'a [Observation]) -> Vec<Ended<'a>> {
    let value = |outcome: &Outcome| match outcome {
        Outcome::Value(value) | Outcome::Stopped(value) => Some(goal.minimized(*value)).filter(|value| value.is_finite()),
        Outcome::Failed => None,
    };
    let mut order: Vec<(&Observation, Option<f64>, bool)> =
        observations.iter().map(|seen| (seen, value(&seen.outcome), keeps(seen))).collect();
    order.sort_by(|a, b| (!a.2).cmp(&!b.2).then(a.1.unwrap_or(f64::INFINITY).total_cmp(&b.1.unwrap_or(f64::INFINITY))));
    let chosen = thinned(order.len(), OBSERVATIONS_MAX).into_iter().map(|place| order[place]);
    chosen.map(|(observation, value, counts)| Ended { observation, point: cube.point_of(&observation.config), value, counts }).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::space::{Config, Distribution, Parameter, Path, Space, Value};

    #[test]
    fn a_constraint_that_nothing_is_known_of_leaves_the_models_as_they_are() {
        let distribution = Distribution::Uniform { min: 0.0, max: 1.0 };
        let space = Space::new(vec![Parameter { path: Path::flat("x"), distribution, when: Vec::new() }]).unwrap();
        let seen = |violation: Option<f64>| -> Vec<Observation> {
            let one = |index: u32| {
                let x = f64::from(index) / 8.0;
                let config = Config([(Path::flat("x"), Value::Float(x))].into());
                Observation { violations: vec![violation], ..Observation::new(index.into(), config, Outcome::Value(x)) }
            };
            (1..8).map(one).collect()
        };
        let learn = |violation| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            Surrogate::new(&UnitCube::new(&space), Goal::Minimize, &seen(violation), &mut rng).unwrap()
        };
        assert_eq!((learn(None).best, learn(None).ensemble.members.is_empty()), (Some(0.125), false));
        let beyond = learn(Some(f64::INFINITY));
        assert!(beyond.best.is_none() && beyond.ensemble.feasibility.is_some(), "it looks for where nothing goes wrong");
    }

    #[test]
    fn of_too_many_the_best_half_and_some_of_the_rest_are_chosen() {
        assert_eq!(thinned(3, 5), [0, 1, 2]);
        assert_eq!(thinned(10, 4), [0, 1, 2, 6]);
        assert_eq!(thinned(1000, 10).len(), 10);
    }
}
