//! Answers questions from the tables in memory.

use std::collections::BTreeMap;

use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{AttemptRef, Environment, RunState, SweepId};

use super::{MemoryQuery, end_of, lock};
use crate::store::counts::by_rank;
use crate::store::thin::{Thinned, evenly};
use crate::store::{
    AgentRow, CodeCounts, CountedSweep, CurvePoints, Curves, DiskUsage, FailureCause, FailureGroup,
    LogPart, LogReader, NumberedPoint, Query, RunRange, RunRow, Stored, SweepRow, Totals,
};

impl Query for MemoryQuery {
    fn sweeps(&self) -> Stored<Vec<CountedSweep>> {
        let tables = lock(&self.tables);
        let mut sweeps: Vec<_> = tables
            .sweeps
            .values()
            .map(|row| (row.clone(), tables.counts(row)))
            .collect();
        sweeps.sort_by_key(|(row, _)| std::cmp::Reverse(row.created_ms));
        Ok(sweeps)
    }

    fn sweep(&self, sweep: &SweepId) -> Stored<Option<CountedSweep>> {
        let tables = lock(&self.tables);
        Ok(tables
            .sweeps
            .get(&sweep.0)
            .map(|row| (row.clone(), tables.counts(row))))
    }

    fn sweep_page(&self, archived: bool, skip: usize, limit: usize) -> Stored<Vec<CountedSweep>> {
        let listed = self
            .sweeps()?
            .into_iter()
            .filter(|(row, _)| row.archived == archived);
        Ok(listed.skip(skip).take(limit).collect())
    }

    fn sweep_count(&self, archived: bool) -> Stored<u64> {
        Ok(lock(&self.tables)
            .sweeps
            .values()
            .filter(|row| row.archived == archived)
            .count() as u64)
    }

    fn totals(&self) -> Stored<Totals> {
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

    fn failures(&self, sweep: &SweepId) -> Stored<Vec<FailureGroup>> {
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

    fn failed_runs(&self, sweep: &SweepId, key: &str, limit: usize) -> Stored<Vec<u64>> {
        let tables = lock(&self.tables);
        let failed = tables
            .runs_of(&sweep.0)
            .filter(|row| row.failure_cause().is_some_and(|cause| cause.key == key));
        Ok(failed.take(limit).map(|row| row.run).collect())
    }

    fn best_runs(&self, sweep: &SweepRow, limit: usize) -> Stored<Vec<u64>> {
        let tables = lock(&self.tables);
        let mut ranked: Vec<_> = tables
            .runs_of(&sweep.id)
            .filter_map(|row| Some((row.run, row.ranked?)))
            .collect();
        ranked.sort_by(|one, other| by_rank(sweep.goal, *one, *other));
        Ok(ranked.into_iter().take(limit).map(|(run, _)| run).collect())
    }

    fn codes(&self, sweep: &SweepRow) -> Stored<BTreeMap<String, CodeCounts>> {
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

    fn runs(&self, sweep: &SweepId, states: &[RunState], range: RunRange) -> Stored<Vec<RunRow>> {
        let tables = lock(&self.tables);
        let wanted = tables.runs_of(&sweep.0).filter(|row| {
            row.run > range.after && (states.is_empty() || states.contains(&row.state))
        });
        Ok(wanted.take(range.limit).cloned().collect())
    }

    fn numbered_runs(&self, sweep: &SweepId, numbers: &[u64]) -> Stored<Vec<RunRow>> {
        let tables = lock(&self.tables);
        Ok(numbers
            .iter()
            .filter_map(|number| tables.runs.get(&(sweep.0.clone(), *number)).cloned())
            .collect())
    }

    fn ended_before(&self, sweep: &SweepId, before_ms: i64, range: RunRange) -> Stored<Vec<u64>> {
        let tables = lock(&self.tables);
        let ended = tables
            .runs_of(&sweep.0)
            .filter(|row| row.run > range.after && row.ended_ms > 0 && row.ended_ms < before_ms);
        Ok(ended.take(range.limit).map(|row| row.run).collect())
    }

    fn disk_usage(&self) -> Stored<DiskUsage> {
        Ok(DiskUsage::default())
    }

    fn ended_runs(&self, sweep: &SweepId, limit: usize) -> Stored<Vec<RunRow>> {
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

    fn values(&self, sweep: &SweepId, limit: usize) -> Stored<Vec<f64>> {
        let tables = lock(&self.tables);
        let last = tables.runs_of(&sweep.0).last().map_or(0, |row| row.run);
        let rows = evenly(last, limit).filter_map(|run| tables.runs.get(&(sweep.0.clone(), run)));
        let mut ended: Vec<_> = rows
            .filter_map(|row| Some((row.ended_ms, row.run, row.ranked?)))
            .collect();
        ended.sort_by_key(|(ended_ms, run, _)| (*ended_ms, *run));
        Ok(ended.into_iter().map(|(_, _, value)| value).collect())
    }

    fn run(&self, sweep: &SweepId, run: u64) -> Stored<Option<RunRow>> {
        Ok(lock(&self.tables)
            .runs
            .get(&(sweep.0.clone(), run))
            .cloned())
    }

    fn environment(&self, sweep: &SweepId, digest: &str) -> Stored<Option<Environment>> {
        Ok(lock(&self.tables)
            .environments
            .get(&(sweep.clone(), digest.to_owned()))
            .cloned())
    }

    fn metrics(&self, attempt: &AttemptRef, from: u64, limit: usize) -> Stored<Vec<NumberedPoint>> {
        let tables = lock(&self.tables);
        let points = tables
            .metrics
            .range((attempt.clone(), from)..=(attempt.clone(), u64::MAX));
        Ok(points
            .take(limit)
            .map(|((_, number), point)| (*number, point.clone()))
            .collect())
    }

    fn curves(&self, attempt: &AttemptRef, name: Option<&str>, limit: usize) -> Stored<Curves> {
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

    fn log(&self, attempt: &AttemptRef, offset: u64, limit: usize) -> Stored<LogPart> {
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

    fn log_end(&self, attempt: &AttemptRef) -> Stored<u64> {
        Ok(lock(&self.tables).logs.get(attempt).map_or(0, end_of))
    }

    fn agents_shown(&self, sweep: Option<&SweepId>, gone: usize) -> Stored<Vec<AgentRow>> {
        let (mut shown, rest): (Vec<_>, Vec<_>) =
            self.agents(sweep)?.into_iter().partition(|row| row.alive);
        shown.extend(rest.into_iter().take(gone));
        Ok(shown)
    }

    fn agents(&self, sweep: Option<&SweepId>) -> Stored<Vec<AgentRow>> {
        let tables = lock(&self.tables);
        Ok(tables
            .agents
            .values()
            .filter(|row| sweep.is_none_or(|sweep| row.sweep == sweep.0))
            .cloned()
            .collect())
    }
}
