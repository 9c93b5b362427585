//! Agents: come, ask for a run, leave.

use sweep_search::suggest::Method;
use sweep_search::why::Why;

use std::collections::BTreeSet;

use super::attempt::may_resume;
use super::code::see;
use super::draft::Draft;
use super::ending::{AttemptEnding, end, silence};
use super::sweep::{PAUSED_BY_PERSON, standing};
use super::unread;
use crate::command::{Decision, Offer, Refusal, Reply};
use crate::event::Event;
use crate::observe::results;
use crate::state::{
    Agent, AgentId, AgentInfo, AttemptRef, AttemptState, Blame, Failure, FailureKind, Health, Run,
    RunNumber, State, Sweep, SweepId, SweepState,
};
use crate::versions::target;

pub(super) fn register(
    state: &State,
    agent: &AgentId,
    sweep: &SweepId,
    info: &AgentInfo,
    attempts: &[AttemptRef],
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let resumed: BTreeSet<&AttemptRef> = attempts
        .iter()
        .filter(|attempt| may_resume(&draft, agent, attempt))
        .collect();
    if let Some(known) = state.agents.get(agent).filter(|known| known.alive) {
        if known.sweep != *sweep {
            let other = &known.sweep;
            return Err(Refusal::WrongState(format!(
                "agent {agent} works for sweep {other}: start another agent for sweep {sweep}"
            )));
        }
        let is_current = known.epoch == state.identity.epoch;
        if known.info == *info && known.leaving.is_none() && resumed.is_empty() && is_current {
            return Ok(draft.reply(Reply::Done));
        }
        if !is_current {
            // What it held in the restored log it has ended since, or never began.
            for ended in known.holds.iter().filter(|held| !attempts.contains(held)) {
                let message = format!(
                    "agent {agent} does not execute it any more: how it ended is not in the restored log"
                );
                end(
                    &mut draft,
                    ended,
                    AttemptEnding::Failed(Failure::new(
                        FailureKind::Preempted,
                        Blame::External,
                        message,
                    )),
                )?;
            }
        } else if known.info.process != info.process {
            for lost in known.holds.iter().filter(|held| !attempts.contains(held)) {
                // The agent has looked: what it has never started is lost to no one, and goes to another agent at once.
                let is_begun = draft
                    .sweep
                    .attempt(lost)
                    .is_some_and(|attempt| attempt.state != AttemptState::Assigned);
                let message = format!("agent {agent} was started again and knows nothing of it");
                let how = if is_begun {
                    AttemptEnding::Failed(silence(state, agent, message))
                } else {
                    AttemptEnding::Returned
                };
                end(&mut draft, lost, how)?;
            }
        }
    } else if draft.sweep.state.is_terminal() && attempts.is_empty() {
        let hint = format!("`sweep resume {sweep}` makes it run again");
        return Err(Refusal::SweepEnded(format!(
            "{}: it hands out no runs; {hint}",
            standing(sweep, draft.sweep)
        )));
    }
    draft.push(Event::AgentRegistered {
        agent: agent.clone(),
        sweep: sweep.clone(),
        info: info.clone(),
    });
    for attempt in resumed {
        draft.push(Event::AttemptResumed {
            attempt: attempt.clone(),
        });
    }
    draft.finish_if_done();
    Ok(draft.reply(Reply::Done))
}

pub(super) fn acquire(
    state: &State,
    agent: &AgentId,
    sweep: &SweepId,
    offers: &[Offer],
    code_version: &str,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let asking = state
        .agents
        .get(agent)
        .filter(|asking| asking.alive && asking.sweep == *sweep && state.is_registered(asking));
    let asking = asking.ok_or_else(|| Refusal::UnknownAgent(agent.0.clone()))?;
    if draft.sweep.state.is_terminal() {
        let (state, reason) = (draft.sweep.state, draft.sweep.reason.clone());
        return Ok(draft.reply(Reply::Ended { state, reason }));
    }
    if let Some(reason) = hold(state, draft.sweep, agent, asking) {
        return Ok(wait(draft, reason, false));
    }
    // A program that executes its runs itself knows best with what.
    let pinned = draft
        .sweep
        .code
        .pinned
        .as_deref()
        .filter(|_| !asking.info.asks);
    let code_version = pinned.unwrap_or(code_version);
    see(&mut draft, Some(agent), code_version);
    if !asking.info.asks
        && let Some(reason) = unread::hold(&draft)
    {
        return Ok(wait(draft, reason, false));
    }
    let taker = Taker {
        agent,
        code_version,
        pinned: pinned.is_some(),
        asks: asking.info.asks,
    };
    if let Some(run) = queued_for(state, &draft, agent) {
        let attempt = AttemptRef {
            sweep: sweep.clone(),
            run,
            attempt: draft.run(run)?.newest() + 1,
        };
        return Ok(taker.assign(draft, attempt));
    }
    let limit = draft.progress().limit(&draft.sweep.spec);
    let target = target(draft.sweep);
    let target = target.as_deref();
    let offer = usable(&draft, offers, code_version, target);
    match (limit, offer) {
        (None, _) if draft.sweep.spec.method == Method::External => Ok(wait(
            draft,
            "waiting for `sweep offer` or OfferRuns: the method is external",
            false,
        )),
        (None, Some(offer)) => {
            let why = dated(draft.sweep, &offer.suggestion.why);
            let again = offer.again(target, draft.sweep);
            let run = draft.create_runs(&offer.suggestion.config, offer.history, &why, &again);
            Ok(taker.assign(
                draft,
                AttemptRef {
                    sweep: sweep.clone(),
                    run,
                    attempt: 1,
                },
            ))
        }
        (None, None) => Ok(wait(draft, "the search is computing the next point", true)),
        (Some(limit), _) => Ok(at_limit(draft, limit, taker.asks)),
    }
}

/// Returns why an agent gets no run for now, even if some are queued.
fn hold(state: &State, sweep: &Sweep, agent: &AgentId, asking: &Agent) -> Option<String> {
    if sweep.state == SweepState::Paused {
        let why = &sweep.reason;
        let says_more = !why.is_empty() && why != PAUSED_BY_PERSON;
        return Some(if says_more {
            format!("the sweep is paused: {why}")
        } else {
            "the sweep is paused".to_owned()
        });
    }
    if state.identity.is_settling && !asking.info.asks {
        let reason = "the controller was restored: agents have one lease to report the runs that they still execute";
        return Some(reason.to_owned());
    }
    if let Some(reason) = &asking.leaving {
        return Some(format!("agent {agent} is leaving: {reason}"));
    }
    if asking.holds.len() >= asking.slots() {
        return Some(format!(
            "agent {agent} holds {} of the {} attempts that it has slots for",
            asking.holds.len(),
            asking.slots()
        ));
    }
    match &asking.health {
        Health::Quarantined { reason, .. } => {
            Some(format!("agent {agent} is in quarantine: {reason}"))
        }
        Health::Probing { reason, .. } if !asking.holds.is_empty() => Some(format!(
            "agent {agent} is in quarantine and has its probe: {reason}"
        )),
        Health::Ok | Health::Probing { .. } => None,
    }
}

/// Returns the first offer that the sweep can still use.
fn usable<'a>(
    draft: &Draft<'_>,
    offers: &'a [Offer],
    code_version: &str,
    target: Option<&str>,
) -> Option<&'a Offer> {
    let sweep = draft.sweep;
    // What was suggested without knowing of this code can wait: the search has more to say now.
    let knows =
        sweep.spec.method != Method::Bayes || !draft.sees(code_version) || sweep.runs.is_empty();
    let fits =
        |offer: &Offer| offer.history >= sweep.edited && draft.holds(&offer.suggestion.config);
    let taken = &sweep.index.points.keys;
    offers
        .iter()
        .filter(|offer| knows && fits(offer))
        .find(|offer| !taken.contains(&offer.point(target, sweep)))
}

/// Answers that no more runs are created.
fn at_limit(mut draft: Draft<'_>, limit: String, asks: bool) -> Decision {
    if let Some(reason) = draft.finish_if_done() {
        let state = SweepState::Finished;
        return draft.reply(Reply::Ended { state, reason });
    }
    // The caller may have all the runs itself, and would wait for ever.
    if asks {
        let state = draft.sweep.state;
        return draft.reply(Reply::Ended {
            state,
            reason: limit,
        });
    }
    let (live, queued) = (draft.sweep.index.live.len(), draft.sweep.index.queued.len());
    let queued = if queued == 0 {
        String::new()
    } else {
        format!(", {queued} wait for another agent")
    };
    wait(
        draft,
        format!("{limit}; {live} still running{queued}"),
        false,
    )
}

// Says so where results have come in that the search had not seen. Grid points and random draws rest on none.
fn dated(sweep: &Sweep, why: &Why) -> Why {
    if sweep.spec.method != Method::Bayes {
        return why.clone();
    }
    let missed = results(sweep).saturating_sub(why.observations);
    let reason = match missed {
        0 => return why.clone(),
        1 => format!("{}; computed before the last result", why.reason),
        _ => format!("{}; computed before the last {missed} results", why.reason),
    };
    Why {
        reason,
        ..why.clone()
    }
}

fn wait(draft: Draft<'_>, reason: impl Into<String>, wants_suggestion: bool) -> Decision {
    draft.reply(Reply::Wait {
        reason: reason.into(),
        wants_suggestion,
    })
}

/// The taker of a run.
struct Taker<'a> {
    agent: &'a AgentId,
    code_version: &'a str,
    /// It executes that, and not its own.
    pinned: bool,
    asks: bool,
}

impl Taker<'_> {
    // The caller executes the run itself, and it runs from now on.
    fn assign(&self, mut draft: Draft<'_>, attempt: AttemptRef) -> Decision {
        let (agent, code_version) = (self.agent.clone(), self.code_version.to_owned());
        draft.push(Event::AttemptAssigned {
            attempt: attempt.clone(),
            agent,
            code_version,
            pinned: self.pinned,
            origin: None,
        });
        if self.asks {
            draft.push(Event::AttemptStarted {
                attempt: attempt.clone(),
                command: Vec::new(),
                code_version: String::new(),
            });
        }
        draft.reply(Reply::Assigned(attempt))
    }
}

// The lowest queued run that the agent may take: not one that failed on it, as long as another agent could take that.
fn queued_for(state: &State, draft: &Draft<'_>, agent: &AgentId) -> Option<RunNumber> {
    let allowed =
        |run: &Run| !run.retries.avoid.contains(agent) || !another_could(state, draft.id, run);
    draft.sweep.index.queued.iter().copied().find(|number| {
        draft
            .sweep
            .runs
            .get(*number)
            .is_some_and(|run| allowed(&run))
    })
}

fn another_could(state: &State, sweep: &SweepId, run: &Run) -> bool {
    let could = |(id, agent): (&AgentId, &Agent)| {
        let stays = agent.alive && agent.leaving.is_none();
        stays
            && agent.health == Health::Ok
            && agent.sweep == *sweep
            && !run.retries.avoid.contains(id)
    };
    state.agents.iter().any(could)
}

pub(super) fn announce_leaving(
    state: &State,
    id: &AgentId,
    reason: &str,
) -> Result<Decision, Refusal> {
    let agent = state
        .agents
        .get(id)
        .ok_or_else(|| Refusal::UnknownAgent(id.0.clone()))?;
    let is_news = agent.alive && agent.leaving.is_none();
    let events = if is_news {
        vec![Event::AgentLeaving {
            agent: id.clone(),
            reason: reason.to_owned(),
        }]
    } else {
        Vec::new()
    };
    Ok(Decision {
        events,
        reply: Reply::Done,
    })
}

// What it held is lost, or preempted where it left by itself or announced it.
pub(super) fn remove(
    state: &State,
    agent: &AgentId,
    lost: bool,
    reason: &str,
) -> Result<Decision, Refusal> {
    let leaving = state
        .agents
        .get(agent)
        .ok_or_else(|| Refusal::UnknownAgent(agent.0.clone()))?;
    let mut draft = Draft::of(state, &leaving.sweep)?;
    let quarantine = match &leaving.health {
        Health::Ok => String::new(),
        Health::Quarantined { reason, .. } | Health::Probing { reason, .. } => reason.clone(),
    };
    let left = Reply::Left { quarantine };
    if !leaving.alive {
        return Ok(draft.reply(left));
    }
    let failed = if lost {
        silence(state, agent, reason.to_owned())
    } else {
        Failure::new(FailureKind::Preempted, Blame::External, reason.to_owned())
    };
    for attempt in &leaving.holds {
        end(&mut draft, attempt, AttemptEnding::Failed(failed.clone()))?;
    }
    draft.push(Event::AgentRemoved {
        agent: agent.clone(),
        reason: reason.to_owned(),
    });
    draft.finish_if_done();
    Ok(draft.reply(left))
}

pub(super) fn probe(state: &State, id: &AgentId) -> Result<Decision, Refusal> {
    let agent = state
        .agents
        .get(id)
        .ok_or_else(|| Refusal::UnknownAgent(id.0.clone()))?;
    let waits = agent.alive && matches!(agent.health, Health::Quarantined { .. });
    let events = if waits {
        vec![Event::AgentProbed { agent: id.clone() }]
    } else {
        Vec::new()
    };
    Ok(Decision {
        events,
        reply: Reply::Done,
    })
}

pub(super) fn readmit(state: &State, id: &AgentId) -> Result<Decision, Refusal> {
    let agent = state
        .agents
        .get(id)
        .ok_or_else(|| Refusal::UnknownAgent(id.0.clone()))?;
    if !agent.alive {
        return Err(Refusal::WrongState(format!(
            "agent {id} has left or was lost; a new one has to be started on its machine"
        )));
    }
    let mut draft = Draft::of(state, &agent.sweep)?;
    if agent.health == Health::Ok {
        let hint = if draft.sweep.stalled {
            format!(
                "; {}: `sweep resume {}`",
                standing(draft.id, draft.sweep),
                draft.id
            )
        } else {
            String::new()
        };
        return Err(Refusal::WrongState(format!(
            "agent {id} is not in quarantine{hint}"
        )));
    }
    draft.push(Event::AgentReadmitted {
        agent: id.clone(),
        reason: "readmitted by user".to_owned(),
    });
    Ok(draft.reply(Reply::Done))
}
