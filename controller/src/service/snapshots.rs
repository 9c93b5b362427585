//! Snapshots of the code: taken in from agents, given out to whoever wants to see or execute a version again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_code::{Changes, CodeError, Store};
use sweep_lifecycle::state::SweepId;
use sweep_proto::v1;
use sweep_proto::v1::push_code_request::Part;
use tempfile::NamedTempFile;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::refusal::{invalid, unknown_sweep};
use super::{Services, limits};

/// The largest bundle that is taken in.
const BUNDLE_BYTES_MAX: u64 = 512 << 20;
const CHUNK_BYTES: usize = 256 << 10;
/// So many are taken in or given out at once: each is a process that packs or unpacks.
const AT_ONCE: usize = 2;
/// How names of bundles begin that come or go.
const PASSING: &str = "bundle-";
/// So many versions are named that a bundle may build on.
const BASES_MAX: usize = 5;
/// So many versions are compared with the one before, at most; and so many comparisons are remembered.
const CHANGES_SHOWN_MAX: usize = 50;
const CHANGES_KNOWN_MAX: usize = 1000;

/// Where snapshots are kept.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
    turns: Arc<Semaphore>,
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
        Self { dir, turns: Arc::new(Semaphore::new(AT_ONCE)), changes: Arc::default() }
    }

    pub(super) fn store(&self) -> Result<Store, Status> {
        Store::open(&self.dir).map_err(|error| refused(&error))
    }

    fn file(&self) -> Result<NamedTempFile, Status> {
        self.store()?;
        tempfile::Builder::new().prefix(PASSING).tempfile_in(&self.dir).map_err(unwritten)
    }

    /// Returns the store where anything was ever kept.
    pub(super) fn existing(&self) -> Option<Store> {
        self.dir.join("HEAD").exists().then(|| Store::open(&self.dir).ok()).flatten()
    }

    /// Returns which of some versions are kept.
    pub(super) async fn kept(&self, versions: Vec<String>) -> Vec<String> {
        let snapshots = self.clone();
        let look = move || {
            let Some(store) = snapshots.existing() else { return Vec::new() };
            versions.into_iter().filter(|version| store.holds(version)).collect()
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }
}

impl Snapshots {
    /// Returns how each of some versions differs from the one before it, as far as both are kept; only for the last ones.
    pub(super) async fn changes(&self, versions: Vec<String>) -> BTreeMap<String, Changes> {
        let (dir, known) = (self.dir.clone(), Arc::clone(&self.changes));
        let look = move || {
            let Ok(store) = Store::open(&dir) else { return BTreeMap::new() };
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() > CHANGES_KNOWN_MAX {
                known.clear();
            }
            let from = versions.len().saturating_sub(CHANGES_SHOWN_MAX);
            let pairs = versions[from..].windows(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            let change = |pair: (String, String)| {
                if let Some(changes) = known.get(&pair) {
                    return Some((pair.1, *changes));
                }
                let kept = store.holds(&pair.0) && store.holds(&pair.1);
                let changes = kept.then(|| store.changes(&pair.0, &pair.1).ok()).flatten()?;
                known.insert(pair.clone(), changes);
                Some((pair.1, changes))
            };
            pairs.filter_map(change).collect()
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
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

    /// Takes in the bundle of a version that the sweep knows.
    pub(super) async fn receive_code(&self, mut parts: Streaming<v1::PushCodeRequest>) -> Result<(), Status> {
        let v1::PushCodeHeader { sweep_id, version } = header(&mut parts).await?;
        let sweep = self.find_sweep(&sweep_id).await?;
        if !self.versions(&sweep).await?.contains(&version) {
            return Err(Status::failed_precondition(format!("sweep {sweep} has no code version {version}; DescribeCode comes first")));
        }
        self.take_in_bundle(version, parts).await
    }

    /// Takes in the bundle of a version that a sweep will name. It is known by what it holds: whatever becomes of the sweep, it costs space and
    /// nothing else.
    pub(super) async fn stage(&self, mut parts: Streaming<v1::PushCodeRequest>) -> Result<(), Status> {
        let v1::PushCodeHeader { sweep_id: _, version } = header(&mut parts).await?;
        self.take_in_bundle(version, parts).await
    }

    async fn take_in_bundle(&self, version: String, mut parts: Streaming<v1::PushCodeRequest>) -> Result<(), Status> {
        let snapshots = self.kept_code()?;
        let _turn = snapshots.turns.clone().acquire_owned().await;
        let mut file = snapshots.file()?;
        let mut bytes = 0;
        while let Some(message) = parts.message().await? {
            let Some(Part::Chunk(chunk)) = message.part else { return Err(invalid("after the header come chunks")) };
            bytes += chunk.len() as u64;
            if bytes > BUNDLE_BYTES_MAX {
                return Err(invalid(format!("the code has more than {} MB: too much to be code", BUNDLE_BYTES_MAX >> 20)));
            }
            // A chunk is small, and the page cache takes it.
            file.write_all(&chunk).map_err(unwritten)?;
        }
        let received = tokio::task::spawn_blocking(move || {
            file.flush().map_err(unwritten)?;
            let outcome = snapshots.store()?.receive(&version, file.path()).map_err(|error| refused(&error));
            if outcome.is_ok() {
                tracing::info!(version, bytes, "code was taken in");
            }
            outcome
        });
        received.await.map_err(|error| Status::internal(format!("taking the code in broke off: {error}")))?
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
        let turn = snapshots.turns.clone().acquire_owned().await;
        let packed = tokio::task::spawn_blocking(move || {
            let file = snapshots.file()?;
            let have: Vec<String> = have.into_iter().take(BASES_MAX).collect();
            snapshots.store()?.bundle(&version, &have, file.path()).map_err(|error| refused(&error))?;
            Ok::<_, Status>(file)
        });
        let file = packed.await.map_err(|error| Status::internal(format!("packing the code broke off: {error}")))??;
        let (sender, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
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

async fn header(parts: &mut Streaming<v1::PushCodeRequest>) -> Result<v1::PushCodeHeader, Status> {
    let first = parts.message().await?.and_then(|request| request.part);
    let Some(Part::Header(header)) = first else { return Err(invalid("the first message is the header")) };
    limits::name("version", &header.version)?;
    Ok(header)
}

pub(super) fn refused(error: &CodeError) -> Status {
    match error {
        CodeError::NoGit(_) => Status::failed_precondition(format!("the controller keeps no code: {error}")),
        CodeError::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Status::resource_exhausted(error.to_string()),
        CodeError::File { .. } => Status::internal(error.to_string()),
        CodeError::Git { message, .. } if message.contains("No space left") => Status::resource_exhausted(error.to_string()),
        CodeError::Git { .. } | CodeError::TooLarge(_) | CodeError::NoVersion(_) | CodeError::Mismatch(_) => invalid(error.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
fn unwritten(error: std::io::Error) -> Status {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Status::resource_exhausted(format!("the code cannot be kept: {error}")),
        _ => Status::internal(format!("the code cannot be kept: {error}")),
    }
}
