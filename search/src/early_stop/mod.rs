//! Early stopping.
//!
//! A rule sees numbers alone: the series of the run that has just reported, and those of the other
//! runs of its sweep. An iteration is a finite value of the objective; others are skipped.

mod asha;
mod ending;
mod extrapolation;
#[cfg(test)]
mod fixture;
mod hyperband;
mod median;
mod predictive;
mod regression;
mod series;

use serde::{Deserialize, Serialize};

pub use asha::Asha;
pub use ending::Endings;
pub use hyperband::{Bands, Hyperband};
pub use median::Median;
pub use predictive::Predictive;
pub use series::{Peer, Reporting, Stop};

/// A rule that stops runs early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EarlyStop {
    /// W&B's.
    Hyperband(Hyperband),
    /// Asynchronous successive halving.
    Asha(Asha),
    /// Vizier's.
    Median(Median),
    /// By a prediction of the run's final value.
    Predictive(Predictive),
}

impl EarlyStop {
    /// Returns the reason to stop the run now, or `None` if it should continue.
    ///
    /// `peers` are all other runs of the sweep, in any state. They are read only where there is a
    /// decision to make.
    pub fn judge<'p>(
        &self,
        run: &Reporting<'_>,
        peers: impl Iterator<Item = Peer<'p>> + Clone,
    ) -> Option<Stop> {
        let reason = match self {
            Self::Hyperband(rule) => rule.judge(run, peers.clone()),
            Self::Asha(rule) => rule.judge(run, peers.clone()),
            Self::Median(rule) => rule.judge(run, peers.clone()),
            Self::Predictive(rule) => return rule.judge(run, peers),
        };
        Some(Stop {
            reason: reason?,
            predicted: ending::expected(run.goal, run.series, peers),
        })
    }
}

impl EarlyStop {
    /// Returns the iteration at which the rule first judges a run; `None` where that depends on the
    /// other runs.
    pub fn first_iteration(&self) -> Option<u64> {
        match self {
            Self::Hyperband(rule) => rule.bands().first().copied(),
            Self::Asha(rule) => Some(rule.min_iter),
            Self::Median(rule) => Some(rule.min_iter),
            Self::Predictive(rule) => rule.min_iter,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::series::words;
    use super::*;
    use crate::observation::Goal;

    #[test]
    fn values_are_as_long_as_people_read_them() {
        let of = [
            0.819_258_498_176_966_2,
            3.0,
            -0.25,
            0.0,
            1.1497e-8,
            1e300,
            f64::INFINITY,
        ];
        assert_eq!(
            of.map(words),
            ["0.819258", "3", "-0.25", "0", "1.1497e-8", "1e300", "inf"]
        );
    }

    #[test]
    fn whichever_rule_stops_a_run_says_what_it_would_have_come_to() {
        let curve = |end: f64| {
            (1..=27)
                .map(|iteration| end + (1.0 - end) / f64::from(iteration))
                .collect::<Vec<f64>>()
        };
        let finished: Vec<Vec<f64>> = [0.2, 0.25, 0.3].map(curve).into();
        let own = curve(0.6);
        let rules = [
            EarlyStop::Hyperband(Hyperband {
                bands: Bands::MinIter(9),
                eta: 3.0,
                strict: true,
            }),
            EarlyStop::Asha(Asha {
                min_iter: 9,
                max_iter: None,
                eta: 3.0,
            }),
            EarlyStop::Median(Median {
                min_iter: 9,
                min_runs: 3,
            }),
        ];
        for rule in rules {
            let run = Reporting {
                goal: Goal::Minimize,
                series: &own[..9],
                known: 8,
                best: Some(finished[0][26]),
            };
            let stop = rule
                .judge(
                    &run,
                    finished.iter().map(|series| Peer {
                        series,
                        value: series.last().copied(),
                    }),
                )
                .unwrap();
            assert!(
                (stop.predicted.unwrap() - own[26]).abs() < 0.01,
                "{rule:?}: {stop:?} and not {}",
                own[26]
            );
            let others_run = finished.iter().map(|series| Peer {
                series,
                value: None,
            });
            assert_eq!(
                rule.judge(&run, others_run).unwrap().predicted,
                None,
                "its final value is unknown"
            );
        }
    }

    fn rule() -> impl Strategy<Value = EarlyStop> {
        let eta = 1.01..10.0_f64;
        prop_oneof![
            (1_u64..9, eta.clone(), any::<bool>()).prop_map(|(min_iter, eta, strict)| {
                EarlyStop::Hyperband(Hyperband {
                    bands: Bands::MinIter(min_iter),
                    eta,
                    strict,
                })
            }),
            (1_u64..9, prop::option::of(1_u64..30), eta).prop_map(|(min_iter, max_iter, eta)| {
                EarlyStop::Asha(Asha {
                    min_iter,
                    max_iter,
                    eta,
                })
            }),
            (1_u64..9, 1_u64..5)
                .prop_map(|(min_iter, min_runs)| EarlyStop::Median(Median { min_iter, min_runs })),
            (0.01..0.9, 3_u64..9).prop_map(|(min_probability, min_runs)| EarlyStop::Predictive(
                Predictive {
                    min_probability,
                    min_iter: None,
                    max_iter: None,
                    min_runs
                }
            )),
        ]
    }

    fn series() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(
            prop_oneof![4 => 0.0..1.0, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)],
            0..40,
        )
    }

    proptest! {
        #[test]
        fn whatever_is_reported_the_answer_is_in_words(rule in rule(), own in series(), others in prop::collection::vec(series(), 0..9)) {
            let value = |series: &[f64]| series.iter().copied().rfind(|value| value.is_finite());
            let best = others.iter().filter_map(|series| value(series)).reduce(f64::min);
            let run = Reporting { goal: Goal::Minimize, series: &own, known: own.len().saturating_sub(1), best };
            let stop = rule.judge(&run, others.iter().map(|series| Peer { series, value: value(series) }));
            let in_words = |stop: &Stop| !stop.reason.is_empty() && !stop.reason.contains("NaN");
            prop_assert!(stop.is_none_or(|stop| in_words(&stop) && stop.predicted.is_none_or(f64::is_finite)));
        }

        #[test]
        fn a_run_that_is_better_than_all_others_everywhere_goes_on(rule in rule(), length in 1_usize..40, others in 0..9) {
            let others: Vec<Vec<f64>> = (0..others).map(|number| vec![f64::from(number); 40]).collect();
            let peers = others.iter().map(|series| Peer { series, value: series.last().copied() });
            let own = vec![-1.0; length];
            let run = Reporting { goal: Goal::Minimize, series: &own, known: length - 1, best: others.first().map(|_| 0.0) };
            prop_assert_eq!(rule.judge(&run, peers), None);
        }
    }
}
