//! What decides and remembers: store, engine, planner and reaper.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{AttemptRef, SweepId};

use crate::engine::Engine;
use crate::reader::Reader;
use crate::store::{AgentRow, Query, RunRow, StoreError, SweepCounts, SweepRow};

pub(super) const DATABASE: &str = "sweep.db";

/// What decides and remembers, running.
pub(super) struct Assembly {
    /// The way to the engine.
    pub(super) engine: Engine,
    /// The way to the query tables.
    pub(super) reader: Reader,
}

impl Assembly {
    /// Opens the database of a data directory and starts everything over it.
    pub(super) fn start(data_dir: &Path, lease: Duration) -> Result<Self, StoreError> {
        let _ = (data_dir.join(DATABASE), lease);
        Ok(Self { engine: Engine {}, reader: Reader::new(Arc::new(NoQuery)) })
    }

    /// Waits until the engine ends by itself.
    pub(super) async fn ended(&mut self) -> Result<(), StoreError> {
        std::future::pending().await
    }

    /// Ends everything in good order.
    pub(super) async fn stop(self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Tables without rows: stands here until the store does.
struct NoQuery;

impl Query for NoQuery {
    fn sweeps(&self) -> Result<Vec<(SweepRow, SweepCounts)>, StoreError> {
        Ok(vec![])
    }
    fn sweep(&self, _: &SweepId) -> Result<Option<(SweepRow, SweepCounts)>, StoreError> {
        Ok(None)
    }
    fn runs(&self, _: &SweepId, _: &[String], _: u64, _: usize) -> Result<Vec<RunRow>, StoreError> {
        Ok(vec![])
    }
    fn ended_runs(&self, _: &SweepId, _: usize) -> Result<Vec<RunRow>, StoreError> {
        Ok(vec![])
    }
    fn run(&self, _: &SweepId, _: u64) -> Result<Option<RunRow>, StoreError> {
        Ok(None)
    }
    fn metrics(&self, _: &AttemptRef, _: u64, _: usize) -> Result<Vec<(u64, MetricPoint)>, StoreError> {
        Ok(vec![])
    }
    fn log(&self, _: &AttemptRef, _: u64, _: usize) -> Result<Vec<u8>, StoreError> {
        Ok(vec![])
    }
    fn agents(&self, _: Option<&SweepId>) -> Result<Vec<AgentRow>, StoreError> {
        Ok(vec![])
    }
}
