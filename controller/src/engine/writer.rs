//! The engine's thread. Owns everything that changes; talks to the store alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sweep_lifecycle::command::{AttemptFence, Command, Refusal, Reply};
use sweep_lifecycle::decide::{decide, fence};
use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::lease::{Leases, Mono};
use sweep_lifecycle::state::{AgentId, Attempt, AttemptRef, State, SweepId};
use tokio::sync::mpsc;

#[cfg(feature = "simulation")]
use super::Mutation;
use super::epoch::begin_epoch;
use super::group::{CommitGroup, PendingAnswer};
use super::image::{Images, load};
use super::lag::Lag;
use super::ready::{Demand, Ready};
use super::reply::{RequestDigest, digest_command, pack, unpack};
use super::request::EngineRequest;
use super::sample::check_rows;
use super::waiting_call::WaitingCall;
use super::{Clock, EngineError, EngineOptions, Signals, Terms};
use crate::store::{LogChunk, StaleRows, Store, StoreError};

/// The limits of a commit: requests, and the time in which they arrive.
const GROUP_REQUESTS_MAX: usize = 1024;
const GROUP_TIME_MAX: Duration = Duration::from_millis(8);

/// Rows that are deleted at once of what deleted sweeps have left, and how long others are served before the next.
const PURGE_ROWS: usize = 1000;
const PURGE_PAUSE_MIN: Duration = Duration::from_millis(20);

pub(super) struct Writer {
    pub(super) state: State,
    pub(super) leases: Leases,
    pub(super) ready: Ready,
    pub(super) terms: Terms,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signals: Signals,
    pub(super) waiting_calls: BTreeMap<SweepId, Vec<WaitingCall>>,
    pub(super) lag: Lag,
    pub(super) images: Images,
    /// When the next part of what deleted sweeps have left is deleted; `None`: nothing is left.
    pub(super) purge: Option<Mono>,
    /// The time until which nothing is recorded, since the disk is full.
    pub(super) full_until: Option<Mono>,
    pub(super) store: Box<dyn Store>,
    requests: mpsc::Receiver<EngineRequest>,
    #[cfg(feature = "simulation")]
    pub(super) mutation: Mutation,
}

impl Writer {
    /// Reads image and log; every agent and attempt that lives gets a full new lease.
    pub(super) fn replay(
        store: Box<dyn Store>,
        requests: mpsc::Receiver<EngineRequest>,
        signals: Signals,
        options: EngineOptions,
    ) -> Result<Self, StoreError> {
        let mut store = store;
        let (state, images) = load(store.as_mut(), options.events_per_image)?;
        let (stale, is_purging) = (store.stale_rows()?, store.is_purging()?);
        let mut writer = Self {
            state,
            leases: Leases::default(),
            ready: Ready::default(),
            terms: options.terms,
            clock: options.clock,
            signals,
            waiting_calls: BTreeMap::new(),
            lag: Lag::default(),
            images,
            purge: None,
            full_until: None,
            store,
            requests,
            #[cfg(feature = "simulation")]
            mutation: options.mutation,
        };
        writer.identify(options.controller)?;
        writer.rebuild_volatile(stale);
        writer.purge = is_purging.then(|| writer.clock.now());
        writer.keep_image(false)?;
        check_rows(&writer.state, writer.store.as_mut())?;
        writer.publish();
        Ok(writer)
    }

    /// Gives a log without an identity one. On a full disk it stays without: agents then accept any controller, as before there were identities.
    fn identify(&mut self, controller: Option<String>) -> Result<(), StoreError> {
        let Some(controller) = controller else {
            return Ok(());
        };
        match begin_epoch(
            self.store.as_mut(),
            &mut self.state,
            controller,
            false,
            self.clock.wall(),
        ) {
            Err(StoreError::Full) => Ok(()),
            result => result,
        }
    }

    /// Works until it is told to stop, all callers are gone, or the store fails. Callers that wait are then told `Stopped`, since
    /// the ends of their channels are dropped.
    pub(super) fn run(mut self) -> Result<(), StoreError> {
        while let Some(first) = self.requests.blocking_recv() {
            if self.serve(first)? {
                break;
            }
        }
        Ok(())
    }

    /// As [`Writer::run`], as a task among others; before each commit it waits as long as `disk` says.
    #[cfg(feature = "simulation")]
    pub(super) async fn run_as_task(
        mut self,
        disk: impl Fn() -> Duration,
    ) -> Result<(), StoreError> {
        while let Some(first) = self.requests.recv().await {
            tokio::time::sleep(disk()).await;
            if self.serve(first)? {
                break;
            }
        }
        Ok(())
    }

    /// Serves a request and all others that have come in; returns whether to stop.
    fn serve(&mut self, first: EngineRequest) -> Result<bool, StoreError> {
        let began = self.clock.now();
        let until = began.saturating_add(GROUP_TIME_MAX);
        let mut group = CommitGroup::default();
        self.take(first, &mut group)?;
        let mut taken = 1;
        while taken < GROUP_REQUESTS_MAX && !group.stop && self.clock.now() < until {
            let Ok(next) = self.requests.try_recv() else {
                break;
            };
            self.take(next, &mut group)?;
            taken += 1;
        }
        // Last, so that news which came in with the tick counts.
        if group.tick {
            self.end_leases(&mut group);
            self.end_patience(&mut group);
            self.end_waits(&mut group);
        }
        self.serve_waiting(&mut group)?;
        let (stop, has_tick, longest) = (group.stop, group.tick, group.longest);
        if !group.touched.deleted.is_empty() || !group.touched.pruned.is_empty() {
            self.purge = Some(self.clock.now());
        }
        self.commit(group)?;
        self.signals
            .figures
            .holds
            .record(self.clock.now().saturating_sub(began), longest);
        self.keep_image(stop)?;
        if has_tick && !stop {
            self.purge_some()?;
        }
        Ok(stop)
    }

    fn take(&mut self, request: EngineRequest, group: &mut CommitGroup) -> Result<(), StoreError> {
        let full = self.is_full();
        match request {
            EngineRequest::Command { reply, .. } if full => group
                .answers
                .push(PendingAnswer::Command(reply, Err(EngineError::Full))),
            EngineRequest::Acquire { reply, .. } if full => group
                .answers
                .push(PendingAnswer::Acquire(reply, Err(EngineError::Full))),
            EngineRequest::AppendLog { reply, .. } if full => group
                .answers
                .push(PendingAnswer::Log(reply, Err(EngineError::Full))),
            EngineRequest::Command {
                request_id,
                fence,
                command,
                reply,
            } => {
                let result = match self.fenced(&fence, &command) {
                    Ok(()) => self.command(group, &request_id, &command)?,
                    Err(refusal) => Err(refusal.into()),
                };
                group.answers.push(PendingAnswer::Command(reply, result));
            }
            EngineRequest::Acquire {
                request_id,
                wish,
                reply,
            } => self.acquire(group, request_id, wish, reply)?,
            EngineRequest::AppendLog {
                agent,
                incarnation,
                chunk,
                reply,
            } => {
                let result = self.append_log(group, &agent, &incarnation, chunk);
                group.answers.push(PendingAnswer::Log(reply, result));
            }
            EngineRequest::Offer(computed) => {
                if let Some(sweep) = self.state.sweeps.get(&computed.sweep) {
                    group.dirty.insert(computed.sweep.clone());
                    self.ready.put(*computed, sweep);
                }
            }
            EngineRequest::Tick { reply } => {
                group.tick = true;
                group.answers.push(PendingAnswer::Tick(reply));
            }
            EngineRequest::Check { reply } => {
                self.store.check()?;
                // The caller may have gone away.
                let _ = reply.send(());
            }
            EngineRequest::Heartbeat {
                agent,
                attempts,
                reply,
            } => {
                let held = attempts.iter().map(|(attempt, _)| attempt.clone());
                self.renew(&agent, &held.collect::<Vec<_>>());
                group.questions.push(EngineRequest::Heartbeat {
                    agent,
                    attempts,
                    reply,
                });
            }
            EngineRequest::Stop => group.stop = true,
            question => group.questions.push(question),
        }
        Ok(())
    }

    /// Refuses a call about an attempt that the log does not have as the caller does.
    fn fenced(&self, taken_for_granted: &AttemptFence, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::StartAttempt { attempt, .. }
            | Command::ReportMetrics { attempt, .. }
            | Command::FinishAttempt { attempt, .. } => {
                fence(&self.state, attempt, taken_for_granted)
            }
            _ => Ok(()),
        }
    }

    fn command(
        &mut self,
        group: &mut CommitGroup,
        request_id: &str,
        command: &Command,
    ) -> Result<Result<Reply, EngineError>, StoreError> {
        if let Command::StartAttempt { agent, attempt, .. }
        | Command::ReportMetrics { agent, attempt, .. }
        | Command::FinishAttempt { agent, attempt, .. } = command
        {
            self.renew(agent, std::slice::from_ref(attempt));
        }
        if let Command::Tell { attempt, .. } = command
            && let Some(asker) = self.attempt(attempt).map(|asked| asked.agent.clone())
        {
            self.renew(&asker, std::slice::from_ref(attempt));
        }
        #[cfg(feature = "simulation")]
        let unfenced = self.mutation.unfence(&self.state, command);
        #[cfg(feature = "simulation")]
        let command = &unfenced;
        if let Some(known) = self.known(group, request_id, || digest_command(command))? {
            return Ok(known);
        }
        let result = self.decide(group, command);
        // What is offered waits for an agent, and agents may wait for it.
        if let (
            Command::OfferRuns { sweep, .. }
            | Command::PinCode { sweep, .. }
            | Command::RerunPoints { sweep, .. },
            Ok(_),
        ) = (command, &result)
        {
            group.dirty.insert(sweep.clone());
        }
        // An agent that is not known any more registers and repeats what it said: then it is accepted.
        let holds = !matches!(
            result,
            Err(Refusal::UnknownAgent(_) | Refusal::UnknownAttempt { .. })
        );
        if !request_id.is_empty() && holds {
            group
                .replies
                .push(pack(request_id, digest_command(command), &result)?);
        }
        Ok(result.map_err(EngineError::Refused))
    }

    /// Returns the reply that a request with this id has had: in this very group, or in the store.
    pub(super) fn known(
        &mut self,
        group: &CommitGroup,
        request_id: &str,
        digest: impl Fn() -> RequestDigest,
    ) -> Result<Option<Result<Reply, EngineError>>, StoreError> {
        if request_id.is_empty() {
            return Ok(None);
        }
        #[cfg(feature = "simulation")]
        if self.mutation == Mutation::Idempotency {
            return Ok(None);
        }
        if let Some(stored) = group
            .replies
            .iter()
            .find(|stored| stored.request_id == request_id)
        {
            return unpack(stored, &digest()).map(Some);
        }
        self.store
            .reply(request_id)?
            .map(|stored| unpack(&stored, &digest()))
            .transpose()
    }

    /// Deletes a bounded part of what deleted sweeps and pruned runs have left in the database, and pauses for others.
    fn purge_some(&mut self) -> Result<(), StoreError> {
        if self.is_full() || self.purge.is_none_or(|due| due > self.clock.now()) {
            return Ok(());
        }
        let began = self.clock.now();
        let has_more = match self.store.purge(PURGE_ROWS) {
            Ok(has_more) => has_more,
            // It may work later; until then it costs nothing but space.
            Err(StoreError::Full) => false,
            Err(error) => return Err(error),
        };
        let took = self.clock.now().saturating_sub(began);
        self.signals.figures.holds.record(took, "purge");
        self.purge = has_more.then(|| {
            self.clock
                .now()
                .saturating_add(PURGE_PAUSE_MIN.max(took * 2))
        });
        self.publish();
        Ok(())
    }

    /// Decides one command and lets its events happen in memory; the commit follows.
    pub(super) fn decide(
        &mut self,
        group: &mut CommitGroup,
        command: &Command,
    ) -> Result<Reply, Refusal> {
        let began = self.clock.now();
        let result = self.decide_and_evolve(group, command);
        let took = self.clock.now().saturating_sub(began);
        if took > group.longest_took {
            (group.longest_took, group.longest) = (took, command.name());
        }
        result
    }

    fn decide_and_evolve(
        &mut self,
        group: &mut CommitGroup,
        command: &Command,
    ) -> Result<Reply, Refusal> {
        let decision = decide(&self.state, command)?;
        let at = self.clock.wall();
        for event in decision.events {
            let recorded = Recorded { at, event };
            evolve(&mut self.state, &recorded);
            self.follow(group, &recorded.event);
            group.events.push(recorded);
        }
        Ok(decision.reply)
    }

    fn append_log(
        &mut self,
        group: &mut CommitGroup,
        agent: &AgentId,
        incarnation: &str,
        chunk: LogChunk,
    ) -> Result<(), EngineError> {
        fence(
            &self.state,
            &chunk.attempt,
            &AttemptFence {
                incarnation: incarnation.to_owned(),
                points: 0,
            },
        )?;
        let owner = self
            .attempt(&chunk.attempt)
            .map(|known| known.agent.clone());
        if owner.as_ref() != Some(agent) {
            let AttemptRef { run, attempt, .. } = chunk.attempt;
            let reason = format!(
                "its output belongs to agent {}",
                owner.unwrap_or_else(|| AgentId(String::new()))
            );
            return Err(Refusal::StaleAttempt {
                run,
                attempt,
                reason,
            }
            .into());
        }
        self.renew(agent, std::slice::from_ref(&chunk.attempt));
        group.logs.push(chunk);
        Ok(())
    }

    pub(super) fn attempt(&self, attempt: &AttemptRef) -> Option<Cow<'_, Attempt>> {
        self.state
            .sweeps
            .get(&attempt.sweep)
            .and_then(|sweep| sweep.attempt(attempt))
    }

    /// Returns whether nothing is recorded at present.
    pub(super) fn is_full(&self) -> bool {
        self.full_until
            .is_some_and(|until| self.clock.now() < until)
    }

    /// Has the store keep an image of the state, if it is time for one or this is the end.
    fn keep_image(&mut self, at_end: bool) -> Result<(), StoreError> {
        if at_end || self.images.is_due() {
            self.images.keep(&self.state, self.store.as_mut())?;
        }
        Ok(())
    }

    /// Rebuilds everything volatile.
    pub(super) fn rebuild_volatile(&mut self, stale: Vec<StaleRows>) {
        self.lag = Lag::of(&self.state, stale, self.clock.now());
        self.ready.clear();
        self.renew_all();
    }

    pub(super) fn demand(&self, id: &SweepId) -> Demand {
        let crew = self
            .state
            .sweeps
            .get(id)
            .map(|sweep| sweep.index.crew)
            .unwrap_or_default();
        Demand {
            slots: crew.places,
            ahead: crew.ahead > 0,
            waiting: self.waiting_calls.get(id).map_or(0, Vec::len),
        }
    }
}
