//! Records a group of requests: one transaction, then all answers.

use std::time::Duration;

use sweep_lifecycle::lease::Mono;
use sweep_lifecycle::state::SweepId;

use super::EngineError;
#[cfg(feature = "simulation")]
use super::Mutation;
use super::group::CommitGroup;
use super::image::load;
use super::projection::project;
use super::writer::Writer;
use crate::store::{Batch, StoreError};

/// After the disk was full, nothing is tried for this long, or for a few times as long as reading the log has taken.
const FULL_PAUSE_MIN: Duration = Duration::from_secs(1);
const FULL_PAUSE_REPLAYS: u32 = 4;

/// A commit that takes longer than this part of a lease gives everybody a new term.
const STALL_PART_OF_LEASE: u32 = 4;

impl Writer {
    /// Records the group, then gives all its answers. Where the disk is full, nothing has happened: the state is reloaded from
    /// the log, which is rare and needs no way to undo events.
    pub(super) fn commit(&mut self, mut group: CommitGroup) -> Result<(), StoreError> {
        self.images.note(group.events.len(), &group.touched);
        if !self.is_full() {
            // At the end no row is left behind.
            let now = if group.stop {
                Mono::MAX
            } else {
                self.clock.now()
            };
            self.lag.settle(&mut group.touched, now);
        }
        let mut batch = Batch {
            events: group.events,
            metrics: group.metrics,
            logs: group.logs,
            replies: group.replies,
            ..Batch::default()
        };
        project(&mut batch, &group.touched, &self.state);
        let is_empty = batch.events.is_empty()
            && batch.logs.is_empty()
            && batch.replies.is_empty()
            && batch.runs.is_empty()
            && batch.stale.is_none();
        #[cfg(feature = "simulation")]
        if self.mutation == Mutation::CommitOrder {
            group
                .answers
                .drain(..)
                .for_each(|answer| answer.give(&Ok(())));
        }
        let before = self.clock.now();
        let outcome = if is_empty {
            Ok(())
        } else {
            self.store.append(&batch)
        };
        // A disk that stalls keeps the news of agents waiting: that is no silence of theirs.
        if self.clock.now().saturating_sub(before) > self.terms.lease / STALL_PART_OF_LEASE {
            self.renew_all();
        }
        let outcome = match outcome {
            Ok(()) => Ok(()),
            Err(StoreError::Full) => {
                self.recover_from_full()?;
                Err(EngineError::Full)
            }
            Err(error) => return Err(error),
        };
        if outcome.is_ok() && !is_empty {
            let commit = *self.signals.commits.borrow() + 1;
            self.signals.figures.changes.note(commit, &batch);
            self.signals.commits.send_modify(|commits| *commits += 1);
        }
        // First what can be seen without asking: a caller that has its answer finds it there.
        self.publish();
        for answer in group.answers {
            answer.give(&outcome);
        }
        for question in group.questions {
            self.answer(question);
        }
        let needs_suggestions = group
            .touched
            .needs_suggestions
            .iter()
            .chain(&group.touched.sweeps)
            .any(|id| self.needs_suggestions(id));
        if needs_suggestions {
            self.signals
                .needs_suggestions
                .send_modify(|count| *count += 1);
        }
        Ok(())
    }

    fn recover_from_full(&mut self) -> Result<(), StoreError> {
        let started = self.clock.now();
        let every = self.images.every();
        (self.state, self.images) = load(self.store.as_mut(), every)?;
        let stale = self.store.stale_rows()?;
        self.rebuild_volatile(stale);
        let pause =
            FULL_PAUSE_MIN.max(self.clock.now().saturating_sub(started) * FULL_PAUSE_REPLAYS);
        self.full_until = Some(self.clock.now().saturating_add(pause));
        // Callers that wait for a run are told too, and ask again.
        for call in std::mem::take(&mut self.waiting_calls)
            .into_values()
            .flatten()
        {
            let _ = call.reply.send(Err(EngineError::Full));
        }
        tracing::error!(
            pause_ms = pause.as_millis(),
            "no space is left for the database; nothing is recorded for a while"
        );
        Ok(())
    }

    /// Shows what others may see without asking.
    pub(super) fn publish(&self) {
        // A patience that is over by now has been seen to.
        let now = self.clock.now();
        let patience = self
            .waiting_calls
            .values()
            .flatten()
            .filter(|call| call.fresh.0 > 0)
            .map(|call| call.fresh.1)
            .filter(|end| *end > now)
            .min();
        let waits = self
            .waiting_calls
            .values()
            .flatten()
            .map(|call| call.until)
            .chain(patience)
            .min();
        // While the disk is full no lease ends and no row is written.
        let due = [self.leases.next_end(), self.lag.next_end(), self.purge]
            .into_iter()
            .flatten()
            .min();
        let leases = due.map(|end| end.max(self.full_until.unwrap_or_default()));
        let next = [waits, leases].into_iter().flatten().min();
        let identity = &self.state.identity;
        self.signals.identity.send_if_modified(|shown| {
            let changes = shown != identity;
            if changes {
                shown.clone_from(identity);
            }
            changes
        });
        self.signals
            .wake
            .send_if_modified(|wake| std::mem::replace(wake, next) != next);
        #[cfg(test)]
        self.signals.figures.waiting_calls.store(
            self.waiting_calls.values().map(Vec::len).sum::<usize>() as u64,
            std::sync::atomic::Ordering::Relaxed,
        );
    }

    fn needs_suggestions(&mut self, id: &SweepId) -> bool {
        let demand = self.demand(id);
        self.state
            .sweeps
            .get(id)
            .is_some_and(|sweep| self.ready.wanted(id, sweep, demand).is_some())
    }
}
