//! The warp between values of the objective and those of the model.

use crate::tuning::PRIOR;

/// Small values are good on both sides. The model sees the logarithm of the distance to a floor
/// below the best, standardised: nearly straight among good values, while a few terrible ones
/// cannot drown the differences that matter.
#[derive(Clone, Debug)]
pub(crate) struct Warp {
    /// The largest value, so that no difference overflows.
    unit: f64,
    /// Below the best value, in units.
    floor: f64,
    /// The logarithm of the prior mean.
    mean: f64,
    deviation: f64,
}

/// The least remaining distance to the floor of a value that may be better than its prediction, as
/// a share.
const NEAREST: f64 = 0.1;
/// The largest variance of a value. Such a value carries no information.
const VARIANCE_MAX: f64 = 1e4;

impl Warp {
    /// Learns the warp with a floor from the finite values that were seen.
    pub(crate) fn new(values: &[f64], floor: f64) -> Self {
        let unit = values
            .iter()
            .fold(0.0f64, |unit, value| unit.max(value.abs()));
        let unit = if unit > 0.0 { unit } else { 1.0 };
        let mut sorted: Vec<f64> = values.iter().map(|value| value / unit).collect();
        sorted.sort_by(f64::total_cmp);
        let best = sorted.first().copied().unwrap_or_default();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let average = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
        // With half of the values at the best, the median does not show the spread.
        let spread = [median - best, average - best]
            .into_iter()
            .find(|spread| *spread > 1e-14)
            .unwrap_or(1.0);
        let floor = best - floor * spread;
        let logs: Vec<f64> = sorted.iter().map(|value| (value - floor).ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let variance = logs
            .iter()
            .map(|log| (log - mean) * (log - mean))
            .sum::<f64>()
            / logs.len().max(1) as f64;
        let deviation = if variance > 1e-20 {
            variance.sqrt()
        } else {
            1.0
        };
        Self {
            unit,
            floor,
            mean,
            deviation,
        }
    }

    /// Returns the warp of a model with a raised prior mean, given the number of values. A search
    /// samples good regions, so without it the far corners of the space would look too good and be
    /// tried again and again.
    pub(crate) fn doubting(self, count: usize) -> Self {
        let sought = (1.0 - PRIOR.values_without_inflation / count.max(1) as f64).max(0.0);
        Self {
            mean: self.mean + PRIOR.mean_inflation * sought * self.deviation,
            ..self
        }
    }

    /// Returns the warped value.
    pub(crate) fn warped(&self, value: f64) -> f64 {
        (self.distance(value).ln() - self.mean) / self.deviation
    }

    /// Returns the variance that the model sees for a value with a standard deviation: half the way
    /// between its two sides, squared.
    pub(crate) fn variance(&self, value: f64, deviation: f64) -> f64 {
        if deviation == 0.0 {
            return 0.0;
        }
        let distance = self.distance(value);
        let step = deviation / self.unit;
        let (below, above) = ((distance - step).max(NEAREST * distance), distance + step);
        let half = 0.5 * (above.ln() - below.ln()) / self.deviation;
        (half * half).min(VARIANCE_MAX)
    }

    /// Returns the value and its standard deviation for a mean and a standard deviation in the
    /// model (to first order).
    pub(crate) fn unwarped(&self, mean: f64, deviation: f64) -> (f64, f64) {
        let distance = (mean * self.deviation + self.mean)
            .clamp(-600.0, 600.0)
            .exp();
        let value = (distance + self.floor) * self.unit;
        (
            value.clamp(-f64::MAX, f64::MAX),
            (distance * self.deviation * deviation * self.unit).min(f64::MAX),
        )
    }

    /// Returns the logarithm of the slope of the inverse warp at a value.
    pub(crate) fn log_scale(&self, value: f64) -> f64 {
        self.distance(value).ln() + self.deviation.ln() + self.unit.ln()
    }

    /// Returns the logarithm of the Jacobian determinant of the warp over all values, which makes
    /// likelihoods of different warps comparable.
    pub(crate) fn log_jacobian(&self, values: &[f64]) -> f64 {
        values.iter().map(|value| -self.log_scale(*value)).sum()
    }

    fn distance(&self, value: f64) -> f64 {
        (value / self.unit - self.floor).max(1e-300)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warping_keeps_the_order_and_can_be_undone() {
        for values in [
            vec![3.0, -1.0, 2.0, 50.0],
            vec![1e300, -1e300, 0.0],
            vec![1e-300, 2e-300, 5e-300],
            vec![7.0],
            vec![0.0, 0.0],
        ] {
            for floor in PRIOR.warp_floors {
                let warp = Warp::new(&values, floor);
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                let warped: Vec<_> = sorted.iter().map(|value| warp.warped(*value)).collect();
                assert!(
                    warped.windows(2).all(|pair| pair[0] <= pair[1]),
                    "{warped:?}"
                );
                assert!(warped.iter().all(|z| z.abs() < 10.0), "{warped:?}");
                for (value, z) in sorted.iter().zip(warped) {
                    let scale = values
                        .iter()
                        .fold(0.0f64, |scale, value| scale.max(value.abs()));
                    let scale = if scale > 0.0 { scale } else { 1.0 };
                    assert!(
                        (warp.unwarped(z, 0.1).0 - value).abs() <= 1e-9 * scale,
                        "{values:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_variance_of_a_value_is_that_of_the_straight_part_and_bounded_elsewhere() {
        let warp = Warp::new(&[0.0, 1.0, 2.0, 3.0, 4.0], 10.0);
        let scale = (warp.warped(2.01) - warp.warped(1.99)) / 0.02;
        assert!((warp.variance(2.0, 0.1).sqrt() - 0.1 * scale).abs() < 1e-3 * scale);
        assert_eq!(warp.variance(2.0, 0.0), 0.0);
        for deviation in [1e-300, 1.0, 1e300, f64::MAX] {
            let variance = Warp::new(&[1e-300, 1.0, 1e300], 0.1).variance(1.0, deviation);
            assert!((0.0..=VARIANCE_MAX).contains(&variance), "{variance}");
        }
    }

    #[test]
    fn once_values_were_sought_out_worse_is_expected_elsewhere() {
        let expected = |count: u32| {
            let values: Vec<f64> = (0..count).map(|place| f64::from(place % 5)).collect();
            Warp::new(&values, 10.0)
                .doubting(values.len())
                .unwarped(0.0, 0.0)
                .0
        };
        assert!(
            (expected(15) - 2.0).abs() < 0.1,
            "the average: {}",
            expected(15)
        );
        assert!(
            expected(60) > 3.0 && expected(60) < expected(500),
            "{} {}",
            expected(60),
            expected(500)
        );
    }
}
