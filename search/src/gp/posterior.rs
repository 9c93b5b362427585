//! What the model expects where nothing was seen.

use std::sync::Arc;

use faer::Mat;

use super::cholesky::Cholesky;
use super::kernel::{Geometry, Hyperparameters, JITTER};

/// What was seen: points, what the model sees of their values, and the share of the noise in each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) x: Vec<Vec<f64>>,
    pub(crate) z: Vec<f64>,
    pub(crate) shares: Vec<f64>,
}

/// The Gaussian process after what was seen.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    geometry: Arc<Geometry>,
    hyper: Hyperparameters,
    seen: Seen,
    factor: Cholesky,
    alpha: Vec<f64>,
}

/// Mean and standard deviation of the function at a point, with their gradients.
#[derive(Clone, Debug)]
pub(crate) struct Slope {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) mean_slope: Vec<f64>,
    pub(crate) deviation_slope: Vec<f64>,
}

impl Posterior {
    /// Conditions on what was seen. `None` where not even a large jitter makes the kernel matrix positive definite.
    pub(crate) fn new(geometry: Arc<Geometry>, theta: &[f64], seen: Seen) -> Option<Self> {
        let hyper = Hyperparameters::from_theta(theta);
        let n = seen.x.len();
        let factor = [JITTER, 1e-6, 1e-4, 1e-2].into_iter().find_map(|jitter| {
            let mut covariance = Mat::zeros(n, n);
            for a in 0..n {
                for b in 0..a {
                    covariance[(a, b)] = hyper.covariance(&geometry, &seen.x[a], &seen.x[b]);
                }
                let scale = hyper.signal + hyper.curve;
                covariance[(a, a)] = hyper.variance(&geometry, &seen.x[a]) + jitter * scale + hyper.noise * seen.shares[a];
            }
            Cholesky::new(covariance)
        })?;
        let alpha = factor.solve(&seen.z);
        Some(Self { geometry, hyper, seen, factor, alpha })
    }

    /// Returns mean and standard deviation of the function, noise left out, at each point.
    pub(crate) fn predict(&self, points: &[Vec<f64>]) -> Vec<(f64, f64)> {
        let n = self.seen.x.len();
        let mut cross = Mat::zeros(n, points.len());
        for (new, point) in points.iter().enumerate() {
            for (seen, x) in self.seen.x.iter().enumerate() {
                cross[(seen, new)] = self.hyper.covariance(&self.geometry, x, point);
            }
        }
        let mean = |new: usize| self.alpha.iter().enumerate().map(|(seen, alpha)| alpha * cross[(seen, new)]).sum::<f64>();
        let means: Vec<f64> = (0..points.len()).map(mean).collect();
        self.factor.solve_lower(&mut cross);
        let explained = |new: usize| (0..n).map(|seen| cross[(seen, new)] * cross[(seen, new)]).sum::<f64>();
        means.into_iter().enumerate().map(|(new, mean)| (mean, self.deviation(&points[new], explained(new)))).collect()
    }

    /// Returns the mean alone, at each point.
    pub(crate) fn means(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let mean = |point: &Vec<f64>| {
            let terms = self.seen.x.iter().zip(&self.alpha);
            terms.map(|(x, alpha)| alpha * self.hyper.covariance(&self.geometry, x, point)).sum()
        };
        points.iter().map(mean).collect()
    }

    /// Returns mean and standard deviation at one point with their gradients, which are zero along coordinates without order.
    pub(crate) fn slope(&self, point: &[f64]) -> Slope {
        let (n, d) = (self.seen.x.len(), point.len());
        let mut gradients = vec![0.0; n * d];
        let mut cross = Mat::zeros(n, 1);
        for ((i, x), gradient) in self.seen.x.iter().enumerate().zip(gradients.chunks_mut(d)) {
            cross[(i, 0)] = self.hyper.covariance_slope(&self.geometry, point, x, gradient);
        }
        let mean = self.alpha.iter().enumerate().map(|(i, alpha)| alpha * cross[(i, 0)]).sum();
        self.factor.solve_lower(&mut cross);
        let explained: f64 = (0..n).map(|i| cross[(i, 0)] * cross[(i, 0)]).sum();
        let deviation = self.deviation(point, explained);
        self.factor.solve_upper(&mut cross);
        let mut own = vec![0.0; d];
        self.hyper.covariance_slope(&self.geometry, point, point, &mut own);
        let mut mean_slope = vec![0.0; d];
        // Half the variance at the point moves as its covariance with itself does when one of the two moves.
        let mut deviation_slope = own;
        for (i, gradient) in gradients.chunks(d).enumerate() {
            for j in 0..d {
                mean_slope[j] += self.alpha[i] * gradient[j];
                deviation_slope[j] -= cross[(i, 0)] * gradient[j];
            }
        }
        for slope in &mut deviation_slope {
            *slope /= deviation;
        }
        Slope { mean, deviation, mean_slope, deviation_slope }
    }

    /// Conditions on one more value, without noise: what is believed of a run that has not ended.
    pub(crate) fn with(&self, theta: &[f64], point: &[f64], value: f64) -> Option<Self> {
        let mut seen = self.seen.clone();
        seen.x.push(point.to_vec());
        seen.z.push(value);
        seen.shares.push(1.0);
        Self::new(Arc::clone(&self.geometry), theta, seen)
    }

    /// Returns the expected value, and how unsure it is, at each point that was seen.
    pub(crate) fn at_seen(&self) -> Vec<(f64, f64)> {
        self.predict(&self.seen.x)
    }

    fn deviation(&self, point: &[f64], explained: f64) -> f64 {
        let variance = self.hyper.variance(&self.geometry, point);
        (variance - explained).max(variance * 1e-10).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Coordinate;
    use super::*;

    const THETA: [f64; 4] = [-1.5, -16.0, 0.0, -3.0];

    fn model() -> Posterior {
        let seen = Seen { x: vec![vec![0.1], vec![0.5], vec![0.6]], z: vec![1.0, -1.0, 0.5], shares: vec![1.0; 3] };
        Posterior::new(Arc::new(Geometry(vec![Coordinate::Ordered])), &THETA, seen).unwrap()
    }

    #[test]
    fn the_model_goes_through_what_it_has_seen_and_is_unsure_elsewhere() {
        let model = model();
        let seen = model.at_seen();
        assert!((seen[1].0 + 1.0).abs() < 1e-3 && seen[1].1 < 0.01, "{seen:?}");
        let far = model.predict(&[vec![1.0]])[0];
        assert!(far.1 > 0.5, "{far:?}");
        let believed = model.with(&THETA, &[1.0], far.0).unwrap().predict(&[vec![1.0]])[0];
        assert!((believed.0 - far.0).abs() < 1e-3 && believed.1 < 0.01, "{believed:?}");
    }

    #[test]
    fn the_gradients_are_those_of_the_prediction() {
        let model = model();
        let slope = model.slope(&[0.3]);
        let (low, high) = (model.predict(&[vec![0.3 - 1e-5]])[0], model.predict(&[vec![0.3 + 1e-5]])[0]);
        assert!((slope.mean_slope[0] - (high.0 - low.0) / 2e-5).abs() < 1e-5, "{slope:?}");
        assert!((slope.deviation_slope[0] - (high.1 - low.1) / 2e-5).abs() < 1e-5, "{slope:?}");
        assert_eq!((slope.mean, slope.deviation), model.predict(&[vec![0.3]])[0]);
    }
}
