//! Gaussian-process regression on the unit cube.
//!
//! | symbol | in the code | meaning | shape |
//! |---|---|---|---|
//! | *n*, *d* | `x.len()`, `gaps.len()` | number of observations, of coordinates | |
//! | *X* | `x` | canonical points of the unit cube | n × d |
//! | *z* | `z` | warped values: small is good, mean 0, variance 1 | n |
//! | *ℓ* | `log_length` | length scales, one a coordinate | d |
//! | *σ²*, *ν* | `log_signal`, `log_noise` | variance of the function, of the noise | |
//! | *θ* | `theta` | (log ℓ, log ν, log σ²) | d + 2 |
//! | *K* | | σ² k(X, X) + ν I | n × n |
//! | *L* | `factor` | lower Cholesky factor of *K* | n × n |
//! | *α* | `alpha` | K⁻¹ z | n |
//!
//! Along a nominal coordinate two points are as far apart as in a one-hot encoding: the gap is 1 or 0.

pub(crate) mod cholesky;
pub(crate) mod fit;
pub(crate) mod kernel;
mod likelihood;
pub(crate) mod posterior;
mod prior;
pub(crate) mod warp;
