//! Leases of agents and attempts. Volatile: not part of the state, renewed after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::state::{AgentId, AttemptRef};

/// A point on the controller's monotonic clock: the time since it started.
pub type Mono = Duration;

/// The holder of a lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseHolder {
    /// An agent.
    Agent(AgentId),
    /// An attempt.
    Attempt(AttemptRef),
    /// An agent in quarantine: until its next probe.
    Quarantine(AgentId),
    /// A restored controller: until its agents have had time to report what they hold.
    Settling,
}

/// The leases that run.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    ends: BTreeMap<LeaseHolder, Mono>,
    /// The same, by their ends.
    order: BTreeSet<(Mono, LeaseHolder)>,
}

impl Leases {
    /// Begins or renews a lease.
    pub fn renew(&mut self, holder: LeaseHolder, ends: Mono) {
        self.release(&holder);
        self.order.insert((ends, holder.clone()));
        self.ends.insert(holder, ends);
    }

    /// Ends a lease without consequences.
    pub fn release(&mut self, holder: &LeaseHolder) {
        if let Some((holder, ends)) = self.ends.remove_entry(holder) {
            self.order.remove(&(ends, holder));
        }
    }

    /// Ends the leases of all agents, and of those in quarantine, that `is_gone` names.
    pub fn release_agents(&mut self, is_gone: impl Fn(&AgentId) -> bool) {
        let gone = |holder: &LeaseHolder| matches!(holder, LeaseHolder::Agent(agent) | LeaseHolder::Quarantine(agent) if is_gone(agent));
        for holder in self
            .ends
            .keys()
            .filter(|holder| gone(holder))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.release(&holder);
        }
    }

    /// Returns whether the holder has a lease.
    pub fn holds(&self, holder: &LeaseHolder) -> bool {
        self.ends.contains_key(holder)
    }

    /// Returns when the next lease ends.
    pub fn next_end(&self) -> Option<Mono> {
        self.order.first().map(|(ends, _)| *ends)
    }

    /// Takes out and returns the holders whose leases have ended, the earliest end first.
    pub fn take_ended(&mut self, now: Mono) -> Vec<LeaseHolder> {
        let mut ended = Vec::new();
        while self.next_end().is_some_and(|ends| ends <= now) {
            let Some((_, holder)) = self.order.pop_first() else {
                break;
            };
            self.ends.remove(&holder);
            ended.push(holder);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> LeaseHolder {
        LeaseHolder::Agent(AgentId(name.to_owned()))
    }

    const fn at(seconds: u64) -> Mono {
        Mono::from_secs(seconds)
    }

    #[test]
    fn leases_end_in_the_order_of_their_ends() {
        let mut leases = Leases::default();
        assert_eq!(leases.next_end(), None);
        leases.renew(agent("a"), at(9));
        leases.renew(agent("b"), at(3));
        leases.renew(agent("c"), at(3));
        assert_eq!(leases.next_end(), Some(at(3)));
        assert_eq!(leases.take_ended(at(2)), []);
        assert_eq!(
            leases.take_ended(at(9)),
            [agent("b"), agent("c"), agent("a")]
        );
        assert_eq!(
            (leases.next_end(), leases.take_ended(at(99))),
            (None, vec![])
        );
    }

    #[test]
    fn a_renewed_lease_has_one_end_and_a_released_one_none() {
        let mut leases = Leases::default();
        leases.renew(agent("a"), at(3));
        leases.renew(agent("a"), at(9));
        leases.renew(agent("b"), at(5));
        leases.release(&agent("b"));
        assert!(leases.holds(&agent("a")) && !leases.holds(&agent("b")));
        assert_eq!(
            (leases.next_end(), leases.take_ended(at(8))),
            (Some(at(9)), vec![])
        );
        assert_eq!(leases.take_ended(at(9)), [agent("a")]);
        assert!(!leases.holds(&agent("a")));
    }
}
