//! Questions that are answered from the state without a write: heartbeats, look-ups, what the planner needs.

use std::ops::Bound;
use std::sync::Arc;

use sweep_lifecycle::command::{AttemptFence, Directive, Refusal};
use sweep_lifecycle::decide::{decide, directive, fence, recognize};
use sweep_lifecycle::observe::{code_line, learnt, observations};
use sweep_lifecycle::state::{AgentId, AttemptRef, RunState, State, Sweep, SweepId};

use super::request::EngineRequest;
use super::writer::Writer;
use super::{Best, EngineError, Need, Results, Standing, SweepContext};

/// Candidates that a message names at most.
const NAMED_MAX: usize = 5;

impl Writer {
    /// Answers a question from the state as it is on disk. The caller may have gone away.
    pub(super) fn answer(&mut self, question: EngineRequest) {
        match question {
            EngineRequest::Heartbeat {
                agent,
                attempts,
                reply,
            } => {
                let _ = reply.send(self.heartbeat(&agent, &attempts));
            }
            EngineRequest::Recognize {
                agent,
                attempts,
                reply,
            } => {
                let known = attempts.iter().map(|(attempt, incarnation)| {
                    recognize(&self.state, &agent, attempt, incarnation)
                });
                let _ = reply.send(known.collect());
            }
            EngineRequest::Standing {
                agent,
                attempts,
                reply,
            } => {
                let standing = attempts.iter().map(|attempt| Standing {
                    points: self.attempt(attempt).map_or(0, |known| known.points),
                    started: self
                        .attempt(attempt)
                        .is_some_and(|known| known.started.is_some()),
                    directive: directive(&self.state, &agent, attempt),
                });
                let _ = reply.send(standing.collect());
            }
            EngineRequest::Preview { command, reply } => {
                let preview = decide(&self.state, &command).map(|decision| decision.reply);
                let _ = reply.send(preview.map_err(EngineError::Refused));
            }
            EngineRequest::SweepContext {
                sweep,
                revision,
                reply,
            } => {
                let _ = reply.send(self.basis(&sweep, revision));
            }
            EngineRequest::Results { sweep, reply } => {
                let _ = reply.send(self.results(&sweep));
            }
            EngineRequest::FindSweep { text, reply } => {
                let _ = reply.send(find_sweep(&self.state, &text));
            }
            EngineRequest::Needs {
                busy,
                after,
                limit,
                reply,
            } => {
                let _ = reply.send(self.needs(&busy, &after, limit));
            }
            #[cfg(test)]
            EngineRequest::Inspect { reply } => {
                let _ = reply.send(self.state.clone());
            }
            // All others change something and never come here.
            other => tracing::error!(request = ?other, "not a question"),
        }
    }

    fn heartbeat(
        &self,
        agent: &AgentId,
        attempts: &[(AttemptRef, String)],
    ) -> Result<Vec<Directive>, EngineError> {
        if !self
            .state
            .agents
            .get(agent)
            .is_some_and(|agent| agent.alive && self.state.is_registered(agent))
        {
            return Err(Refusal::UnknownAgent(agent.0.clone()).into());
        }
        let granted = |incarnation: &String| AttemptFence {
            incarnation: incarnation.clone(),
            points: 0,
        };
        // An agent of an earlier version does not know that it could register again: it is told to abandon what is not known here.
        let mut named = attempts
            .iter()
            .filter(|(_, incarnation)| !incarnation.is_empty());
        named.try_for_each(|(attempt, incarnation)| {
            fence(&self.state, attempt, &granted(incarnation))
        })?;
        Ok(attempts
            .iter()
            .map(|(attempt, _)| directive(&self.state, agent, attempt))
            .collect())
    }

    fn basis(&self, sweep: &SweepId, revision: Option<u32>) -> Result<SweepContext, EngineError> {
        let basis = |sweep: &Sweep| SweepContext::of(sweep, revision.unwrap_or(sweep.revision()));
        let found = self.state.sweeps.get(sweep).map(basis);
        found.ok_or_else(|| Refusal::UnknownSweep(sweep.0.clone()).into())
    }

    fn results(&self, sweep: &SweepId) -> Result<Results, EngineError> {
        let found = self
            .state
            .sweeps
            .get(sweep)
            .ok_or_else(|| Refusal::UnknownSweep(sweep.0.clone()))?;
        let is_stopped = |run| {
            found
                .runs
                .get(run)
                .is_some_and(|run| run.state == RunState::Stopped)
        };
        Ok(Results {
            spec: Arc::clone(&found.spec),
            seed: found.seed,
            observations: observations(found),
            code: code_line(found),
            best: found.index.best.map(|(run, value)| Best {
                run,
                value,
                is_stopped: is_stopped(run),
            }),
            ended: (found.runs.len() - found.index.queued.len() - found.index.live.len()) as u64,
            learnt: learnt(found),
        })
    }

    /// Begins behind the sweep that was served last, so that none has to wait for ever.
    fn needs(&mut self, busy: &[SweepId], after: &SweepId, limit: usize) -> Vec<Need> {
        let behind = self
            .state
            .sweeps
            .range((Bound::Excluded(after), Bound::Unbounded));
        let all = behind
            .chain(self.state.sweeps.range(..=after))
            .filter(|(id, _)| !busy.contains(id));
        let mut needs = Vec::new();
        for (id, sweep) in all {
            if needs.len() >= limit {
                break;
            }
            let demand = self.demand(id);
            needs.extend(self.ready.need(id, sweep, demand));
        }
        needs
    }
}

fn find_sweep(state: &State, text: &str) -> Result<SweepId, EngineError> {
    let exact = SweepId(text.to_owned());
    if state.sweeps.contains_key(&exact) {
        return Ok(exact);
    }
    let mut named: Vec<_> = state
        .sweeps
        .iter()
        .filter(|(_, sweep)| sweep.spec.name.as_deref() == Some(text))
        .collect();
    named.sort_by_key(|(_, sweep)| std::cmp::Reverse(sweep.created));
    let named: Vec<_> = named.into_iter().map(|(id, _)| id).collect();
    match named.as_slice() {
        [only] => return Ok((*only).clone()),
        [] => {}
        several => {
            let message = format!(
                "{} sweeps are called `{text}`: {}; give the id of one",
                several.len(),
                listed(several)
            );
            return Err(Refusal::WrongState(message).into());
        }
    }
    let starting: Vec<_> = state
        .sweeps
        .keys()
        .filter(|id| !text.is_empty() && id.0.starts_with(text))
        .collect();
    match starting.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(EngineError::NoSweep(unknown(state, text))),
        several => {
            let message = format!(
                "`{text}` begins the ids of {} sweeps: {}; give more of it",
                several.len(),
                listed(several)
            );
            Err(Refusal::WrongState(message).into())
        }
    }
}

/// Lists ids, a few of many.
fn listed(ids: &[&SweepId]) -> String {
    let named: Vec<_> = ids.iter().take(NAMED_MAX).map(|id| id.0.as_str()).collect();
    let more = if ids.len() > NAMED_MAX { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// Says what was asked for and what there is.
fn unknown(state: &State, text: &str) -> String {
    let mut newest: Vec<_> = state.sweeps.iter().collect();
    newest.sort_by_key(|(_, sweep)| std::cmp::Reverse(sweep.created));
    let label = |(id, sweep): &(&SweepId, &Sweep)| match &sweep.spec.name {
        Some(name) => format!("{} ({name})", id.0),
        None => id.0.clone(),
    };
    let there: Vec<_> = newest.iter().take(NAMED_MAX).map(label).collect();
    match there.as_slice() {
        [] => format!("no sweep `{text}`: the controller has none yet"),
        [only] => format!("no sweep `{text}`; there is {only}"),
        _ => format!("no sweep `{text}`; the newest are {}", there.join(", ")),
    }
}
