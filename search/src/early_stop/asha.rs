//! Asynchronous successive halving, in the variant that stops.

use serde::{Deserialize, Serialize};

use super::series::{Peer, Reporting, at_iteration, bands_upwards, iterations, words};

/// Asynchronous successive halving (Li et al. 2018, *A System for Massively Parallel Hyperparameter
/// Tuning*, arXiv 1810.05934) that stops instead of pausing: nothing waits to be promoted, and no
/// checkpoint is needed.
///
/// Unlike [`Hyperband`](super::Hyperband), it judges a run once at each rung, when the run reaches
/// it. A run that passes is safe until the next rung, independently of later runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asha {
    /// The first rung, in iterations; the next ones are `eta` times further. At least 1.
    pub min_iter: u64,
    /// Runs are not judged from here on: they are as good as done.
    #[serde(default)]
    pub max_iter: Option<u64>,
    /// About one of `eta` runs at a rung continues. Above 1.
    pub eta: f64,
}

impl Asha {
    /// Returns the reason to stop the run now, or `None` if it should continue.
    ///
    /// The rule: of the `n` runs that have reached the rung, this one included, the best `floor(n /
    /// eta)` continue, and at least one.
    pub fn judge<'p>(
        &self,
        run: &Reporting<'_>,
        peers: impl Iterator<Item = Peer<'p>> + Clone,
    ) -> Option<String> {
        let own: Vec<f64> = iterations(run.goal, run.series).collect();
        let known = iterations(run.goal, run.series.get(..run.known)?).count();
        let end = self.max_iter.unwrap_or(u64::MAX);
        let rungs = bands_upwards(self.min_iter, self.eta)
            .into_iter()
            .take_while(|rung| *rung < end);
        rungs
            .filter_map(|rung| usize::try_from(rung).ok())
            .skip_while(|rung| *rung <= known)
            .find_map(|rung| {
                let value = *own.get(rung.checked_sub(1)?)?;
                self.judge_at(rung, value, run, peers.clone())
            })
    }

    fn judge_at<'p>(
        &self,
        rung: usize,
        value: f64,
        run: &Reporting<'_>,
        peers: impl Iterator<Item = Peer<'p>>,
    ) -> Option<String> {
        let mut reached = at_iteration(run.goal, peers, rung - 1);
        reached.push(value);
        let (runs, eta) = (reached.len(), self.eta);
        let kept = ((runs as f64 / eta) as usize).clamp(1, runs);
        let (_, threshold, _) = reached.select_nth_unstable_by(kept - 1, f64::total_cmp);
        let (judged, threshold) = (run.goal.minimized(value), run.goal.minimized(*threshold));
        run.goal.is_better(threshold, judged).then(|| {
            let [judged, threshold] = [judged, threshold].map(words);
            format!("value {judged} at rung {rung} is not among the best {kept} of {runs} runs that reached it (threshold {threshold})")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::early_stop::fixture::{reporting, unfinished};
    use crate::observation::Goal;

    fn judge(rule: &Asha, known: usize, series: &[f64], others: &[&[f64]]) -> Option<String> {
        rule.judge(
            &reporting(Goal::Minimize, series, known),
            unfinished(others),
        )
    }

    const RULE: Asha = Asha {
        min_iter: 2,
        max_iter: None,
        eta: 3.0,
    };

    #[test]
    fn one_of_three_goes_on_with_a_reason_for_the_others() {
        let others: [&[f64]; 5] = [
            &[1.0, 0.1],
            &[1.0, 0.2],
            &[1.0, 0.3],
            &[1.0, f64::NAN, 0.4],
            &[0.0],
        ];
        assert_eq!(judge(&RULE, 1, &[1.0, 0.05], &others), None);
        assert_eq!(
            judge(&RULE, 1, &[1.0, 0.15], &others).unwrap(),
            "value 0.15 at rung 2 is not among the best 1 of 5 runs that reached it (threshold 0.1)"
        );
        let six: [&[f64]; 5] = [
            &[1.0, 0.1],
            &[1.0, 0.2],
            &[1.0, 0.3],
            &[1.0, 0.4],
            &[1.0, 0.5],
        ];
        assert_eq!(judge(&RULE, 1, &[1.0, 0.15], &six), None);
        assert!(judge(&RULE, 1, &[1.0, 0.25], &six).is_some());
    }

    #[test]
    fn the_first_at_a_rung_goes_on_and_so_does_an_equal() {
        assert_eq!(judge(&RULE, 1, &[9.0, 9.0], &[&[0.0]]), None);
        assert_eq!(
            judge(&RULE, 1, &[9.0, 9.0], &[&[9.0, 9.0], &[9.0, 9.0]]),
            None
        );
    }

    #[test]
    fn a_run_is_judged_once_at_a_rung_and_at_each_that_a_report_passes() {
        let better: [&[f64]; 2] = [&[0.0; 10], &[0.0; 10]];
        assert!(judge(&RULE, 1, &[9.0; 2], &better).is_some());
        assert_eq!(judge(&RULE, 2, &[9.0; 3], &better), None);
        assert!(
            judge(&RULE, 5, &[9.0; 6], &better)
                .unwrap()
                .contains("rung 6")
        );
        assert!(
            judge(&RULE, 0, &[-1.0, -1.0, 1.0, 1.0, 1.0, 1.0], &better)
                .unwrap()
                .contains("rung 6")
        );
        // A NaN is no iteration: the second one comes with the third report.
        assert!(
            judge(&RULE, 2, &[9.0, f64::NAN, 9.0], &better)
                .unwrap()
                .contains("rung 2")
        );
    }

    #[test]
    fn nobody_is_judged_at_the_end() {
        let rule = Asha {
            max_iter: Some(6),
            ..RULE
        };
        let better: [&[f64]; 2] = [&[0.0; 10], &[0.0; 10]];
        assert!(judge(&rule, 1, &[9.0; 2], &better).is_some());
        assert_eq!(judge(&rule, 5, &[9.0; 6], &better), None);
    }
}
