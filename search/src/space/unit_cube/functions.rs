//! Distribution functions and their inverses.

use std::f64::consts::SQRT_2;

use statrs::function::beta::beta_reg;

/// The standard normal distribution function.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

pub(super) fn normal_cdf_scaled(x: f64, mu: f64, sigma: f64) -> f64 {
    let z = (x - mu) / sigma;
    // Without spread all lies at mu.
    if z.is_nan() { 0.5 } else { normal_cdf(z) }
}

pub(super) fn normal_quantile(u: f64) -> f64 {
    // Half a rounding step below one, so that both ends are cut alike.
    const EDGE: f64 = f64::EPSILON / 2.0;
    let upper = u > 0.5;
    let tail = if upper { 1.0 - u } else { u }.max(EDGE);
    let mut z = -SQRT_2 * statrs::function::erf::erfc_inv(2.0 * tail);
    // One step of Newton brings the approximation to the last digits.
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    z -= (normal_cdf(z) - tail) / density;
    if upper { -z } else { z }
}

pub(super) fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else if a > 0.0 && b > 0.0 {
        beta_reg(a, b, x).clamp(0.0, 1.0)
    } else {
        // All mass at an end: W&B allows parameters of zero.
        if a > 0.0 { 0.0 } else { 1.0 }
    }
}

/// Bisection: exact, and fast enough for something this rare.
pub(super) fn beta_quantile(u: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if u <= 0.0 {
        return low;
    }
    if u >= 1.0 {
        return high;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if beta_cdf(middle, a, b) < u {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}
