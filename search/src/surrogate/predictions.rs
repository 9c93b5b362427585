//! Predictions of the ensemble, in the unit of the objective.

use super::Surrogate;
use crate::acquisition::ensemble::Member;
use crate::gp::warp::Warp;
use crate::space::unit_cube::INACTIVE;

/// The number of deviations to each side that hold a value with a probability of 95 %.
const SURE: f64 = 1.96;

impl Surrogate {
    /// Returns each member's correlation of the newest code with the one before it; empty where
    /// there is one version.
    pub(crate) fn correlations(&self) -> Vec<f64> {
        self.ensemble
            .members
            .iter()
            .filter_map(|member| member.posterior.last_correlation())
            .collect()
    }

    /// Returns mean and standard deviation of the objective at points, turned so that small is
    /// good: of the mixture of all members.
    pub(crate) fn predict(&self, points: &[Vec<f64>]) -> Vec<(f64, f64)> {
        self.mixed(points.len(), |member| member.posterior.predict(points))
    }

    /// Returns mean and standard deviation at the observations that count, by index.
    pub(crate) fn at_seen(&self) -> Vec<(u64, f64, f64)> {
        let all = self.predict(&self.points);
        let counting = self.seen.iter().zip(all).filter(|(seen, _)| seen.counts);
        counting
            .map(|(seen, (mean, deviation))| (seen.index, mean, deviation))
            .collect()
    }

    /// Returns each member's expected values at points on a common scale: small is good, and very
    /// bad values are compressed.
    pub(crate) fn straight_means(&self, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let members = self.ensemble.members.iter().zip(&self.warps);
        members
            .map(|(member, warp)| {
                member
                    .posterior
                    .means(points)
                    .into_iter()
                    .map(|mean| self.on_scale(warp, mean))
                    .collect()
            })
            .collect()
    }

    /// Returns whether results have different values of a coordinate.
    pub(crate) fn has_varied(&self, coordinate: usize) -> bool {
        let mut values = self
            .points
            .iter()
            .map(|point| point[coordinate])
            .filter(|value| *value != INACTIVE);
        values
            .next()
            .is_some_and(|first| values.any(|value| value != first))
    }

    /// Returns functions drawn from each member's posterior, at points, on the scale of
    /// [`Self::straight_means`]: one of each member for each vector of standard normal `draws`,
    /// which has an entry a point.
    pub(crate) fn straight_functions(
        &self,
        points: &[Vec<f64>],
        draws: &[Vec<f64>],
    ) -> Vec<Vec<f64>> {
        let members = self.ensemble.members.iter().zip(&self.warps);
        let own = |(member, warp): (&Member, &Warp)| -> Vec<Vec<f64>> {
            let functions = member
                .posterior
                .functions(points, draws)
                .unwrap_or_default();
            let straight = |function: Vec<f64>| {
                let values = function.into_iter().map(|value| self.on_scale(warp, value));
                values.collect()
            };
            functions.into_iter().map(straight).collect()
        };
        members.flat_map(own).collect()
    }

    /// Returns for each member how much the objective may differ at most between pairs of points,
    /// on the scale of [`Self::straight_means`], with a probability of 95 % each.
    pub(crate) fn largest_differences(
        &self,
        here: &[Vec<f64>],
        there: &[Vec<f64>],
    ) -> Vec<Vec<f64>> {
        let members = self.ensemble.members.iter().zip(&self.warps);
        let own = |(member, warp): (&Member, &Warp)| -> Vec<f64> {
            let [a, b] = [here, there].map(|points| member.posterior.means(points));
            let deviations = member.posterior.difference_deviations(here, there);
            let pairs = a.iter().zip(&b).zip(deviations);
            pairs
                .map(|((a, b), deviation)| {
                    let (middle, half) = (0.5 * (a + b), SURE * deviation);
                    let unknown = 0.5
                        * (self.on_scale(warp, middle + half) - self.on_scale(warp, middle - half));
                    (self.on_scale(warp, *a) - self.on_scale(warp, *b)).abs() + unknown
                })
                .collect()
        };
        members.map(own).collect()
    }

    fn on_scale(&self, warp: &Warp, mean: f64) -> f64 {
        self.straight.of(warp.unwarped(mean, 0.0).0)
    }

    /// Returns the objective, turned so that small is good, at the average of each member's
    /// expectations at several points.
    pub(crate) fn typical(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let members = self.ensemble.members.iter().zip(&self.warps);
        let each = members.map(|(member, warp)| {
            let means = member.posterior.means(points);
            warp.unwarped(means.iter().sum::<f64>() / means.len().max(1) as f64, 0.0)
                .0
        });
        each.collect()
    }

    fn mixed(&self, count: usize, of: impl Fn(&Member) -> Vec<(f64, f64)>) -> Vec<(f64, f64)> {
        let unwarped = |(member, warp): (&Member, &Warp)| -> Vec<(f64, f64)> {
            of(member)
                .into_iter()
                .map(|(mean, deviation)| warp.unwarped(mean, deviation))
                .collect()
        };
        let all: Vec<Vec<(f64, f64)>> = self
            .ensemble
            .members
            .iter()
            .zip(&self.warps)
            .map(unwarped)
            .collect();
        let members = all.len() as f64;
        let mixture = |point: usize| {
            let mean = all.iter().map(|own| own[point].0 / members).sum::<f64>();
            // Squares of large values would overflow.
            let deviation = all.iter().fold(0.0f64, |sum, own| {
                sum.hypot(own[point].1 / members.sqrt())
                    .hypot((own[point].0 - mean) / members.sqrt())
            });
            (mean, deviation.min(f64::MAX))
        };
        (0..count).map(mixture).collect()
    }
}
