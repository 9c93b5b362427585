//! Calls of agents that want a run: served at once, or kept waiting until a sweep changes.

use sweep_lifecycle::command::{Command, Reply};
use sweep_lifecycle::repeats;
use sweep_lifecycle::state::{AttemptRecord, AttemptRef, Run, Sweep, SweepId, SweepState};

use super::group::{CommitGroup, PendingAnswer};
use super::reply::{digest_acquire, pack};
use super::request::Answer;
use super::waiting_call::WaitingCall;
use super::writer::Writer;
use super::{AcquireRequest, Acquired, Assignment, EngineError, SweepContext};
use crate::store::StoreError;

/// Calls that may wait for a run in one sweep; further ones are told to ask again.
const PARKED_MAX: usize = 10_000;

impl Writer {
    /// Serves a call or keeps it waiting.
    pub(super) fn acquire(
        &mut self,
        group: &mut CommitGroup,
        request_id: String,
        wish: AcquireRequest,
        reply: Answer<Acquired>,
    ) -> Result<(), StoreError> {
        let (now, id) = (self.clock.now(), wish.sweep.clone());
        // A caller that does not wait takes what there is.
        let fresh = (
            self.ready.observed(&id),
            now.saturating_add(self.terms.patience.min(wish.wait)),
        );
        let until = now.saturating_add(wish.wait);
        let mut call = WaitingCall {
            request_id,
            wish,
            until,
            fresh,
            reason: String::new(),
            reply,
        };
        // No caller would take the run.
        if call.reply.is_closed() {
            return Ok(());
        }
        self.renew(&call.wish.agent, &[]);
        if let Some(known) = self.known(group, &call.request_id, || digest_acquire(&call.wish))? {
            let result = known.map(|reply| self.acquired(reply));
            group
                .answers
                .push(PendingAnswer::Acquire(call.reply, result));
            return Ok(());
        }
        let crowded = self.waiting_calls.get_mut(&id).is_some_and(|waiting| {
            // A repeat of a call that still waits: the caller of the first one has gone.
            let is_repeated = |other: &WaitingCall| {
                !call.request_id.is_empty() && other.request_id == call.request_id
            };
            if let Some(index) = waiting.iter().position(is_repeated) {
                let first = waiting.remove(index);
                group.answers.push(PendingAnswer::Acquire(
                    first.reply,
                    Ok(Acquired::Wait("this call was repeated".to_owned())),
                ));
            }
            waiting.len() >= PARKED_MAX
        });
        match self.try_acquire(group, &id, &call)? {
            Ok(Acquired::Wait(reason))
                if !crowded
                    && call.until > self.clock.now()
                    && !self.is_answered_when_paused(&call) =>
            {
                call.reason = reason;
                self.waiting_calls.entry(id.clone()).or_default().push(call);
            }
            result => group
                .answers
                .push(PendingAnswer::Acquire(call.reply, result)),
        }
        group.touched.needs_suggestions.insert(id);
        Ok(())
    }

    /// Serves the calls that wait, in the order in which they came, where a sweep is dirty.
    pub(super) fn serve_waiting(&mut self, group: &mut CommitGroup) -> Result<(), StoreError> {
        if self.is_full() {
            return Ok(());
        }
        for id in std::mem::take(&mut group.dirty) {
            group.touched.needs_suggestions.insert(id.clone());
            let Some(waiting) = self.waiting_calls.remove(&id) else {
                continue;
            };
            let mut still = Vec::new();
            for mut call in waiting {
                if call.reply.is_closed() {
                    continue;
                }
                match self.try_acquire(group, &id, &call)? {
                    Ok(Acquired::Wait(reason)) if !self.is_answered_when_paused(&call) => {
                        call.reason = reason;
                        still.push(call);
                    }
                    result => group
                        .answers
                        .push(PendingAnswer::Acquire(call.reply, result)),
                }
            }
            if !still.is_empty() {
                self.waiting_calls.insert(id, still);
            }
        }
        Ok(())
    }

    /// Returns whether a program asks for a run of a sweep that is paused: unlike an agent it is told so at once.
    fn is_answered_when_paused(&self, call: &WaitingCall) -> bool {
        let asks = self
            .state
            .agents
            .get(&call.wish.agent)
            .is_some_and(|agent| agent.info.asks);
        asks && self
            .state
            .sweeps
            .get(&call.wish.sweep)
            .is_some_and(|sweep| sweep.state == SweepState::Paused)
    }

    /// Serves calls again whose waiting time is over, with any ready suggestion.
    pub(super) fn end_patience(&mut self, group: &mut CommitGroup) {
        let now = self.clock.now();
        let over = |call: &WaitingCall| call.fresh.1 <= now;
        group.dirty.extend(
            self.waiting_calls
                .iter()
                .filter(|(_, waiting)| waiting.iter().any(over))
                .map(|(id, _)| id.clone()),
        );
    }

    /// Answers the calls whose wait is over.
    pub(super) fn end_waits(&mut self, group: &mut CommitGroup) {
        let now = self.clock.now();
        for waiting in self.waiting_calls.values_mut() {
            for call in waiting.extract_if(.., |call| call.until <= now) {
                group.answers.push(PendingAnswer::Acquire(
                    call.reply,
                    Ok(Acquired::Wait(call.reason)),
                ));
            }
        }
        self.waiting_calls.retain(|_, waiting| !waiting.is_empty());
    }

    /// Tries to get a run for a call. Only a run is stored as the reply to its request id: "nothing yet" may be asked again.
    fn try_acquire(
        &mut self,
        group: &mut CommitGroup,
        id: &SweepId,
        call: &WaitingCall,
    ) -> Result<Result<Acquired, EngineError>, StoreError> {
        let (observed, patient_until) = call.fresh;
        let observed = if self.clock.now() < patient_until {
            observed
        } else {
            0
        };
        let offer = self
            .state
            .sweeps
            .get(id)
            .and_then(|sweep| self.ready.next(id, sweep, observed));
        let offered = offer.is_some();
        let AcquireRequest {
            agent,
            sweep,
            code_version,
            wait: _,
        } = call.wish.clone();
        let command = Command::Acquire {
            agent,
            sweep,
            offers: offer.into_iter().collect(),
            code_version,
        };
        let result = self.decide(group, &command);
        if offered
            && matches!(
                result,
                Ok(Reply::Wait {
                    wants_suggestion: true,
                    ..
                })
            )
        {
            self.ready.discard(id);
        }
        if matches!(result, Ok(Reply::Assigned(_))) && !call.request_id.is_empty() {
            group
                .replies
                .push(pack(&call.request_id, digest_acquire(&call.wish), &result)?);
        }
        Ok(result
            .map(|reply| self.acquired(reply))
            .map_err(EngineError::Refused))
    }

    fn acquired(&self, reply: Reply) -> Acquired {
        match reply {
            Reply::Assigned(attempt) => {
                match self
                    .state
                    .sweeps
                    .get(&attempt.sweep)
                    .and_then(|sweep| Some((sweep, sweep.runs.get(attempt.run)?)))
                {
                    Some((sweep, run)) => {
                        let (config, why, history) =
                            (run.config.clone(), run.why.clone(), run.history);
                        let repeat =
                            u32::try_from(attempt.run - run.point.first + 1).unwrap_or(u32::MAX);
                        let seed = repeats::seed(sweep.seed, attempt.run);
                        let code = pinned_code(sweep, &run, &attempt);
                        // Of when it was assigned: a repeated request gets the same answer.
                        let revision = run
                            .attempt(attempt.attempt)
                            .map_or(sweep.revision(), |assigned| assigned.revision);
                        let edited =
                            (revision > 1).then(|| Box::new(SweepContext::of(sweep, revision)));
                        let assigned = run.attempt(attempt.attempt);
                        let incarnation = assigned
                            .map(|assigned| self.state.identity.incarnation(assigned))
                            .unwrap_or_default();
                        let record = AttemptRecord {
                            config: config.clone(),
                            why: why.clone(),
                            history,
                            repeat,
                            again: run.point.again.clone(),
                            // Of when it was assigned: what an agent has itself it says when it starts its program.
                            code_version: code.0.clone(),
                            pinned: assigned.is_some_and(|assigned| assigned.pinned),
                        };
                        let assignment = Assignment {
                            attempt,
                            config,
                            why,
                            history,
                            code,
                            incarnation,
                            record,
                            repeat,
                            seed,
                            edited,
                        };
                        Acquired::Assigned(Box::new(assignment))
                    }
                    None => Acquired::Wait(format!(
                        "run {} of sweep {} is gone",
                        attempt.run, attempt.sweep
                    )),
                }
            }
            Reply::Ended { state, reason } => Acquired::Ended(state, reason),
            Reply::Wait { reason, .. } => Acquired::Wait(reason),
            // `decide` answers an acquire with one of the three above, and a stored reply is one of its answers.
            other => Acquired::Wait(format!(
                "the controller gave an answer that does not fit: {other:?}"
            )),
        }
    }
}

/// Returns the version that an attempt was told to execute, and where in it; empty where it executes what its agent has.
fn pinned_code(sweep: &Sweep, run: &Run, attempt: &AttemptRef) -> (String, String) {
    let pinned = run
        .attempt(attempt.attempt)
        .filter(|attempt| attempt.pinned);
    let code = pinned.and_then(|attempt| {
        sweep
            .code
            .versions
            .get(usize::try_from(attempt.code).ok()?.checked_sub(1)?)
    });
    code.map(|code| (code.version.clone(), code.about.prefix.clone()))
        .unwrap_or_default()
}
