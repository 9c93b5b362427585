//! Tells values of diverged runs from ordinary ones.
//!
//! A diverged value says where not to go, and nothing of the scale of the objective: the models of
//! the values never see it, and the model of failures takes it for a failure. A cap on all values
//! besides costs more where nothing diverges than it gains (docs/explanation/experiments.md).

use crate::tuning::DIVERGENCE;

/// Returns the value above which runs have diverged, of values in the order of their runs of which
/// small is good. Infinite where none has.
pub(super) fn divergence_limit(values: &[f64]) -> f64 {
    let mut sorted = values[..values.len().min(DIVERGENCE.reference)].to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(best) = sorted.first().copied().filter(|_| sorted.len() > 1) else {
        return f64::INFINITY;
    };
    // Behind the first gap that is far wider than all that lies before it.
    let limit = |place: usize| {
        let value = sorted[place];
        let unit = (value - best).max(value.abs()).max(best.abs());
        let limit = best
            + unit
                * if place == 0 {
                    DIVERGENCE.lone_jump
                } else {
                    DIVERGENCE.jump
                };
        let is_gap = sorted.get(place + 1).is_none_or(|next| *next > limit);
        (unit > 0.0 && is_gap).then_some(limit)
    };
    (sorted.len().div_ceil(DIVERGENCE.ordinary_share) - 1..sorted.len())
        .find_map(limit)
        .unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_value_diverged_changes_nothing() {
        let good = [0.5, 0.7, 0.3, 0.9, 0.8, 0.6];
        for share in [1, 2, 6, 14] {
            let limit =
                |diverged: f64| divergence_limit(&[vec![diverged; share], good.to_vec()].concat());
            assert_eq!(limit(1e9), limit(1e30), "{share} beside {}", good.len());
            assert!((0.9..1e9).contains(&limit(1e9)));
        }
        assert!(
            divergence_limit(&[0.5, 1e9, 2e9]) < 1e9,
            "a single good one"
        );
        assert!(divergence_limit(&[-0.5, -0.7, 1e5]) < 1e5);
    }

    #[test]
    fn ordinary_values_of_several_orders_have_not_diverged() {
        let near_zero = vec![0.0, 1e-9, 0.2, 0.3, 0.5, 0.6, 1.0, 2.0, 3.0];
        for values in [
            near_zero,
            vec![1e-4, 1e-3, 1e-2, 0.5, 30.0, 9e2],
            vec![0.0, 0.0, 5.0, 4e2],
            vec![-3.0, 0.0, 40.0],
            vec![7.0],
            vec![],
            vec![0.0; 4],
        ] {
            assert!(
                values
                    .iter()
                    .all(|value| *value <= divergence_limit(&values)),
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_search_that_has_converged_keeps_its_scale() {
        let mut values: Vec<f64> = (1..=20).map(f64::from).collect();
        values.extend((0..200).map(|place| 1e-9 * f64::from(place)));
        assert!(divergence_limit(&values) >= 20.0);
    }
}
