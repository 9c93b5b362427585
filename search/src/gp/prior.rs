//! What is believed of the hyperparameters before anything is seen: normal in the logarithm.

use super::kinship;

/// Mean and standard deviation of log ℓ − ½ log d.
const LENGTH: (f64, f64) = (0.0, 0.8);
/// By how much larger log ℓ is where numbers in a list are taken for categories: more often than not their order matters.
const LEVELS_LONGER: f64 = 0.7;
/// Of log ν. Most objectives are nearly the same when a run is repeated, compared with what the parameters do.
const NOISE: (f64, f64) = (-9.0, 2.5);
/// Of log σ².
const SIGNAL: (f64, f64) = (0.0, 1.0);
/// Of log τ² and of log ς².
const CURVE: (f64, f64) = (-1.5, 1.5);
const ALONE: (f64, f64) = (-1.5, 1.5);

/// A normal distribution for each entry of θ: (mean, standard deviation).
pub(crate) struct Prior(pub(crate) Vec<(f64, f64)>);

impl Prior {
    /// Length scales grow with the dimension, so that the model stays simple in many dimensions.
    ///
    /// The idea is that of Hvarfner, Hellsten, Nardi (2024), Vanilla Bayesian optimization performs great in high dimensions; mean and
    /// spread are smaller than theirs, which found too little on Hartmann's six-dimensional function in 40 runs.
    pub(crate) fn new(dimensions: usize, levels: usize, changes: usize) -> Self {
        let length = (LENGTH.0 + 0.5 * (dimensions.max(1) as f64).ln(), LENGTH.1);
        let mut entries = vec![length; dimensions];
        entries.extend(std::iter::repeat_n((length.0 + LEVELS_LONGER, length.1), levels));
        entries.extend([NOISE, SIGNAL, CURVE, ALONE]);
        entries.extend([kinship::ETA, kinship::LEVEL].repeat(changes));
        Self(entries)
    }

    /// Returns the log density but for a constant, and adds its gradient to `gradient`.
    pub(crate) fn log_density(&self, theta: &[f64], gradient: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for ((value, (mean, deviation)), slope) in theta.iter().zip(&self.0).zip(gradient) {
            let standard = (value - mean) / deviation;
            sum -= 0.5 * standard * standard;
            *slope -= standard / deviation;
        }
        sum
    }
}
