//! The model of the view: events in, content of the screen out. No clock, no terminal, no network.

use std::collections::BTreeMap;

use sweep_proto::v1::{Agent, MetricPoint, Run, Sweep, WatchSweepResponse};

use crate::display::Constants;

use super::log::Log;
use super::rows::{Filter, Order};

/// The states that runs are counted in.
const STATES: [&str; 5] = ["queued", "finished", "stopped", "failed", "cancelled"];

/// One of the views.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum View {
    #[default]
    Overview,
    Runs,
    Run,
    Log,
}

impl View {
    pub(crate) const ALL: [Self; 4] = [Self::Overview, Self::Runs, Self::Run, Self::Log];
}

/// An event from outside of the view.
#[derive(Debug)]
pub(crate) enum WatchEvent {
    /// The sweep changed.
    Changed(Box<WatchSweepResponse>),
    /// All runs in these states.
    Listed {
        states: Vec<String>,
        runs: Vec<Run>,
    },
    Agents(Vec<Agent>),
    /// The metrics of a run's newest attempt.
    Metrics {
        run: u64,
        points: Vec<MetricPoint>,
    },
    /// More output of a run.
    Output {
        run: u64,
        data: Vec<u8>,
    },
    /// The output of a run has ended, or cannot be read.
    OutputEnded {
        run: u64,
        problem: String,
    },
    /// The controller does not answer.
    Lost(String),
    /// The outcome of a user's action.
    Said(String),
}

/// An effect to carry out outside of the view.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum WatchEffect {
    Quit,
    Interrupt,
    /// Read the output of a run.
    Follow(u64),
    /// Read the metrics of a run.
    Measure(u64),
    Do(Deed),
}

/// An action that changes the sweep.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Deed {
    Pause,
    Resume,
    Retry(u64),
    Cancel(u64),
}

impl Deed {
    /// Returns the question that is asked first.
    pub(crate) fn question(&self) -> String {
        match self {
            Self::Pause => "Pause the sweep? No new runs start; running ones continue.".to_owned(),
            Self::Resume => "Resume the sweep?".to_owned(),
            Self::Retry(run) => format!("Run {run} again?"),
            Self::Cancel(run) => format!("Cancel run {run}? Its program is stopped."),
        }
    }
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub(crate) struct WatchModel {
    pub(crate) sweep: Sweep,
    pub(crate) constants: Constants,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) running: Vec<u64>,
    pub(crate) ended: Vec<u64>,
    pub(crate) best: Option<Run>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) points: Vec<MetricPoint>,
    pub(crate) points_of: Option<u64>,
    pub(crate) log: Log,
    /// Why there is no connection.
    pub(crate) lost: Option<String>,
    pub(crate) said: String,
    pub(crate) asking: Option<Deed>,
    pub(crate) help: bool,
    pub(crate) view: View,
    /// Lines above the first one that is drawn, in the overview and the run.
    pub(crate) scroll: usize,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) descending: bool,
    /// The runs that fit the filter, in order.
    pub(crate) rows: Vec<u64>,
    /// The chosen one.
    pub(crate) chosen: Option<u64>,
    /// Lines that fit between header and footer, as last drawn.
    pub(crate) page: usize,
}

impl WatchModel {
    /// Takes in what happened.
    pub(crate) fn apply(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Changed(view) => self.changed(*view),
            WatchEvent::Listed { states, runs } => {
                self.runs.retain(|_, run| !states.contains(&run.state));
                self.runs.extend(runs.into_iter().map(|run| (run.run, run)));
                self.arrange();
            }
            WatchEvent::Agents(agents) => self.agents = agents,
            WatchEvent::Metrics { run, points } => {
                (self.points_of, self.points) = (Some(run), points);
            }
            WatchEvent::Output { run, data } => self.log.more(run, &data),
            WatchEvent::OutputEnded { run, problem } => self.log.end(run, problem),
            WatchEvent::Lost(reason) => self.lost = Some(reason),
            WatchEvent::Said(text) => self.said = text,
        }
    }

    fn changed(&mut self, view: WatchSweepResponse) {
        self.lost = None;
        self.sweep = view.sweep.unwrap_or_default();
        self.running = view.running.iter().map(|run| run.run).collect();
        self.ended = view.ended.iter().map(|run| run.run).collect();
        self.best.clone_from(&view.best);
        let known = view.running.into_iter().chain(view.ended).chain(view.best);
        self.runs.extend(known.map(|run| (run.run, run)));
        self.arrange();
    }

    /// Returns the states of which some runs are not known: a change tells of a few runs only.
    pub(crate) fn missing(&self) -> Vec<String> {
        let sweep = &self.sweep;
        let told = [
            sweep.queued,
            sweep.finished,
            sweep.stopped,
            sweep.failed,
            sweep.cancelled,
        ];
        let mut known = [0_u64; STATES.len()];
        for run in self.runs.values() {
            if let Some(place) = STATES.iter().position(|state| *state == run.state) {
                known[place] += 1;
            }
        }
        let differ = STATES
            .iter()
            .zip(told)
            .zip(known)
            .filter(|((_, told), known)| told != known);
        differ.map(|((state, _), _)| (*state).to_owned()).collect()
    }

    /// Filters and sorts the rows of the table again; the selection stays.
    pub(crate) fn arrange(&mut self) {
        let fitting = self.runs.values().filter(|run| self.filter.fits(run));
        let mut rows: Vec<&Run> = fitting.collect();
        rows.sort_by(|a, b| self.order.compare(a, b, self.descending));
        self.rows = rows.into_iter().map(|run| run.run).collect();
        if self
            .chosen
            .is_none_or(|chosen| !self.runs.contains_key(&chosen))
        {
            self.chosen = self.rows.first().copied();
        }
    }

    /// Returns the chosen run.
    pub(crate) fn run(&self) -> Option<&Run> {
        self.runs.get(&self.chosen?)
    }

    /// Returns the place of the chosen run in the table.
    pub(crate) fn place(&self) -> usize {
        self.rows
            .iter()
            .position(|run| Some(*run) == self.chosen)
            .unwrap_or(0)
    }

    /// Returns the failed runs.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(|run| run.state == "failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(run: u64, state: &str) -> Run {
        Run {
            run,
            state: state.to_owned(),
            ..Run::default()
        }
    }

    fn change(running: Vec<Run>, ended: Vec<Run>, sweep: Sweep) -> WatchEvent {
        WatchEvent::Changed(Box::new(WatchSweepResponse {
            sweep: Some(sweep),
            running,
            ended,
            best: None,
        }))
    }

    #[test]
    fn only_states_with_unknown_runs_are_asked_for() {
        let mut model = WatchModel::default();
        let sweep = Sweep {
            finished: 1,
            failed: 2,
            running: 1,
            ..Sweep::default()
        };
        model.apply(change(
            vec![run(4, "running")],
            vec![run(1, "finished"), run(2, "failed")],
            sweep,
        ));
        assert_eq!(model.missing(), ["failed"]);
        model.apply(WatchEvent::Listed {
            states: vec!["failed".to_owned()],
            runs: vec![run(2, "failed"), run(3, "failed")],
        });
        assert!(model.missing().is_empty());
        assert_eq!(model.rows, [1, 2, 3, 4]);
    }

    #[test]
    fn a_run_that_moved_on_is_known_once() {
        let mut model = WatchModel::default();
        model.apply(change(
            vec![run(1, "running")],
            Vec::new(),
            Sweep {
                running: 1,
                ..Sweep::default()
            },
        ));
        model.apply(change(
            Vec::new(),
            vec![run(1, "finished")],
            Sweep {
                finished: 1,
                ..Sweep::default()
            },
        ));
        assert!(model.missing().is_empty());
        assert_eq!((model.rows.len(), model.running.len()), (1, 0));
    }

    #[test]
    fn a_lost_controller_is_said_until_it_answers() {
        let mut model = WatchModel::default();
        model.apply(WatchEvent::Lost("refused".to_owned()));
        assert_eq!(model.lost.as_deref(), Some("refused"));
        model.apply(change(Vec::new(), Vec::new(), Sweep::default()));
        assert_eq!(model.lost, None);
    }
}
