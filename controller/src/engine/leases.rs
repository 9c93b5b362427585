//! Who has how long: leases begin and are renewed with news, and what becomes of those that end.

use sweep_lifecycle::command::Command;
use sweep_lifecycle::lease::{Holder, Leases, Mono};
use sweep_lifecycle::quarantine::probe_delay;
use sweep_lifecycle::state::{AgentId, AttemptRef, Health};

use super::group::Group;
use super::writer::Writer;

impl Writer {
    /// Gives an agent that is alive, and those of the attempts that are its own, a new term.
    pub(super) fn renew(&mut self, agent: &AgentId, attempts: &[AttemptRef]) {
        let Some(known) = self.state.agents.get(agent).filter(|known| known.alive) else { return };
        let term = self.term(agent);
        self.leases.renew(Holder::Agent(agent.clone()), term);
        for attempt in attempts.iter().filter(|attempt| known.holds.contains(attempt)) {
            self.leases.renew(Holder::Attempt(attempt.clone()), term);
        }
    }

    /// Returns when a lease that an agent begins or renews now ends.
    pub(super) fn term(&self, agent: &AgentId) -> Mono {
        let asks = self.state.agents.get(agent).is_some_and(|agent| agent.info.asks);
        self.clock.now().saturating_add(if asks { self.terms.ask_lease } else { self.terms.lease })
    }

    /// Gives everybody a full new term.
    pub(super) fn renew_all(&mut self) {
        self.leases = Leases::default();
        if self.state.identity.is_settling {
            self.leases.renew(Holder::Settling, self.clock.now().saturating_add(self.terms.lease));
        }
        for (id, agent) in self.state.agents.iter().filter(|(_, agent)| agent.alive) {
            let term = self.term(id);
            self.leases.renew(Holder::Agent(id.clone()), term);
            for attempt in &agent.holds {
                self.leases.renew(Holder::Attempt(attempt.clone()), term);
            }
            if let Health::Quarantined { .. } = agent.health {
                let ends = self.clock.now().saturating_add(probe_delay(&self.state, id));
                self.leases.renew(Holder::Quarantine(id.clone()), ends);
            }
        }
    }

    /// An attempt that was handed out but is never named by its agent is lost like one whose agent is silent.
    pub(super) fn end_leases(&mut self, group: &mut Group) {
        if self.is_full() {
            return;
        }
        for holder in self.leases.take_ended(self.clock.now()) {
            let command = match holder {
                Holder::Attempt(attempt) => Command::LoseAttempt { attempt },
                Holder::Quarantine(agent) => Command::ProbeAgent { agent },
                Holder::Settling => Command::SettleEpoch,
                Holder::Agent(agent) => {
                    let asks = self.state.agents.get(&agent).is_some_and(|agent| agent.info.asks);
                    let lease = if asks { self.terms.ask_lease } else { self.terms.lease };
                    let reason = format!("no news from it for {} s", lease.as_secs_f64());
                    Command::RemoveAgent { agent, lost: true, reason }
                }
            };
            // The loss of an agent ends its attempts too, so theirs may have nothing left to end.
            if let Err(refusal) = self.decide(group, &command) {
                tracing::debug!(%refusal, "a lease ended that nobody held any more");
            }
        }
    }
}
