//! Bundles of code that come from agents and go to those that want to see or execute a version.

use std::io::Read;
use std::time::Duration;

use sweep_code::CodeError;
use sweep_lifecycle::state::SweepId;
use sweep_proto::v1;
use sweep_proto::v1::push_code_request::Part;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::refusal::{invalid, unknown_sweep};
use super::snapshots::{Snapshots, refused, unwritten};
use super::uploads::is_upload_id;
use super::{Services, limits};

/// The largest bundle that is taken in.
const BUNDLE_BYTES_MAX: u64 = 512 << 20;

const CHUNK_BYTES: usize = 256 << 10;

/// How long the next piece of a bundle may take to come.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);

/// The number of versions that are named as bases of a bundle.
const BASES_MAX: usize = 5;

impl Services {
    /// Says whether the snapshot of a version is wanted, and which of the sweep's others are there to build on, the newest first.
    pub(super) async fn wanted(
        &self,
        sweep: Option<&SweepId>,
        version: &str,
    ) -> (bool, Vec<String>) {
        let Some(snapshots) = self
            .snapshots
            .as_ref()
            .filter(|_| sweep_code::is_version(version))
        else {
            return (false, Vec::new());
        };
        let mut others = match sweep {
            Some(sweep) => self.versions(sweep).await.unwrap_or_default(),
            None => Vec::new(),
        };
        others.retain(|other| other != version);
        others.reverse();
        others.truncate(BASES_MAX);
        let mut kept = snapshots
            .kept([vec![version.to_owned()], others].concat())
            .await;
        let wanted = !kept.iter().any(|other| other == version);
        kept.retain(|other| other != version);
        (wanted, kept)
    }

    pub(super) fn kept_code(&self) -> Result<Snapshots, Status> {
        self.snapshots
            .clone()
            .ok_or_else(|| Status::unimplemented("this controller keeps no code"))
    }

    pub(super) async fn versions(&self, sweep: &SweepId) -> Result<Vec<String>, Status> {
        let id = sweep.clone();
        let found = self
            .read(move |query| query.sweep(&id))
            .await?
            .ok_or_else(|| unknown_sweep(&sweep.0))?;
        Ok(found.0.codes.into_iter().map(|code| code.version).collect())
    }

    /// Takes in the bundle of a version that the sweep knows. Returns where an interrupted upload continues, if it is not complete.
    pub(super) async fn receive_code(
        &self,
        mut parts: Streaming<v1::PushCodeRequest>,
    ) -> Result<Option<u64>, Status> {
        let header = header(&mut parts).await?;
        let (sweep, version) = (self.find_sweep(&header.sweep_id).await?, &header.version);
        if !self.versions(&sweep).await?.contains(version) {
            return Err(Status::failed_precondition(format!(
                "sweep {sweep} has no code version {version}; DescribeCode comes first"
            )));
        }
        self.take_in_bundle(header, parts).await
    }

    /// Takes in the bundle of a version that a sweep will name. It is identified by its content: even without the sweep, it costs space and
    /// nothing else. Returns as [`Services::receive_code`] does.
    pub(super) async fn stage(
        &self,
        mut parts: Streaming<v1::PushCodeRequest>,
    ) -> Result<Option<u64>, Status> {
        let header = header(&mut parts).await?;
        self.take_in_bundle(header, parts).await
    }

    async fn take_in_bundle(
        &self,
        v1::PushCodeHeader {
            version,
            upload_id,
            offset,
            ..
        }: v1::PushCodeHeader,
        mut parts: Streaming<v1::PushCodeRequest>,
    ) -> Result<Option<u64>, Status> {
        let snapshots = self.kept_code()?;
        if !sweep_code::is_version(&version) {
            return Err(refused(&CodeError::NoVersion(
                version.escape_debug().to_string(),
            )));
        }
        // Many agents have the same code, and one whose call was lost sends it again: one of them takes it in, and the others find it.
        let alone = snapshots.alone_with(&version).await;
        if !snapshots.kept(vec![version.clone()]).await.is_empty() {
            return Ok(None);
        }
        let place = snapshots.turn(&snapshots.coming).await?;
        let name = version.clone();
        let mut upload = snapshots
            .look(move |snapshots| snapshots.upload(&name, &upload_id))
            .await?;
        if offset != upload.length() {
            return Ok(Some(upload.length()));
        }
        while let Some(message) = next(&mut parts).await? {
            let Some(Part::Chunk(chunk)) = message.part else {
                return Err(invalid("after the header come chunks"));
            };
            if upload.length() + chunk.len() as u64 > BUNDLE_BYTES_MAX {
                upload.discard();
                return Err(invalid(format!(
                    "the code has more than {} MB: too much to be code",
                    BUNDLE_BYTES_MAX >> 20
                )));
            }
            // A chunk is small, and the page cache takes it.
            upload.write(&chunk).map_err(unwritten)?;
        }
        drop(place);
        let unpack = move |snapshots: &Snapshots| {
            let _alone = alone;
            let outcome = snapshots
                .store()?
                .receive(&version, upload.path())
                .map_err(|error| refused(&error));
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
        let v1::GetCodeRequest {
            sweep_id,
            version,
            have,
        } = request;
        let sweep = self.find_sweep(&sweep_id).await?;
        let snapshots = self.kept_code()?;
        if !self.versions(&sweep).await?.contains(&version) {
            return Err(Status::not_found(format!(
                "sweep {sweep} has no code version `{version}`; `sweep code {sweep}` lists them"
            )));
        }
        if snapshots.kept(vec![version.clone()]).await.is_empty() {
            let reason = format!(
                "the code of version {version} is not here: the agent that had it has not sent it"
            );
            return Err(Status::failed_precondition(reason));
        }
        let pack = move |snapshots: &Snapshots| {
            let file = snapshots.file()?;
            let have: Vec<String> = have.into_iter().take(BASES_MAX).collect();
            snapshots
                .store()?
                .bundle(&version, &have, file.path())
                .map_err(|error| refused(&error))?;
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
                    // The caller has gone.
                    if read == 0
                        || sender
                            .blocking_send(Ok(v1::GetCodeResponse { chunk }))
                            .is_err()
                    {
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
async fn next(
    parts: &mut Streaming<v1::PushCodeRequest>,
) -> Result<Option<v1::PushCodeRequest>, Status> {
    let late = |_| {
        Status::deadline_exceeded(format!(
            "no more of the code has come for {} s",
            PIECE_TIME_MAX.as_secs()
        ))
    };
    tokio::time::timeout(PIECE_TIME_MAX, parts.message())
        .await
        .map_err(late)?
}

async fn header(parts: &mut Streaming<v1::PushCodeRequest>) -> Result<v1::PushCodeHeader, Status> {
    let first = next(parts).await?.and_then(|request| request.part);
    let Some(Part::Header(header)) = first else {
        return Err(invalid("the first message is the header"));
    };
    limits::name("version", &header.version)?;
    if !is_upload_id(&header.upload_id) {
        return Err(invalid(
            "an upload_id has at most 64 letters, digits and dashes",
        ));
    }
    Ok(header)
}
