//! A store without a disk, for tests and simulation.

mod query;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sweep_lifecycle::event::{Event, MetricPoint, Recorded};
use sweep_lifecycle::state::{AttemptRef, Environment, SweepId};

use super::counts::by_rank;
use super::output::parts;
use super::{
    AgentRow, Batch, Block, ImageHead, LOG_HEAD_BYTES, LOG_TAIL_BYTES, NewImage, RunRow, StaleRows,
    Store, StoreError, Stored, StoredReply, SweepCounts, SweepRow,
};

/// Keeps everything in memory; clones share it, and it outlives the engine, as a disk would.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

/// Answers questions from a [`MemoryStore`].
#[derive(Clone, Debug)]
pub struct MemoryQuery {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    /// In the place of each that was deleted there is none.
    events: Vec<Option<Recorded>>,
    sweeps: BTreeMap<String, SweepRow>,
    runs: BTreeMap<(String, u64), RunRow>,
    agents: BTreeMap<String, AgentRow>,
    environments: BTreeMap<(SweepId, String), Environment>,
    metrics: BTreeMap<(AttemptRef, u64), MetricPoint>,
    /// Pieces by their places.
    logs: BTreeMap<AttemptRef, BTreeMap<u64, Vec<u8>>>,
    replies: BTreeMap<String, StoredReply>,
    stale: Vec<StaleRows>,
    image_head: Option<ImageHead>,
    image_blocks: BTreeMap<Block, Vec<u8>>,
}

impl MemoryStore {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a copy that shares nothing with it, as a backup does.
    pub fn back_up(&self) -> Self {
        Self {
            tables: Arc::new(Mutex::new(lock(&self.tables).clone())),
        }
    }

    /// Returns the way to ask it.
    pub fn query(&self) -> MemoryQuery {
        MemoryQuery {
            tables: Arc::clone(&self.tables),
        }
    }
}

/// No change is made in steps that could panic half-way, so a poisoned lock still guards whole tables.
fn lock(tables: &Mutex<Tables>) -> MutexGuard<'_, Tables> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut tables = lock(&self.tables);
        tables.events.extend(batch.events.iter().cloned().map(Some));
        tables
            .sweeps
            .extend(batch.sweeps.iter().map(|row| (row.id.clone(), row.clone())));
        tables.runs.extend(
            batch
                .runs
                .iter()
                .map(|row| ((row.sweep.clone(), row.run), row.clone())),
        );
        tables
            .agents
            .extend(batch.agents.iter().map(|row| (row.id.clone(), row.clone())));
        let environments = batch.environments.iter();
        tables.environments.extend(
            environments
                .map(|(sweep, known)| ((sweep.clone(), known.digest.clone()), known.clone())),
        );
        for (attempt, number, point) in &batch.metrics {
            tables
                .metrics
                .entry((attempt.clone(), *number))
                .or_insert_with(|| point.clone());
        }
        for chunk in &batch.logs {
            let output = tables.logs.entry(chunk.attempt.clone()).or_default();
            let Some((offset, data)) = chunk.news(end_of(output)) else {
                continue;
            };
            for (offset, data) in parts(offset, data) {
                output.insert(offset, data.to_vec());
            }
            let kept = end_of(output).saturating_sub(LOG_TAIL_BYTES);
            output.retain(|offset, data| {
                *offset < LOG_HEAD_BYTES || offset + data.len() as u64 > kept
            });
        }
        for sweep in &batch.deleted {
            tables.delete(sweep);
        }
        for pruned in &batch.pruned {
            tables.prune(pruned);
        }
        if let Some(stale) = &batch.stale {
            tables.stale.clone_from(stale);
        }
        tables.replies.extend(
            batch
                .replies
                .iter()
                .map(|reply| (reply.request_id.clone(), reply.clone())),
        );
        Ok(())
    }

    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        let events = lock(&self.tables).events.clone();
        events
            .into_iter()
            .skip(usize::try_from(after).unwrap_or(usize::MAX))
            .flatten()
            .for_each(each);
        Ok(())
    }

    fn keep_image(&mut self, image: NewImage<'_>) -> Stored<()> {
        let blocks: Vec<_> = image.blocks.collect();
        let mut tables = lock(&self.tables);
        if image.whole {
            tables.image_blocks.clear();
        }
        tables.image_blocks.extend(blocks);
        tables.image_head = Some(ImageHead {
            maker: image.maker.to_owned(),
            events: tables.events.len() as u64,
            body: image.head,
        });
        Ok(())
    }

    fn image_head(&mut self) -> Result<Option<ImageHead>, StoreError> {
        Ok(lock(&self.tables).image_head.clone())
    }

    fn image_blocks(&mut self, each: &mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError> {
        let blocks = lock(&self.tables).image_blocks.clone();
        blocks
            .into_iter()
            .for_each(|(block, body)| each(block, &body));
        Ok(())
    }

    fn stale_rows(&mut self) -> Result<Vec<StaleRows>, StoreError> {
        Ok(lock(&self.tables).stale.clone())
    }

    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        Ok(lock(&self.tables).replies.get(request_id).cloned())
    }
}

/// Returns where an output ends.
fn end_of(pieces: &BTreeMap<u64, Vec<u8>>) -> u64 {
    pieces
        .last_key_value()
        .map_or(0, |(offset, data)| offset + data.len() as u64)
}

impl Tables {
    fn delete(&mut self, sweep: &SweepId) {
        self.sweeps.remove(&sweep.0);
        self.agents.retain(|_, row| row.sweep != sweep.0);
        self.runs.retain(|(of, _), _| *of != sweep.0);
        self.environments.retain(|(of, _), _| of != sweep);
        self.metrics
            .retain(|(attempt, _), _| attempt.sweep != *sweep);
        self.logs.retain(|attempt, _| attempt.sweep != *sweep);
        let is_gone = |event: &Event| {
            event.sweep() == Some(sweep) && !matches!(event, Event::SweepDeleted { .. })
        };
        self.forget(is_gone);
    }

    fn prune(&mut self, pruned: &AttemptRef) {
        let is_pruned = |attempt: &AttemptRef| {
            attempt.sweep == pruned.sweep
                && attempt.run == pruned.run
                && attempt.attempt <= pruned.attempt
        };
        self.metrics.retain(|(attempt, _), _| !is_pruned(attempt));
        self.logs.retain(|attempt, _| !is_pruned(attempt));
        let is_gone = |event: &Event| matches!(event, Event::MetricsReported { attempt, .. } if is_pruned(attempt));
        self.forget(is_gone);
    }

    /// Leaves gaps in the log in the place of some events.
    fn forget(&mut self, is_gone: impl Fn(&Event) -> bool) {
        self.events
            .iter_mut()
            .filter(|event| {
                event
                    .as_ref()
                    .is_some_and(|recorded| is_gone(&recorded.event))
            })
            .for_each(|event| *event = None);
    }

    fn runs_of<'a>(&'a self, sweep: &'a str) -> impl Iterator<Item = &'a RunRow> {
        self.runs
            .range((sweep.to_owned(), 0)..=(sweep.to_owned(), u64::MAX))
            .map(|(_, row)| row)
    }

    fn counts(&self, sweep: &SweepRow) -> SweepCounts {
        let mut counts = SweepCounts::default();
        for row in self.runs_of(&sweep.id) {
            counts.add(row.state, 1);
        }
        let ranked = self
            .runs_of(&sweep.id)
            .filter_map(|row| Some((row.run, row.ranked?)));
        counts.best = ranked.min_by(|one, other| by_rank(sweep.goal, *one, *other));
        counts.agents = self
            .agents
            .values()
            .filter(|row| row.alive && row.sweep == sweep.id)
            .count() as u64;
        counts
    }
}
