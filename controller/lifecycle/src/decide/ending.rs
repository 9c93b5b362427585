//! Decides the next state of a run when one of its attempts ends.
//!
//! | the attempt | nothing asked of it | early stop requested | cancel requested | asked to make way for other code |
//! |---|---|---|---|---|
//! | succeeded | finished, or failed without a finite objective | finished | cancelled | as if nothing was asked |
//! | failed | [`retry`](crate::retry) decides | stopped | cancelled | queued |
//! | stopped early | stopped | stopped | cancelled | queued |
//! | stopped by user | cancelled | cancelled | cancelled | queued |
//! | lost, preempted | [`retry`](crate::retry) decides | stopped | cancelled | queued |
//! | returned | queued | stopped | cancelled | queued |
//!
//! A cancelled run stays cancelled even if its program still ended well: that is what the person asked for, and a program that
//! exits with status 0 when it is told to stop cannot be told from one that was done. Its metrics are kept. A run that would go
//! back into the queue of a sweep that hands out no more runs ends instead.

use super::draft::Draft;
use super::{health, unread};
use crate::command::{AttemptResult, Refusal, TellOutcome};
use crate::inits;
use crate::quarantine::words;
use crate::retry::{Verdict, avoids_agent, judge};
use crate::spec::Objective;
use crate::state::{
    AgentId, Attempt, AttemptRef, AttemptState, Blame, Failure, FailureKind, Run, RunState, State,
    StopKind,
};

/// How an attempt ended, as noticed by the agent or the controller.
pub(super) enum AttemptEnding {
    Succeeded,
    Failed(Failure),
    Stopped(StopKind),
    Returned,
    Told(TellOutcome),
}

impl From<&AttemptResult> for AttemptEnding {
    fn from(result: &AttemptResult) -> Self {
        match result {
            AttemptResult::Succeeded => Self::Succeeded,
            AttemptResult::Failed(failure) => Self::Failed(failure.clone()),
            AttemptResult::Stopped(kind) => Self::Stopped(*kind),
            AttemptResult::Preempted => Self::Failed(Failure::new(
                FailureKind::Preempted,
                Blame::External,
                "its machine was taken away".to_owned(),
            )),
            AttemptResult::Returned => Self::Returned,
            AttemptResult::Told(told) => Self::Told(told.clone()),
        }
    }
}

/// Ends an attempt that is the newest of its run, and decides the state of the run, which it returns.
pub(super) fn end(
    draft: &mut Draft<'_>,
    attempt: &AttemptRef,
    how: AttemptEnding,
) -> Result<RunState, Refusal> {
    let run = draft.run(attempt.run)?;
    let Some(ending) = run.attempt(attempt.attempt) else {
        return Ok(run.state);
    };
    let settling = Settling {
        draft,
        attempt,
        run: &run,
        ending,
    };
    match (&ending.stop, how) {
        (Some(stop), how) if stop.kind == StopKind::Cancel => {
            let (state, failure) = attempt_end(&how, AttemptState::Cancelled);
            Ok(settling.close(
                state,
                failure,
                RunState::Cancelled,
                None,
                stop.reason.clone(),
            ))
        }
        // What has ended well by itself meanwhile counts.
        (
            Some(stop),
            how @ (AttemptEnding::Failed(_) | AttemptEnding::Stopped(_) | AttemptEnding::Returned),
        ) if stop.kind == StopKind::Requeue => Ok(settling.moved(&how, stop.reason.clone())),
        (_, AttemptEnding::Succeeded) => Ok(settling.succeeded()),
        (_, AttemptEnding::Told(told)) => Ok(settling.told(told)),
        (_, AttemptEnding::Stopped(StopKind::Cancel)) => Ok(settling.close(
            AttemptState::Cancelled,
            None,
            RunState::Cancelled,
            None,
            "ended by user at its agent".to_owned(),
        )),
        (Some(stop), how) => {
            let (state, failure) = attempt_end(&how, AttemptState::Stopped);
            Ok(settling.stopped(state, failure, stop.reason.clone()))
        }
        (None, AttemptEnding::Stopped(StopKind::Early)) => {
            Ok(settling.stopped(AttemptState::Stopped, None, "stopped early".to_owned()))
        }
        (None, AttemptEnding::Failed(failure)) => Ok(settling.failed(failure)),
        (None, AttemptEnding::Stopped(StopKind::Requeue)) => Ok(settling.moved(
            &AttemptEnding::Stopped(StopKind::Requeue),
            "given back by its agent".to_owned(),
        )),
        (None, AttemptEnding::Returned) => Ok(settling.returned()),
    }
}

// What an attempt that was asked to end is recorded as: `obeyed`, unless it was taken away.
fn attempt_end(how: &AttemptEnding, obeyed: AttemptState) -> (AttemptState, Option<Failure>) {
    match how {
        AttemptEnding::Failed(failure) => match failed_state(failure) {
            AttemptState::Failed => (obeyed, Some(failure.clone())),
            taken_away => (taken_away, Some(failure.clone())),
        },
        AttemptEnding::Succeeded | AttemptEnding::Stopped(_) | AttemptEnding::Told(_) => {
            (obeyed, None)
        }
        AttemptEnding::Returned => (AttemptState::Returned, None),
    }
}

fn failed_state(failure: &Failure) -> AttemptState {
    match failure.kind {
        FailureKind::Lost => AttemptState::Lost,
        FailureKind::Preempted => AttemptState::Preempted,
        _ => AttemptState::Failed,
    }
}

struct Settling<'d, 'a> {
    draft: &'d mut Draft<'a>,
    attempt: &'d AttemptRef,
    run: &'d Run,
    ending: &'d Attempt,
}

impl Settling<'_, '_> {
    fn close(
        self,
        attempt: AttemptState,
        failure: Option<Failure>,
        run: RunState,
        value: Option<f64>,
        reason: String,
    ) -> RunState {
        self.draft.end_attempt(self.attempt, attempt, failure);
        self.draft
            .end_run(self.attempt.run, run, value, reason, false);
        if matches!(attempt, AttemptState::Finished | AttemptState::Stopped) {
            health::on_success(self.draft, self.attempt, &self.ending.agent);
        }
        run
    }

    fn succeeded(self) -> RunState {
        let Some(objective) = &self.draft.sweep.spec.objective else {
            return self.close(
                AttemptState::Finished,
                None,
                RunState::Finished,
                None,
                String::new(),
            );
        };
        match inits::value(objective, self.ending) {
            Some(value) => self.close(
                AttemptState::Finished,
                None,
                RunState::Finished,
                Some(value),
                String::new(),
            ),
            None => {
                let failure = no_value(objective, self.ending);
                self.failed(failure)
            }
        }
    }

    // A program that executes the runs itself knows best: what failed is not tried again.
    fn told(self, told: TellOutcome) -> RunState {
        let has_objective = self.draft.sweep.spec.objective.is_some();
        let failure = match told {
            TellOutcome::Value(value) if value.is_finite() => {
                let value = has_objective.then_some(value);
                return self.close(
                    AttemptState::Finished,
                    None,
                    RunState::Finished,
                    value,
                    String::new(),
                );
            }
            TellOutcome::Value(value) => Failure::new(
                FailureKind::NanObjective,
                Blame::Configuration,
                format!("the value told was {value}"),
            ),
            TellOutcome::Failed(reason) => {
                let reason = if reason.is_empty() {
                    "told to have failed".to_owned()
                } else {
                    reason
                };
                Failure::new(FailureKind::Crashed, Blame::Configuration, reason)
            }
        };
        let reason = failure.message.clone();
        self.draft
            .end_attempt(self.attempt, AttemptState::Failed, Some(failure));
        self.draft
            .end_run(self.attempt.run, RunState::Failed, None, reason, true);
        RunState::Failed
    }

    fn stopped(self, state: AttemptState, failure: Option<Failure>, reason: String) -> RunState {
        let Some(objective) = &self.draft.sweep.spec.objective else {
            return self.close(state, failure, RunState::Stopped, None, reason);
        };
        match inits::value(objective, self.ending) {
            Some(value) => self.close(state, failure, RunState::Stopped, Some(value), reason),
            None => {
                let failure = no_value(objective, self.ending);
                self.failed(failure)
            }
        }
    }

    fn failed(self, failure: Failure) -> RunState {
        let sweep = self.draft.sweep;
        let health = health::on_failure(self.draft, self.attempt, &self.ending.agent, &failure);
        let verdict = if health.absolves {
            Verdict::Requeue(None)
        } else {
            judge(sweep.spec.retry, self.run.retries.counts, &failure)
        };
        let goes_on = !self.draft.sweep_state().is_terminal();
        let taken_away = failed_state(&failure) != AttemptState::Failed;
        let run = self.attempt.run;
        let avoid = avoids_agent(&failure).then(|| self.ending.agent.clone());
        let message = words(&failure);
        let blamed = failure.blame == Blame::Configuration;
        self.draft
            .end_attempt(self.attempt, failed_state(&failure), Some(failure.clone()));
        let after = match verdict {
            Verdict::Requeue(counts) if goes_on => self.draft.requeue(
                run,
                format!(
                    "tried again after attempt {}: {message}",
                    self.attempt.attempt
                ),
                counts,
                avoid,
            ),
            Verdict::Requeue(_) => {
                let reason = self.not_again(&message);
                let (to, blamed) = if taken_away {
                    (RunState::Cancelled, false)
                } else {
                    (RunState::Failed, blamed)
                };
                self.draft.end_run(run, to, None, reason, blamed);
                to
            }
            Verdict::Fail => {
                let reason = match failure.kind {
                    FailureKind::Lost => {
                        format!("lost {} times: {message}", self.run.retries.counts.lost + 1)
                    }
                    _ => message,
                };
                self.draft
                    .end_run(run, RunState::Failed, None, reason, blamed);
                RunState::Failed
            }
        };
        health::settle(
            self.draft,
            self.attempt,
            &self.ending.agent,
            &failure,
            health,
        );
        if failure.kind == FailureKind::NoMetric && !sweep.is_objective_read {
            self.draft.stall =
                unread::stall(self.draft, run, &failure.message).or(self.draft.stall.take());
        }
        if failure.blame == Blame::CommandLine {
            self.draft.stall =
                health::refused(self.draft, run, &failure).or(self.draft.stall.take());
        }
        after
    }

    fn not_again(&self, reason: &str) -> String {
        let state = self.draft.sweep_state();
        format!("{reason}; not tried again, since the sweep was {state}")
    }

    // Uses up no retry: it is the sweep that has changed.
    fn moved(self, how: &AttemptEnding, reason: String) -> RunState {
        let (state, failure) = attempt_end(how, AttemptState::Cancelled);
        if self.draft.sweep_state().is_terminal() {
            let reason = self.not_again(&reason);
            return self.close(state, failure, RunState::Cancelled, None, reason);
        }
        self.draft.end_attempt(self.attempt, state, failure);
        self.draft.requeue(self.attempt.run, reason, None, None);
        RunState::Queued
    }

    fn returned(self) -> RunState {
        if self.draft.sweep_state().is_terminal() {
            let reason = self.not_again("given back by its agent");
            return self.close(
                AttemptState::Returned,
                None,
                RunState::Cancelled,
                None,
                reason,
            );
        }
        self.draft
            .end_attempt(self.attempt, AttemptState::Returned, None);
        self.draft.requeue(
            self.attempt.run,
            "given back by its agent without having started".to_owned(),
            None,
            None,
        )
    }
}

// The program ended well, and yet there is nothing to judge it by.
fn no_value(objective: &Objective, attempt: &Attempt) -> Failure {
    let metric = &objective.metric;
    if !attempt.series.is_empty() {
        let message = format!("every value of `{metric}` was NaN or infinite");
        return Failure::new(FailureKind::NanObjective, Blame::Configuration, message);
    }
    let seen: Vec<_> = attempt
        .metrics
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    let seen = if seen.is_empty() {
        "no metric at all".to_owned()
    } else {
        format!("only {}", seen.join(", "))
    };
    Failure::new(
        FailureKind::NoMetric,
        Blame::Configuration,
        format!("the program ended well without reporting `{metric}`; it reported {seen}"),
    )
}

/// Returns the failure of an attempt whose agent has fallen silent: preempted where the agent was about to leave.
pub(super) fn silence(state: &State, agent: &AgentId, message: String) -> Failure {
    match state
        .agents
        .get(agent)
        .and_then(|agent| agent.leaving.as_deref())
    {
        Some(reason) => Failure::new(
            FailureKind::Preempted,
            Blame::External,
            format!("{message}; it was leaving: {reason}"),
        ),
        None => Failure::new(FailureKind::Lost, Blame::External, message),
    }
}
