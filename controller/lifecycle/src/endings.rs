//! Predicts what stopped runs would have reached, from the curves that the sweep has now. Nothing predicted is stored: a later question is answered
//! from later curves.

use sweep_search::early_stop::{self, Peer};
use sweep_search::observation::Ending;

use crate::state::{Run, RunState, Sweep};
use crate::versions::{canonical, counts};

/// The endings of the stopped runs of one sweep. Curves are compared once a run was stopped.
pub(crate) enum StoppedEndings {
    /// From the curves that there are now; `None`: nothing was stopped.
    Now(Option<early_stop::Endings>),
    /// As they were predicted at the moment of each stop, without a deviation.
    AtTheirStops,
}

impl StoppedEndings {
    /// Learns from the runs that have ended and count.
    pub(crate) fn of(sweep: &Sweep) -> Self {
        let Some(objective) = sweep
            .spec
            .objective
            .as_ref()
            .filter(|_| sweep.runs.any_in(RunState::Stopped))
        else {
            return Self::Now(None);
        };
        let ended: Vec<_> = sweep
            .runs
            .iter()
            .filter(|(_, run)| run.value.is_some() && counts(&sweep.code.versions, run))
            .collect();
        let curves = ended.iter().filter_map(|(_, run)| {
            Some((
                canonical(&sweep.code.versions, &run.code_version),
                curve(run),
                run.value?,
            ))
        });
        Self::Now(Some(early_stop::Endings::new(objective.goal, curves)))
    }

    /// The predictions when the runs were stopped.
    pub(crate) fn at_their_stops() -> Self {
        Self::AtTheirStops
    }

    /// Predicts what a stopped run would have reached at its end.
    pub(crate) fn ending(&mut self, sweep: &Sweep, run: &Run, reached: f64) -> Ending {
        let stop = run.attempts.last().and_then(|last| last.stop.as_ref());
        let endings = match self {
            Self::Now(Some(endings)) => endings,
            Self::Now(None) => {
                return Ending {
                    mean: reached,
                    deviation: f64::MAX,
                };
            }
            Self::AtTheirStops => {
                return Ending {
                    mean: stop.and_then(|stop| stop.predicted).unwrap_or(reached),
                    deviation: 0.0,
                };
            }
        };
        // Of a run whose curve was deleted, the prediction of the moment of its stop is left. It is weak evidence like the reached value.
        let reached = stop
            .and_then(|stop| stop.predicted)
            .filter(|_| run.series().is_empty())
            .unwrap_or(reached);
        endings.ending(
            canonical(&sweep.code.versions, &run.code_version),
            run.series(),
            reached,
        )
    }
}

fn curve(run: &Run) -> Peer<'_> {
    Peer {
        series: run.series(),
        value: run.value.filter(|_| run.state == RunState::Finished),
    }
}
