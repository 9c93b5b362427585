//! The relation between the values of several versions of the code.
//!
//! The versions form a line, oldest first. At each change the function keeps a share of its values,
//! the correlation *ρ*, and the rest is new and of the same kind: the kernel between two versions
//! is that of the space times the product of all ρ between them. Each version may also have its own
//! level. This is the intrinsic coregionalisation model of Bonilla, Chai, Williams (2008),
//! Multi-task Gaussian process prediction, with the coregionalisation of a chain, as in Kennedy and
//! O'Hagan (2000), Predicting the output from a complex computer code when fast approximations are
//! available.

use crate::tuning::TRANSFER;

/// Entries of θ for each change: η and the logarithm of the variance of the level.
pub(crate) const PER_CHANGE: usize = 2;

/// How the versions are related: one entry for each change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinship {
    correlations: Vec<f64>,
    levels: Vec<f64>,
}

impl Kinship {
    /// Reads the last entries of θ.
    pub(super) fn from_theta(entries: &[f64]) -> Self {
        let changes = entries.chunks_exact(PER_CHANGE);
        let correlation = |eta: f64| (TRANSFER.eta_middle + TRANSFER.eta_spread * eta).tanh();
        Self {
            correlations: changes
                .clone()
                .map(|change| correlation(change[0]))
                .collect(),
            levels: changes
                .map(|change| change[1].exp().clamp(1e-12, 1e6))
                .collect(),
        }
    }

    /// Returns whether there is one version only.
    pub(super) fn is_trivial(&self) -> bool {
        self.correlations.is_empty()
    }

    /// Returns the place of the newest version.
    pub(crate) fn newest(&self) -> usize {
        self.correlations.len()
    }

    /// Returns the factor of the covariance of two versions.
    pub(super) fn correlation(&self, a: usize, b: usize) -> f64 {
        self.correlations[a.min(b)..a.max(b)].iter().product()
    }

    /// Returns the summand of the covariance of two versions. The oldest has no separate level.
    pub(super) fn level(&self, a: usize, b: usize) -> f64 {
        if a == b && a > 0 {
            self.levels[a - 1]
        } else {
            0.0
        }
    }

    /// Returns the correlation of the newest version with the one before it.
    pub(crate) fn last(&self) -> Option<f64> {
        self.correlations.last().copied()
    }

    /// Returns the derivative of [`Self::correlation`] by η of each change between.
    pub(super) fn slopes(&self, a: usize, b: usize) -> impl Iterator<Item = (usize, f64)> {
        let between = a.min(b)..a.max(b);
        let others = move |change: usize| {
            between
                .clone()
                .filter(|other| *other != change)
                .map(|other| self.correlations[other])
                .product::<f64>()
        };
        (a.min(b)..a.max(b)).map(move |change| {
            let rho = self.correlations[change];
            (
                change,
                TRANSFER.eta_spread * (1.0 - rho * rho) * others(change),
            )
        })
    }
}
