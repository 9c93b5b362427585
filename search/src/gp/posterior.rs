//! What the model expects where nothing was seen.

use faer::Mat;

use super::cholesky::Cholesky;
use super::kernel::{Geometry, Hyperparameters, JITTER};

/// The Gaussian process after what was seen.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    geometry: Geometry,
    hyper: Hyperparameters,
    x: Vec<Vec<f64>>,
    z: Vec<f64>,
    factor: Cholesky,
    alpha: Vec<f64>,
}

impl Posterior {
    /// Conditions on what was seen. `None` where not even a large jitter makes the kernel matrix positive definite.
    pub(crate) fn new(geometry: Geometry, theta: &[f64], x: Vec<Vec<f64>>, z: Vec<f64>) -> Option<Self> {
        let hyper = Hyperparameters::from_theta(theta);
        let factor = [JITTER, 1e-6, 1e-4, 1e-2].into_iter().find_map(|jitter| {
            let diagonal = hyper.signal * (1.0 + jitter) + hyper.noise;
            Cholesky::new(Mat::from_fn(x.len(), x.len(), |a, b| match a.cmp(&b) {
                std::cmp::Ordering::Greater => hyper.signal * hyper.correlation(&geometry, &x[a], &x[b]),
                std::cmp::Ordering::Equal => diagonal,
                std::cmp::Ordering::Less => 0.0,
            }))
        })?;
        let alpha = factor.solve(&z);
        Some(Self { geometry, hyper, x, z, factor, alpha })
    }

    /// Returns mean and standard deviation of the function, noise left out, at each point.
    pub(crate) fn predict(&self, points: &[Vec<f64>]) -> Vec<(f64, f64)> {
        let mut cross = Mat::from_fn(self.x.len(), points.len(), |seen, new| {
            self.hyper.signal * self.hyper.correlation(&self.geometry, &self.x[seen], &points[new])
        });
        let means: Vec<f64> =
            (0..points.len()).map(|new| self.alpha.iter().enumerate().map(|(seen, alpha)| alpha * cross[(seen, new)]).sum()).collect();
        self.factor.solve_lower(&mut cross);
        let explained = (0..points.len()).map(|new| (0..self.x.len()).map(|seen| cross[(seen, new)] * cross[(seen, new)]).sum::<f64>());
        let deviations = explained.map(|explained| (self.hyper.signal - explained).max(self.hyper.signal * 1e-10).sqrt());
        means.into_iter().zip(deviations).collect()
    }

    /// Takes the expected values at some points for true (the kriging believer), so that the model looks elsewhere.
    ///
    /// Ginsbourger, Le Riche, Carraro (2010), Kriging is well-suited to parallelize optimization.
    pub(crate) fn believe(&self, theta: &[f64], points: &[Vec<f64>]) -> Option<Self> {
        if points.is_empty() {
            return Some(self.clone());
        }
        let believed = self.predict(points).into_iter().map(|(mean, _)| mean);
        let (mut x, mut z) = (self.x.clone(), self.z.clone());
        x.extend_from_slice(points);
        z.extend(believed);
        Self::new(self.geometry.clone(), theta, x, z)
    }

    /// Returns the lowest expected value at the points that were seen: with noise, the lowest seen one may only have been lucky.
    pub(crate) fn incumbent(&self) -> f64 {
        self.predict(&self.x).into_iter().map(|(mean, _)| mean).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_goes_through_what_it_has_seen_and_is_unsure_elsewhere() {
        let x = vec![vec![0.1], vec![0.5], vec![0.6]];
        let theta = [-1.5, -16.0, 0.0];
        let model = Posterior::new(Geometry(vec![false]), &theta, x.clone(), vec![1.0, -1.0, 0.5]).unwrap();
        let seen = model.predict(&x);
        assert!((seen[1].0 + 1.0).abs() < 1e-3 && seen[1].1 < 0.01, "{seen:?}");
        let far = model.predict(&[vec![1.0]])[0];
        assert!(far.1 > 0.5, "{far:?}");
        let believed = model.believe(&theta, &[vec![1.0]]).unwrap().predict(&[vec![1.0]])[0];
        assert!((believed.0 - far.0).abs() < 1e-3 && believed.1 < 0.01, "{believed:?}");
    }
}
