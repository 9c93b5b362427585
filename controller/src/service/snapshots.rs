//! Snapshots of the code: imported from agents, exported to show or execute a version again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sweep_code::{Changes, CodeError, CodeStore};
use tempfile::NamedTempFile;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::refusal::invalid;
use super::uploads::Upload;

/// The number that is packed or unpacked at once, and the number that arrives over the network at once.
const PACKED_AT_ONCE: usize = 2;
const COMING_AT_ONCE: usize = 16;
/// Looks at what is kept that are done at once, and work with git of any kind that is done or waits for its turn: what comes on top is refused.
const LOOKS_AT_ONCE: usize = 2;
const WAITING_MAX: usize = 256;
/// How names of bundles begin that come or go.
const PASSING: &str = "bundle-";
/// The maximum number of versions that are compared with the one before; and the number of comparisons that are remembered.
const CHANGES_SHOWN_MAX: usize = 50;
const CHANGES_KNOWN_MAX: usize = 1000;

/// Where snapshots are kept.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
    queue: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    pub(super) packing: Arc<Semaphore>,
    pub(super) coming: Arc<Semaphore>,
    /// Versions that are taken in now, each by one call: others wait for its outcome.
    incoming: Arc<Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>>,
    /// How versions differ, which never changes.
    changes: Arc<Mutex<BTreeMap<(String, String), Changes>>>,
}

impl Snapshots {
    /// Keeps them in a folder, which is made when the first one comes.
    pub fn new(dir: PathBuf) -> Self {
        // Left by a controller that was killed.
        let left = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        for entry in left.filter(|entry| entry.file_name().to_string_lossy().starts_with(PASSING)) {
            let _ = std::fs::remove_file(entry.path());
        }
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            dir,
            queue: places(WAITING_MAX),
            looks: places(LOOKS_AT_ONCE),
            packing: places(PACKED_AT_ONCE),
            coming: places(COMING_AT_ONCE),
            incoming: Arc::default(),
            changes: Arc::default(),
        }
    }

    /// Looks at what is kept, in turn with others.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        self.in_turn(&self.looks, look).await
    }

    /// Works with git, in turn with others. Work that has begun keeps its turn to its end, even if its call is dropped.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.turn(turns).await?;
        let snapshots = self.clone();
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&snapshots)
        });
        working
            .await
            .map_err(|error| Status::internal(format!("the work with code broke off: {error}")))?
    }

    pub(super) async fn turn(
        &self,
        turns: &Arc<Semaphore>,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Status> {
        let busy = |_| {
            Status::unavailable(format!(
                "the controller has {WAITING_MAX} other calls about code to answer; try again in a while"
            ))
        };
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(busy)?;
        let turn = Arc::clone(turns)
            .acquire_owned()
            .await
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok((place, turn))
    }

    /// Waits until no other call takes a version in. Dropped, the next one may.
    pub(super) async fn alone_with(&self, version: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
            incoming.retain(|_, lock| lock.strong_count() > 0);
            let known = incoming.get(version).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::default();
                incoming.insert(version.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    pub(super) fn store(&self) -> Result<CodeStore, Status> {
        CodeStore::open(&self.dir).map_err(|error| refused(&error))
    }

    pub(super) fn file(&self) -> Result<NamedTempFile, Status> {
        self.store()?;
        tempfile::Builder::new()
            .prefix(PASSING)
            .tempfile_in(&self.dir)
            .map_err(unwritten)
    }

    pub(super) fn upload(&self, version: &str, id: &str) -> Result<Upload, Status> {
        self.store()?;
        Upload::open(&self.dir, version, id, PASSING).map_err(unwritten)
    }

    /// Returns the store where anything was ever kept.
    pub(super) fn existing(&self) -> Option<CodeStore> {
        self.dir
            .join("HEAD")
            .exists()
            .then(|| CodeStore::open(&self.dir).ok())
            .flatten()
    }

    /// Returns which of some versions are kept.
    pub(super) async fn kept(&self, versions: Vec<String>) -> Vec<String> {
        let look = move |snapshots: &Self| {
            let Some(store) = snapshots.existing() else {
                return Ok(Vec::new());
            };
            let kept = store.kept(&versions);
            Ok(versions
                .into_iter()
                .filter(|version| kept.contains(version))
                .collect())
        };
        // A version that could not be looked at counts as missing: it is sent once more, and found then.
        self.look(look).await.unwrap_or_default()
    }
}

impl Snapshots {
    /// Returns how each of some versions differs from the one before it, as far as both are kept; only for the last ones.
    pub(super) async fn changes(&self, versions: Vec<String>) -> BTreeMap<String, Changes> {
        let look = move |snapshots: &Self| {
            let Some(store) = snapshots.existing() else {
                return Ok(BTreeMap::new());
            };
            let mut known = snapshots
                .changes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if known.len() > CHANGES_KNOWN_MAX {
                known.clear();
            }
            let kept = store.kept(&versions);
            let from = versions.len().saturating_sub(CHANGES_SHOWN_MAX);
            let pairs = versions[from..]
                .windows(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()));
            let change = |pair: (String, String)| {
                if let Some(changes) = known.get(&pair) {
                    return Some((pair.1, *changes));
                }
                let are_kept = kept.contains(&pair.0) && kept.contains(&pair.1);
                let changes = are_kept
                    .then(|| store.changes(&pair.0, &pair.1).ok())
                    .flatten()?;
                known.insert(pair.clone(), changes);
                Some((pair.1, changes))
            };
            Ok(pairs.filter_map(change).collect())
        };
        self.look(look).await.unwrap_or_default()
    }
}

pub(super) fn refused(error: &CodeError) -> Status {
    match error {
        CodeError::NoGit(_) => {
            Status::failed_precondition(format!("the controller keeps no code: {error}"))
        }
        CodeError::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            Status::resource_exhausted(error.to_string())
        }
        CodeError::File { .. } | CodeError::Locked { .. } => Status::internal(error.to_string()),
        CodeError::Git { message, .. } if message.contains("No space left") => {
            Status::resource_exhausted(error.to_string())
        }
        CodeError::Git { .. }
        | CodeError::TooLarge(_)
        | CodeError::TooLong(_)
        | CodeError::NoVersion(_)
        | CodeError::Mismatch(_) => invalid(error.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
pub(super) fn unwritten(error: std::io::Error) -> Status {
    match error.kind() {
        std::io::ErrorKind::StorageFull => {
            Status::resource_exhausted(format!("the code cannot be kept: {error}"))
        }
        _ => Status::internal(format!("the code cannot be kept: {error}")),
    }
}
