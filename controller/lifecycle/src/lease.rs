//! Until when agents and attempts belong to somebody without news. Volatile: not part of the state, made anew after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::state::{AgentId, AttemptRef};

/// A point on the controller's monotonic clock: the time since it started.
pub type Mono = Duration;

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// An agent.
    Agent(AgentId),
    /// An attempt.
    Attempt(AttemptRef),
}

/// The leases that run.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    ends: BTreeMap<Holder, Mono>,
}

impl Leases {
    /// Begins or renews a lease.
    pub fn renew(&mut self, holder: Holder, ends: Mono) {
        self.ends.insert(holder, ends);
    }

    /// Ends a lease without consequences.
    pub fn release(&mut self, holder: &Holder) {
        self.ends.remove(holder);
    }

    /// Returns whether the holder has a lease.
    pub fn holds(&self, holder: &Holder) -> bool {
        self.ends.contains_key(holder)
    }

    /// Returns when the next lease ends.
    pub fn next_end(&self) -> Option<Mono> {
        self.ends.values().min().copied()
    }

    /// Takes out and returns the holders whose leases have ended, attempts before agents only by order of name.
    pub fn take_ended(&mut self, now: Mono) -> Vec<Holder> {
        let ended: Vec<_> = self.ends.iter().filter(|(_, ends)| **ends <= now).map(|(holder, _)| holder.clone()).collect();
        for holder in &ended {
            self.ends.remove(holder);
        }
        ended
    }
}
