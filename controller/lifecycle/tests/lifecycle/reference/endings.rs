//! The ends of attempts, and the outcome of their runs.

use sweep_lifecycle::command::{AttemptResult, TellOutcome};
use sweep_lifecycle::spec::{OnLeaseLost, SweepSpec};
use sweep_lifecycle::state::{
    AgentId, AttemptRef, AttemptState, Blame, Failure, FailureKind, RunState, State, StopKind,
};

use super::Reference;

impl Reference {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of command")]
    pub(super) fn finish(
        &mut self,
        before: &State,
        name: &AttemptRef,
        result: &AttemptResult,
        spared: bool,
    ) {
        let spec = self.specs[&name.sweep].clone();
        let known = &before.sweeps[&name.sweep];
        let goes_on = !known.state.is_terminal();
        let instead = known
            .runs
            .get(name.run)
            .is_some_and(|run| known.has_instead(&run));
        let run = self.run(&name.sweep, name.run);
        let newest = run.attempts.len() == name.attempt as usize;
        let Some(attempt) = run.attempts.get(name.attempt as usize - 1).cloned() else {
            return;
        };
        let given_up = matches!(attempt.state, AttemptState::Lost | AttemptState::Preempted);
        let late = newest
            && given_up
            && (run.state == RunState::Queued || run.withdrawn && goes_on && !instead)
            && attempt.stop.is_none()
            && spec.on_lease_lost == OnLeaseLost::Continue;
        if late && matches!(result, AttemptResult::Preempted | AttemptResult::Returned)
            || !(late || attempt.state.is_live())
        {
            return;
        }
        let has_value = spec.objective.is_none() || attempt.finite;
        let kind = if attempt.values > 0 {
            FailureKind::NanObjective
        } else {
            FailureKind::NoMetric
        };
        let no_value = Failure::new(kind, Blame::Configuration, "");
        let preempted = Failure {
            kind: FailureKind::Preempted,
            blame: Blame::External,
            ..no_value.clone()
        };
        let moves = matches!(
            result,
            AttemptResult::Stopped(_)
                | AttemptResult::Failed(_)
                | AttemptResult::Preempted
                | AttemptResult::Returned
        );
        let ends = match (attempt.stop, result) {
            (Some(StopKind::Requeue), _) if moves && goes_on => RunState::Queued,
            (Some(StopKind::Requeue), _) if moves => RunState::Cancelled,
            (None, AttemptResult::Stopped(StopKind::Requeue)) if goes_on => RunState::Queued,
            (None, AttemptResult::Stopped(StopKind::Requeue)) => RunState::Cancelled,
            (Some(StopKind::Cancel), _) | (_, AttemptResult::Stopped(StopKind::Cancel)) => {
                RunState::Cancelled
            }
            (_, AttemptResult::Told(TellOutcome::Value(value))) if value.is_finite() => {
                RunState::Finished
            }
            (_, AttemptResult::Told(_)) => RunState::Failed,
            (_, AttemptResult::Succeeded) if has_value => RunState::Finished,
            (_, AttemptResult::Succeeded) => self.fail(name, &spec, &no_value, goes_on, spared),
            (Some(StopKind::Early), _) | (None, AttemptResult::Stopped(StopKind::Early))
                if has_value =>
            {
                RunState::Stopped
            }
            (Some(StopKind::Early), _) | (None, AttemptResult::Stopped(StopKind::Early)) => {
                self.fail(name, &spec, &no_value, goes_on, spared)
            }
            (Some(StopKind::Requeue), _) => unreachable!("it is told above"),
            (None, AttemptResult::Failed(failure)) => {
                self.fail(name, &spec, failure, goes_on, spared)
            }
            (None, AttemptResult::Preempted) => self.fail(name, &spec, &preempted, goes_on, spared),
            (None, AttemptResult::Returned) if goes_on => RunState::Queued,
            (None, AttemptResult::Returned) => RunState::Cancelled,
        };
        // How exactly it is called is of no consequence here, but that it has ended, and whether it may come back.
        let kind = if let AttemptResult::Failed(failure) = result {
            Some(failure.kind)
        } else {
            None
        };
        self.attempt(name).state = match (result, kind) {
            (_, Some(FailureKind::Lost)) => AttemptState::Lost,
            (AttemptResult::Preempted, _) | (_, Some(FailureKind::Preempted)) => {
                AttemptState::Preempted
            }
            _ => AttemptState::Finished,
        };
        let run = self.run(&name.sweep, name.run);
        (run.state, run.withdrawn) = (ends, false);
    }

    pub(super) fn fail(
        &mut self,
        name: &AttemptRef,
        spec: &SweepSpec,
        failure: &Failure,
        goes_on: bool,
        spared: bool,
    ) -> RunState {
        use FailureKind::{
            CouldNotStart, CudaOutOfMemory, Lost, MaxRuntime, NanObjective, NoMetric, Preempted,
        };
        let policy = spec.retry;
        let (cause, allowed) = match (failure.kind, failure.blame) {
            (Preempted, _) => ("", u32::MAX),
            (Lost, _) => ("lost", policy.lost),
            (_, Blame::Machine | Blame::External | Blame::Other(_)) => ("machine", policy.machine),
            (CudaOutOfMemory | NanObjective | NoMetric | CouldNotStart | MaxRuntime, _) => {
                ("never", 0)
            }
            _ => ("crashed", policy.crashed),
        };
        let used = self
            .run(&name.sweep, name.run)
            .used
            .entry(cause)
            .or_default();
        match (spared || *used < allowed, goes_on) {
            (true, true) => {
                *used += u32::from(!spared && !cause.is_empty());
                RunState::Queued
            }
            (true, false) if matches!(failure.kind, Lost | Preempted) => RunState::Cancelled,
            _ => RunState::Failed,
        }
    }

    pub(super) fn lose(&mut self, before: &State, name: &AttemptRef, kind: FailureKind) {
        if self.attempt(name).state.is_live() {
            let failure = Failure::new(kind, Blame::External, "");
            self.finish(before, name, &AttemptResult::Failed(failure), false);
        }
    }

    pub(super) fn resume(&mut self, agent: &AgentId, name: &AttemptRef, state: &State) {
        let continues = self.specs[&name.sweep].on_lease_lost == OnLeaseLost::Continue;
        let known = &state.sweeps[&name.sweep];
        let adopts = !known.state.is_terminal()
            && known
                .runs
                .get(name.run)
                .is_some_and(|run| !known.has_instead(&run));
        let Some(run) = self.runs.get_mut(&(name.sweep.clone(), name.run)) else {
            return;
        };
        let newest = run.attempts.len() == name.attempt as usize;
        let Some(lost) = run
            .attempts
            .last_mut()
            .filter(|lost| newest && lost.agent == *agent)
        else {
            return;
        };
        let given_up = matches!(lost.state, AttemptState::Lost | AttemptState::Preempted);
        if continues
            && given_up
            && lost.stop.is_none()
            && (run.state == RunState::Queued || run.withdrawn && adopts)
        {
            let counted =
                u32::from(lost.state == AttemptState::Lost && !std::mem::take(&mut run.withdrawn));
            let started = state.sweeps[&name.sweep]
                .attempt(name)
                .is_some_and(|attempt| attempt.started.is_some());
            (lost.state, run.state) = if started {
                (AttemptState::Running, RunState::Running)
            } else {
                (AttemptState::Assigned, RunState::Assigned)
            };
            let used = run.used.entry("lost").or_default();
            *used = used.saturating_sub(counted);
        }
    }
}
