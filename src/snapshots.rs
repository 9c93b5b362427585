//! Brings the code of versions here.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use sweep_code::Store;
use sweep_proto::v1::{CodeVersion, GetCodeRequest, ListCodeRequest, Sweep};
use tempfile::{NamedTempFile, TempDir};

use crate::client::Client;
use crate::failure::Failure;

/// A store for as long as a command takes.
pub(crate) struct Snapshots {
    folder: TempDir,
    pub(crate) store: Store,
    have: Vec<String>,
}

impl Snapshots {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder cannot be made")?;
        let store = Store::open(&folder.path().join("code.git"))?;
        Ok(Self { folder, store, have: Vec::new() })
    }

    /// Fetches a version; nothing happens if it is here.
    pub(crate) async fn fetch(&mut self, client: &mut Client, sweep: &Sweep, version: &str) -> Result<()> {
        if !sweep_code::is_version(version) {
            let failure =
                Failure::new(format!("the code of version `{version}` is not kept: a program that asks for runs has named it so"));
            return Err(failure.into());
        }
        if self.store.holds(version) {
            return Ok(());
        }
        let request = GetCodeRequest { sweep_id: sweep.id.clone(), version: version.to_owned(), have: self.have.clone() };
        let stream = client.service.get_code(request).await;
        let mut stream = stream.map_err(|status| client.explain(&status))?.into_inner();
        let mut bundle = NamedTempFile::new_in(self.folder.path())?;
        while let Some(part) = stream.message().await.map_err(|status| client.explain(&status))? {
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
    let request = ListCodeRequest { sweep_id: sweep.id.clone() };
    Ok(client.call(request, async |mut service, request| service.list_code(request).await).await?.versions)
}
