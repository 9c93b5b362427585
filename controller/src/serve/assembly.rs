//! Assembles store, engine, planner and reaper.

use std::path::Path;
use std::sync::Arc;

use sweep_access::Token;

use super::data_dir::DATABASE;
use super::{ServeError, marker, presence};
use crate::engine::{
    Engine, EngineJoin, EngineOptions, Terms, complain, draw_controller_id, metric_rows,
};
use crate::reader::Reader;
use crate::store::{SqliteQuery, SqliteStore, StoreError, has_zeroed_pages, make_room};
use crate::token::{self, Tokens};
use crate::{planner, reaper};

/// Which callers are let in.
#[derive(Clone, Debug)]
pub enum AccessPolicy {
    /// Those that show the token of the data directory, which is made if missing, or the one that is given here.
    Token {
        /// Accepted beside that of the data directory.
        given: Option<Token>,
    },
    /// All on this machine. On loopback alone.
    Open,
}

/// The running store, engine, planner and reaper.
pub(super) struct Assembly {
    /// The way to the engine.
    pub(super) engine: Engine,
    /// The way to the query tables.
    pub(super) reader: Reader,
    join: EngineJoin,
}

impl Assembly {
    /// Opens the database of a data directory, reads its log and starts everything over it. Opens the tokens too, if `access` asks for them.
    /// After an error nothing runs and nothing is open.
    pub(super) async fn start(
        data_dir: &Path,
        terms: Terms,
        access: AccessPolicy,
    ) -> Result<(Self, Option<Tokens>), ServeError> {
        let data_dir = data_dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&data_dir, terms, &access));
        let broken =
            |error| Err(StoreError::Failed(format!("reading the log broke off: {error}")).into());
        let Opened {
            engine,
            join,
            query,
            tokens,
        } = opened.await.unwrap_or_else(broken)?;
        // All of them end when the engine does.
        tokio::spawn(reaper::run(engine.clone()));
        tokio::spawn(presence::watch_database(engine.clone()));
        tokio::spawn(planner::run(engine.clone(), planner::threads()));
        Ok((
            Self {
                engine,
                reader: Reader::new(Arc::new(query)),
                join,
            },
            tokens,
        ))
    }

    /// Waits until the engine ends by itself.
    pub(super) async fn ended(&mut self) -> Result<(), StoreError> {
        self.join.ended().await
    }

    /// Ends everything in good order.
    pub(super) async fn stop(self) -> Result<(), StoreError> {
        // The last connection to close removes the write-ahead log, and only the engine can.
        drop(self.reader);
        self.join.stop().await
    }
}

struct Opened {
    engine: Engine,
    join: EngineJoin,
    query: SqliteQuery,
    tokens: Option<Tokens>,
}

fn open(data_dir: &Path, terms: Terms, access: &AccessPolicy) -> Result<Opened, ServeError> {
    let database = data_dir.join(DATABASE);
    marker::guard(data_dir)?;
    // The store first: it knows whether this version may write to the database at all. The engine last: it would have to be stopped.
    // Before the store: the file may not be open here yet.
    let suspect = has_zeroed_pages(&database).unwrap_or_default();
    if suspect {
        tracing::info!("there is a page of zeros in the database: all of its structure is checked");
    }
    let store = SqliteStore::open(&database)?;
    let problems = store.check_sample(suspect, &|event| metric_rows(event).collect())?;
    complain(&problems);
    let tokens = match access {
        AccessPolicy::Token { given } => Some(token::open(data_dir, &database, given.as_ref())?),
        AccessPolicy::Open => None,
    };
    let query = SqliteQuery::open(&database)?;
    if let Err(error) = make_room(&database) {
        tracing::info!(%error, "there is no room for the write-ahead log yet: the first commits take longer");
    }
    let options = EngineOptions {
        controller: Some(draw_controller_id()?),
        ..EngineOptions::new(terms)
    };
    let (engine, join) = Engine::start(Box::new(store), options)?;
    marker::put(data_dir, &engine.identity().borrow().controller);
    Ok(Opened {
        engine,
        join,
        query,
        tokens,
    })
}
