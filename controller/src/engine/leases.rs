//! Starts leases, renews them when an agent reports, and handles those that end.

use std::time::Duration;

use sweep_lifecycle::command::Command;
use sweep_lifecycle::lease::{LeaseHolder, Leases, Mono};
use sweep_lifecycle::quarantine::probe_delay;
use sweep_lifecycle::state::{AgentId, AttemptRef, Health};

use super::Terms;
use super::group::CommitGroup;
use super::writer::Writer;

/// A program that asks and has no run is forgotten after this many leases, and not before this time.
const IDLE_ASKER_LEASES: u32 = 10;
const IDLE_ASKER_MIN: Duration = Duration::from_secs(300);

impl Writer {
    /// Gives an agent that is alive, and those of the attempts that are its own, a new term.
    pub(super) fn renew(&mut self, agent: &AgentId, attempts: &[AttemptRef]) {
        let Some(known) = self.state.agents.get(agent).filter(|known| known.alive) else {
            return;
        };
        let term = self.term(agent);
        self.leases.renew(LeaseHolder::Agent(agent.clone()), term);
        for attempt in attempts
            .iter()
            .filter(|attempt| known.holds.contains(attempt))
        {
            self.leases
                .renew(LeaseHolder::Attempt(attempt.clone()), term);
        }
    }

    /// Returns when a lease that an agent begins or renews now ends.
    pub(super) fn term(&self, agent: &AgentId) -> Mono {
        self.clock.now().saturating_add(self.lease_of(agent))
    }

    /// Returns how long an agent may be silent. A program that asks executes its runs in silence; without one it is soon forgotten, since each
    /// process of a user may have another name.
    fn lease_of(&self, agent: &AgentId) -> Duration {
        let Terms {
            lease, ask_lease, ..
        } = self.terms;
        match self.state.agents.get(agent).filter(|agent| agent.info.asks) {
            Some(asking) if asking.holds.is_empty() => {
                ask_lease.min(IDLE_ASKER_MIN.max(lease * IDLE_ASKER_LEASES))
            }
            Some(_) => ask_lease,
            None => lease,
        }
    }

    /// Gives everybody a full new term.
    pub(super) fn renew_all(&mut self) {
        self.leases = Leases::default();
        if self.state.identity.is_settling {
            self.leases.renew(
                LeaseHolder::Settling,
                self.clock.now().saturating_add(self.terms.lease),
            );
        }
        for (id, agent) in self.state.agents.iter().filter(|(_, agent)| agent.alive) {
            let term = self.term(id);
            self.leases.renew(LeaseHolder::Agent(id.clone()), term);
            for attempt in &agent.holds {
                self.leases
                    .renew(LeaseHolder::Attempt(attempt.clone()), term);
            }
            if let Health::Quarantined { .. } = agent.health {
                let ends = self
                    .clock
                    .now()
                    .saturating_add(probe_delay(&self.state, id));
                self.leases.renew(LeaseHolder::Quarantine(id.clone()), ends);
            }
        }
    }

    /// An attempt that was handed out but is never named by its agent is lost like one whose agent is silent.
    pub(super) fn end_leases(&mut self, group: &mut CommitGroup) {
        if self.is_full() {
            return;
        }
        for holder in self.leases.take_ended(self.clock.now()) {
            let command = match holder {
                LeaseHolder::Attempt(attempt) => Command::LoseAttempt { attempt },
                LeaseHolder::Quarantine(agent) => Command::ProbeAgent { agent },
                LeaseHolder::Settling => Command::SettleEpoch,
                LeaseHolder::Agent(agent) => {
                    let reason = format!(
                        "no news from it for {} s",
                        self.lease_of(&agent).as_secs_f64()
                    );
                    Command::RemoveAgent {
                        agent,
                        lost: true,
                        reason,
                    }
                }
            };
            // The loss of an agent ends its attempts too, so theirs may have nothing left to end.
            if let Err(refusal) = self.decide(group, &command) {
                tracing::debug!(%refusal, "a lease ended that had no holder");
            }
        }
    }
}
