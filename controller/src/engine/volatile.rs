//! Keeps in step with events what no restart preserves: leases, ready suggestions, and the agents that may be served.

use sweep_lifecycle::event::Event;
use sweep_lifecycle::lease::LeaseHolder;
use sweep_lifecycle::quarantine::probe_delay;
use sweep_lifecycle::state::SweepId;
use sweep_search::suggest::Method;

use super::group::CommitGroup;
use super::projection::metric_rows;
use super::writer::Writer;

impl Writer {
    /// Keeps what is volatile in step with an event: leases, ready suggestions, the agents that may be served.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of event")]
    pub(super) fn follow(&mut self, group: &mut CommitGroup, event: &Event) {
        group.touched.note(event);
        match event {
            Event::EpochBegan { restored, .. } => {
                if *restored {
                    self.leases.renew(
                        LeaseHolder::Settling,
                        self.clock.now().saturating_add(self.terms.lease),
                    );
                }
            }
            Event::EpochSettled { .. } => {
                self.leases.release(&LeaseHolder::Settling);
                group.dirty.extend(self.state.sweeps.keys().cloned());
            }
            Event::AgentRegistered { agent, .. } => self
                .leases
                .renew(LeaseHolder::Agent(agent.clone()), self.term(agent)),
            Event::AgentRemoved { agent, .. } => {
                self.leases.release(&LeaseHolder::Agent(agent.clone()));
                group.dirty.extend(
                    self.state
                        .agents
                        .get(agent)
                        .map(|agent| agent.sweep.clone()),
                );
            }
            Event::AttemptAssigned { attempt, agent, .. } => {
                self.leases
                    .renew(LeaseHolder::Attempt(attempt.clone()), self.term(agent));
                self.renew(agent, &[]);
            }
            Event::AgentQuarantined { agent, .. } => {
                let ends = self
                    .clock
                    .now()
                    .saturating_add(probe_delay(&self.state, agent));
                self.leases
                    .renew(LeaseHolder::Quarantine(agent.clone()), ends);
            }
            Event::AgentProbed { agent } | Event::AgentReadmitted { agent, .. } => {
                self.leases.release(&LeaseHolder::Quarantine(agent.clone()));
                group.dirty.extend(
                    self.state
                        .agents
                        .get(agent)
                        .map(|agent| agent.sweep.clone()),
                );
            }
            Event::AttemptResumed { attempt } => {
                if let Some(agent) = self.attempt(attempt).map(|resumed| resumed.agent.clone()) {
                    self.leases
                        .renew(LeaseHolder::Attempt(attempt.clone()), self.term(&agent));
                    group.touched.agents.insert(agent);
                }
            }
            Event::AttemptEnded { attempt, .. } => {
                self.leases.release(&LeaseHolder::Attempt(attempt.clone()));
                if let Some(agent) = self.attempt(attempt).map(|ended| ended.agent.clone()) {
                    // A program that has told its last result may never ask again.
                    if self
                        .state
                        .agents
                        .get(&agent)
                        .is_some_and(|agent| agent.info.asks)
                    {
                        self.renew(&agent, &[]);
                    }
                    group.touched.agents.insert(agent);
                }
            }
            Event::MetricsReported { .. } => group.metrics.extend(metric_rows(event)),
            Event::RunImported { sweep, .. }
            | Event::RunRequeued { sweep, .. }
            | Event::RunEnded { sweep, .. }
            | Event::QueuedRunsCancelled { sweep, .. } => {
                self.ready.observe(sweep);
                group.dirty.insert(sweep.clone());
            }
            Event::SweepStateChanged { sweep, .. }
            | Event::SweepStalled { sweep, .. }
            | Event::SpaceExhausted { sweep } => {
                group.dirty.insert(sweep.clone());
            }
            Event::AttemptStarted { attempt, .. } => {
                group
                    .touched
                    .agents
                    .extend(self.attempt(attempt).map(|started| started.agent.clone()));
            }
            Event::SweepEdited { sweep, .. } => {
                if let Some(known) = self.state.sweeps.get(sweep) {
                    self.ready.outdate(sweep, known.history);
                    if known
                        .revisions
                        .last()
                        .is_some_and(|newest| newest.changes_rows)
                        && !known.runs.is_empty()
                    {
                        group
                            .touched
                            .ranges
                            .push((sweep.clone(), 1, known.runs.last()));
                    }
                }
                self.ready.observe(sweep);
                group.dirty.insert(sweep.clone());
            }
            Event::CodeSeen { sweep, .. } | Event::CodePinned { sweep, .. } => self.outdate(sweep),
            Event::CodeMarked { sweep, .. } => {
                self.outdate(sweep);
                self.ready.observe(sweep);
                group.dirty.insert(sweep.clone());
                // Which of them may be the best is in their rows.
                let known = self
                    .state
                    .sweeps
                    .get(sweep)
                    .filter(|known| !known.runs.is_empty());
                group
                    .touched
                    .ranges
                    .extend(known.map(|known| (sweep.clone(), 1, known.runs.last())));
            }
            Event::SweepDeleted { sweep } => {
                self.leases
                    .release_agents(|agent| !self.state.agents.contains_key(agent));
                self.ready.forget(sweep);
                group.dirty.insert(sweep.clone());
            }
            Event::SweepCreated { .. }
            | Event::SweepArchived { .. }
            | Event::RunsPruned { .. }
            | Event::EnvironmentSeen { .. }
            | Event::AgentLeaving { .. }
            | Event::RunCreated { .. }
            | Event::RunAbsolved { .. }
            | Event::RunAnnotated { .. }
            | Event::ResultOrphaned { .. }
            | Event::StopRequested { .. } => {}
        }
    }

    /// Restarts a search that learns from results: earlier suggestions do not consider the newest code.
    fn outdate(&mut self, sweep: &SweepId) {
        let bayes = self
            .state
            .sweeps
            .get(sweep)
            .filter(|known| known.spec.method == Method::Bayes);
        bayes
            .into_iter()
            .for_each(|known| self.ready.outdate(sweep, known.history));
    }
}
