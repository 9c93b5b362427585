//! Quarantine: agents that fail by themselves are quarantined, probed and readmitted; and the effect on runs that failed on them.

use std::collections::BTreeSet;

use super::draft::Draft;
use crate::event::{Event, RetryCause};
use crate::quarantine::{OtherAgents, judge, stalled, taken_over, words};
use crate::state::{
    Agent, AgentId, AttemptRef, Blame, Failure, Health, Retries, RunNumber, RunState,
};

/// Runs with a refused command line that pause a sweep if none succeeded.
const REFUSED_MIN: usize = 3;

/// The evidence of a failure against the agent.
pub(super) struct HealthVerdict {
    /// The run is not to suffer for it.
    pub(super) absolves: bool,
    /// The agent gets no runs from now on: why, and how many probes have failed.
    quarantine: Option<(String, u32)>,
}

/// Judges the agent of an attempt that is about to be recorded as failed.
pub(super) fn on_failure(
    draft: &Draft<'_>,
    failing: &AttemptRef,
    id: &AgentId,
    failure: &Failure,
) -> HealthVerdict {
    let fine = HealthVerdict {
        absolves: false,
        quarantine: None,
    };
    let Some(agent) = draft
        .state
        .agents
        .get(id)
        .filter(|agent| !agent.info.asks && failure.may_be_the_agents())
    else {
        return fine;
    };
    let elsewhere = OtherAgents::of(draft.state, draft.sweep, failing, id);
    let quarantine = match &agent.health {
        Health::Ok => {
            judge(draft.sweep, id, agent, failing, failure, elsewhere).map(|reason| (reason, 0))
        }
        Health::Quarantined { reason, probes } => Some((reason.clone(), *probes)),
        Health::Probing { reason, probes } => Some((reason.clone(), probes + 1)),
    };
    HealthVerdict {
        absolves: quarantine.is_some() && elsewhere.well > 0 && taken_over(draft.state, id, agent),
        quarantine,
    }
}

/// Records what a failure has said of the agent, after what it means for its run.
pub(super) fn settle(
    draft: &mut Draft<'_>,
    failing: &AttemptRef,
    id: &AgentId,
    failure: &Failure,
    verdict: HealthVerdict,
) {
    let Some((reason, probes)) = verdict.quarantine else {
        return vindicate(draft, failing, id);
    };
    let Some(agent) = draft.state.agents.get(id) else {
        return;
    };
    let is_news = agent.health
        != Health::Quarantined {
            reason: reason.clone(),
            probes,
        };
    if is_news {
        draft.push(Event::AgentQuarantined {
            agent: id.clone(),
            reason,
            probes,
        });
    }
    if verdict.absolves {
        absolve(draft, id, agent, Some(failing));
    }
    let resume = |reason| {
        format!(
            "{reason}; after a fix, `sweep resume {}` continues and tries those runs again",
            draft.id
        )
    };
    draft.stall = stalled(draft.state, failing, id, failure).map(resume);
}

/// Returns why the sweep gets nowhere when a program has refused its command line: it did so before, and no run has ended well.
pub(super) fn refused(draft: &Draft<'_>, failing: RunNumber, failure: &Failure) -> Option<String> {
    let runs = &draft.sweep.runs;
    if [RunState::Finished, RunState::Stopped]
        .into_iter()
        .any(|state| runs.in_state(state).next().is_some())
    {
        return None;
    }
    let is_refused = |number: &RunNumber| {
        let last = runs
            .get(*number)
            .and_then(|run| run.attempts.last()?.failure.clone());
        last.is_some_and(|failure| failure.blame == Blame::CommandLine)
    };
    let before = runs
        .in_state(RunState::Failed)
        .filter(|number| *number != failing)
        .filter(is_refused)
        .count();
    let times = before + 1;
    (times >= REFUSED_MIN).then(|| {
        format!(
            "the program refuses its command line, {times} times so far; correct `command` (`sweep edit`) or the program, then resume; the last: {}",
            words(failure)
        )
    })
}

// What has failed on two agents is no fault of the first: without it, its row may be too short to hold it back.
fn vindicate(draft: &mut Draft<'_>, failing: &AttemptRef, id: &AgentId) {
    let of_this_run =
        |attempt: &&AttemptRef| attempt.sweep == failing.sweep && attempt.run == failing.run;
    for (other, agent) in draft
        .state
        .agents
        .iter()
        .filter(|(other, agent)| *other != id && agent.health != Health::Ok)
    {
        let explained = agent.streak.iter().filter(of_this_run).count();
        if explained > 0 && agent.streak.len() == explained {
            let reason = "what failed on it fails elsewhere too".to_owned();
            draft.push(Event::AgentReadmitted {
                agent: other.clone(),
                reason,
            });
        }
    }
}

/// Records what an attempt that ended well says of agents: its own does well again, and those in quarantine have no excuse.
pub(super) fn on_success(draft: &mut Draft<'_>, ended: &AttemptRef, id: &AgentId) {
    let agents = draft
        .state
        .agents
        .iter()
        .filter(|(_, agent)| agent.sweep == ended.sweep && agent.health != Health::Ok);
    for (other, agent) in agents {
        if other == id {
            draft.push(Event::AgentReadmitted {
                agent: id.clone(),
                reason: format!("run {} ended well on it", ended.run),
            });
        } else {
            absolve(draft, other, agent, Some(ended));
        }
    }
}

// The runs of an agent's row get another chance, all but the one that is being settled now.
fn absolve(draft: &mut Draft<'_>, id: &AgentId, agent: &Agent, settled: Option<&AttemptRef>) {
    if draft.sweep_state().is_terminal() {
        return;
    }
    let mut seen = BTreeSet::new();
    for failed in agent.streak.iter().filter(|failed| {
        failed.sweep == *draft.id && settled.is_none_or(|settled| settled.run != failed.run)
    }) {
        let Some(run) = draft
            .sweep
            .runs
            .get(failed.run)
            .filter(|_| seen.insert(failed.run))
        else {
            continue;
        };
        match run.state {
            RunState::Failed => {
                let reason = format!(
                    "failed on agent {id}, on which run after run fails: tried again elsewhere"
                );
                draft.requeue(
                    failed.run,
                    reason,
                    Some(RetryCause::Absolved),
                    Some(id.clone()),
                );
            }
            RunState::Queued | RunState::Assigned | RunState::Running
                if run.retries.counts != Retries::default() =>
            {
                draft.push(Event::RunAbsolved {
                    sweep: draft.id.clone(),
                    run: failed.run,
                    agent: id.clone(),
                });
            }
            _ => {}
        }
    }
}

/// Lets all agents of a stalled sweep have runs again, and has those tried again that failed on them: something was mended meanwhile.
pub(super) fn reset_health(draft: &mut Draft<'_>) {
    let agents = draft
        .state
        .agents
        .iter()
        .filter(|(_, agent)| agent.sweep == *draft.id && agent.health != Health::Ok);
    for (id, agent) in agents {
        absolve(draft, id, agent, None);
        draft.push(Event::AgentReadmitted {
            agent: id.clone(),
            reason: "the sweep was resumed".to_owned(),
        });
    }
}
