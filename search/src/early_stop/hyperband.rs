//! W&B's hyperband.

use serde::{Deserialize, Serialize};

use super::series::{BANDS_MAX, Peer, Reporting, at_iteration, bands_upwards, iterations, words};

/// W&B's hyperband: asynchronous successive halving with a quantile rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyperband {
    /// How the bands are laid.
    pub bands: Bands,
    /// About one of `eta` runs at a band continues. Above 1.
    pub eta: f64,
    /// Judge by the value at the band (`true`) or by the best so far (`false`).
    pub strict: bool,
}

/// How the bands of [`Hyperband`] are laid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the line above a variant speaks of its fields")]
pub enum Bands {
    /// Upwards from here: `min_iter * eta^k`.
    MinIter(u64),
    /// Downwards from `max_iter`, `s` times: `max_iter / eta^i`.
    MaxIter { max_iter: u64, s: u64 },
}

impl Hyperband {
    /// Returns the reason to stop the run now, or `None` if it should continue.
    ///
    /// The rule: take the largest band that the run has reached, and the values there of all runs
    /// that have reached it, this one included. The run stops if it is worse than the value at
    /// place `floor(n / eta)` of them in order, counted from zero.
    pub fn judge<'p>(
        &self,
        run: &Reporting<'_>,
        peers: impl Iterator<Item = Peer<'p>>,
    ) -> Option<String> {
        let own: Vec<f64> = iterations(run.goal, run.series).collect();
        let band = self
            .bands()
            .into_iter()
            .take_while(|band| *band <= own.len() as u64)
            .last()?;
        let last = usize::try_from(band).ok()?.checked_sub(1)?;
        let at_band = *own.get(last)?;
        let mut reached = at_iteration(run.goal, peers, last);
        reached.push(at_band);
        let place = ((reached.len() as f64 / self.eta) as usize).min(reached.len() - 1);
        let (_, threshold, _) = reached.select_nth_unstable_by(place, f64::total_cmp);
        let threshold = *threshold;
        let judged = if self.strict {
            at_band
        } else {
            own.iter().copied().fold(f64::INFINITY, f64::min)
        };
        if judged <= threshold {
            return None;
        }
        let (iteration, runs, eta) = (own.len(), reached.len(), self.eta);
        let [judged, threshold] = [judged, threshold].map(|value| words(run.goal.minimized(value)));
        let what = if self.strict {
            format!("value {judged} at band {band}")
        } else {
            format!("best value so far {judged}")
        };
        Some(format!(
            "iteration {iteration}: {what} is not among the best 1/{eta} of {runs} runs that reached band {band} (threshold {threshold})"
        ))
    }

    /// Returns the iterations at which runs are judged, rising.
    pub fn bands(&self) -> Vec<u64> {
        let mut bands = match self.bands {
            Bands::MinIter(min_iter) => bands_upwards(min_iter, self.eta),
            Bands::MaxIter { max_iter, s } => {
                let below = s.min(BANDS_MAX.unsigned_abs().into());
                (1..=below)
                    .map(|power| (max_iter as f64 / self.eta.powi(power as i32)) as u64)
                    .collect()
            }
        };
        bands.retain(|band| *band >= 1);
        bands.sort_unstable();
        bands.dedup();
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::early_stop::fixture::{reporting, unfinished};
    use crate::observation::Goal;

    fn judge(rule: &Hyperband, goal: Goal, series: &[f64], others: &[&[f64]]) -> Option<String> {
        rule.judge(&reporting(goal, series, 0), unfinished(others))
    }

    fn hyperband(bands: Bands, eta: f64, strict: bool) -> Hyperband {
        Hyperband { bands, eta, strict }
    }

    #[test]
    fn bands_are_those_of_wandb() {
        let bands = |bands, eta| {
            hyperband(bands, eta, true)
                .bands()
                .into_iter()
                .take(7)
                .collect::<Vec<_>>()
        };
        assert_eq!(bands(Bands::MinIter(3), 3.0)[..3], [3, 9, 27]);
        assert_eq!(
            bands(Bands::MinIter(10), 1.5),
            [10, 15, 22, 33, 50, 75, 113]
        );
        assert_eq!(
            bands(Bands::MaxIter { max_iter: 81, s: 3 }, 3.0),
            [3, 9, 27]
        );
        assert_eq!(bands(Bands::MaxIter { max_iter: 27, s: 2 }, 3.0), [3, 9]);
        assert_eq!(bands(Bands::MaxIter { max_iter: 18, s: 2 }, 3.0), [2, 6]);
        assert!(
            bands(
                Bands::MaxIter {
                    max_iter: 2,
                    s: u64::MAX
                },
                3.0
            )
            .is_empty()
        );
    }

    #[test]
    fn the_worst_of_five_stop_with_a_reason() {
        let rule = hyperband(Bands::MinIter(3), 3.0, true);
        let others: Vec<Vec<f64>> = [0.1, 0.2, 0.3, 0.4]
            .map(|value| vec![1.0, f64::NAN, 1.0, value])
            .to_vec();
        let others: Vec<&[f64]> = others.iter().map(Vec::as_slice).collect();
        let judge = |goal, value: f64| judge(&rule, goal, &[1.0, 1.0, value, 0.0], &others);
        assert_eq!(
            judge(Goal::Minimize, 0.25).unwrap(),
            "iteration 4: value 0.25 at band 3 is not among the best 1/3 of 5 runs that reached band 3 (threshold 0.2)"
        );
        assert_eq!(judge(Goal::Minimize, 0.15), None);
        assert!(judge(Goal::Maximize, 0.25).is_some());
        assert_eq!(judge(Goal::Maximize, 0.35), None);
    }

    #[test]
    fn the_first_at_a_band_goes_on_and_so_does_one_before_any_band() {
        let rule = hyperband(Bands::MinIter(3), 3.0, true);
        assert_eq!(judge(&rule, Goal::Minimize, &[9.0; 3], &[&[0.0; 2]]), None);
        assert_eq!(
            judge(&rule, Goal::Minimize, &[9.0; 2], &[&[0.0; 3], &[0.0; 3]]),
            None
        );
        assert_eq!(
            judge(
                &rule,
                Goal::Minimize,
                &[f64::NAN, 9.0, 9.0],
                &[&[0.0; 3], &[0.0; 3]]
            ),
            None
        );
    }

    #[test]
    fn without_strict_the_best_so_far_counts() {
        let others: [&[f64]; 3] = [&[0.5, 0.2], &[0.5, 0.3], &[0.5, 0.4]];
        let judge = |strict, first| {
            judge(
                &hyperband(Bands::MinIter(2), 2.0, strict),
                Goal::Minimize,
                &[first, 0.9],
                &others,
            )
        };
        assert!(judge(true, 0.1).is_some());
        assert_eq!(judge(false, 0.1), None);
        assert!(judge(false, 0.6).unwrap().contains("best value so far 0.6"));
    }
}
