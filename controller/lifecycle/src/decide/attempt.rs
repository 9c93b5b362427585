//! Attempts: started, reporting, ended, lost.

use std::borrow::Cow;

use sweep_search::early_stop::{Peer, Reporting};

use super::code::see;
use super::draft::Draft;
use super::ending::{AttemptEnding, end, silence};
use crate::command::{AttemptResult, Decision, Directive, Refusal, Reply, TellOutcome};
use crate::event::{Event, MetricPoint};
use crate::inits;
use crate::quarantine::words;
use crate::spec::OnLeaseLost;
use crate::state::{
    AgentId, Attempt, AttemptNumber, AttemptRef, AttemptState, Run, RunState, State, StopKind,
    StopRequest, Sweep, add_iteration,
};
use crate::versions::{canonical, is_unusable};

pub(super) fn start(
    state: &State,
    agent: &AgentId,
    attempt: &AttemptRef,
    command: &[String],
    code_version: &str,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, &attempt.sweep)?;
    let found = find(&draft, agent, attempt)?;
    let (run, starting) = found.parts();
    // Mostly it is the one that the run was asked for with.
    let code_version = if run.code_version == code_version {
        String::new()
    } else {
        code_version.to_owned()
    };
    let started = Event::AttemptStarted {
        attempt: attempt.clone(),
        command: command.to_vec(),
        code_version,
    };
    match starting.state {
        AttemptState::Assigned => push_start(&mut draft, agent, started),
        AttemptState::Running => {}
        _ if may_resume(&draft, agent, attempt) => {
            resume(&mut draft, state, agent, attempt)?;
            if starting.started.is_none() {
                push_start(&mut draft, agent, started);
            }
        }
        _ => return Err(stale(attempt, gone(run, attempt, starting))),
    }
    Ok(draft.reply(Reply::Directive(wanted(starting.stop.as_ref()))))
}

fn push_start(draft: &mut Draft<'_>, agent: &AgentId, started: Event) {
    if let Event::AttemptStarted { code_version, .. } = &started {
        see(draft, Some(agent), code_version);
    }
    draft.push(started);
}

// A report is a fact: that of an attempt which no longer owns its run is kept, under that attempt, and changes nothing else.
pub(super) fn report(
    state: &State,
    agent: &AgentId,
    attempt: &AttemptRef,
    first_seq: u64,
    points: &[MetricPoint],
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, &attempt.sweep)?;
    let found = find(&draft, agent, attempt)?;
    let (run, reporting) = found.parts();
    if first_seq > reporting.points && !points.is_empty() {
        let (known, last) = (reporting.points, first_seq - 1);
        return Err(Refusal::MissingPoints {
            run: attempt.run,
            attempt: attempt.attempt,
            known,
            last,
        });
    }
    let known = usize::try_from(reporting.points.saturating_sub(first_seq)).unwrap_or(usize::MAX);
    let news = points.get(known..).unwrap_or_default();
    let mut live = reporting.state.is_live();
    if !live && may_resume(&draft, agent, attempt) {
        resume(&mut draft, state, agent, attempt)?;
        live = true;
    }
    if !news.is_empty() {
        let first_seq = first_seq.max(reporting.points);
        draft.push(Event::MetricsReported {
            attempt: attempt.clone(),
            first_seq,
            points: news.to_vec(),
            stale: !live,
        });
    }
    if !live {
        return Ok(draft.reply(Reply::Directive(Directive::Abandon {
            reason: gone(run, attempt, reporting),
        })));
    }
    let mut stop = reporting.stop.clone();
    if stop.is_none() && reporting.state == AttemptState::Running {
        stop = early_stop(draft.sweep, attempt, reporting, news);
        if let Some(request) = &stop {
            draft.push(Event::StopRequested {
                attempt: attempt.clone(),
                request: request.clone(),
            });
        }
    }
    Ok(draft.reply(Reply::Directive(wanted(stop.as_ref()))))
}

fn early_stop(
    sweep: &Sweep,
    attempt: &AttemptRef,
    reporting: &Attempt,
    news: &[MetricPoint],
) -> Option<StopRequest> {
    let (rule, objective) = (
        sweep.spec.early_terminate.as_ref()?,
        sweep.spec.objective.as_ref()?,
    );
    if news.iter().all(|point| point.name != objective.metric) {
        return None;
    }
    let (mut series, mut last) = (reporting.series.clone(), reporting.objective_step);
    for point in news.iter().filter(|point| point.name == objective.metric) {
        add_iteration(&mut series, &mut last, point.step, point.value);
    }
    // Beside runs of other code, that of code which moves every result would all be stopped, or none of them.
    let code = canonical(&sweep.code.versions, sweep.code.version(reporting.code));
    let comparable = |run: &Run| {
        !is_unusable(&sweep.code.versions, &run.code_version)
            && canonical(&sweep.code.versions, &run.code_version) == code
    };
    // A sweep with such a rule seals nothing.
    let others = sweep
        .runs
        .open()
        .filter(|(number, run)| *number != attempt.run && comparable(run))
        .map(|(_, run)| run);
    let best = match sweep.index.best {
        Some((_, value)) if sweep.code.versions.len() < 2 => Some(value),
        _ => others
            .clone()
            .filter_map(|run| eligible(sweep, run))
            .reduce(|a, b| if objective.goal.is_better(b, a) { b } else { a }),
    };
    let reporting = Reporting {
        goal: objective.goal,
        series: &series,
        known: reporting.series.len(),
        best,
    };
    let stop = rule.judge(&reporting, others.map(peer))?;
    Some(StopRequest {
        kind: StopKind::Early,
        reason: stop.reason,
        predicted: stop.predicted,
    })
}

/// The value of a run that could be the best.
fn eligible(sweep: &Sweep, run: &Run) -> Option<f64> {
    let keeps = run
        .violations(&sweep.spec.constraints)
        .iter()
        .all(|violation| violation.is_some_and(|violation| violation <= 0.0));
    run.value
        .filter(|_| keeps && matches!(run.state, RunState::Finished | RunState::Stopped))
}

fn peer(run: &Run) -> Peer<'_> {
    Peer {
        series: run.series(),
        value: run.value.filter(|_| run.state == RunState::Finished),
    }
}

pub(super) fn finish(
    state: &State,
    agent: &AgentId,
    attempt: &AttemptRef,
    result: &AttemptResult,
) -> Result<Decision, Refusal> {
    finish_in(Draft::of(state, &attempt.sweep)?, agent, attempt, result)
}

pub(super) fn finish_in(
    mut draft: Draft<'_>,
    agent: &AgentId,
    attempt: &AttemptRef,
    result: &AttemptResult,
) -> Result<Decision, Refusal> {
    let found = find(&draft, agent, attempt)?;
    let (run, finishing) = found.parts();
    let newest = attempt.attempt == run.newest();
    let after = if finishing.state.is_live() {
        end(&mut draft, attempt, result.into())?
    } else if may_resume(&draft, agent, attempt) {
        adopt(&mut draft, attempt, run, result)?
    } else if newest && !given_up(finishing) {
        // Its result is known: the first word holds.
        run.state
    } else {
        return orphan(draft, attempt, run, finishing, result);
    };
    draft.finish_if_done();
    draft.stall_if_hopeless();
    Ok(draft.reply(Reply::Run(after)))
}

// A result that comes too late is a fact all the same: people can see it beside the run.
fn orphan(
    mut draft: Draft<'_>,
    attempt: &AttemptRef,
    run: &Run,
    finishing: &Attempt,
    result: &AttemptResult,
) -> Result<Decision, Refusal> {
    let reason = gone(run, attempt, finishing);
    let Some(words) = late_words(&draft, finishing, result) else {
        return Err(stale(attempt, reason));
    };
    if finishing.orphan.is_empty() {
        draft.push(Event::ResultOrphaned {
            attempt: attempt.clone(),
            words,
        });
    }
    Ok(draft.reply(Reply::Orphaned {
        run: attempt.run,
        attempt: attempt.attempt,
        reason,
    }))
}

fn late_words(draft: &Draft<'_>, finishing: &Attempt, result: &AttemptResult) -> Option<String> {
    let objective = draft.sweep.spec.objective.as_ref();
    let reached =
        objective.and_then(|objective| Some((objective, inits::value(objective, finishing)?)));
    let reached = reached
        .map(|(objective, value)| format!(" with {} = {value}", objective.metric))
        .unwrap_or_default();
    match result {
        AttemptResult::Succeeded => Some(format!("ended well{reached}, too late to count")),
        AttemptResult::Stopped(_) => Some(format!("was stopped{reached}, too late to count")),
        AttemptResult::Failed(failure) => {
            Some(format!("failed, too late to count: {}", words(failure)))
        }
        AttemptResult::Told(TellOutcome::Value(value)) => Some(format!(
            "was told to have come to {value}, too late to count"
        )),
        AttemptResult::Told(TellOutcome::Failed(reason)) => Some(format!(
            "was told to have failed, too late to count: {reason}"
        )),
        AttemptResult::Preempted | AttemptResult::Returned => None,
    }
}

// The controller ended it; its agent has not reported the outcome.
fn given_up(attempt: &Attempt) -> bool {
    matches!(attempt.state, AttemptState::Lost | AttemptState::Preempted)
}

fn may_be_late(draft: &Draft<'_>) -> bool {
    draft.sweep.spec.on_lease_lost == OnLeaseLost::Continue
}

/// Returns whether an attempt that was given up may continue: no other has begun its run.
pub(super) fn may_resume(draft: &Draft<'_>, agent: &AgentId, attempt: &AttemptRef) -> bool {
    let Ok(found) = find(draft, agent, attempt) else {
        return false;
    };
    let (run, lost) = found.parts();
    // What an edit has withdrawn in the meantime may still end by itself, as what ran on did.
    let withdrawn =
        run.point.withdrawn && !draft.sweep.state.is_terminal() && !draft.sweep.has_instead(run);
    let unclaimed = attempt.attempt == run.newest() && (run.state == RunState::Queued || withdrawn);
    unclaimed && given_up(lost) && lost.stop.is_none() && may_be_late(draft)
}

// An agent whose own lease has ended has to register first: until then nothing is its own.
fn resume(
    draft: &mut Draft<'_>,
    state: &State,
    agent: &AgentId,
    attempt: &AttemptRef,
) -> Result<(), Refusal> {
    match state.agents.get(agent).filter(|agent| agent.alive) {
        None => Err(Refusal::UnknownAgent(agent.0.clone())),
        Some(elsewhere) if elsewhere.sweep != attempt.sweep => Err(stale(
            attempt,
            format!("agent {agent} works for sweep {} now", elsewhere.sweep),
        )),
        Some(_) => {
            draft.push(Event::AttemptResumed {
                attempt: attempt.clone(),
            });
            Ok(())
        }
    }
}

// The late result of an attempt given up for lost, whose run no other attempt has begun: it spares the run another attempt.
fn adopt(
    draft: &mut Draft<'_>,
    attempt: &AttemptRef,
    run: &Run,
    result: &AttemptResult,
) -> Result<RunState, Refusal> {
    match result {
        AttemptResult::Succeeded
        | AttemptResult::Stopped(_)
        | AttemptResult::Failed(_)
        | AttemptResult::Told(_) => end(draft, attempt, result.into()),
        AttemptResult::Preempted | AttemptResult::Returned => Ok(run.state),
    }
}

pub(super) fn lose(state: &State, attempt: &AttemptRef) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, &attempt.sweep)?;
    let run = draft.run(attempt.run)?;
    let losing = run
        .attempt(attempt.attempt)
        .ok_or_else(|| stale(attempt, "there is no such attempt".to_owned()))?;
    let mut after = run.state;
    if losing.state.is_live() {
        let message = format!(
            "agent {} said nothing of it for longer than its lease",
            losing.agent
        );
        after = end(
            &mut draft,
            attempt,
            AttemptEnding::Failed(silence(state, &losing.agent, message)),
        )?;
        draft.finish_if_done();
    }
    Ok(draft.reply(Reply::Run(after)))
}

/// Returns what the controller wants of an attempt that an agent believes to be its own. Never fails: what is not the
/// agent's must be abandoned.
pub fn directive(state: &State, agent: &AgentId, attempt: &AttemptRef) -> Directive {
    let found = Draft::of(state, &attempt.sweep).and_then(|draft| find(&draft, agent, attempt));
    match found.as_ref().map(LocatedAttempt::parts) {
        Ok((_, held)) if held.state.is_live() => wanted(held.stop.as_ref()),
        // Its next report takes it up again.
        Ok(_)
            if Draft::of(state, &attempt.sweep)
                .is_ok_and(|draft| may_resume(&draft, agent, attempt)) =>
        {
            Directive::Continue
        }
        Ok((run, held)) => Directive::Abandon {
            reason: gone(run, attempt, held),
        },
        // Its next report is refused in the same way, and its agent registers again.
        Err(Refusal::UnknownAgent(_)) => Directive::Continue,
        Err(refusal) => Directive::Abandon {
            reason: refusal.to_string(),
        },
    }
}

fn wanted(stop: Option<&StopRequest>) -> Directive {
    match stop {
        None => Directive::Continue,
        Some(stop) => Directive::Stop {
            kind: stop.kind,
            reason: stop.reason.clone(),
        },
    }
}

/// A run and one of its attempts.
struct LocatedAttempt<'a> {
    run: Cow<'a, Run>,
    attempt: AttemptNumber,
}

impl LocatedAttempt<'_> {
    fn parts(&self) -> (&Run, &Attempt) {
        (
            &self.run,
            self.run.attempt(self.attempt).expect("`find` has looked"),
        )
    }
}

fn find<'a>(
    draft: &Draft<'a>,
    agent: &AgentId,
    attempt: &AttemptRef,
) -> Result<LocatedAttempt<'a>, Refusal> {
    if draft
        .state
        .agents
        .get(agent)
        .is_some_and(|known| !draft.state.is_registered(known))
    {
        return Err(Refusal::UnknownAgent(agent.0.clone()));
    }
    let unknown = || Refusal::UnknownAttempt {
        run: attempt.run,
        attempt: attempt.attempt,
    };
    let run = draft.run(attempt.run).map_err(|_| unknown())?;
    let found = run.attempt(attempt.attempt).ok_or_else(unknown)?;
    if found.agent != *agent {
        return Err(stale(
            attempt,
            format!("it belongs to agent {}, not to agent {agent}", found.agent),
        ));
    }
    Ok(LocatedAttempt {
        run,
        attempt: attempt.attempt,
    })
}

pub(super) fn stale(attempt: &AttemptRef, reason: String) -> Refusal {
    Refusal::StaleAttempt {
        run: attempt.run,
        attempt: attempt.attempt,
        reason,
    }
}

// Why an attempt does not own its run.
fn gone(run: &Run, attempt: &AttemptRef, held: &Attempt) -> String {
    let newest = run.attempts.last().filter(|newest| newest.state.is_live());
    match newest {
        Some(owner) => format!(
            "it is {}, and agent {} executes attempt {} now",
            held.state,
            owner.agent,
            run.newest()
        ),
        None => format!(
            "attempt {} is {}, the run is {}",
            attempt.attempt, held.state, run.state
        ),
    }
}
