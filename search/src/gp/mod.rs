//! Gaussian-process regression on the unit cube.
//!
//! | symbol | in the code | meaning | shape |
//! |---|---|---|---|
//! | *n*, *d* | `x.len()`, `geometry.len()` | number of observations, of coordinates; a list of numbers counts twice, once with its order and once without | |
//! | *X* | `x` | canonical points of the unit cube | n × d |
//! | *z* | `z` | warped values: small is good, variance 1, and 0 is the prior mean | n |
//! | *ℓ* | `log_length` | length scales, one a coordinate | d |
//! | *σ²*, *ν*, *τ²*, *ς²* | `signal`, `noise`, `curve`, `alone` | variance of the rough part, of the noise, of the quadratic parts with and without interactions | |
//! | *θ* | `theta` | (log ℓ, log ν, log σ², log τ², log ς²), and the entries of `kinship` for each change of the code | d + 4 + 2c |
//! | *w* | `shares` | share of the noise in each value: 1 / repeats | n |
//! | *v* | `variances` | variance of each value that is predicted and not measured | n |
//! | *K* | | σ² k(X, X) + τ² q(X, X) + ς² s(X, X) + ν diag(w) + diag(v) | n × n |
//! | *L* | `factor` | lower Cholesky factor of *K* | n × n |
//! | *α* | `alpha` | K⁻¹ z | n |
//!
//! k is Matérn-5/2 with one length scale a coordinate, q the kernel of quadratic functions, s that
//! of sums of quadratics of one coordinate each: near an optimum most things are quadratic, and
//! most of what a parameter does it does alone. A quadratic is learnt from far fewer points than a
//! rough function. *θ* is no point estimate: several draws from its posterior, each with its own
//! warp, make an ensemble.

pub(crate) mod cholesky;
mod columns;
pub(crate) mod fit;
pub(crate) mod kernel;
pub(crate) mod kinship;
pub(crate) mod likelihood;
pub(crate) mod posterior;
mod prior;
pub(crate) mod sample;
pub(crate) mod warp;
