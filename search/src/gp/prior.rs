//! The prior of the hyperparameters: normal in the logarithm.

use crate::tuning::{PRIOR, TRANSFER};

/// A normal distribution for each entry of θ: (mean, standard deviation).
pub(crate) struct Prior(pub(crate) Vec<(f64, f64)>);

impl Prior {
    /// Length scales grow with the dimension, so that the model stays simple in many dimensions.
    ///
    /// The idea is that of Hvarfner, Hellsten, Nardi (2024), Vanilla Bayesian optimization performs
    /// great in high dimensions; mean and spread are smaller than theirs, which found too little on
    /// Hartmann's six-dimensional function in 40 runs.
    pub(crate) fn new(dimensions: usize, levels: usize, changes: usize) -> Self {
        let length = (
            PRIOR.log_length.0 + 0.5 * (dimensions.max(1) as f64).ln(),
            PRIOR.log_length.1,
        );
        let mut entries = vec![length; dimensions];
        entries.extend(std::iter::repeat_n(
            (length.0 + PRIOR.log_length_of_levels, length.1),
            levels,
        ));
        entries.extend([
            PRIOR.log_noise,
            PRIOR.log_signal,
            PRIOR.log_curve,
            PRIOR.log_alone,
        ]);
        entries.extend([TRANSFER.eta, TRANSFER.log_level].repeat(changes));
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
