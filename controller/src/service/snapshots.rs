//! Snapshots of the code: imported from agents, exported to show or execute a version again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sweep_code::{Changes, CodeError, CodeStore};
use sweep_lifecycle::state::SweepId;
use sweep_proto::v1;
use sweep_proto::v1::push_code_request::Part;
use tempfile::NamedTempFile;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::refusal::{invalid, unknown_sweep};
use super::uploads::{Upload, is_upload_id};
use super::{Services, limits};

/// The largest bundle that is taken in.
const BUNDLE_BYTES_MAX: u64 = 512 << 20;
const CHUNK_BYTES: usize = 256 << 10;
/// Bundles that are packed or unpacked at once, and bundles in transfer.
const PACKED_AT_ONCE: usize = 2;
const COMING_AT_ONCE: usize = 16;
/// Looks at what is kept that are done at once, and work with git of any kind that is done or waits for its turn: what comes on top is refused.
const LOOKS_AT_ONCE: usize = 2;
const WAITING_MAX: usize = 256;
/// How long the next piece of a bundle may take to come.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);
/// How names of bundles begin that come or go.
const PASSING: &str = "bundle-";
/// Versions that are named as a base of a bundle.
const BASES_MAX: usize = 5;
/// Versions that are compared with the one before, at most, and comparisons that are cached.
const CHANGES_SHOWN_MAX: usize = 50;
const CHANGES_KNOWN_MAX: usize = 1000;

/// Where snapshots are kept.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
    queue: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    packing: Arc<Semaphore>,
    coming: Arc<Semaphore>,
    /// Versions that are being imported, each by one call; other calls wait for its result.
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

    /// Works with git, in turn with others. Work that has started keeps its turn until it ends, even if its call is dropped.
    async fn in_turn<T: Send + 'static>(
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
        working.await.map_err(|error| Status::internal(format!("the work with code broke off: {error}")))?
    }

    async fn turn(&self, turns: &Arc<Semaphore>) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Status> {
        let busy =
            |_| Status::unavailable(format!("the controller has {WAITING_MAX} other calls about code to answer; try again in a while"));
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(busy)?;
        let turn = Arc::clone(turns).acquire_owned().await.map_err(|error| Status::internal(error.to_string()))?;
        Ok((place, turn))
    }

    /// Waits until nobody else takes a version in. Dropped, the next one may.
    async fn alone_with(&self, version: &str) -> tokio::sync::OwnedMutexGuard<()> {
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

    fn file(&self) -> Result<NamedTempFile, Status> {
        self.store()?;
        tempfile::Builder::new().prefix(PASSING).tempfile_in(&self.dir).map_err(unwritten)
    }

    fn upload(&self, version: &str, id: &str) -> Result<Upload, Status> {
        self.store()?;
        Upload::open(&self.dir, version, id, PASSING).map_err(unwritten)
    }

    /// Returns the store where anything was ever kept.
    pub(super) fn existing(&self) -> Option<CodeStore> {
        self.dir.join("HEAD").exists().then(|| CodeStore::open(&self.dir).ok()).flatten()
    }

    /// Returns which of some versions are kept.
    pub(super) async fn kept(&self, versions: Vec<String>) -> Vec<String> {
        let look = move |snapshots: &Self| {
            let Some(store) = snapshots.existing() else { return Ok(Vec::new()) };
            let kept = store.kept(&versions);
            Ok(versions.into_iter().filter(|version| kept.contains(version)).collect())
        };
        // What nobody could look at counts as not there: it is sent once more, and found then.
        self.look(look).await.unwrap_or_default()
    }
}

impl Snapshots {
    /// Returns how each of some versions differs from the one before it, as far as both are kept; only for the last ones.
    pub(super) async fn changes(&self, versions: Vec<String>) -> BTreeMap<String, Changes> {
        let look = move |snapshots: &Self| {
            let Some(store) = snapshots.existing() else { return Ok(BTreeMap::new()) };
            let mut known = snapshots.changes.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() > CHANGES_KNOWN_MAX {
                known.clear();
            }
            let kept = store.kept(&versions);
            let from = versions.len().saturating_sub(CHANGES_SHOWN_MAX);
            let pairs = versions[from..].windows(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            let change = |pair: (String, String)| {
                if let Some(changes) = known.get(&pair) {
                    return Some((pair.1, *changes));
                }
                let are_kept = kept.contains(&pair.0) && kept.contains(&pair.1);
                let changes = are_kept.then(|| store.changes(&pair.0, &pair.1).ok()).flatten()?;
                known.insert(pair.clone(), changes);
                Some((pair.1, changes))
            };
            Ok(pairs.filter_map(change).collect())
        };
        self.look(look).await.unwrap_or_default()
    }
}

impl Services {
    /// Says whether the snapshot of a version is wanted, and which of the sweep's others are there to build on, the newest first.
    pub(super) async fn wanted(&self, sweep: Option<&SweepId>, version: &str) -> (bool, Vec<String>) {
        let Some(snapshots) = self.snapshots.as_ref().filter(|_| sweep_code::is_version(version)) else { return (false, Vec::new()) };
        let mut others = match sweep {
            Some(sweep) => self.versions(sweep).await.unwrap_or_default(),
            None => Vec::new(),
        };
        others.retain(|other| other != version);
        others.reverse();
        others.truncate(BASES_MAX);
        let mut kept = snapshots.kept([vec![version.to_owned()], others].concat()).await;
        let wanted = !kept.iter().any(|other| other == version);
        kept.retain(|other| other != version);
        (wanted, kept)
    }

    pub(super) fn kept_code(&self) -> Result<Snapshots, Status> {
        self.snapshots.clone().ok_or_else(|| Status::unimplemented("this controller keeps no code"))
    }

    pub(super) async fn versions(&self, sweep: &SweepId) -> Result<Vec<String>, Status> {
        let id = sweep.clone();
        let found = self.read(move |query| query.sweep(&id)).await?.ok_or_else(|| unknown_sweep(&sweep.0))?;
        Ok(found.0.codes.into_iter().map(|code| code.version).collect())
    }

    /// Takes in the bundle of a version that the sweep knows. Returns where an interrupted upload continues, if it is not complete.
    pub(super) async fn receive_code(&self, mut parts: Streaming<v1::PushCodeRequest>) -> Result<Option<u64>, Status> {
        let header = header(&mut parts).await?;
        let (sweep, version) = (self.find_sweep(&header.sweep_id).await?, &header.version);
        if !self.versions(&sweep).await?.contains(version) {
            return Err(Status::failed_precondition(format!("sweep {sweep} has no code version {version}; DescribeCode comes first")));
        }
        self.take_in_bundle(header, parts).await
    }

    /// Takes in the bundle of a version that a sweep will name. It is identified by its content: if the sweep fails, it costs space and
    /// nothing else. Returns as [`Services::receive_code`] does.
    pub(super) async fn stage(&self, mut parts: Streaming<v1::PushCodeRequest>) -> Result<Option<u64>, Status> {
        let header = header(&mut parts).await?;
        self.take_in_bundle(header, parts).await
    }

    async fn take_in_bundle(
        &self,
        v1::PushCodeHeader { version, upload_id, offset, .. }: v1::PushCodeHeader,
        mut parts: Streaming<v1::PushCodeRequest>,
    ) -> Result<Option<u64>, Status> {
        let snapshots = self.kept_code()?;
        if !sweep_code::is_version(&version) {
            return Err(refused(&CodeError::NoVersion(version.escape_debug().to_string())));
        }
        // Many agents have the same code, and one whose call was lost sends it again: one of them takes it in, and the others find it.
        let alone = snapshots.alone_with(&version).await;
        if !snapshots.kept(vec![version.clone()]).await.is_empty() {
            return Ok(None);
        }
        let place = snapshots.turn(&snapshots.coming).await?;
        let name = version.clone();
        let mut upload = snapshots.look(move |snapshots| snapshots.upload(&name, &upload_id)).await?;
        if offset != upload.length() {
            return Ok(Some(upload.length()));
        }
        while let Some(message) = next(&mut parts).await? {
            let Some(Part::Chunk(chunk)) = message.part else { return Err(invalid("after the header come chunks")) };
            if upload.length() + chunk.len() as u64 > BUNDLE_BYTES_MAX {
                upload.discard();
                return Err(invalid(format!("the code has more than {} MB: too much to be code", BUNDLE_BYTES_MAX >> 20)));
            }
            // A chunk is small, and the page cache takes it.
            upload.write(&chunk).map_err(unwritten)?;
        }
        drop(place);
        let unpack = move |snapshots: &Snapshots| {
            let _alone = alone;
            let outcome = snapshots.store()?.receive(&version, upload.path()).map_err(|error| refused(&error));
            if outcome.is_ok() {
                tracing::info!(version, bytes = upload.length(), "code was taken in");
            }
            upload.discard();
            outcome.map(|()| None)
        };
        snapshots.in_turn(&snapshots.packing, unpack).await
    }

    /// Gives out the bundle of a version, without what the caller has already.
    pub(super) async fn give_code(
        &self,
        request: v1::GetCodeRequest,
    ) -> Result<ReceiverStream<Result<v1::GetCodeResponse, Status>>, Status> {
        let v1::GetCodeRequest { sweep_id, version, have } = request;
        let sweep = self.find_sweep(&sweep_id).await?;
        let snapshots = self.kept_code()?;
        if !self.versions(&sweep).await?.contains(&version) {
            return Err(Status::not_found(format!("sweep {sweep} has no code version `{version}`; `sweep code {sweep}` lists them")));
        }
        if snapshots.kept(vec![version.clone()]).await.is_empty() {
            let reason = format!("the code of version {version} is not here: the agent that had it has not sent it");
            return Err(Status::failed_precondition(reason));
        }
        let pack = move |snapshots: &Snapshots| {
            let file = snapshots.file()?;
            let have: Vec<String> = have.into_iter().take(BASES_MAX).collect();
            snapshots.store()?.bundle(&version, &have, file.path()).map_err(|error| refused(&error))?;
            Ok(file)
        };
        let file = snapshots.in_turn(&snapshots.packing, pack).await?;
        let (sender, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            // git has put another file in the place of the empty one.
            let read = std::fs::File::open(file.path()).and_then(|bundle| {
                loop {
                    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                    let read = (&bundle).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
                    // Who has gone wants no more.
                    if read == 0 || sender.blocking_send(Ok(v1::GetCodeResponse { chunk })).is_err() {
                        return Ok(());
                    }
                }
            });
            if let Err(error) = read {
                let _ = sender.blocking_send(Err(Status::internal(error.to_string())));
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

/// Returns the next message of a call, which has no deadline as long as messages come.
async fn next(parts: &mut Streaming<v1::PushCodeRequest>) -> Result<Option<v1::PushCodeRequest>, Status> {
    let late = |_| Status::deadline_exceeded(format!("no more of the code has come for {} s", PIECE_TIME_MAX.as_secs()));
    tokio::time::timeout(PIECE_TIME_MAX, parts.message()).await.map_err(late)?
}

async fn header(parts: &mut Streaming<v1::PushCodeRequest>) -> Result<v1::PushCodeHeader, Status> {
    let first = next(parts).await?.and_then(|request| request.part);
    let Some(Part::Header(header)) = first else { return Err(invalid("the first message is the header")) };
    limits::name("version", &header.version)?;
    if !is_upload_id(&header.upload_id) {
        return Err(invalid("an upload_id has at most 64 letters, digits and dashes"));
    }
    Ok(header)
}

pub(super) fn refused(error: &CodeError) -> Status {
    match error {
        CodeError::NoGit(_) => Status::failed_precondition(format!("the controller keeps no code: {error}")),
        CodeError::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Status::resource_exhausted(error.to_string()),
        CodeError::File { .. } | CodeError::Locked { .. } => Status::internal(error.to_string()),
        CodeError::Git { message, .. } if message.contains("No space left") => Status::resource_exhausted(error.to_string()),
        CodeError::Git { .. } | CodeError::TooLarge(_) | CodeError::TooLong(_) | CodeError::NoVersion(_) | CodeError::Mismatch(_) => {
            invalid(error.to_string())
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
fn unwritten(error: std::io::Error) -> Status {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Status::resource_exhausted(format!("the code cannot be kept: {error}")),
        _ => Status::internal(format!("the code cannot be kept: {error}")),
    }
}
