//! The storage of the controller's data, and backups of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sweep_controller::engine::{draw_controller_id, record_restore};
use sweep_controller::store::{
    MemoryStore, Query, SqliteQuery, SqliteStore, Store, StoreError, copy,
};
use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::state::Timestamp;

/// The way to write and the way to ask.
pub(crate) type Opened = (Box<dyn Store>, Arc<dyn Query>);

/// The storage of the controller's data.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// In memory.
    Memory(MemoryStore),
    /// In this SQLite file.
    Sqlite(PathBuf),
}

impl Storage {
    /// Opens it, to write and to ask.
    pub(crate) fn open(&self) -> Result<Opened, StoreError> {
        Ok(match self {
            Self::Memory(store) => (Box::new(store.clone()), Arc::new(store.query())),
            Self::Sqlite(path) => (
                Box::new(SqliteStore::open(path)?),
                Arc::new(SqliteQuery::open(path)?),
            ),
        })
    }

    /// Copies it as it is now. `number` tells SQLite files apart.
    pub(crate) fn back_up(&self, number: u64) -> Result<Self, StoreError> {
        Ok(match self {
            Self::Memory(store) => Self::Memory(store.back_up()),
            Self::Sqlite(path) => {
                let file = path.with_extension(format!("backup-{number}"));
                copy(path, &file)?;
                Self::Sqlite(file)
            }
        })
    }

    /// Puts a backup in its place, and records that unless it was done behind the controller's back. Returns all events.
    pub(crate) fn restore(
        &mut self,
        backup: &Self,
        is_recorded: bool,
    ) -> Result<Vec<Recorded>, StoreError> {
        match (&*self, backup) {
            (Self::Sqlite(path), Self::Sqlite(file)) => {
                replace(path, file).map_err(|error| StoreError::Failed(error.to_string()))?;
            }
            _ => *self = backup.back_up(0)?,
        }
        let (mut store, _) = self.open()?;
        if is_recorded {
            record_restore(store.as_mut(), draw_controller_id()?, Timestamp(0))?;
        }
        let mut events = Vec::new();
        store.replay(0, &mut |event| events.push(event))?;
        Ok(events)
    }
}

fn replace(path: &Path, file: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        match fs::remove_file(beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::copy(file, path).map(drop)
}
