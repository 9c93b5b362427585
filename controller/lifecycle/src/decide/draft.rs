//! A decision about one sweep while it is being made: the events so far, and what they will come to.

use crate::command::{Decision, Refusal, Reply};
use crate::event::{Event, RetryCause};
use crate::observe::Progress;
use crate::state::{
    AgentId, AttemptRef, AttemptState, Failure, Run, RunNumber, RunState, State, StopKind, StopRequest, Sweep, SweepId, SweepState,
};

pub(super) struct Draft<'a> {
    pub(super) id: &'a SweepId,
    pub(super) sweep: &'a Sweep,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(state: &'a State, sweep: &SweepId) -> Result<Self, Refusal> {
        let (id, sweep) = state.sweeps.get_key_value(sweep).ok_or_else(|| Refusal::UnknownSweep(sweep.0.clone()))?;
        Ok(Self { id, sweep, events: Vec::new() })
    }

    pub(super) fn run(&self, number: RunNumber) -> Result<&'a Run, Refusal> {
        self.sweep.runs.get(&number).ok_or_else(|| Refusal::UnknownRun { sweep: self.id.0.clone(), run: number })
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(super) fn change_sweep(&mut self, state: SweepState, reason: impl Into<String>) {
        self.push(Event::SweepStateChanged { sweep: self.id.clone(), state, reason: reason.into() });
    }

    pub(super) fn end_attempt(&mut self, attempt: &AttemptRef, state: AttemptState, failure: Option<Failure>) {
        self.push(Event::AttemptEnded { attempt: attempt.clone(), state, failure });
    }

    pub(super) fn request_stop(&mut self, attempt: AttemptRef, kind: StopKind, reason: impl Into<String>) {
        self.push(Event::StopRequested { attempt, request: StopRequest { kind, reason: reason.into(), predicted: None } });
    }

    pub(super) fn requeue(&mut self, run: RunNumber, reason: String, counts: Option<RetryCause>, avoid: Option<AgentId>) {
        self.push(Event::RunRequeued { sweep: self.id.clone(), run, reason, counts, avoid });
    }

    pub(super) fn end_run(&mut self, run: RunNumber, state: RunState, value: Option<f64>, reason: String, blamed: bool) {
        self.push(Event::RunEnded { sweep: self.id.clone(), run, state, value, reason, blamed });
    }

    /// The sweep's state once the events have been recorded.
    pub(super) fn sweep_state(&self) -> SweepState {
        let changes = self.events.iter().rev().filter_map(|event| match event {
            Event::SweepStateChanged { state, .. } => Some(*state),
            _ => None,
        });
        changes.into_iter().next().unwrap_or(self.sweep.state)
    }

    /// Where the sweep will be once the events have been recorded. Relies on each run changing its place at most once in a decision.
    pub(super) fn progress(&self) -> Progress {
        let mut progress = Progress::of(self.sweep);
        for event in &self.events {
            match event {
                Event::RunImported { run, value, .. } => {
                    progress.tried += 1;
                    self.rank(&mut progress, *run, *value);
                }
                Event::RunEnded { run, value, .. } => {
                    self.leave(&mut progress, *run);
                    self.rank(&mut progress, *run, *value);
                }
                Event::RunRequeued { run, .. } => {
                    self.leave(&mut progress, *run);
                    progress.queued += 1;
                }
                Event::SpaceExhausted { .. } => progress.exhausted = true,
                _ => {}
            }
        }
        progress
    }

    fn rank(&self, progress: &mut Progress, run: RunNumber, value: Option<f64>) {
        if !self.will_be_feasible(run) {
            return;
        }
        let goal = self.sweep.spec.objective.as_ref().map(|objective| objective.goal).unwrap_or_default();
        if let Some(value) = value.filter(|value| progress.best.is_none_or(|(_, best)| goal.is_better(*value, best))) {
            progress.best = Some((run, value));
        }
    }

    /// Whether a run keeps to the constraints with what the decision reports of it.
    fn will_be_feasible(&self, number: RunNumber) -> bool {
        let constraints = &self.sweep.spec.constraints;
        if constraints.is_empty() {
            return true;
        }
        let Some(mut run) = self.sweep.runs.get(&number).cloned() else { return false };
        for event in &self.events {
            if let (Event::MetricsReported { attempt, points, .. }, Some(newest)) = (event, run.attempts.last_mut())
                && attempt.run == number
            {
                points.iter().for_each(|point| newest.summarise(&point.name, point.value));
            }
        }
        run.is_feasible(constraints)
    }

    fn leave(&self, progress: &mut Progress, run: RunNumber) {
        if self.sweep.queued.contains(&run) {
            progress.queued = progress.queued.saturating_sub(1);
        } else if self.sweep.live.contains(&run) {
            progress.live = progress.live.saturating_sub(1);
        }
    }

    /// Ends the sweep if it runs, nothing of it waits or runs, and nothing new can come. Returns why.
    pub(super) fn finish_if_done(&mut self) -> Option<String> {
        let progress = self.progress();
        if self.sweep_state() != SweepState::Running || progress.queued > 0 || progress.live > 0 {
            return None;
        }
        let reason = progress.limit(&self.sweep.spec)?;
        self.change_sweep(SweepState::Finished, reason.clone());
        Some(reason)
    }

    pub(super) fn reply(self, reply: Reply) -> Decision {
        Decision { events: self.events, reply }
    }
}
