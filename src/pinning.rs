//! Takes the code of a working folder to the controller, for sweeps that are pinned to it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use sweep_agent::channel::is_outcome_unknown;
use sweep_code::{Snapshot, Source, Working};
use sweep_proto::v1::push_code_request::Part;
use sweep_proto::v1::{PrepareCodeRequest, PushCodeHeader, PushCodeRequest, StageCodeResponse};

use crate::client::{Client, request_id};
use crate::display::printable;
use crate::failure::CommandError;
use crate::places;

/// Of a bundle, in one message.
const CHUNK_BYTES: u64 = 256 << 10;
/// Suspected secrets that are named.
const NAMED_MAX: usize = 20;
/// How often the code is sent when the way to the controller breaks.
const TRIES: u32 = 3;

/// Which code.
#[derive(Clone, Debug, Args)]
pub(crate) struct CodeFolderArgs {
    /// Where the code is that runs execute: the folder in which programs run. By default the current directory
    #[arg(long, value_name = "DIR", help_heading = "Code")]
    pub(crate) workdir: Option<PathBuf>,

    /// Take the code even if something in it looks like a secret: every agent gets it
    #[arg(long, help_heading = "Code")]
    pub(crate) allow_secrets: bool,
}

impl CodeFolderArgs {
    /// Returns whether any of it was given.
    pub(crate) fn is_given(&self) -> bool {
        self.workdir.is_some() || self.allow_secrets
    }
}

/// A snapshot that was taken and is on no disk but this one.
pub(crate) struct TakenSnapshot {
    pub(crate) snapshot: Snapshot,
    source: Source,
}

/// Takes a snapshot of a working folder, unless something in it looks like a secret.
pub(crate) fn take(
    workdir: &Path,
    allow_secrets: bool,
    include: &[String],
) -> Result<TakenSnapshot> {
    let named = workdir.display();
    let workdir = workdir
        .canonicalize()
        .map_err(|error| CommandError::input(format!("{named}: {error}")))?;
    if !workdir.is_dir() {
        return Err(CommandError::input(format!("{named} is not a directory")).into());
    }
    let trouble = |error: sweep_code::CodeError| {
        CommandError::new(format!("the code in {named} cannot be taken: {error}"))
    };
    let mut working = Working::find(&workdir, &places::state_dir()?)
        .map_err(trouble)?
        .taking_secrets();
    working.include(include);
    let snapshot = working.snapshot().map_err(trouble)?;
    let source = working.source();
    if !allow_secrets {
        let suspects = source.suspects(&snapshot.version).map_err(trouble)?;
        if !suspects.is_empty() {
            let lines: Vec<_> = suspects
                .iter()
                .take(NAMED_MAX)
                .map(|suspect| format!("\n  {}", printable(&suspect.to_string())))
                .collect();
            let more = suspects.len() - lines.len();
            let more = if more > 0 {
                format!("\n  and {more} more")
            } else {
                String::new()
            };
            let message = format!(
                "the code in {named} holds what looks like secrets, and every agent would get them:{}{more}",
                lines.concat()
            );
            let hint = "take them out of the code (a file that git does not track and whose name says so is left out by itself), or say --allow-secrets";
            return Err(CommandError::input(message).hint(hint).into());
        }
    }
    Ok(TakenSnapshot { snapshot, source })
}

/// Brings a snapshot to the controller, as far as it is not there. `sweep`: may be empty, where it is yet to be created.
pub(crate) async fn send(client: &Client, sweep: &str, taken: &TakenSnapshot) -> Result<()> {
    let version = &taken.snapshot.version;
    let mut packed: Option<(tempfile::TempPath, PushCodeHeader)> = None;
    let mut failures = 0;
    loop {
        let request = PrepareCodeRequest {
            sweep_id: sweep.to_owned(),
            version: version.clone(),
        };
        let wish = client
            .call(request, async |mut service, request| {
                service.prepare_code(request).await
            })
            .await?;
        if !wish.wanted {
            return Ok(());
        }
        let (file, header) = match &mut packed {
            Some(packed) => packed,
            None => {
                let file = tempfile::NamedTempFile::new()?.into_temp_path();
                taken.source.bundle(version, &wish.have, &file)?;
                let upload_id = request_id()?;
                packed.insert((
                    file,
                    PushCodeHeader {
                        version: version.clone(),
                        upload_id,
                        ..PushCodeHeader::default()
                    },
                ))
            }
        };
        let mut bundle = File::open(&*file)?;
        bundle.seek(SeekFrom::Start(header.offset))?;
        let parts =
            std::iter::once(Part::Header(header.clone())).chain(chunks(bundle).map(Part::Chunk));
        let parts = tokio_stream::iter(parts.map(|part| PushCodeRequest { part: Some(part) }));
        match client
            .service
            .clone()
            .stage_code(parts)
            .await
            .map(tonic::Response::into_inner)
        {
            // A call before this one was interrupted, and this is how far it came.
            Ok(StageCodeResponse {
                continue_at: Some(offset),
            }) => header.offset = offset,
            Ok(_) => return Ok(()),
            Err(status) if failures + 1 < TRIES && is_outcome_unknown(status.code()) => {
                failures += 1;
            }
            Err(status) => return Err(client.explain(&status)),
        }
    }
}

/// The pieces of a bundle. One that cannot be read to its end is refused over there.
fn chunks(file: File) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        (&file)
            .take(CHUNK_BYTES)
            .read_to_end(&mut chunk)
            .ok()
            .filter(|read| *read > 0)
            .map(|_| chunk)
    })
}

/// Says what was not taken along.
pub(crate) fn tell_notes(snapshot: &Snapshot) {
    for note in &snapshot.notes {
        say!("note: {}", printable(note));
    }
}
