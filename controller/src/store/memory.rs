//! A store without a disk, for tests and simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sweep_lifecycle::event::{MetricPoint, Recorded};
use sweep_lifecycle::state::{AttemptRef, Environment, SweepId};

use super::{AgentRow, Batch, Block, CodeCounts, ImageHead, Query, RunRow, Store, StoreError, StoredReply, SweepCounts, SweepRow};

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
    events: Vec<Recorded>,
    sweeps: BTreeMap<String, SweepRow>,
    runs: BTreeMap<(String, u64), RunRow>,
    agents: BTreeMap<String, AgentRow>,
    environments: BTreeMap<(SweepId, String), Environment>,
    metrics: BTreeMap<(AttemptRef, u64), MetricPoint>,
    logs: BTreeMap<AttemptRef, Vec<u8>>,
    replies: BTreeMap<String, StoredReply>,
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
        Self { tables: Arc::new(Mutex::new(lock(&self.tables).clone())) }
    }

    /// Returns the way to ask it.
    pub fn query(&self) -> MemoryQuery {
        MemoryQuery { tables: Arc::clone(&self.tables) }
    }
}

/// No change is made in steps that could panic half-way, so a poisoned lock still guards whole tables.
fn lock(tables: &Mutex<Tables>) -> MutexGuard<'_, Tables> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut tables = lock(&self.tables);
        tables.events.extend_from_slice(&batch.events);
        tables.sweeps.extend(batch.sweeps.iter().map(|row| (row.id.clone(), row.clone())));
        tables.runs.extend(batch.runs.iter().map(|row| ((row.sweep.clone(), row.run), row.clone())));
        tables.agents.extend(batch.agents.iter().map(|row| (row.id.clone(), row.clone())));
        let environments = batch.environments.iter();
        tables.environments.extend(environments.map(|(sweep, known)| ((sweep.clone(), known.digest.clone()), known.clone())));
        for (attempt, number, point) in &batch.metrics {
            tables.metrics.entry((attempt.clone(), *number)).or_insert_with(|| point.clone());
        }
        for chunk in &batch.logs {
            let output = tables.logs.entry(chunk.attempt.clone()).or_default();
            if let Some((offset, data)) = chunk.news(output.len() as u64) {
                output.resize(usize::try_from(offset).unwrap_or(usize::MAX), 0);
                output.extend_from_slice(data);
            }
        }
        tables.replies.extend(batch.replies.iter().map(|reply| (reply.request_id.clone(), reply.clone())));
        Ok(())
    }

    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        let events = lock(&self.tables).events.clone();
        events.into_iter().skip(usize::try_from(after).unwrap_or(usize::MAX)).for_each(each);
        Ok(())
    }

    fn keep_image(
        &mut self,
        maker: &str,
        head: Vec<u8>,
        whole: bool,
        blocks: &mut dyn Iterator<Item = (Block, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let blocks: Vec<_> = blocks.collect();
        let mut tables = lock(&self.tables);
        if whole {
            tables.image_blocks.clear();
        }
        tables.image_blocks.extend(blocks);
        tables.image_head = Some(ImageHead { maker: maker.to_owned(), events: tables.events.len() as u64, body: head });
        Ok(())
    }

    fn image_head(&mut self) -> Result<Option<ImageHead>, StoreError> {
        Ok(lock(&self.tables).image_head.clone())
    }

    fn image_blocks(&mut self, each: &mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError> {
        let blocks = lock(&self.tables).image_blocks.clone();
        blocks.into_iter().for_each(|(block, body)| each(block, &body));
        Ok(())
    }

    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        Ok(lock(&self.tables).replies.get(request_id).cloned())
    }
}

impl Query for MemoryQuery {
    fn sweeps(&self) -> Result<Vec<(SweepRow, SweepCounts)>, StoreError> {
        let tables = lock(&self.tables);
        let mut sweeps: Vec<_> = tables.sweeps.values().map(|row| (row.clone(), tables.counts(row))).collect();
        sweeps.sort_by_key(|(row, _)| std::cmp::Reverse(row.created_ms));
        Ok(sweeps)
    }

    fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepRow, SweepCounts)>, StoreError> {
        let tables = lock(&self.tables);
        Ok(tables.sweeps.get(&sweep.0).map(|row| (row.clone(), tables.counts(row))))
    }

    fn codes(&self, sweep: &SweepRow) -> Result<BTreeMap<String, CodeCounts>, StoreError> {
        let mut codes: BTreeMap<String, CodeCounts> = BTreeMap::new();
        for row in lock(&self.tables).runs_of(&sweep.id) {
            let best = row.ranked.map(|value| (row.run, value));
            codes.entry(row.code.clone()).or_default().add(&row.state, 1, best, &sweep.goal);
        }
        Ok(codes)
    }

    fn runs(&self, sweep: &SweepId, states: &[String], after: u64, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let tables = lock(&self.tables);
        let wanted = tables.runs_of(&sweep.0).filter(|row| row.run > after && (states.is_empty() || states.contains(&row.state)));
        Ok(wanted.take(limit).cloned().collect())
    }

    fn ended_runs(&self, sweep: &SweepId, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let tables = lock(&self.tables);
        let mut ended: Vec<_> = tables.runs_of(&sweep.0).filter(|row| row.ended_ms > 0).cloned().collect();
        ended.sort_by_key(|row| std::cmp::Reverse((row.ended_ms, row.run)));
        ended.truncate(limit);
        Ok(ended)
    }

    fn values(&self, sweep: &SweepId) -> Result<Vec<f64>, StoreError> {
        let tables = lock(&self.tables);
        let mut ended: Vec<_> = tables.runs_of(&sweep.0).filter_map(|row| Some((row.ended_ms, row.run, row.ranked?))).collect();
        ended.sort_by_key(|(ended_ms, run, _)| (*ended_ms, *run));
        Ok(ended.into_iter().map(|(_, _, value)| value).collect())
    }

    fn run(&self, sweep: &SweepId, run: u64) -> Result<Option<RunRow>, StoreError> {
        Ok(lock(&self.tables).runs.get(&(sweep.0.clone(), run)).cloned())
    }

    fn environment(&self, sweep: &SweepId, digest: &str) -> Result<Option<Environment>, StoreError> {
        Ok(lock(&self.tables).environments.get(&(sweep.clone(), digest.to_owned())).cloned())
    }

    fn metrics(&self, attempt: &AttemptRef, from: u64, limit: usize) -> Result<Vec<(u64, MetricPoint)>, StoreError> {
        let tables = lock(&self.tables);
        let points = tables.metrics.range((attempt.clone(), from)..=(attempt.clone(), u64::MAX));
        Ok(points.take(limit).map(|((_, number), point)| (*number, point.clone())).collect())
    }

    fn log(&self, attempt: &AttemptRef, offset: u64, limit: usize) -> Result<Vec<u8>, StoreError> {
        let tables = lock(&self.tables);
        let rest = tables.logs.get(attempt).and_then(|output| output.get(usize::try_from(offset).unwrap_or(usize::MAX)..));
        Ok(rest.map(|rest| rest[..rest.len().min(limit)].to_vec()).unwrap_or_default())
    }

    fn agents(&self, sweep: Option<&SweepId>) -> Result<Vec<AgentRow>, StoreError> {
        let tables = lock(&self.tables);
        Ok(tables.agents.values().filter(|row| sweep.is_none_or(|sweep| row.sweep == sweep.0)).cloned().collect())
    }
}

impl Tables {
    fn runs_of<'a>(&'a self, sweep: &'a str) -> impl Iterator<Item = &'a RunRow> {
        self.runs.range((sweep.to_owned(), 0)..=(sweep.to_owned(), u64::MAX)).map(|(_, row)| row)
    }

    fn counts(&self, sweep: &SweepRow) -> SweepCounts {
        let mut counts = SweepCounts::default();
        for row in self.runs_of(&sweep.id) {
            counts.add(&row.state, 1);
            let Some(value) = row.ranked else { continue };
            let is_better = |best: f64| if sweep.goal == "maximize" { value > best } else { value < best };
            if counts.best.is_none_or(|(_, best)| is_better(best)) {
                counts.best = Some((row.run, value));
            }
        }
        counts.agents = self.agents.values().filter(|row| row.alive && row.sweep == sweep.id).count() as u64;
        counts
    }
}
