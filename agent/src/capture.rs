//! What an attempt executes and in what, captured without asking anybody: the exact code (here), the environment, the data.

mod bucket;
pub(crate) mod data;
pub(crate) mod environment;
mod machine;
mod python;
mod variables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use sweep_code::{CodeError, Snapshot, Source, Turn, Working};

/// How long one look may take. A folder that takes longer is no code, or lies on a network that is not there.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

/// Looks at the code of a working folder, again and again.
#[derive(Debug)]
pub(crate) struct Capture {
    workdir: PathBuf,
    runs_dir: PathBuf,
    /// One look at a time serves all who wait for one.
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    code: Option<Working>,
    /// When the last look began, and what it saw.
    seen: Option<(Instant, Arc<Snapshot>)>,
    /// Nothing will be seen here.
    given_up: bool,
}

/// What a look has come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// The code; `None`: it cannot be told.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// Where a bundle of it comes from, where it is not the one before.
    pub(crate) source: Option<Source>,
    /// The version before, where this is another one; empty where it is the first.
    pub(crate) instead_of: Option<String>,
    /// Why it cannot be told; said once.
    pub(crate) complaint: Option<String>,
}

impl Capture {
    /// Captures what is in `workdir`. What that needs is kept in `runs_dir`, which is no code wherever it lies.
    pub(crate) fn new(workdir: PathBuf, runs_dir: PathBuf) -> Self {
        Self { workdir, runs_dir, last: Mutex::default() }
    }

    /// Returns the code as it is now, or was `max_age` ago at the longest.
    pub(crate) async fn look(&self, max_age: Duration) -> Look {
        let oldest = Instant::now().checked_sub(max_age);
        let mut last = self.last.lock().await;
        let last = &mut *last;
        if last.given_up {
            return Look::default();
        }
        if let Some((began, snapshot)) = &last.seen
            && oldest.is_none_or(|oldest| *began >= oldest)
        {
            return Look { snapshot: Some(Arc::clone(snapshot)), ..Look::default() };
        }
        let began = Instant::now();
        let (workdir, runs_dir, code) = (self.workdir.clone(), self.runs_dir.clone(), last.code.take());
        let looking = tokio::task::spawn_blocking(move || {
            let mut code = match code {
                Some(code) => code,
                None => Working::find(&workdir, &runs_dir)?,
            };
            // A file may have been written at that very moment.
            let snapshot = code.snapshot().or_else(|error| if error.is_lasting() { Err(error) } else { code.snapshot() })?;
            Ok::<_, CodeError>((code, snapshot))
        });
        let seen = match timeout(LOOK_TIME_MAX, looking).await {
            Ok(Ok(seen)) => seen.map_err(|error| (error.to_string(), error.is_lasting())),
            Ok(Err(error)) => Err((format!("capturing it broke off: {error}"), true)),
            Err(_) => Err((format!("capturing it takes longer than {} seconds", LOOK_TIME_MAX.as_secs()), true)),
        };
        match seen {
            Ok((code, snapshot)) => {
                let snapshot = Arc::new(snapshot);
                let before =
                    last.seen.replace((began, Arc::clone(&snapshot))).map(|(_, before)| before.version.clone()).unwrap_or_default();
                let instead_of = (before != snapshot.version).then_some(before);
                let source = instead_of.as_ref().map(|_| code.source());
                last.code = Some(code);
                Look { snapshot: Some(snapshot), source, instead_of, complaint: None }
            }
            Err((reason, lasting)) => {
                last.given_up = lasting;
                Look { complaint: Some(reason), ..Look::default() }
            }
        }
    }

    /// Returns when one version that was seen became another: before a moment, or since.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub(crate) async fn turn(&self, from: &str, to: &str, moment: Duration) -> Result<Turn, CodeError> {
        // Nothing was seen where there is none.
        let Some(source) = self.last.lock().await.code.as_ref().map(Working::source) else { return Ok(Turn::Since) };
        let (from, to) = (from.to_owned(), to.to_owned());
        // It neither panics nor is aborted.
        tokio::task::spawn_blocking(move || source.turn(&from, &to, moment)).await.unwrap_or(Ok(Turn::Since))
    }
}
