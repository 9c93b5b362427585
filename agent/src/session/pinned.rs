//! Code that the controller names: fetched once, and executed in its own folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use sweep_code::{Checkouts, CodeError, folder_in};
use sweep_proto::v1;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::answer::{CallError, OutageCause, judge};
use super::code::CODE_AGE_MAX;
use super::link::Backoff;
use super::state::{Level, Session, give_run_back};
use crate::held::HeldAttempt;
use crate::private::PrivateDir;
use crate::{Interrupt, Notice};

/// Where checkouts are kept in the folder for run folders.
const FOLDER: &str = "pinned";
/// Versions that are named as a base of a bundle.
const BASES_MAX: usize = 5;
/// How often a controller is asked that answers, but not with the code.
const TRIES: u32 = 5;

/// The code of a run.
pub(super) struct Code {
    /// Which version; empty: it cannot be told.
    pub(super) version: String,
    /// Where the program runs.
    pub(super) workdir: PathBuf,
    /// Why it cannot be executed here.
    pub(super) obstacle: Option<String>,
}

impl Session {
    /// Makes ready what an attempt is to execute. `None`: the agent was told to leave meanwhile,
    /// and the run was given back.
    pub(super) async fn ready(
        &self,
        assignment: &v1::Assignment,
        attempt: &HeldAttempt,
        level: &mut Level,
    ) -> Option<Code> {
        let (version, workdir) = (
            assignment.code_version.clone(),
            self.options.workdir.clone(),
        );
        if version.is_empty() {
            // It may have come after a long wait.
            return Some(Code {
                version: self.code_version(CODE_AGE_MAX).await,
                workdir,
                obstacle: None,
            });
        }
        self.pinned.store(true, Ordering::Relaxed);
        // A large program takes a while to come, and the run stays this agent's meanwhile. What is
        // wanted of it is said again once it begins.
        let (wants, _unheard) = mpsc::unbounded_channel();
        self.hold(
            attempt,
            attempt.numbers(),
            assignment.record_json.clone(),
            wants,
        );
        let found = tokio::select! {
            found = self.place(&version, &assignment.code_prefix) => Some(found),
            _ = level.wait_for(Option::<Interrupt>::is_some) => None,
        };
        let Some(found) = found else {
            give_run_back(self, &assignment.sweep_id, attempt).await;
            self.release(attempt);
            return None;
        };
        let before = std::mem::replace(&mut self.book().code, version.clone());
        if before != version {
            let news = if before.is_empty() {
                "code"
            } else {
                "the sweep has moved to other code"
            };
            self.link.notice(Notice::Note(format!(
                "{news}: version {version:.8}, fetched from the controller"
            )));
        }
        Some(match found {
            Ok(workdir) => Code {
                version,
                workdir,
                obstacle: None,
            },
            Err(reason) => Code {
                version,
                workdir,
                obstacle: Some(reason),
            },
        })
    }

    /// Returns the folder where a program of a version runs.
    async fn place(&self, version: &str, prefix: &str) -> Result<PathBuf, String> {
        let code_dir = self.options.code_dir().to_owned();
        let dir = code_dir.join(FOLDER);
        let unready = |error: CodeError| {
            format!("code version {version:.8} cannot be executed here: {error}")
        };
        let open = move || match PrivateDir::make(&code_dir, Path::new(FOLDER)) {
            Ok(_) => Checkouts::open(&dir),
            Err(source) => Err(CodeError::File { path: dir, source }),
        };
        let checkouts = blocking(open).await?.map_err(unready)?;
        let (known, name) = (checkouts.clone(), version.to_owned());
        if !blocking(move || known.holds(&name)).await? {
            self.fetch(version, &checkouts).await?;
        }
        let (prefix, name) = (prefix.to_owned(), version.to_owned());
        let tree = blocking(move || checkouts.take(&name).map(|tree| folder_in(&tree, &prefix)))
            .await?
            .map_err(unready)?;
        tree.ok_or_else(|| {
            format!("the folder in which programs are to run is not in code version {version:.8}")
        })
    }

    async fn fetch(&self, version: &str, checkouts: &Checkouts) -> Result<(), String> {
        let (here, mut backoff) = (checkouts.clone(), Backoff::default());
        let mut have = blocking(move || here.have()).await?;
        have.truncate(BASES_MAX);
        let file = checkouts.file().map_err(|error| error.to_string())?;
        let mut tries = 0;
        loop {
            let refused = match self.download(version, have.clone(), &file).await {
                Ok(()) => break,
                // A controller that is away comes back.
                Err(DownloadError::Call(CallError::Outage(outage)))
                    if outage.cause == OutageCause::Away =>
                {
                    backoff.wait().await;
                    continue;
                }
                Err(DownloadError::Call(CallError::Outage(outage))) => outage.reason,
                Err(DownloadError::Call(
                    CallError::Refused(refused) | CallError::Unexplained(refused),
                )) => refused.message,
                Err(DownloadError::File(error)) => format!("{}: {error}", file.display()),
            };
            tries += 1;
            if tries >= TRIES {
                return Err(format!(
                    "the controller does not give code version {version:.8}: {refused}"
                ));
            }
            backoff.wait().await;
        }
        let (here, name) = (checkouts.clone(), version.to_owned());
        let received = blocking(move || here.receive(&name, &file)).await?;
        received.map_err(|error| {
            format!("code version {version:.8} has not come as it should: {error}")
        })
    }

    async fn download(
        &self,
        version: &str,
        have: Vec<String>,
        to: &Path,
    ) -> Result<(), DownloadError> {
        let mut file = tokio::fs::File::create(to).await?;
        let request = v1::GetCodeRequest {
            sweep_id: self.sweep.clone(),
            version: version.to_owned(),
            have,
        };
        let answer = self.link.sweeps().get_code(request).await;
        let mut parts = self.link.judged(answer)?.into_inner();
        let own = self.link.controller();
        let broken = |status| judge(&status, &own);
        while let Some(part) = parts.message().await.map_err(broken)? {
            file.write_all(&part.chunk).await?;
        }
        Ok(file.flush().await?)
    }
}

/// Why code has not come.
enum DownloadError {
    Call(CallError),
    File(std::io::Error),
}

impl From<CallError> for DownloadError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<std::io::Error> for DownloadError {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

/// Does something that takes its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("it broke off: {error}"))
}
