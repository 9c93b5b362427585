//! What is believed of the hyperparameters before anything is seen: normal in the logarithm.

/// A normal distribution for each entry of θ: (mean, standard deviation).
pub(crate) struct Prior(Vec<(f64, f64)>);

impl Prior {
    /// Length scales grow with the dimension, so that the model stays simple in many dimensions.
    ///
    /// The idea is that of Hvarfner, Hellsten, Nardi (2024), Vanilla Bayesian optimization performs great in high dimensions; mean and
    /// spread are smaller than theirs, which found too little on Hartmann's six-dimensional function in 40 runs.
    pub(crate) fn new(dimensions: usize) -> Self {
        let length = (0.5 * (dimensions.max(1) as f64).ln(), 1.2);
        let mut entries = vec![length; dimensions];
        entries.extend([(-6.0, 2.0), (0.0, 1.0)]);
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
