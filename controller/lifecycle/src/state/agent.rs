//! A process on a machine that executes attempts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ids::{AttemptRef, SweepId, Timestamp};

/// A process on a machine that executes attempts of one sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// The sweep it works for.
    pub sweep: SweepId,
    /// Its description of itself.
    pub info: AgentInfo,
    /// It has neither left nor been lost.
    pub alive: bool,
    /// Why it is about to leave: it gets no runs, and what it holds when it falls silent was preempted.
    #[serde(default)]
    pub leaving: Option<String>,
    /// The live attempts that are its own.
    pub holds: BTreeSet<AttemptRef>,
    /// Whether it gets runs.
    pub health: Health,
    /// When it got no runs, the first time first; see [`STAYS_MAX`].
    pub stays: Vec<QuarantinePeriod>,
    /// Its attempts that ended well.
    pub succeeded: u64,
    /// Its attempts that failed.
    pub failed: u64,
    /// Its failures since its last success that may be its own fault.
    pub streak: Vec<AttemptRef>,
    /// The number of the code version that it was last given a run for, or has started one with, from 1; 0: not known.
    pub code: u32,
    /// The number of the environment that it executes attempts in now, from 1; 0: not known.
    pub environment: u32,
    /// The epoch in which it registered: see [`ControllerIdentity`](super::ControllerIdentity).
    pub epoch: u32,
    /// When it registered.
    pub registered: Timestamp,
    /// When it left or was lost.
    pub left: Option<Timestamp>,
}

/// Stays in quarantine that are remembered of an agent: the last ones.
pub const STAYS_MAX: usize = 50;

/// A stay in quarantine, its probes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinePeriod {
    /// When it began.
    pub from: Timestamp,
    /// When the agent got runs again, or was gone.
    pub until: Option<Timestamp>,
}

/// Whether an agent gets runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Health {
    /// It does.
    #[default]
    Ok,
    /// It fails while others do well: none for now.
    Quarantined {
        /// In words.
        reason: String,
        /// How many probes have failed.
        probes: u32,
    },
    /// One, to see whether it is well again.
    Probing {
        /// See [`Health::Quarantined`].
        reason: String,
        /// See [`Health::Quarantined`].
        probes: u32,
    },
}

/// An agent's description of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its machine's name.
    pub host: String,
    /// How many attempts it can execute at once.
    pub slots: u32,
    /// Its version of `sweep`.
    pub version: String,
    /// New for each process of it; empty where it does not say.
    #[serde(default)]
    pub process: String,
    /// Not an agent process, but a program that asks for runs, executes them itself and reports their outcomes.
    #[serde(default)]
    pub asks: bool,
}

/// Counts of the live agents of a sweep, so that no request looks at each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crew {
    /// Runs that they may be executing soon: see [`Agent::places`].
    pub places: usize,
    /// Agents that may ask for a run before anything new is known: all but programs that ask and hold one.
    pub ahead: usize,
}

impl Crew {
    /// Adds what an agent counts for.
    pub(crate) fn add(&mut self, agent: &Agent) {
        let Self { places, ahead } = agent.counts();
        self.places = self.places.saturating_add(places);
        self.ahead += ahead;
    }

    /// Takes away what an agent counted for.
    pub(crate) fn remove(&mut self, agent: &Agent) {
        let Self { places, ahead } = agent.counts();
        self.places = self.places.saturating_sub(places);
        self.ahead = self.ahead.saturating_sub(ahead);
    }
}

impl Agent {
    /// Returns an agent that has just registered.
    pub(crate) fn new(sweep: SweepId, info: AgentInfo, epoch: u32, at: Timestamp) -> Self {
        Self {
            sweep,
            info,
            alive: true,
            leaving: None,
            holds: BTreeSet::new(),
            health: Health::Ok,
            stays: Vec::new(),
            succeeded: 0,
            failed: 0,
            streak: Vec::new(),
            code: 0,
            environment: 0,
            epoch,
            registered: at,
            left: None,
        }
    }

    fn counts(&self) -> Crew {
        if !self.alive {
            return Crew::default();
        }
        // A program that asks tells the result of a run before it asks again, and a suggestion computed before that would be thrown away.
        Crew {
            places: self.places(),
            ahead: usize::from(!self.info.asks || self.holds.is_empty()),
        }
    }

    /// Starts a quarantine period, if none is open.
    pub(crate) fn isolate(&mut self, at: Timestamp) {
        if self.stays.last().is_some_and(|stay| stay.until.is_none()) {
            return;
        }
        self.stays.push(QuarantinePeriod {
            from: at,
            until: None,
        });
        let gone = self.stays.len().saturating_sub(STAYS_MAX);
        self.stays.drain(..gone);
    }

    /// Ends the open quarantine period.
    pub(crate) fn release(&mut self, at: Timestamp) {
        if let Some(stay) = self.stays.last_mut().filter(|stay| stay.until.is_none()) {
            stay.until = Some(at);
        }
    }

    /// Returns how many runs it may be executing soon: a program that asks wants one more than it has.
    pub fn places(&self) -> usize {
        if self.info.asks {
            self.holds.len() + 1
        } else {
            self.slots()
        }
    }

    /// Returns how many attempts it may hold: an agent that does not state its slots has one, a program that asks any number.
    pub fn slots(&self) -> usize {
        if self.info.asks {
            return usize::MAX;
        }
        usize::try_from(self.info.slots.max(1)).unwrap_or(usize::MAX)
    }
}
