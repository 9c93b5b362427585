//! The code, environment and data of an attempt, captured without the user's help. The code is
//! here.

mod bucket;
pub(crate) mod data;
pub(crate) mod environment;
mod flood;
mod machine;
mod python;
mod variables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use sweep_code::{CodeError, RunningAttempt, Snapshot, Source, Turn, Working};
use sweep_proto::v1;

use self::flood::VersionCount;
use crate::AgentOptions;
use crate::private::PrivateDir;

/// The folder for captures in a folder for runs.
const FOLDER: &str = "code";
/// The longest time of a capture. A folder that takes longer is no code, or is on a network that is
/// not available.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

/// Looks at the code of a working folder, again and again.
#[derive(Debug)]
pub(crate) struct Capture {
    workdir: PathBuf,
    runs_dir: PathBuf,
    code_dir: PathBuf,
    sweep: String,
    /// A capture in progress serves all tasks that wait for one.
    last: Mutex<LastCapture>,
}

#[derive(Debug, Default)]
struct LastCapture {
    code: Option<Working>,
    /// Untracked files that the sweep file includes.
    include: Vec<String>,
    /// Outputs that were named already.
    named: BTreeSet<String>,
    /// The time of the last capture, and its result.
    seen: Option<(Instant, Arc<Snapshot>)>,
    /// Capturing has failed for good.
    given_up: bool,
    versions: VersionCount,
    /// There were too many versions. Nothing is captured until one of the files changes that
    /// exclude files from the code; their stamps at that time.
    flooded: Option<Vec<Option<(SystemTime, u64)>>>,
}

/// The result of a capture.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaptureResult {
    /// The code; `None`: it cannot be told.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// Where a bundle of it comes from, where it is not the one before.
    pub(crate) source: Option<Source>,
    /// The version before, where this is another one; empty where it is the first.
    pub(crate) instead_of: Option<String>,
    /// Outputs of programs that are not part of it and were not named before.
    pub(crate) outputs: Vec<String>,
    /// Why it cannot be told; said once.
    pub(crate) complaint: Option<String>,
}

/// Finds the code of a working folder.
fn found(
    workdir: &Path,
    runs_dir: &Path,
    code_dir: &Path,
    sweep: &str,
) -> Result<Working, CodeError> {
    let store = code_dir.join(FOLDER);
    if let Err(source) = PrivateDir::make(code_dir, Path::new(FOLDER)) {
        return Err(CodeError::File {
            path: store,
            source,
        });
    }
    Ok(Working::find_keeping(workdir, runs_dir, &store)?.for_sweep(sweep))
}

/// Returns a version as the wire has it.
pub fn code_message(snapshot: &Snapshot) -> v1::Code {
    let (files, lines_added, lines_removed) = snapshot.changed;
    v1::Code {
        version: snapshot.version.clone(),
        commit: snapshot.commit.clone(),
        subject: snapshot.subject.clone(),
        branch: snapshot.branch.clone(),
        remote: snapshot.remote.clone(),
        files,
        lines_added,
        lines_removed,
        prefix: snapshot.prefix.clone(),
        notes: snapshot.notes.clone(),
        patch: snapshot.patch.to_string(),
        outputs: snapshot.outputs.clone(),
    }
}

impl Capture {
    /// Captures the working folder, for a sweep whose file includes some untracked files. The data
    /// for that is kept in the folder for runs, which is never code.
    pub(crate) fn new(options: &AgentOptions, sweep: &str, include: &[String]) -> Self {
        let (workdir, runs_dir, code_dir) = (
            options.workdir.clone(),
            options.runs_dir.clone(),
            options.code_dir().to_owned(),
        );
        let last = LastCapture {
            include: include.to_vec(),
            ..LastCapture::default()
        };
        Self {
            workdir,
            runs_dir,
            code_dir,
            sweep: sweep.to_owned(),
            last: Mutex::new(last),
        }
    }

    /// Returns what [`found`] needs.
    fn places(&self) -> (PathBuf, PathBuf, PathBuf, String) {
        (
            self.workdir.clone(),
            self.runs_dir.clone(),
            self.code_dir.clone(),
            self.sweep.clone(),
        )
    }

    /// Records an edit of the sweep file.
    pub(crate) async fn include(&self, include: &[String]) {
        let mut last = self.last.lock().await;
        if last.include != include {
            last.include = include.to_vec();
            last.seen = None;
        }
    }

    /// Records that an attempt begins: until what is returned is dropped, files that appear or
    /// change are outputs. `None`: no code is captured here.
    pub(crate) async fn begin_attempt(&self) -> Option<RunningAttempt> {
        let mut last = self.last.lock().await;
        if last.given_up {
            return None;
        }
        if last.code.is_none() {
            let (workdir, runs_dir, code_dir, sweep) = self.places();
            // What goes wrong is said by the first look.
            last.code =
                tokio::task::spawn_blocking(move || found(&workdir, &runs_dir, &code_dir, &sweep))
                    .await
                    .ok()?
                    .ok();
        }
        match last.code.as_ref()?.attempts().begin() {
            Ok(running) => Some(running),
            Err(error) => {
                tracing::warn!(%error, "it cannot be recorded that an attempt begins; what it writes counts as code");
                None
            }
        }
    }

    /// Returns the code as it is now, or was `max_age` ago at the longest.
    pub(crate) async fn look(&self, max_age: Duration) -> CaptureResult {
        let oldest = Instant::now().checked_sub(max_age);
        let mut last = self.last.lock().await;
        let last = &mut *last;
        if last.given_up {
            return CaptureResult::default();
        }
        if let Some(before) = &last.flooded {
            if *before == self.ignore_files() {
                return CaptureResult::default();
            }
            last.flooded = None;
            last.versions.clear();
        }
        if let Some((began, snapshot)) = &last.seen
            && oldest.is_none_or(|oldest| *began >= oldest)
        {
            return CaptureResult {
                snapshot: Some(Arc::clone(snapshot)),
                ..CaptureResult::default()
            };
        }
        let began = Instant::now();
        let (code, include) = (last.code.take(), last.include.clone());
        match self.snapshot(code, include).await {
            Ok((code, snapshot)) => self.take(last, began, code, snapshot),
            Err((reason, lasting)) => {
                last.given_up = lasting;
                CaptureResult {
                    complaint: Some(reason),
                    ..CaptureResult::default()
                }
            }
        }
    }

    /// Takes a snapshot within a time.
    ///
    /// # Errors
    /// The reason, and whether it will not pass.
    async fn snapshot(
        &self,
        code: Option<Working>,
        include: Vec<String>,
    ) -> Result<(Working, Snapshot), (String, bool)> {
        let (workdir, runs_dir, code_dir, sweep) = self.places();
        let looking = tokio::task::spawn_blocking(move || {
            let mut code = match code {
                Some(code) => code,
                None => found(&workdir, &runs_dir, &code_dir, &sweep)?,
            };
            code.include(&include);
            // A file may have been written at that very moment.
            let snapshot = code.snapshot().or_else(|error| {
                if error.is_lasting() {
                    Err(error)
                } else {
                    code.snapshot()
                }
            })?;
            Ok::<_, CodeError>((code, snapshot))
        });
        match timeout(LOOK_TIME_MAX, looking).await {
            Ok(Ok(seen)) => seen.map_err(|error| (error.to_string(), error.is_lasting())),
            Ok(Err(error)) => Err((format!("capturing it broke off: {error}"), true)),
            Err(_) => Err((
                format!(
                    "capturing it takes longer than {} seconds",
                    LOOK_TIME_MAX.as_secs()
                ),
                true,
            )),
        }
    }

    /// Records a snapshot, and compares it with the one before.
    fn take(
        &self,
        last: &mut LastCapture,
        began: Instant,
        code: Working,
        snapshot: Snapshot,
    ) -> CaptureResult {
        let snapshot = Arc::new(snapshot);
        let before = last
            .seen
            .replace((began, Arc::clone(&snapshot)))
            .map(|(_, before)| before.version.clone())
            .unwrap_or_default();
        let instead_of = (before != snapshot.version).then_some(before);
        if let Some(before) = &instead_of
            && last.versions.is_flooded_by(&snapshot.version, began)
        {
            last.flooded = Some(self.ignore_files());
            let changed = code.source().some_differing(before, &snapshot.version);
            // Once it is looked again, what is there then is told.
            (last.code, last.seen) = (Some(code), None);
            return CaptureResult {
                complaint: Some(flood::complaint(&changed)),
                ..CaptureResult::default()
            };
        }
        let source = instead_of.as_ref().map(|_| code.source());
        last.code = Some(code);
        let outputs = snapshot
            .outputs
            .iter()
            .filter(|output| last.named.insert((*output).clone()))
            .cloned()
            .collect();
        CaptureResult {
            snapshot: Some(snapshot),
            source,
            instead_of,
            outputs,
            complaint: None,
        }
    }

    /// Returns the times and lengths of the files by which users exclude files from the code.
    fn ignore_files(&self) -> Vec<Option<(SystemTime, u64)>> {
        let of = |name| {
            std::fs::symlink_metadata(self.workdir.join(name))
                .ok()
                .and_then(|found| Some((found.modified().ok()?, found.len())))
        };
        let above = self
            .workdir
            .ancestors()
            .skip(1)
            .map(|folder| folder.join(".gitignore"));
        let files = [
            self.workdir.join(".gitignore"),
            self.workdir.join(".sweepignore"),
        ]
        .into_iter();
        let above = above.flat_map(|file| {
            [
                file.with_file_name(".sweepignore"),
                file.with_file_name(".git").join("info/exclude"),
                file,
            ]
        });
        files
            .chain([self.workdir.join(".git/info/exclude")])
            .chain(above)
            .map(of)
            .collect()
    }

    /// Returns when one version that was seen became another: before a moment, or since.
    ///
    /// # Errors
    /// See [`CodeError`].
    pub(crate) async fn turn(
        &self,
        from: &str,
        to: &str,
        moment: Duration,
    ) -> Result<Turn, CodeError> {
        // Nothing was seen where there is none.
        let Some(source) = self.last.lock().await.code.as_ref().map(Working::source) else {
            return Ok(Turn::Since);
        };
        let (from, to) = (from.to_owned(), to.to_owned());
        // It neither panics nor is aborted.
        tokio::task::spawn_blocking(move || source.turn(&from, &to, moment))
            .await
            .unwrap_or(Ok(Turn::Since))
    }
}
