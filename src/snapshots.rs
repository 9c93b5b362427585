//! Brings the code of versions here.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use sweep_code::CodeStore;
use sweep_proto::v1::{CodeVersion, GetCodeRequest, ListCodeRequest, Sweep};
use tempfile::{NamedTempFile, TempDir};

use crate::client::Client;
use crate::failure::CommandError;

/// A store for as long as a command takes.
pub(crate) struct SnapshotStore {
    folder: TempDir,
    pub(crate) store: CodeStore,
    have: Vec<String>,
}

impl SnapshotStore {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder cannot be made")?;
        let store = CodeStore::open(&folder.path().join("code.git"))?;
        Ok(Self {
            folder,
            store,
            have: Vec::new(),
        })
    }

    /// Fetches a version; nothing happens if it is here.
    pub(crate) async fn fetch(
        &mut self,
        client: &mut Client,
        sweep: &Sweep,
        version: &str,
    ) -> Result<()> {
        if !sweep_code::is_version(version) {
            let failure = CommandError::new(format!(
                "the code of version `{version}` is not kept: a program that asks for runs has named it so"
            ));
            return Err(failure.into());
        }
        if self.store.holds(version) {
            return Ok(());
        }
        let request = GetCodeRequest {
            sweep_id: sweep.id.clone(),
            version: version.to_owned(),
            have: self.have.clone(),
        };
        let stream = client.service.get_code(request).await;
        let mut stream = stream
            .map_err(|status| client.explain(&status))?
            .into_inner();
        let mut bundle = NamedTempFile::new_in(self.folder.path())?;
        while let Some(part) = stream
            .message()
            .await
            .map_err(|status| client.explain(&status))?
        {
            bundle.write_all(&part.chunk)?;
        }
        bundle.flush()?;
        self.store.receive(version, bundle.path())?;
        self.have.push(version.to_owned());
        Ok(())
    }
}

/// Asks for the versions of a sweep's code, oldest first.
pub(crate) async fn versions(client: &Client, sweep: &Sweep) -> Result<Vec<CodeVersion>> {
    let request = ListCodeRequest {
        sweep_id: sweep.id.clone(),
    };
    Ok(client
        .call(request, async |mut service, request| {
            service.list_code(request).await
        })
        .await?
        .versions)
}

/// Finds a version by its number or the beginning of its hash, with an `@` before it or without.
pub(crate) fn find(sweep: &Sweep, versions: &[CodeVersion], text: &str) -> Result<String> {
    let text = text.strip_prefix('@').unwrap_or(text);
    let name = |version: &CodeVersion| {
        version
            .code
            .as_ref()
            .map(|code| code.version.clone())
            .unwrap_or_default()
    };
    let by_number = text
        .parse()
        .ok()
        .and_then(|number: u32| versions.iter().find(|version| version.number == number));
    let mut begun = versions
        .iter()
        .filter(|version| !text.is_empty() && name(version).starts_with(text));
    match (by_number, begun.next(), begun.next()) {
        (Some(version), ..) | (None, Some(version), None) => Ok(name(version)),
        (None, Some(_), Some(_)) => Err(CommandError::input(format!(
            "`{text}` begins several versions of sweep {}; give more of it",
            sweep.id
        ))
        .into()),
        (None, None, _) => {
            let failure =
                CommandError::input(format!("sweep {} has no code version `{text}`", sweep.id));
            Err(failure
                .hint(format!("`sweep code {}` lists them", sweep.id))
                .into())
        }
    }
}
