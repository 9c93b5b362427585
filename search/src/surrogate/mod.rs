//! The surrogate model: an ensemble of Gaussian processes, learnt from the runs that have ended.

mod alignment;
mod divergence;
mod ended;
mod hazards;
mod line;
mod predictions;
mod straight;
mod views;

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::acquisition::effort::Effort;
use crate::acquisition::ensemble::{Ensemble, Member};
use crate::gp::kernel::Geometry;
use crate::gp::posterior::{ObservedPoints, Posterior};
use crate::gp::warp::Warp;
use crate::observation::{CodeLine, Goal, Observation};
use crate::space::unit_cube::UnitCube;
use crate::tuning::{ACQUISITION, EFFORT, EXPLORATION};

use ended::{EndedRuns, ended, groups};
use hazards::hazards;
use straight::Straight;
use views::{draws, views};

pub use ended::OBSERVATIONS_MAX;
pub(crate) use hazards::{feasibility, has_contrast};

/// Keeps the draws of hyperparameters apart from all others.
pub(crate) const SEED: u64 = 0x0de1_5eed_77ab_c0de;
/// With fewer finite values there is nothing to model.
pub(crate) const VALUES_MIN: usize = 2;
/// An observation that the members have seen.
#[derive(Clone, Copy, Debug)]
struct SeenRun {
    index: u64,
    /// See [`EndedRuns::counts`].
    counts: bool,
    /// Whether its expected value may be the incumbent.
    can_lead: bool,
}

/// The models, and the observations that they were learnt from.
#[derive(Debug)]
pub(crate) struct Surrogate {
    pub(crate) ensemble: Ensemble,
    /// How much may be computed.
    pub(crate) effort: Effort,
    /// The warp of each member.
    warps: Vec<Warp>,
    pub(crate) goal: Goal,
    /// The best observed value that counts, turned so that small is good.
    pub(crate) best: Option<f64>,
    /// The best observed points, the best first.
    pub(crate) around: Vec<Vec<f64>>,
    /// The observations that the members have seen, in their order.
    seen: Vec<SeenRun>,
    /// Their points.
    points: Vec<Vec<f64>>,
    straight: Straight,
    /// The share of the variance of the values that the members predict on average, each value from
    /// all others. `None` where it does not count.
    pub(crate) skill: Option<f64>,
    /// The way from the best value to the median.
    pub(crate) spread: f64,
}

impl Surrogate {
    /// Learns from the runs that have ended. `None` where there are too few.
    pub(crate) fn new(
        cube: &UnitCube<'_>,
        goal: Goal,
        observations: &[Observation],
        line: CodeLine<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let groups = groups(line, observations);
        let ended = ended(cube, goal, observations, &groups);
        let geometry = Arc::new(Geometry::of(cube));
        let feasibility = hazards(&geometry, &ended, &groups);
        let valued: Vec<&EndedRuns<'_>> =
            ended.iter().filter(|ended| ended.value.is_some()).collect();
        let values: Vec<f64> = valued.iter().filter_map(|ended| ended.value).collect();
        if values.len() < VALUES_MIN && feasibility.is_none() {
            return None;
        }
        // A predicted value is no result where there are results.
        let counting = || valued.iter().filter(|ended| ended.counts);
        let has_result = counting().any(|ended| ended.is_result());
        let best = counting()
            .find(|ended| ended.is_result() || !has_result)
            .and_then(|ended| ended.value);
        let seen_run = |ended: &&EndedRuns<'_>| SeenRun {
            index: ended.observation.index,
            counts: ended.counts,
            can_lead: ended.counts && (ended.is_result() || !has_result),
        };
        let seen = valued.iter().map(seen_run).collect();
        let around = around(cube, &valued, best.is_some(), groups.changes());
        let points = valued.iter().map(|ended| ended.point.clone()).collect();
        let ensemble = Ensemble {
            members: Vec::new(),
            feasibility,
            exploration_weight: ACQUISITION.exploration_weight,
        };
        let effort = Effort::of(values.len());
        let straight = Straight::new(
            &counting()
                .filter_map(|ended| ended.value)
                .collect::<Vec<_>>(),
        );
        let (warps, skill, spread) = (Vec::new(), None, spread(&values));
        let mut surrogate = Self {
            ensemble,
            effort,
            warps,
            goal,
            best,
            around,
            seen,
            points,
            straight,
            skill,
            spread,
        };
        // Without a value that counts, finding one comes first.
        if let Some(best) = best.filter(|_| values.len() >= VALUES_MIN) {
            surrogate.learn(&geometry, &valued, best, groups.changes(), rng);
        }
        Some(surrogate)
    }

    fn learn(
        &mut self,
        geometry: &Arc<Geometry>,
        valued: &[&EndedRuns<'_>],
        best: f64,
        changes: usize,
        rng: &mut ChaCha8Rng,
    ) {
        let x = valued.iter().map(|ended| ended.point.clone()).collect();
        let views = views(geometry, valued, changes);
        let shares = valued
            .iter()
            .map(|ended| 1.0 / f64::from(ended.observation.repeats.max(1)))
            .collect();
        let versions = valued.iter().map(|ended| ended.group).collect();
        let mut seen = ObservedPoints {
            x,
            z: Vec::new(),
            shares,
            variances: Vec::new(),
            versions,
            changes,
        };
        for (theta, view) in draws(geometry, &seen, &views, self.effort.draws, rng) {
            let warp = &views[view].warp;
            (seen.z, seen.variances) = (views[view].z(), views[view].variances());
            let Some(posterior) = Posterior::new(Arc::clone(geometry), &theta, &seen) else {
                continue;
            };
            self.ensemble.members.push(Member {
                posterior,
                incumbent: f64::INFINITY,
                log_scale: warp.log_scale(best),
            });
            self.warps.push(warp.clone());
        }
        self.skill = self.skill_that_counts(seen.z.len());
        self.rank();
    }

    /// Returns the points whose values count, the best first.
    pub(crate) fn counting_points(&self) -> Vec<Vec<f64>> {
        self.points
            .iter()
            .zip(&self.seen)
            .filter(|(_, seen)| seen.counts)
            .map(|(point, _)| point.clone())
            .collect()
    }

    /// Returns the skill where it counts. With few values and no noise, a model that predicts badly
    /// needs more values, and its expected improvement is the better guide to them.
    fn skill_that_counts(&self, values: usize) -> Option<f64> {
        let counts = !self.ensemble.members.is_empty()
            && (values >= EXPLORATION.skill_values_min
                || self.mean(Posterior::noise_share, 1) >= EXPLORATION.noise_share_min);
        (counts && values <= EXPLORATION.skill_values_max)
            .then(|| self.mean_skill(EXPLORATION.skill_members))
    }

    /// Returns the share of the variance of the values that the members predict on average, each
    /// value from all others; `None` without members. With many values, one member speaks for all.
    pub(crate) fn predicted_share(&self) -> Option<f64> {
        let members = if self.seen.len() <= EXPLORATION.skill_values_max {
            EXPLORATION.skill_members
        } else {
            1
        };
        (!self.ensemble.members.is_empty()).then(|| self.mean_skill(members))
    }

    fn mean_skill(&self, members: usize) -> f64 {
        self.mean(
            Posterior::skill,
            self.ensemble.members.len().div_ceil(members),
        )
    }

    /// Returns the mean of something over every n-th member.
    fn mean(&self, of: fn(&Posterior) -> f64, step: usize) -> f64 {
        let chosen = self.ensemble.members.iter().step_by(step);
        let all: Vec<f64> = chosen.map(|member| of(&member.posterior)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    }

    /// Sets the incumbent of each member to its lowest expected value at an observation. With
    /// noise, the lowest observed value may only have been lucky.
    fn rank(&mut self) {
        for member in &mut self.ensemble.members {
            let known = member.posterior.means_at_seen().enumerate();
            // Assumed outcomes count as well. They follow the observed ones.
            let counting =
                known.filter(|(place, _)| self.seen.get(*place).is_none_or(|seen| seen.can_lead));
            member.incumbent = counting.map(|(_, mean)| mean).fold(f64::INFINITY, f64::min);
        }
    }

    /// Conditions each member on its own draw of the outcome at a point that is being tried, so
    /// that all of them look elsewhere. The draw is from the posterior, somewhat narrowed, and not
    /// its mean: the outcome is not known.
    ///
    /// Snoek, Larochelle, Adams (2012), Practical Bayesian optimization of machine learning
    /// algorithms, section 3.1.
    pub(crate) fn believe(&mut self, point: &[f64], rng: &mut ChaCha8Rng) {
        for member in &mut self.ensemble.members {
            let (mean, deviation) = member.posterior.predict(&[point.to_vec()])[0];
            let fantasy = mean
                + ACQUISITION.fantasy_deviation * deviation * rng.sample::<f64, _>(StandardNormal);
            // A point whose value is known already adds nothing.
            member.posterior.believe(point, fantasy);
        }
        self.rank();
    }

    /// Conditions on all points that are being tried. Of many, it uses the last ones, with fewer
    /// members; the others keep new points away by their distance alone.
    pub(crate) fn believe_all(&mut self, points: &[Vec<f64>], rng: &mut ChaCha8Rng) {
        if points.len() > EFFORT.in_flight_few {
            let step = self
                .ensemble
                .members
                .len()
                .div_ceil(EFFORT.members_in_flight)
                .max(1);
            let mut place = 0..;
            self.ensemble.members.retain(|_| {
                place
                    .next()
                    .is_some_and(|place: usize| place.is_multiple_of(step))
            });
            let mut place = 0..;
            self.warps.retain(|_| {
                place
                    .next()
                    .is_some_and(|place: usize| place.is_multiple_of(step))
            });
            self.effort = Effort::of(self.seen.len() + points.len());
        }
        let points = &points[points.len().saturating_sub(EFFORT.conditioned_max)..];
        for member in &mut self.ensemble.members {
            let draws: Vec<f64> = points
                .iter()
                .map(|_| ACQUISITION.fantasy_deviation * rng.sample::<f64, _>(StandardNormal))
                .collect();
            if !points.is_empty() && !member.posterior.believe_all(points, &draws) {
                // Two of them are nearly the same. Condition on one after the other; a known point
                // adds nothing.
                for (point, draw) in points.iter().zip(draws) {
                    let (mean, deviation) =
                        member.posterior.predict(std::slice::from_ref(point))[0];
                    member.posterior.believe(point, mean + draw * deviation);
                }
            }
        }
        self.rank();
    }
}

/// Returns the way from the best of several values to the median; where these are the same, to the
/// next larger quantile that differs.
fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(best) = sorted.first() else {
        return 0.0;
    };
    let ways = [sorted.len() / 2, sorted.len() * 3 / 4, sorted.len() - 1]
        .map(|place| sorted[place] - best);
    ways.into_iter().find(|way| *way > 0.0).unwrap_or(0.0)
}

/// Returns the points that the local search starts around: the best of the newest code, and the
/// best of older code, which may still be good.
fn around(
    cube: &UnitCube<'_>,
    valued: &[&EndedRuns<'_>],
    has_best: bool,
    changes: usize,
) -> Vec<Vec<f64>> {
    let newer = valued
        .iter()
        .filter(|ended| ended.counts || !has_best)
        .take(EFFORT.around);
    let older = valued
        .iter()
        .filter(|ended| {
            !ended.counts && ended.group < changes && ended.observation.keeps_known_constraints()
        })
        .take(EFFORT.around);
    let inside = |ended: &&EndedRuns<'_>| {
        let mut point = ended.point.clone();
        if ended.observation.outside {
            cube.snap(&mut point);
        }
        point
    };
    newer.chain(older).map(inside).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::observation::Outcome;
    use crate::space::{Config, Distribution, Parameter, Path, Space, Value};

    #[test]
    fn a_constraint_that_nothing_is_known_of_leaves_the_models_as_they_are() {
        let distribution = Distribution::Uniform { min: 0.0, max: 1.0 };
        let space = Space::new(vec![Parameter {
            path: Path::flat("x"),
            distribution,
            when: Vec::new(),
        }])
        .unwrap();
        let seen = |violation: Option<f64>| -> Vec<Observation> {
            let one = |index: u32| {
                let x = f64::from(index) / 8.0;
                let config = Config([(Path::flat("x"), Value::Float(x))].into());
                Observation {
                    violations: vec![violation],
                    ..Observation::new(index.into(), config, Outcome::Value(x))
                }
            };
            (1..8).map(one).collect()
        };
        let learn = |violation| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            Surrogate::new(
                &UnitCube::new(&space),
                Goal::Minimize,
                &seen(violation),
                CodeLine::default(),
                &mut rng,
            )
            .unwrap()
        };
        assert_eq!(
            (learn(None).best, learn(None).ensemble.members.is_empty()),
            (Some(0.125), false)
        );
        let beyond = learn(Some(f64::INFINITY));
        assert!(
            beyond.best.is_none() && beyond.ensemble.feasibility.is_some(),
            "it looks for where nothing goes wrong"
        );
    }
}
