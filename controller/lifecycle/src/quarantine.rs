//! Whether an agent fails by itself: a black hole, which would swallow run after run.
//!
//! A configuration that fails says little of the agent, so what counts is how improbable its row of failures is where others do well. Of `w`
//! attempts elsewhere that did well and `b` that failed, Laplace's rule gives the probability of a failure as `(b + 1) / (w + b + 2)`; a row of
//! `k` failed runs has that to the power of `k`. With five others at work on their first runs, three are enough.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::state::{
    Agent, AgentId, Attempt, AttemptRef, AttemptState, Failure, Health, RunNumber, State, Sweep,
};

/// A shorter row is chance, independently of others.
const ROW_MIN: usize = 3;
/// How improbable the row of an agent has to be on which nothing has ever ended well, and of one that has a record.
const CHANCE_WITHOUT_RECORD: f64 = 0.01;
const CHANCE_WITH_RECORD: f64 = 1e-4;
/// With as many failures in rows that all agents are in, even odds would give less than one in a hundred.
const STALL_MIN: usize = 7;
/// Runs of its row that succeeded elsewhere, from which on the machine is at fault.
const REFUTED_MIN: usize = 2;

const FIRST_DELAY: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(600);

/// Returns how long an agent in quarantine waits for its next probe: ever longer, but where no other agent could take the run there is nothing to
/// spare it.
pub fn probe_delay(state: &State, id: &AgentId) -> Duration {
    let Some(agent) = state.agents.get(id) else {
        return FIRST_DELAY;
    };
    let probes = match agent.health {
        Health::Quarantined { probes, .. } if taken_over(state, id, agent) => probes,
        _ => 0,
    };
    FIRST_DELAY
        .saturating_mul(1 << probes.min(16))
        .min(DELAY_MAX)
}

/// Returns whether another agent could take the runs of this one.
pub(crate) fn taken_over(state: &State, id: &AgentId, agent: &Agent) -> bool {
    let mut others = state.agents.iter().filter(|(other, _)| *other != id);
    others.any(|(_, other)| {
        other.alive && other.health == Health::Ok && other.sweep == agent.sweep && !other.info.asks
    })
}

impl Agent {
    /// Failures that are not put down to the agent itself, as its row is while it is in quarantine. Where nothing has ever ended well on it, it is
    /// under suspicion as well: it counts for no more than chance explains.
    fn blameless_failures(&self) -> u64 {
        match (&self.health, self.succeeded) {
            (Health::Ok, 0) => self.failed.min(ROW_MIN as u64 - 1),
            (Health::Ok, _) => self.failed,
            // Its row may be shorter than what has failed on it: another broken machine on which the same runs fail shortens it.
            (_, 0) => 0,
            _ => self.failed.saturating_sub(self.streak.len() as u64),
        }
    }
}

/// The outcomes of attempts on other agents of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherAgents {
    /// Ended well, or have outlived the one that failed now.
    pub(crate) well: u64,
    pub(crate) badly: u64,
}

impl OtherAgents {
    /// Looks at the other agents when `failing` fails. The rows of those that are in quarantine count only where no agent does well: then
    /// configurations may be to blame. Otherwise one broken machine would excuse the next.
    pub(crate) fn of(state: &State, sweep: &Sweep, failing: &AttemptRef, agent: &AgentId) -> Self {
        let order = sweep.attempt(failing).map_or(0, |failing| failing.order);
        let running = |live: &Attempt| {
            live.state == AttemptState::Running && live.order < order && live.agent != *agent
        };
        let outlived = |run: &&RunNumber| {
            sweep
                .runs
                .get(**run)
                .is_some_and(|run| run.attempts.last().is_some_and(running))
        };
        let others = || {
            state.agents.iter().filter(|(id, other)| {
                *id != agent && other.sweep == failing.sweep && !other.info.asks
            })
        };
        let ended: u64 = others().map(|(_, other)| other.succeeded).sum();
        let well = ended + sweep.index.live.iter().filter(outlived).count() as u64;
        let badly = |(_, other): (_, &Agent)| {
            if well > 0 {
                other.blameless_failures()
            } else {
                other.failed
            }
        };
        Self {
            well,
            badly: others().map(badly).sum(),
        }
    }

    fn is_empty(self) -> bool {
        self.well + self.badly == 0
    }

    fn chance_of_failure(self) -> f64 {
        (self.badly as f64 + 1.0) / ((self.well + self.badly) as f64 + 2.0)
    }
}

/// The runs in an agent's row of failures, `failing` included.
pub(crate) fn row(agent: &Agent, failing: &AttemptRef) -> BTreeSet<RunNumber> {
    agent
        .streak
        .iter()
        .filter(|earlier| earlier.sweep == failing.sweep)
        .chain([failing])
        .map(|attempt| attempt.run)
        .collect()
}

/// Returns why an agent gets no more runs when `failing` has failed on it; `None`: that may be chance.
pub(crate) fn judge(
    sweep: &Sweep,
    id: &AgentId,
    agent: &Agent,
    failing: &AttemptRef,
    failure: &Failure,
    elsewhere: OtherAgents,
) -> Option<String> {
    let row = row(agent, failing);
    let well_elsewhere = |run: &&RunNumber| {
        let ended_well =
            |attempt: &Attempt| attempt.agent != *id && attempt.state == AttemptState::Finished;
        sweep
            .runs
            .get(**run)
            .is_some_and(|run| run.attempts.iter().any(ended_well))
    };
    let refuted = row.iter().filter(well_elsewhere).count();
    // Its own past is the only measure of an agent that has been alone.
    let own = OtherAgents {
        well: agent.succeeded,
        badly: agent.failed.saturating_sub(agent.streak.len() as u64),
    };
    let (measure, chance) = match (agent.succeeded, elsewhere.is_empty()) {
        (0, _) => (elsewhere, CHANCE_WITHOUT_RECORD),
        (_, true) => (own, CHANCE_WITH_RECORD),
        (_, false) => (elsewhere, CHANCE_WITH_RECORD),
    };
    let length = i32::try_from(row.len()).unwrap_or(i32::MAX);
    let improbable = measure.is_empty() || measure.chance_of_failure().powi(length) < chance;
    if row.len() < ROW_MIN || !(improbable || refuted >= REFUTED_MIN) {
        return None;
    }
    let others = match (elsewhere.well, elsewhere.badly) {
        (0, 0) => "nothing has run elsewhere yet".to_owned(),
        (well, badly) => format!("elsewhere {well} of {} did well", well + badly),
    };
    Some(format!(
        "{} runs in a row failed on it; {others}; the last: {}",
        row.len(),
        words(failure)
    ))
}

/// Returns why the sweep gets nowhere when `failing` has failed on the only agent that was still trusted.
pub(crate) fn stalled(
    state: &State,
    failing: &AttemptRef,
    id: &AgentId,
    failure: &Failure,
) -> Option<String> {
    let alive = || {
        state
            .agents
            .iter()
            .filter(|(_, agent)| agent.alive && agent.sweep == failing.sweep && !agent.info.asks)
    };
    if alive().any(|(other, agent)| other != id && agent.health == Health::Ok) {
        return None;
    }
    let mut runs: BTreeSet<RunNumber> = alive()
        .flat_map(|(_, agent)| &agent.streak)
        .map(|attempt| attempt.run)
        .collect();
    runs.insert(failing.run);
    let agents = alive().count();
    let agents = if agents == 1 {
        "the only agent".to_owned()
    } else {
        format!("each of the {agents} agents")
    };
    (runs.len() >= STALL_MIN).then(|| {
        format!(
            "run after run fails on {agents}, {} so far; the last: {}",
            runs.len(),
            words(failure)
        )
    })
}

/// In words, short.
pub(crate) fn words(failure: &Failure) -> String {
    if failure.message.is_empty() {
        failure.kind.to_string()
    } else {
        failure.message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{AgentInfo, SweepId, Timestamp};

    fn agent(health: Health) -> Agent {
        let sweep = SweepId("k3x9q2ab".to_owned());
        Agent {
            health,
            ..Agent::new(sweep, AgentInfo::default(), 0, Timestamp::default())
        }
    }

    #[test]
    fn probes_come_ever_less_often() {
        let id = AgentId("hole".to_owned());
        let mut state = State::default();
        state.agents.insert(id.clone(), agent(Health::Ok));
        let delays = |probes: &[u32], state: &mut State| -> Vec<u64> {
            let mut delay = |probes: &u32| {
                state.agents.insert(
                    id.clone(),
                    agent(Health::Quarantined {
                        reason: "x".to_owned(),
                        probes: *probes,
                    }),
                );
                probe_delay(state, &id).as_secs()
            };
            probes.iter().map(&mut delay).collect()
        };
        assert_eq!(delays(&[0, 1, 9], &mut state), [1, 1, 1], "it is alone");
        state
            .agents
            .insert(AgentId("ann".to_owned()), agent(Health::Ok));
        assert_eq!(
            delays(&[0, 1, 2, 3, 8, 9, 10, u32::MAX], &mut state),
            [1, 2, 4, 8, 256, 512, 600, 600]
        );
    }

    #[test]
    fn three_failures_are_enough_among_five_others_and_not_where_half_of_all_fail() {
        let chance = |well, badly, row| OtherAgents { well, badly }.chance_of_failure().powi(row);
        assert!(chance(5, 0, 3) < CHANCE_WITHOUT_RECORD);
        assert!(chance(10, 10, 6) > CHANCE_WITHOUT_RECORD);
        assert!(chance(10, 10, 7) < CHANCE_WITHOUT_RECORD);
        assert!(chance(100, 0, 3) < CHANCE_WITH_RECORD);
    }
}
