//! How well hyperparameters explain what was seen.

use faer::Mat;

use super::cholesky::Cholesky;
use super::kernel::{Geometry, Hyperparameters, JITTER, matern52};
use super::prior::Prior;

/// What was seen, with the part of the kernel that no hyperparameter changes.
pub(crate) struct Evidence<'a> {
    z: &'a [f64],
    /// For each coordinate the squared distances of all pairs, the lower triangle row by row.
    gaps: Vec<Vec<f64>>,
    prior: Prior,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(geometry: &Geometry, x: &[Vec<f64>], z: &'a [f64]) -> Self {
        let pairs = || (0..x.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let gaps = (0..geometry.0.len()).map(|j| pairs().map(|(a, b)| geometry.gap(j, x[a][j], x[b][j])).collect()).collect();
        Self { z, gaps, prior: Prior::new(geometry.0.len()) }
    }

    /// Returns the log posterior density of θ but for a constant, and its gradient; `None` where the kernel matrix is singular.
    ///
    /// With W = α αᵀ − K⁻¹ the gradient of the likelihood is ½ tr(W ∂K/∂θ) (Rasmussen and Williams 2006, eq. 5.9).
    pub(crate) fn log_posterior(&self, theta: &[f64]) -> Option<(f64, Vec<f64>)> {
        let (n, d) = (self.z.len(), self.gaps.len());
        let hyper = Hyperparameters::from_theta(theta);
        let mut squares = vec![0.0; n * n.saturating_sub(1) / 2];
        for (gaps, inverse) in self.gaps.iter().zip(&hyper.inverse_squares) {
            for (square, gap) in squares.iter_mut().zip(gaps) {
                *square += inverse * gap;
            }
        }
        let kernel: Vec<(f64, f64)> = squares.into_iter().map(matern52).collect();
        let pair = |a: usize, b: usize| a * a.saturating_sub(1) / 2 + b;
        let diagonal = hyper.signal * (1.0 + JITTER) + hyper.noise;
        let covariance = Mat::from_fn(n, n, |a, b| match a.cmp(&b) {
            std::cmp::Ordering::Greater => hyper.signal * kernel[pair(a, b)].0,
            std::cmp::Ordering::Equal => diagonal,
            std::cmp::Ordering::Less => 0.0,
        });
        let factor = Cholesky::new(covariance)?;
        let alpha = factor.solve(self.z);
        let fit: f64 = self.z.iter().zip(&alpha).map(|(z, alpha)| z * alpha).sum();
        let likelihood = -0.5 * fit - factor.log_determinant();

        let inverse = factor.inverse();
        let weight = |a: usize, b: usize| alpha[a] * alpha[b] - inverse[(a, b)];
        let trace: f64 = (0..n).map(|a| weight(a, a)).sum();
        let mut off_diagonal = 0.0;
        let mut slopes = Vec::with_capacity(kernel.len());
        for a in 0..n {
            for b in 0..a {
                let (correlation, slope) = kernel[pair(a, b)];
                off_diagonal += weight(a, b) * correlation;
                slopes.push(weight(a, b) * hyper.signal * slope);
            }
        }
        let mut gradient = Vec::with_capacity(d + 2);
        for (gaps, inverse) in self.gaps.iter().zip(&hyper.inverse_squares) {
            gradient.push(inverse * gaps.iter().zip(&slopes).map(|(gap, slope)| gap * slope).sum::<f64>());
        }
        gradient.push(0.5 * trace * hyper.noise);
        gradient.push(hyper.signal * (0.5 * trace * (1.0 + JITTER) + off_diagonal));
        let density = likelihood + self.prior.log_density(theta, &mut gradient);
        (density.is_finite() && gradient.iter().all(|slope| slope.is_finite())).then_some((density, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_density() {
        let x: Vec<Vec<f64>> =
            (0..9).map(|i| vec![(f64::from(i) * 0.37).fract(), (f64::from(i) * 0.61).fract(), f64::from(i % 3)]).collect();
        let z: Vec<f64> = x.iter().map(|x| (5.0 * x[0]).sin() + x[1] - 0.3 * x[2]).collect();
        let evidence = Evidence::new(&Geometry(vec![false, false, true]), &x, &z);
        for theta in [[0.0, 0.5, -0.5, -3.0, 0.2], [-1.0, 1.0, 0.3, -5.0, -0.7]] {
            let (_, gradient) = evidence.log_posterior(&theta).unwrap();
            for (entry, slope) in gradient.iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = theta;
                    moved[entry] += step;
                    evidence.log_posterior(&moved).unwrap().0
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - difference).abs() < 1e-5 * (1.0 + slope.abs()), "entry {entry}: {slope} is not {difference}");
            }
        }
    }
}
