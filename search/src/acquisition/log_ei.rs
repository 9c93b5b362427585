//! The logarithm of the expected improvement.

use std::f64::consts::{FRAC_PI_2, PI, SQRT_2};

use crate::space::unit_cube::normal_cdf;

/// Below this the asymptotic series is exact to the last digits.
const TAIL: f64 = -20.0;

/// Returns the logarithm of the expected improvement below `best` of a normal variable.
pub(crate) fn log_expected_improvement(mean: f64, deviation: f64, best: f64) -> f64 {
    log_h((best - mean) / deviation) + deviation.ln()
}

/// log(φ(z) + z Φ(z)) in three branches, since for z far below zero the sum itself is lost to
/// rounding.
///
/// Ament, Daulton, Eriksson, Balandat, Bakshy (2023), Unexpected improvements to expected
/// improvement, eq. 9.
pub(crate) fn log_h(z: f64) -> f64 {
    let log_density = log_normal_density(z);
    if z > -1.0 {
        (log_density.exp() + z * normal_cdf(z)).ln()
    } else if z > TAIL {
        let x = -z / SQRT_2;
        let scaled_tail = (x * x).exp() * libm::erfc(x);
        log_density + (-(scaled_tail * -z * FRAC_PI_2.sqrt())).ln_1p()
    } else {
        let inverse = 1.0 / (z * z);
        log_density + inverse.ln() + (-3.0 * inverse + 15.0 * inverse * inverse).ln_1p()
    }
}

/// Returns the derivative of [`log_h`].
pub(crate) fn log_h_slope(z: f64) -> f64 {
    (log_normal_cdf(z) - log_h(z)).exp()
}

/// Returns log Φ(z).
pub(crate) fn log_normal_cdf(z: f64) -> f64 {
    if z > TAIL {
        normal_cdf(z).ln()
    } else {
        let inverse = 1.0 / (z * z);
        log_normal_density(z) - (-z).ln() + (-inverse + 3.0 * inverse * inverse).ln_1p()
    }
}

/// Returns log φ(z).
pub(crate) fn log_normal_density(z: f64) -> f64 {
    -0.5 * z * z - 0.5 * (2.0 * PI).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branches_meet_and_the_tail_is_finite() {
        for border in [-1.0, TAIL] {
            let (below, above) = (log_h(border - 1e-9), log_h(border + 1e-9));
            assert!((below - above).abs() < 1e-5, "{below} {above}");
        }
        for (z, expected) in [
            (0.0, -0.918_938_533_204_672_7),
            (3.0, 1.098_739_665_327_707_7),
            (-5.0, -16.744_301_162_661),
        ] {
            assert!((log_h(z) - expected).abs() < 1e-11, "{z}: {}", log_h(z));
        }
        assert!(log_h(-1e5).is_finite());
        let rising: Vec<_> = (-400..100).map(|z| log_h(f64::from(z) / 10.0)).collect();
        assert!(rising.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_slope_is_that_of_log_h() {
        for z in [-50.0, -20.1, -19.9, -3.0, -0.5, 0.0, 2.0, 8.0] {
            let difference = (log_h(z + 1e-5) - log_h(z - 1e-5)) / 2e-5;
            assert!(
                (log_h_slope(z) - difference).abs() < 1e-4 * difference.abs().max(1.0),
                "{z}: {} {difference}",
                log_h_slope(z)
            );
        }
    }
}
