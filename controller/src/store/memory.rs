//! A store without a disk, for tests and simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sweep_lifecycle::event::{Event, MetricPoint, Recorded};
use sweep_lifecycle::state::{AttemptRef, Environment, RunState, SweepId};

use super::rows::by_rank;
use super::thin::{Thinned, evenly};
use super::{
    AgentRow, Batch, Block, CodeCounts, CurvePoints, DiskUsage, FailureCause, FailureGroup,
    ImageHead, LOG_HEAD_BYTES, LOG_TAIL_BYTES, LogPart, LogReader, Query, RunRow, StaleRows, Store,
    StoreError, StoredReply, SweepCounts, SweepRow, Totals,
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
            let head = usize::try_from(LOG_HEAD_BYTES.saturating_sub(offset))
                .unwrap_or(usize::MAX)
                .min(data.len());
            for (offset, data) in [
                (offset, &data[..head]),
                (offset + head as u64, &data[head..]),
            ] {
                if !data.is_empty() {
                    output.insert(offset, data.to_vec());
                }
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
        tables.image_head = Some(ImageHead {
            maker: maker.to_owned(),
            events: tables.events.len() as u64,
            body: head,
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

impl Query for MemoryQuery {
    fn sweeps(&self) -> Result<Vec<(SweepRow, SweepCounts)>, StoreError> {
        let tables = lock(&self.tables);
        let mut sweeps: Vec<_> = tables
            .sweeps
            .values()
            .map(|row| (row.clone(), tables.counts(row)))
            .collect();
        sweeps.sort_by_key(|(row, _)| std::cmp::Reverse(row.created_ms));
        Ok(sweeps)
    }

    fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepRow, SweepCounts)>, StoreError> {
        let tables = lock(&self.tables);
        Ok(tables
            .sweeps
            .get(&sweep.0)
            .map(|row| (row.clone(), tables.counts(row))))
    }

    fn sweep_page(
        &self,
        archived: bool,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(SweepRow, SweepCounts)>, StoreError> {
        let listed = self
            .sweeps()?
            .into_iter()
            .filter(|(row, _)| row.archived == archived);
        Ok(listed.skip(skip).take(limit).collect())
    }

    fn sweep_count(&self, archived: bool) -> Result<u64, StoreError> {
        Ok(lock(&self.tables)
            .sweeps
            .values()
            .filter(|row| row.archived == archived)
            .count() as u64)
    }

    fn totals(&self) -> Result<Totals, StoreError> {
        let tables = lock(&self.tables);
        let mut totals = Totals::default();
        for row in tables.sweeps.values() {
            *totals.sweeps.entry(row.state.to_string()).or_default() += 1;
        }
        for row in tables.runs.values() {
            *totals.runs.entry(row.state.to_string()).or_default() += 1;
        }
        for row in tables.agents.values().filter(|row| row.alive) {
            totals.agents += 1;
            totals.slots += u64::from(row.slots);
        }
        Ok(totals)
    }

    fn failures(&self, sweep: &SweepId) -> Result<Vec<FailureGroup>, StoreError> {
        let mut groups: BTreeMap<String, FailureGroup> = BTreeMap::new();
        for row in lock(&self.tables).runs_of(&sweep.0) {
            let Some(FailureCause { key, host }) = row.failure_cause() else {
                continue;
            };
            let new = FailureGroup {
                key: key.clone(),
                runs: 0,
                first: row.run,
                hosts: BTreeMap::new(),
            };
            let group = groups.entry(key).or_insert(new);
            group.runs += 1;
            if !host.is_empty() {
                *group.hosts.entry(host).or_default() += 1;
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.runs));
        Ok(groups)
    }

    fn failed_runs(
        &self,
        sweep: &SweepId,
        key: &str,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let tables = lock(&self.tables);
        let failed = tables
            .runs_of(&sweep.0)
            .filter(|row| row.failure_cause().is_some_and(|cause| cause.key == key));
        Ok(failed.take(limit).map(|row| row.run).collect())
    }

    fn best_runs(&self, sweep: &SweepRow, limit: usize) -> Result<Vec<u64>, StoreError> {
        let tables = lock(&self.tables);
        let mut ranked: Vec<_> = tables
            .runs_of(&sweep.id)
            .filter_map(|row| Some((row.run, row.ranked?)))
            .collect();
        ranked.sort_by(|one, other| by_rank(sweep.goal, *one, *other));
        Ok(ranked.into_iter().take(limit).map(|(run, _)| run).collect())
    }

    fn codes(&self, sweep: &SweepRow) -> Result<BTreeMap<String, CodeCounts>, StoreError> {
        let mut codes: BTreeMap<String, CodeCounts> = BTreeMap::new();
        for row in lock(&self.tables).runs_of(&sweep.id) {
            let best = row.ranked.map(|value| (row.run, value));
            codes
                .entry(row.code.clone())
                .or_default()
                .add(row.state, 1, best, sweep.goal);
        }
        Ok(codes)
    }

    fn runs(
        &self,
        sweep: &SweepId,
        states: &[RunState],
        after: u64,
        limit: usize,
    ) -> Result<Vec<RunRow>, StoreError> {
        let tables = lock(&self.tables);
        let wanted = tables
            .runs_of(&sweep.0)
            .filter(|row| row.run > after && (states.is_empty() || states.contains(&row.state)));
        Ok(wanted.take(limit).cloned().collect())
    }

    fn numbered_runs(&self, sweep: &SweepId, numbers: &[u64]) -> Result<Vec<RunRow>, StoreError> {
        let tables = lock(&self.tables);
        Ok(numbers
            .iter()
            .filter_map(|number| tables.runs.get(&(sweep.0.clone(), *number)).cloned())
            .collect())
    }

    fn ended_before(
        &self,
        sweep: &SweepId,
        before_ms: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let tables = lock(&self.tables);
        let ended = tables
            .runs_of(&sweep.0)
            .filter(|row| row.run > after && row.ended_ms > 0 && row.ended_ms < before_ms);
        Ok(ended.take(limit).map(|row| row.run).collect())
    }

    fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        Ok(DiskUsage::default())
    }

    fn ended_runs(&self, sweep: &SweepId, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let tables = lock(&self.tables);
        let mut ended: Vec<_> = tables
            .runs_of(&sweep.0)
            .filter(|row| row.ended_ms > 0)
            .cloned()
            .collect();
        ended.sort_by_key(|row| std::cmp::Reverse((row.ended_ms, row.run)));
        ended.truncate(limit);
        Ok(ended)
    }

    fn values(&self, sweep: &SweepId, limit: usize) -> Result<Vec<f64>, StoreError> {
        let tables = lock(&self.tables);
        let last = tables.runs_of(&sweep.0).last().map_or(0, |row| row.run);
        let rows = evenly(last, limit).filter_map(|run| tables.runs.get(&(sweep.0.clone(), run)));
        let mut ended: Vec<_> = rows
            .filter_map(|row| Some((row.ended_ms, row.run, row.ranked?)))
            .collect();
        ended.sort_by_key(|(ended_ms, run, _)| (*ended_ms, *run));
        Ok(ended.into_iter().map(|(_, _, value)| value).collect())
    }

    fn run(&self, sweep: &SweepId, run: u64) -> Result<Option<RunRow>, StoreError> {
        Ok(lock(&self.tables)
            .runs
            .get(&(sweep.0.clone(), run))
            .cloned())
    }

    fn environment(
        &self,
        sweep: &SweepId,
        digest: &str,
    ) -> Result<Option<Environment>, StoreError> {
        Ok(lock(&self.tables)
            .environments
            .get(&(sweep.clone(), digest.to_owned()))
            .cloned())
    }

    fn metrics(
        &self,
        attempt: &AttemptRef,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, MetricPoint)>, StoreError> {
        let tables = lock(&self.tables);
        let points = tables
            .metrics
            .range((attempt.clone(), from)..=(attempt.clone(), u64::MAX));
        Ok(points
            .take(limit)
            .map(|((_, number), point)| (*number, point.clone()))
            .collect())
    }

    fn curves(
        &self,
        attempt: &AttemptRef,
        name: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, CurvePoints>, StoreError> {
        let points = self.metrics(attempt, 0, usize::MAX)?;
        let mut thinned: BTreeMap<&str, Thinned<&MetricPoint>> = BTreeMap::new();
        for (_, point) in points
            .iter()
            .filter(|(_, point)| name.is_none_or(|name| name == point.name))
        {
            thinned
                .entry(&point.name)
                .or_insert_with(|| Thinned::new(limit))
                .push(point);
        }
        let curve = |(name, thinned): (&str, Thinned<&MetricPoint>)| {
            let (count, points) = thinned.finish();
            (
                name.to_owned(),
                CurvePoints {
                    count,
                    points: points
                        .into_iter()
                        .map(|(index, point)| (index, point.clone()))
                        .collect(),
                },
            )
        };
        Ok(thinned.into_iter().map(curve).collect())
    }

    fn log(&self, attempt: &AttemptRef, offset: u64, limit: usize) -> Result<LogPart, StoreError> {
        let mut reader = LogReader::new(offset, limit);
        if let Some(pieces) = lock(&self.tables).logs.get(attempt) {
            for (start, data) in pieces {
                if !reader.takes(*start, data) {
                    break;
                }
            }
        }
        Ok(reader.part())
    }

    fn log_end(&self, attempt: &AttemptRef) -> Result<u64, StoreError> {
        Ok(lock(&self.tables).logs.get(attempt).map_or(0, end_of))
    }

    fn agents_shown(
        &self,
        sweep: Option<&SweepId>,
        gone: usize,
    ) -> Result<Vec<AgentRow>, StoreError> {
        let (mut shown, rest): (Vec<_>, Vec<_>) =
            self.agents(sweep)?.into_iter().partition(|row| row.alive);
        shown.extend(rest.into_iter().take(gone));
        Ok(shown)
    }

    fn agents(&self, sweep: Option<&SweepId>) -> Result<Vec<AgentRow>, StoreError> {
        let tables = lock(&self.tables);
        Ok(tables
            .agents
            .values()
            .filter(|row| sweep.is_none_or(|sweep| row.sweep == sweep.0))
            .cloned()
            .collect())
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
        self.events
            .iter_mut()
            .filter(|event| {
                event
                    .as_ref()
                    .is_some_and(|recorded| is_gone(&recorded.event))
            })
            .for_each(|event| *event = None);
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
