//! What decides and remembers: store, engine, planner and reaper.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Engine, EngineJoin, EngineOptions};
use crate::reader::Reader;
use crate::store::{SqliteQuery, SqliteStore, StoreError};
use crate::{planner, reaper};

/// The database in the data directory.
pub(super) const DATABASE: &str = "sweep.db";

/// What decides and remembers, running.
pub(super) struct Assembly {
    /// The way to the engine.
    pub(super) engine: Engine,
    /// The way to the query tables.
    pub(super) reader: Reader,
    join: EngineJoin,
}

impl Assembly {
    /// Opens the database of a data directory, reads its log and starts everything over it.
    pub(super) async fn start(data_dir: &Path, lease: Duration) -> Result<Self, StoreError> {
        let database = data_dir.join(DATABASE);
        let opened = tokio::task::spawn_blocking(move || {
            let store = SqliteStore::open(&database)?;
            let query = SqliteQuery::open(&database)?;
            let (engine, join) = Engine::start(Box::new(store), EngineOptions::new(lease))?;
            Ok((engine, join, query))
        });
        let broken = |error| Err(StoreError::Failed(format!("reading the log broke off: {error}")));
        let (engine, join, query) = opened.await.unwrap_or_else(broken)?;
        // Both end when the engine does.
        tokio::spawn(reaper::run(engine.clone()));
        tokio::spawn(planner::run(engine.clone(), planner::threads()));
        Ok(Self { engine, reader: Reader::new(Arc::new(query)), join })
    }

    /// Waits until the engine ends by itself.
    pub(super) async fn ended(&mut self) -> Result<(), StoreError> {
        self.join.ended().await
    }

    /// Ends everything in good order.
    pub(super) async fn stop(self) -> Result<(), StoreError> {
        self.join.stop().await
    }
}
