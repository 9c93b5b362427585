//! Vizier's median rule.

use serde::{Deserialize, Serialize};

use super::series::{Peer, Reporting, iterations, words};

/// The median stopping rule (Golovin et al. 2017, *Google Vizier: A Service for Black-Box
/// Optimization*): a run stops when its best value so far is worse than the median of the other
/// runs' running averages at the same iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Median {
    /// No run stops before this many iterations. At least 1.
    pub min_iter: u64,
    /// No run stops before this many others have come as far. At least 1.
    pub min_runs: u64,
}

impl Median {
    /// Returns the reason to stop the run now, or `None` if it should continue.
    pub fn judge<'p>(
        &self,
        run: &Reporting<'_>,
        peers: impl Iterator<Item = Peer<'p>>,
    ) -> Option<String> {
        let own = iterations(run.goal, run.series);
        let now = own.clone().count();
        if now == 0 || (now as u64) < self.min_iter {
            return None;
        }
        let long = peers.filter(|peer| peer.series.len() >= now);
        let mut means: Vec<f64> = long
            .filter_map(|peer| running_mean(iterations(run.goal, peer.series), now))
            .collect();
        if means.is_empty() || (means.len() as u64) < self.min_runs {
            return None;
        }
        let others = means.len();
        let median = median(&mut means)?;
        let best = own.fold(f64::INFINITY, f64::min);
        (best > median).then(|| {
            let [best, median] = [best, median].map(|value| words(run.goal.minimized(value)));
            format!("iteration {now}: best value so far {best} is worse than {median}, the median of the running averages of {others} runs")
        })
    }
}

/// Returns the mean of the first `count` values; `None` where there are fewer.
fn running_mean(values: impl Iterator<Item = f64>, count: usize) -> Option<f64> {
    // Divided before it is summed: a sum of large values may overflow where their mean does not.
    let (seen, mean) = values.take(count).fold((0, 0.0), |(seen, mean), value| {
        (seen + 1, mean + value / count as f64)
    });
    (seen == count).then_some(mean)
}

fn median(values: &mut [f64]) -> Option<f64> {
    let odd = values.len() % 2 == 1;
    let middle = values.len() / 2;
    let (below, upper, _) =
        (!values.is_empty()).then(|| values.select_nth_unstable_by(middle, f64::total_cmp))?;
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(if odd {
        *upper
    } else {
        lower / 2.0 + *upper / 2.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::early_stop::fixture::{reporting, unfinished};
    use crate::observation::Goal;

    const RULE: Median = Median {
        min_iter: 2,
        min_runs: 3,
    };

    fn judge(rule: &Median, goal: Goal, series: &[f64], others: &[&[f64]]) -> Option<String> {
        rule.judge(&reporting(goal, series, 0), unfinished(others))
    }

    #[test]
    fn the_best_so_far_is_held_against_the_median_of_running_averages() {
        // Averages after two iterations: 0.4, 0.5, 0.75 (the NaN is no iteration), 0.9; the fifth
        // has not come so far.
        let others: [&[f64]; 5] = [
            &[0.6, 0.2, 0.0],
            &[0.5, 0.5],
            &[1.0, f64::NAN, 0.5],
            &[0.9, 0.9],
            &[0.0],
        ];
        assert_eq!(
            judge(&RULE, Goal::Minimize, &[0.63, 0.7], &others).unwrap(),
            "iteration 2: best value so far 0.63 is worse than 0.625, the median of the running averages of 4 runs"
        );
        assert_eq!(judge(&RULE, Goal::Minimize, &[0.62, 0.9], &others), None);
        assert!(judge(&RULE, Goal::Maximize, &[0.6, 0.1], &others).is_some());
        assert_eq!(judge(&RULE, Goal::Maximize, &[0.63, 0.1], &others), None);
    }

    #[test]
    fn nobody_stops_before_min_iter_or_without_min_runs() {
        let others: [&[f64]; 3] = [&[0.0; 2], &[0.0; 2], &[0.0; 1]];
        assert_eq!(judge(&RULE, Goal::Minimize, &[1.0], &others), None);
        assert_eq!(judge(&RULE, Goal::Minimize, &[1.0, 1.0], &others), None);
        assert!(
            judge(
                &RULE,
                Goal::Minimize,
                &[1.0, 1.0],
                &[&[0.0; 2] as &[f64]; 3]
            )
            .is_some()
        );
        assert_eq!(
            judge(
                &RULE,
                Goal::Minimize,
                &[0.0, 0.0],
                &[&[0.0; 2] as &[f64]; 3]
            ),
            None,
            "an equal run continues"
        );
        assert_eq!(
            judge(
                &Median {
                    min_iter: 0,
                    min_runs: 0
                },
                Goal::Minimize,
                &[f64::NAN],
                &[]
            ),
            None
        );
    }

    #[test]
    fn large_values_do_not_overflow() {
        assert!(
            judge(
                &RULE,
                Goal::Minimize,
                &[f64::MAX, f64::MAX],
                &[&[1e308, 1e308] as &[f64]; 3]
            )
            .is_some()
        );
        assert_eq!(median(&mut [-f64::MAX, f64::MAX]), Some(0.0));
    }
}
