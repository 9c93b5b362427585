//! How versions of the code differ from their commits: kept beside the code, once.

use std::collections::BTreeSet;

use sweep_code::{Changes, CodeStore, is_version};
use sweep_proto::v1;
use tonic::Status;

use super::refusal::unknown_sweep;
use super::snapshots::{Snapshots, refused};
use super::{Services, limits};

/// Most of a difference that is given out.
const DIFFERENCE_BYTES_MAX: usize = 1 << 20;

/// The uncommitted part of a version, on its way into the store.
pub(super) struct Patch {
    version: String,
    commit: String,
    text: String,
}

impl Patch {
    /// Takes it out of what somebody says of a version, if there is any, checked against the limits.
    pub(super) fn take(code: &mut Option<v1::Code>) -> Result<Option<Self>, Status> {
        let Some(code) = code else { return Ok(None) };
        let text = std::mem::take(&mut code.patch);
        limits::patch(&text)?;
        // A version that a program has named itself has no commit that could be told.
        let is_known = !text.is_empty() && is_version(&code.version) && is_version(&code.commit);
        Ok(is_known.then(|| Self {
            version: code.version.clone(),
            commit: code.commit.clone(),
            text,
        }))
    }
}

impl Snapshots {
    /// Returns of which versions it is kept how they differ from which commits.
    pub(super) async fn patches(&self) -> BTreeSet<(String, String)> {
        let look = |snapshots: &Self| {
            Ok(snapshots
                .existing()
                .and_then(|store| store.patches().ok())
                .unwrap_or_default())
        };
        self.look(look).await.unwrap_or_default()
    }
}

impl Services {
    /// Keeps a patch. Where that fails, runs continue as well.
    pub(super) async fn keep_patch(&self, patch: Option<Patch>) {
        let (
            Some(Patch {
                version,
                commit,
                text,
            }),
            Some(snapshots),
        ) = (patch, self.snapshots.clone())
        else {
            return;
        };
        let name = version.clone();
        let keep = move |snapshots: &Snapshots| {
            snapshots.store().and_then(|store| {
                store
                    .keep_patch(&version, &commit, &text)
                    .map_err(|error| refused(&error))
            })
        };
        if let Err(status) = snapshots.look(keep).await {
            tracing::warn!(
                version = name,
                status = status.message(),
                "what was not committed is not kept"
            );
        }
    }

    /// Gives out the patch of a version.
    pub(super) async fn patch(
        &self,
        request: v1::GetPatchRequest,
    ) -> Result<v1::GetPatchResponse, Status> {
        let v1::GetPatchRequest { sweep_id, version } = request;
        let sweep = self.find_sweep(&sweep_id).await?;
        let snapshots = self.kept_code()?;
        let id = sweep.clone();
        let found = self
            .read(move |query| query.sweep(&id))
            .await?
            .ok_or_else(|| unknown_sweep(&sweep.0))?;
        let Some(code) = found
            .0
            .codes
            .into_iter()
            .find(|code| code.version == version)
        else {
            return Err(Status::not_found(format!(
                "sweep {sweep} has no code version `{version}`; `sweep code {sweep}` lists them"
            )));
        };
        let name = version.clone();
        let look = move |snapshots: &Snapshots| match snapshots
            .existing()
            .filter(|_| is_version(&code.version) && is_version(&code.about.commit))
        {
            Some(store) => store
                .patch(&code.version, &code.about.commit)
                .map_err(|error| refused(&error)),
            None => Ok(None),
        };
        let patch = snapshots.look(look).await?.ok_or_else(|| {
            Status::not_found(format!(
                "of version {name} nothing is kept that was not committed"
            ))
        })?;
        Ok(v1::GetPatchResponse { patch })
    }

    /// Says how two versions of a sweep's code differ.
    pub(super) async fn difference(
        &self,
        request: v1::DiffCodeRequest,
    ) -> Result<v1::DiffCodeResponse, Status> {
        let v1::DiffCodeRequest { sweep_id, from, to } = request;
        limits::name("from", &from)?;
        limits::name("to", &to)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let known = self.versions(&sweep).await?;
        if let Some(unknown) = [&from, &to]
            .into_iter()
            .find(|version| !known.contains(version))
        {
            return Err(Status::not_found(format!(
                "sweep {sweep} has no code version `{unknown}`; `sweep code {sweep}` lists them"
            )));
        }
        let snapshots = self.kept_code()?;
        let look = move |snapshots: &Snapshots| {
            let lacking = |version: &String| {
                Status::failed_precondition(format!(
                    "no agent has sent the code of version {version:.8}"
                ))
            };
            let kept =
                |store: &CodeStore, version: &String| is_version(version) && store.holds(version);
            let store = snapshots.existing().ok_or_else(|| lacking(&from))?;
            if let Some(lost) = [&from, &to]
                .into_iter()
                .find(|version| !kept(&store, version))
            {
                return Err(lacking(lost));
            }
            let patch = store
                .diff(&from, &to, false, false)
                .map_err(|error| refused(&error))?;
            let Changes {
                files,
                added,
                removed,
            } = store.changes(&from, &to).map_err(|error| refused(&error))?;
            let cut = patch.len() > DIFFERENCE_BYTES_MAX;
            let patch = String::from_utf8_lossy(&patch[..patch.len().min(DIFFERENCE_BYTES_MAX)])
                .into_owned();
            let changes = Some(v1::CodeChanges {
                files,
                lines_added: added,
                lines_removed: removed,
            });
            Ok(v1::DiffCodeResponse {
                patch,
                changes,
                cut,
            })
        };
        snapshots.look(look).await
    }
}
