//! The likelihood of hyperparameters, given the observations.

use faer::Mat;

use super::cholesky::Cholesky;
use super::kernel::{Geometry, Hyperparameters, JITTER, matern52};
use super::kinship::PER_CHANGE;
use super::posterior::ObservedPoints;
use super::prior::Prior;

/// The observed points, with the parts of the kernel that do not depend on hyperparameters.
pub(crate) struct Evidence {
    /// For each coordinate the squared distances of all pairs, the lower triangle row by row.
    gaps: Vec<Vec<f64>>,
    /// The quadratic parts of all pairs in the same order, and of each point with itself.
    curves: Vec<f64>,
    own_curves: Vec<f64>,
    sums: Vec<f64>,
    own_sums: Vec<f64>,
    shares: Vec<f64>,
    /// The variances of predicted values, by which θ is fitted; empty where all were measured.
    variances: Vec<f64>,
    /// The place of each point's version in the line, and how often the code changed.
    versions: Vec<usize>,
    changes: usize,
    pub(crate) prior: Prior,
}

impl Evidence {
    /// Prepares observed points; their z is not used.
    pub(crate) fn new(geometry: &Geometry, seen: &ObservedPoints) -> Self {
        let x = &seen.x;
        let pairs = || (0..x.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        Self {
            gaps: (0..geometry.len())
                .map(|j| {
                    pairs()
                        .map(|(a, b)| geometry.gap(j, geometry.at(j, &x[a]), geometry.at(j, &x[b])))
                        .collect()
                })
                .collect(),
            curves: pairs()
                .map(|(a, b)| geometry.quadratic(&x[a], &x[b]))
                .collect(),
            own_curves: x.iter().map(|x| geometry.quadratic(x, x)).collect(),
            sums: pairs()
                .map(|(a, b)| geometry.additive(&x[a], &x[b]))
                .collect(),
            own_sums: x.iter().map(|x| geometry.additive(x, x)).collect(),
            shares: seen.shares.clone(),
            variances: seen.variances.clone(),
            versions: seen.versions.clone(),
            changes: seen.changes,
            prior: Prior::new(
                geometry.dimensions(),
                geometry.len() - geometry.dimensions(),
                seen.changes,
            ),
        }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.gaps.len()
    }

    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// Returns the log likelihoods of θ but for a constant, the prior left out, for each of several
    /// z. `variances` holds those of predicted values for each z; it is empty where all were
    /// measured.
    pub(crate) fn log_likelihoods(
        &self,
        theta: &[f64],
        zs: &[Vec<f64>],
        variances: &[Vec<f64>],
    ) -> Vec<f64> {
        let hyper = Hyperparameters::from_theta(theta, self.dimensions());
        let correlations: Vec<f64> = self
            .squares(&hyper)
            .into_iter()
            .map(|square| matern52(square).0)
            .collect();
        let covariance = self.covariance(&hyper, |pair| correlations[pair]);
        let likelihood = |factor: &Cholesky, z: &[f64]| {
            let density = -0.5 * factor.norm_squared(z) - factor.log_determinant();
            if density.is_nan() {
                f64::NEG_INFINITY
            } else {
                density
            }
        };
        if variances.is_empty() {
            let factor = Cholesky::new(covariance);
            return zs
                .iter()
                .map(|z| {
                    factor
                        .as_ref()
                        .map_or(f64::NEG_INFINITY, |factor| likelihood(factor, z))
                })
                .collect();
        }
        let uncertain = |(z, variances): (&Vec<f64>, &Vec<f64>)| {
            let mut covariance = covariance.clone();
            variances
                .iter()
                .enumerate()
                .for_each(|(place, variance)| covariance[(place, place)] += variance);
            Cholesky::new(covariance).map_or(f64::NEG_INFINITY, |factor| likelihood(&factor, z))
        };
        zs.iter().zip(variances).map(uncertain).collect()
    }

    /// Returns the log posterior density of θ but for a constant, and its gradient; `None` where
    /// the kernel matrix is singular.
    ///
    /// With W = α αᵀ − K⁻¹ the gradient of the likelihood is ½ tr(W ∂K/∂θ) (Rasmussen and Williams
    /// 2006, eq. 5.9).
    pub(crate) fn log_posterior(&self, theta: &[f64], z: &[f64]) -> Option<(f64, Vec<f64>)> {
        let hyper = Hyperparameters::from_theta(theta, self.dimensions());
        let kernel: Vec<(f64, f64)> = self.squares(&hyper).into_iter().map(matern52).collect();
        let mut covariance = self.covariance(&hyper, |pair| kernel[pair].0);
        self.variances
            .iter()
            .enumerate()
            .for_each(|(place, variance)| covariance[(place, place)] += variance);
        let factor = Cholesky::new(covariance)?;
        let alpha = factor.solve(z);
        let fit: f64 = z.iter().zip(&alpha).map(|(z, alpha)| z * alpha).sum();
        let likelihood = -0.5 * fit - factor.log_determinant();
        let mut gradient = self.likelihood_slopes(&hyper, &kernel, &alpha, &factor.inverse());
        let density = likelihood + self.prior.log_density(theta, &mut gradient);
        (density.is_finite() && gradient.iter().all(|slope| slope.is_finite()))
            .then_some((density, gradient))
    }

    /// Returns the gradient of the log likelihood with respect to θ. `kernel` has the correlation
    /// of each pair and its slope, `inverse` is K⁻¹.
    fn likelihood_slopes(
        &self,
        hyper: &Hyperparameters,
        kernel: &[(f64, f64)],
        alpha: &[f64],
        inverse: &Mat<f64>,
    ) -> Vec<f64> {
        let weight = |a: usize, b: usize| alpha[a] * alpha[b] - inverse[(a, b)];
        let (mut by_noise, mut by_signal, mut by_curve, mut by_sum) = (0.0, 0.0, 0.0, 0.0);
        let mut by_change = vec![0.0; PER_CHANGE * self.changes];
        let mut slopes = Vec::with_capacity(kernel.len());
        let mut pair = 0;
        for a in 0..alpha.len() {
            for b in 0..a {
                let ((correlation, slope), mut weight) = (kernel[pair], weight(a, b));
                let (left, right) = (self.versions[a], self.versions[b]);
                if left != right {
                    let both = hyper.signal * correlation
                        + hyper.curve * self.curves[pair]
                        + hyper.alone * self.sums[pair];
                    hyper
                        .kinship
                        .slopes(left, right)
                        .for_each(|(change, slope)| {
                            by_change[PER_CHANGE * change] += weight * both * slope;
                        });
                    weight *= hyper.kinship.correlation(left, right);
                } else if left > 0 {
                    by_change[PER_CHANGE * (left - 1) + 1] +=
                        weight * hyper.kinship.level(left, left);
                }
                by_signal += weight * correlation;
                by_curve += weight * self.curves[pair];
                by_sum += weight * self.sums[pair];
                slopes.push(weight * hyper.signal * slope);
                pair += 1;
            }
            let weight = weight(a, a);
            by_noise += 0.5 * weight * self.shares[a];
            by_signal += 0.5 * weight * (1.0 + JITTER);
            by_curve += 0.5 * weight * self.own_curves[a];
            by_sum += 0.5 * weight * self.own_sums[a];
            if let Some(change) = self.versions[a].checked_sub(1) {
                by_change[PER_CHANGE * change + 1] +=
                    0.5 * weight * hyper.kinship.level(change + 1, change + 1);
            }
        }
        let lengths = self.gaps.iter().zip(&hyper.inverse_squares);
        let mut gradient: Vec<f64> = lengths
            .map(|(gaps, inverse)| {
                inverse
                    * gaps
                        .iter()
                        .zip(&slopes)
                        .map(|(gap, slope)| gap * slope)
                        .sum::<f64>()
            })
            .collect();
        gradient.extend([
            hyper.noise * by_noise,
            hyper.signal * by_signal,
            hyper.curve * by_curve,
            hyper.alone * by_sum,
        ]);
        gradient.extend(by_change);
        gradient
    }

    fn squares(&self, hyper: &Hyperparameters) -> Vec<f64> {
        let mut squares = vec![0.0; self.curves.len()];
        for (gaps, inverse) in self.gaps.iter().zip(&hyper.inverse_squares) {
            for (square, gap) in squares.iter_mut().zip(gaps) {
                *square += inverse * gap;
            }
        }
        squares
    }

    fn covariance(&self, hyper: &Hyperparameters, correlation: impl Fn(usize) -> f64) -> Mat<f64> {
        let n = self.own_curves.len();
        let mut covariance = Mat::zeros(n, n);
        let mut pair = 0;
        for a in 0..n {
            for b in 0..a {
                let own = hyper.signal * correlation(pair)
                    + hyper.curve * self.curves[pair]
                    + hyper.alone * self.sums[pair];
                let (left, right) = (self.versions[a], self.versions[b]);
                covariance[(a, b)] =
                    hyper.kinship.correlation(left, right) * own + hyper.kinship.level(left, right);
                pair += 1;
            }
            let level = hyper.kinship.level(self.versions[a], self.versions[a]);
            let own = hyper.curve * self.own_curves[a] + hyper.alone * self.own_sums[a];
            covariance[(a, a)] =
                hyper.signal * (1.0 + JITTER) + own + level + hyper.noise * self.shares[a];
        }
        covariance
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Coordinate;
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_density() {
        let x: Vec<Vec<f64>> = (0..9)
            .map(|i| {
                vec![
                    (f64::from(i) * 0.37).fract(),
                    (f64::from(i) * 0.61).fract(),
                    f64::from(i % 3),
                ]
            })
            .collect();
        let z: Vec<f64> = x
            .iter()
            .map(|x| (5.0 * x[0]).sin() + x[1] - 0.3 * x[2])
            .collect();
        let geometry = Geometry(vec![
            Coordinate::Ordered,
            Coordinate::ConditionalOrdered,
            Coordinate::Nominal,
        ]);
        let shares: Vec<f64> = (1..=9).map(|repeats| 1.0 / f64::from(repeats)).collect();
        let versions = vec![0, 1, 0, 2, 2, 0, 1, 2, 1];
        let variances: Vec<f64> = (0..9)
            .map(|place| if place % 3 == 0 { 0.2 } else { 0.0 })
            .collect();
        let evidence = Evidence::new(
            &geometry,
            &ObservedPoints {
                shares,
                variances,
                versions,
                changes: 2,
                ..ObservedPoints::once(x, Vec::new())
            },
        );
        let first = [0.0, 0.5, -0.5, -3.0, 0.2, -1.0, 0.1, -1.0, -2.0, -0.2, 0.0];
        let second = [-1.0, 1.0, 0.3, -5.0, -0.7, 0.5, -0.5, -2.0, 0.5, 0.3, -1.0];
        for theta in [first, second] {
            let (_, gradient) = evidence.log_posterior(&theta, &z).unwrap();
            for (entry, slope) in gradient.iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = theta;
                    moved[entry] += step;
                    evidence.log_posterior(&moved, &z).unwrap().0
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (slope - difference).abs() < 1e-5 * (1.0 + slope.abs()),
                    "entry {entry}: {slope} is not {difference}"
                );
            }
        }
    }
}
