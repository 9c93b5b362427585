//! Predictions of a Gaussian process.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use faer::Mat;

use super::cholesky::Cholesky;
use super::columns::Columns;
use super::kernel::{Geometry, Hyperparameters, JITTER};

/// Observed points: their warped values, the share of the noise in each, and the version of the
/// code of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedPoints {
    pub(crate) x: Vec<Vec<f64>>,
    pub(crate) z: Vec<f64>,
    pub(crate) shares: Vec<f64>,
    /// The variance of each value that is only a prediction, beside the noise; empty where all were
    /// measured.
    pub(crate) variances: Vec<f64>,
    /// The version that each was seen under, by its place in a line of versions.
    pub(crate) versions: Vec<usize>,
    /// How many changes there are in that line.
    pub(crate) changes: usize,
}

impl ObservedPoints {
    /// Points observed once each with one version of the code.
    pub(crate) fn once(x: Vec<Vec<f64>>, z: Vec<f64>) -> Self {
        Self {
            shares: vec![1.0; x.len()],
            variances: Vec::new(),
            versions: vec![0; x.len()],
            changes: 0,
            x,
            z,
        }
    }
}

/// The Gaussian process, conditioned on observations. Its predictions are for the newest version of
/// the code.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    geometry: Arc<Geometry>,
    hyper: Hyperparameters,
    columns: Columns,
    /// The covariance of the newest version with that of each point, as a factor and a summand;
    /// `None` where there is one version.
    kin: Option<Vec<(f64, f64)>>,
    /// The diagonal of the kernel matrix without the variance of the function: noise, jitter and
    /// the variance of predictions.
    beside: Vec<f64>,
    jitter: f64,
    factor: Cholesky,
    z: Vec<f64>,
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

/// The joint distribution of the function at several points.
struct Joint {
    means: Vec<f64>,
    /// L⁻¹ times the covariances with the points that were seen, a column each.
    cross: Mat<f64>,
    /// The factor of the covariances that these leave.
    rest: Cholesky,
}

impl Joint {
    /// Returns the values that standard normal draws mean.
    fn values(&self, draws: &[f64]) -> impl Iterator<Item = f64> {
        let deviations = self.rest.times(draws).into_iter();
        self.means
            .iter()
            .zip(deviations)
            .map(|(mean, deviation)| mean + deviation)
    }
}

impl Posterior {
    /// Conditions on observations. `None` where not even a large jitter makes the kernel matrix
    /// positive definite.
    pub(crate) fn new(
        geometry: Arc<Geometry>,
        theta: &[f64],
        seen: &ObservedPoints,
    ) -> Option<Self> {
        let hyper = Hyperparameters::from_theta(theta, geometry.len());
        let kinship = &hyper.kinship;
        let columns = Columns::new(Arc::clone(&geometry), &seen.x);
        let n = columns.len();
        // The lower triangle, which is the upper one of the transpose: column by column.
        let mut covariance = Mat::zeros(n, n);
        let mut row = vec![0.0; n];
        for (a, x) in seen.x.iter().enumerate() {
            columns.covariances(&hyper, x, &mut row[..a]);
            let own = seen.versions[a];
            for (b, covariant) in row[..a].iter().enumerate() {
                let other = seen.versions[b];
                covariance[(a, b)] =
                    kinship.correlation(own, other) * covariant + kinship.level(own, other);
            }
            covariance[(a, a)] = hyper.variance_under(&geometry, x, own);
        }
        let newest = kinship.newest();
        let kin = |version: &usize| {
            (
                kinship.correlation(newest, *version),
                kinship.level(newest, *version),
            )
        };
        let kin: Option<Vec<_>> =
            (!kinship.is_trivial()).then(|| seen.versions.iter().map(kin).collect());
        let scale = hyper.signal + hyper.curve + hyper.alone;
        [JITTER, 1e-6, 1e-4, 1e-2].into_iter().find_map(|jitter| {
            let mut beside: Vec<f64> = seen
                .shares
                .iter()
                .map(|share| jitter * scale + hyper.noise * share)
                .collect();
            beside
                .iter_mut()
                .zip(&seen.variances)
                .for_each(|(beside, variance)| *beside += variance);
            let mut noisy = covariance.clone();
            beside
                .iter()
                .enumerate()
                .for_each(|(a, beside)| noisy[(a, a)] += beside);
            let factor = Cholesky::new(noisy)?;
            let alpha = factor.solve(&seen.z);
            let (geometry, hyper, columns) =
                (Arc::clone(&geometry), hyper.clone(), columns.clone());
            Some(Self {
                geometry,
                hyper,
                columns,
                kin: kin.clone(),
                beside,
                jitter: jitter * scale,
                factor,
                z: seen.z.clone(),
                alpha,
            })
        })
    }

    /// Returns mean and standard deviation of the function, noise left out, at each point.
    pub(crate) fn predict(&self, points: &[Vec<f64>]) -> Vec<(f64, f64)> {
        let n = self.columns.len();
        let mut cross = Mat::zeros(n, points.len());
        for (new, point) in points.iter().enumerate() {
            self.covariances(point, cross.col_as_slice_mut(new));
        }
        let means: Vec<f64> = (0..points.len())
            .map(|new| dot(&self.alpha, cross.col_as_slice(new)))
            .collect();
        self.factor.solve_lower(&mut cross);
        let explained = |new: usize| dot(cross.col_as_slice(new), cross.col_as_slice(new));
        means
            .into_iter()
            .enumerate()
            .map(|(new, mean)| (mean, self.deviation(&points[new], explained(new))))
            .collect()
    }

    /// Returns the standard deviation of the difference of the function between pairs of points.
    pub(crate) fn difference_deviations(&self, here: &[Vec<f64>], there: &[Vec<f64>]) -> Vec<f64> {
        let n = self.columns.len();
        let mut cross = Mat::zeros(n, here.len());
        let mut other = vec![0.0; n];
        for (pair, (a, b)) in here.iter().zip(there).enumerate() {
            let column = cross.col_as_slice_mut(pair);
            self.covariances(a, column);
            self.covariances(b, &mut other);
            column
                .iter_mut()
                .zip(&other)
                .for_each(|(own, other)| *own -= other);
        }
        self.factor.solve_lower(&mut cross);
        let deviation = |(pair, (a, b)): (usize, (&Vec<f64>, &Vec<f64>))| {
            let explained = dot(cross.col_as_slice(pair), cross.col_as_slice(pair));
            let all = self.hyper.difference_variance(&self.geometry, a, b);
            (all - explained).max(all * 1e-10).sqrt()
        };
        here.iter().zip(there).enumerate().map(deviation).collect()
    }

    /// Returns the mean alone, at each point.
    pub(crate) fn means(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let mut covariances = vec![0.0; self.columns.len()];
        let mean = |point: &Vec<f64>| {
            self.covariances(point, &mut covariances);
            dot(&self.alpha, &covariances)
        };
        points.iter().map(mean).collect()
    }

    /// Returns mean and standard deviation at one point with their gradients, which are zero along
    /// coordinates without order.
    pub(crate) fn slope(&self, point: &[f64]) -> Slope {
        let relation = self.columns.relation(&self.hyper, point);
        let mut cross = relation.covariances(&self.hyper);
        self.relate(&mut cross);
        let mean = dot(&self.alpha, &cross);
        self.factor.lower(&mut cross);
        let deviation = self.deviation(point, dot(&cross, &cross));
        self.factor.upper(&mut cross);
        let slope = |weights: &[f64]| match &self.kin {
            None => self.columns.slope(&self.hyper, point, &relation, weights),
            Some(kin) => {
                let weights: Vec<f64> = kin
                    .iter()
                    .zip(weights)
                    .map(|((factor, _), weight)| factor * weight)
                    .collect();
                self.columns.slope(&self.hyper, point, &relation, &weights)
            }
        };
        let (mean_slope, explained) = (slope(&self.alpha), slope(&cross));
        // Half the variance at the point moves as its covariance with itself does when one of the
        // two moves.
        let own = self.hyper.variance_slope(&self.geometry, point);
        let deviation_slope = own
            .iter()
            .zip(&explained)
            .map(|(own, explained)| (own - explained) / deviation)
            .collect();
        Slope {
            mean,
            deviation,
            mean_slope,
            deviation_slope,
        }
    }

    /// Conditions on one more value without noise: the assumed outcome of a run that has not ended.
    /// Returns `false`, and changes nothing, where the matrix would be singular.
    pub(crate) fn believe(&mut self, point: &[f64], value: f64) -> bool {
        let mut covariances = vec![0.0; self.columns.len()];
        self.covariances(point, &mut covariances);
        let own = self.hyper.variance(&self.geometry, point) + self.jitter;
        let Some(factor) = self.factor.extended(covariances, own) else {
            return false;
        };
        self.factor = factor;
        self.columns.push(point);
        let newest = self.hyper.kinship.newest();
        if let Some(kin) = &mut self.kin {
            kin.push((1.0, self.hyper.kinship.level(newest, newest)));
        }
        self.beside.push(self.jitter);
        self.z.push(value);
        self.alpha = self.factor.solve(&self.z);
        true
    }

    /// Conditions on values at several points at once, drawn from the posterior: `draws` are
    /// standard normal, or narrower. Returns `false`, and changes nothing, where the matrix would
    /// be singular. Equal to [`Self::believe`] for one after the other, at the cost of one.
    pub(crate) fn believe_all(&mut self, points: &[Vec<f64>], draws: &[f64]) -> bool {
        let Some(joint) = self.joint(points) else {
            return false;
        };
        self.factor = self.factor.joined(&joint.cross, &joint.rest);
        let newest = self.hyper.kinship.newest();
        let level = self.hyper.kinship.level(newest, newest);
        for point in points {
            self.columns.push(point);
            if let Some(kin) = &mut self.kin {
                kin.push((1.0, level));
            }
            self.beside.push(self.jitter);
        }
        self.z.extend(joint.values(draws));
        self.alpha = self.factor.solve(&self.z);
        true
    }

    /// Returns functions drawn from the posterior, noise left out, at points: one for each vector of
    /// standard normal `draws`, which has an entry a point. `None` where the matrix is singular.
    pub(crate) fn functions(
        &self,
        points: &[Vec<f64>],
        draws: &[Vec<f64>],
    ) -> Option<Vec<Vec<f64>>> {
        let joint = self.joint(points)?;
        Some(
            draws
                .iter()
                .map(|draws| joint.values(draws).collect())
                .collect(),
        )
    }

    /// Returns the joint distribution of the function at several points; `None` where its matrix is
    /// singular.
    fn joint(&self, points: &[Vec<f64>]) -> Option<Joint> {
        let (n, more) = (self.columns.len(), points.len());
        let mut cross = Mat::zeros(n, more);
        points
            .iter()
            .enumerate()
            .for_each(|(new, point)| self.covariances(point, cross.col_as_slice_mut(new)));
        let means: Vec<f64> = (0..more)
            .map(|new| dot(&self.alpha, cross.col_as_slice(new)))
            .collect();
        self.factor.solve_lower(&mut cross);
        let newest = self.hyper.kinship.newest();
        let level = self.hyper.kinship.level(newest, newest);
        let columns = Columns::new(Arc::clone(&self.geometry), points);
        let mut rest = Mat::zeros(more, more);
        let mut row = vec![0.0; more];
        for (a, point) in points.iter().enumerate() {
            columns.covariances(&self.hyper, point, &mut row[..a]);
            let own = cross.col_as_slice(a);
            row[..a].iter().enumerate().for_each(|(b, covariant)| {
                rest[(a, b)] = covariant + level - dot(own, cross.col_as_slice(b));
            });
            rest[(a, a)] = self.hyper.variance(&self.geometry, point) + self.jitter - dot(own, own);
        }
        let rest = Cholesky::new(rest)?;
        Some(Joint { means, cross, rest })
    }

    /// Returns the share of the noise in the variance of a value.
    pub(crate) fn noise_share(&self) -> f64 {
        let Hyperparameters {
            noise,
            signal,
            curve,
            alone,
            ..
        } = &self.hyper;
        noise / (noise + signal + curve + alone)
    }

    /// Returns which share of the variance of the values the model predicts, each from all others:
    /// 1 is perfect, below 0 their average is better.
    ///
    /// Rasmussen and Williams (2006), equation 5.12.
    pub(crate) fn skill(&self) -> f64 {
        let count = self.z.len() as f64;
        let sum: f64 = self.z.iter().sum();
        let inverse = self.factor.inverse();
        let errors: f64 = self
            .alpha
            .iter()
            .enumerate()
            .map(|(place, alpha)| (alpha / inverse[(place, place)]).powi(2))
            .sum();
        let total: f64 = self
            .z
            .iter()
            .map(|z| ((count * z - sum) / (count - 1.0)).powi(2))
            .sum();
        if total > 0.0 {
            1.0 - errors / total
        } else {
            0.0
        }
    }

    /// Returns the expected value at each point that was observed or assumed.
    pub(crate) fn means_at_seen(&self) -> impl Iterator<Item = f64> {
        // z = (K + N) α and the mean is K α.
        self.z
            .iter()
            .zip(&self.beside)
            .zip(&self.alpha)
            .map(|((z, beside), alpha)| z - beside * alpha)
    }

    /// Writes the covariance of a point under the newest version with each observed point.
    fn covariances(&self, point: &[f64], covariances: &mut [f64]) {
        self.columns.covariances(&self.hyper, point, covariances);
        self.relate(covariances);
    }

    fn relate(&self, covariances: &mut [f64]) {
        for (covariance, (factor, summand)) in covariances.iter_mut().zip(self.kin.iter().flatten())
        {
            *covariance = factor * *covariance + summand;
        }
    }

    /// Returns the correlation of the newest version of the code with the one before it.
    pub(crate) fn last_correlation(&self) -> Option<f64> {
        self.hyper.kinship.last()
    }

    fn deviation(&self, point: &[f64], explained: f64) -> f64 {
        let variance = self.hyper.variance(&self.geometry, point);
        (variance - explained).max(variance * 1e-10).sqrt()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums, so that the processor need not wait for one.
    let mut sums = [0.0; 4];
    let (chunks_a, chunks_b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = chunks_a
        .remainder()
        .iter()
        .zip(chunks_b.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}
