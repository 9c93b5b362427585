//! All that the controller knows, as plain data. Changed by [`evolve`](crate::evolve::evolve) alone.
//!
//! The whole state is a fold of the event log. What does not survive a restart (leases, ready suggestions) is not here.

mod agent;
mod annotation;
pub mod any_float;
mod attempt;
mod code;
mod environment;
mod failure;
mod identity;
mod ids;
pub mod image;
mod index;
mod points;
mod revision;
mod run;
mod runs;
mod sweep;
mod unknown_word;

use std::collections::BTreeMap;

pub use self::agent::{Agent, AgentInfo, Crew, Health, QuarantinePeriod, STAYS_MAX};
pub use self::annotation::Annotation;
pub(crate) use self::attempt::add_iteration;
pub use self::attempt::{AnyFloat, Attempt, AttemptState, AttemptSummary, StopKind, StopRequest};
pub use self::code::{CodeAbout, CodeAct, CodeHistory, CodeMark, CodeStep, CodeVersion};
pub use self::environment::{DataSet, Environment};
pub use self::failure::{Blame, Failure, FailureKind};
pub use self::identity::{AttemptRecord, ControllerIdentity, HeldAttempt};
pub use self::ids::{AgentId, AttemptNumber, AttemptRef, RunNumber, RunRanges, SweepId, Timestamp};
pub use self::index::SweepIndex;
pub use self::points::TakenPoints;
pub use self::revision::{PlacedRun, Revision, RevisionEffect};
pub(crate) use self::revision::{known_point, placed, point_at};
pub(crate) use self::run::is_rerun;
pub use self::run::{Retries, RetryHistory, Run, RunPoint, RunState};
pub use self::runs::{Runs, Sealed};
pub use self::sweep::{Sweep, SweepState};
pub use self::unknown_word::UnknownWord;

/// All that the controller knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Which controller this is, and since which restore.
    pub identity: ControllerIdentity,
    /// Sweeps by id.
    pub sweeps: BTreeMap<SweepId, Sweep>,
    /// Agents by id, those that have left included.
    pub agents: BTreeMap<AgentId, Agent>,
}

impl State {
    /// Returns whether an agent has registered in the present epoch, or needs not to: a program that asks for runs registers with each call.
    pub fn is_registered(&self, agent: &Agent) -> bool {
        agent.info.asks || agent.epoch == self.identity.epoch
    }
}
