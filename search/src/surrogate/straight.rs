//! A scale for the effects of parameters: linear where most values are.

/// The scale is linear within this many times the way from the best value to the median, and
/// logarithmic beyond.
const STRAIGHT: f64 = 10.0;

/// A scale of the objective that all models share, linear near the good values and logarithmic far
/// from them, so that diverged runs do not hide the others. Small is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Straight {
    median: f64,
    unit: f64,
}

impl Straight {
    /// Learns the scale from the finite observed values.
    pub(super) fn new(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied();
        let (best, median) = (
            sorted.first().copied().unwrap_or_default(),
            at(0.5).unwrap_or_default(),
        );
        let spreads = [
            median,
            at(0.75).unwrap_or(median),
            sorted.last().copied().unwrap_or(median),
        ]
        .map(|value| value - best);
        let spread = spreads
            .into_iter()
            .find(|spread| *spread > 1e-14 * best.abs() && spread.is_finite())
            .unwrap_or(1.0);
        Self {
            median,
            unit: (STRAIGHT * spread).clamp(f64::MIN_POSITIVE, f64::MAX),
        }
    }

    pub(crate) fn of(&self, value: f64) -> f64 {
        (value / self.unit - self.median / self.unit)
            .clamp(-1e100, 1e100)
            .asinh()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverged_value_changes_nothing_among_good_ones() {
        let straight = Straight::new(&[0.0, 1.0, 2.0, 3.0, 1e9]);
        let more = Straight::new(&[0.0, 1.0, 2.0, 3.0, 1e30]);
        assert_eq!(straight.of(1.0), more.of(1.0));
        let steps = [
            straight.of(1.0) - straight.of(0.0),
            straight.of(3.0) - straight.of(2.0),
        ];
        assert!((steps[0] / steps[1] - 1.0).abs() < 0.01, "{steps:?}");
        for values in [
            vec![],
            vec![7.0],
            vec![1e300, -1e300, 0.0],
            vec![f64::MAX, -f64::MAX],
        ] {
            assert!(
                Straight::new(&values).of(f64::MAX).is_finite()
                    && Straight::new(&values).of(-f64::MAX).is_finite()
            );
        }
    }
}
