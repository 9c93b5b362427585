//! Gaussian-process regression on the unit cube.
//!
//! | symbol | in the code | meaning | shape |
//! |---|---|---|---|
//! | *n*, *d* | `x.len()`, `geometry.len()` | number of observations, of coordinates | |
//! | *X* | `x` | canonical points of the unit cube | n × d |
//! | *z* | `z` | warped values: small is good, mean 0, variance 1 | n |
//! | *ℓ* | `log_length` | length scales, one a coordinate | d |
//! | *σ²*, *ν*, *τ²* | `signal`, `noise`, `curve` | variance of the rough part, of the noise, of the quadratic part | |
//! | *θ* | `theta` | (log ℓ, log ν, log σ², log τ²) | d + 3 |
//! | *w* | `shares` | share of the noise in each value: 1 / repeats | n |
//! | *K* | | σ² k(X, X) + τ² q(X, X) + ν diag(w) | n × n |
//! | *L* | `factor` | lower Cholesky factor of *K* | n × n |
//! | *α* | `alpha` | K⁻¹ z | n |
//!
//! k is Matérn-5/2 with one length scale a coordinate, q the kernel of quadratic functions: near an optimum most things are quadratic, and a
//! quadratic with interactions is learnt from far fewer points than a rough function. *θ* is no point estimate: several draws from its
//! posterior, each with a warp of its own, make an ensemble.

pub(crate) mod cholesky;
mod columns;
pub(crate) mod fit;
pub(crate) mod kernel;
pub(crate) mod likelihood;
pub(crate) mod posterior;
mod prior;
pub(crate) mod sample;
pub(crate) mod warp;
