//! The execution of an attempt, as the agent writes it down for a later agent.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attempt::Limits;
use crate::held::{AttemptNumbers, HeldAttempt};
use crate::intake::printed::Pattern;
use crate::private::{self, Durability, Obstruction, PrivateDir};
use crate::process::launch::Alone;
use crate::slot::Slot;

/// Where a job is written down in its attempt's folder.
pub(crate) const FILE: &str = "job.json";
/// An attempt to execute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Which agent executes it.
    pub(crate) agent: String,
    /// The sweep's full id.
    pub(crate) sweep: String,
    /// The run's number.
    pub(crate) run: u64,
    /// The attempt's number.
    pub(crate) attempt: u32,
    /// Tells it from an attempt with the same numbers, which a restored controller may assign.
    /// Empty from a controller of an earlier version.
    #[serde(default)]
    pub(crate) incarnation: String,
    /// The record of the attempt that a restored controller needs, as the assignment gave it.
    #[serde(default)]
    pub(crate) record_json: String,
    /// The name of its run's folder in that of the sweep, and of the attempt's folder in it; empty:
    /// the numbers.
    #[serde(default)]
    pub(crate) folders: (String, String),
    /// Which repeat of its point it is, from 1, and the seed for it.
    pub(crate) repeat: u32,
    /// See [`Job::repeat`].
    pub(crate) seed: u32,
    /// The configuration as the program sees it.
    pub(crate) params: Map<String, Value>,
    /// The items of `command:`, macros unexpanded.
    pub(crate) command: Vec<String>,
    /// Arguments for parameters without a value are left out.
    #[serde(default)]
    pub(crate) omits_none: bool,
    /// The value of `${program}`.
    pub(crate) program: String,
    /// The objective; empty where the sweep has none.
    pub(crate) objective: String,
    /// The patterns for metrics in the output; not written down, since each registration has them.
    #[serde(skip)]
    pub(crate) patterns: Vec<Pattern>,
    /// Globs of files that hold metrics.
    #[serde(default)]
    pub(crate) metric_files: Vec<String>,
    /// For W&B's library.
    pub(crate) project: String,
    /// For W&B's library.
    pub(crate) entity: String,
    /// The version of the code that it executes; empty: not known.
    #[serde(default)]
    pub(crate) code_version: String,
    /// Why that cannot be executed here.
    #[serde(skip)]
    pub(crate) obstacle: Option<String>,
    /// Which GPUs it may use.
    pub(crate) slot: Slot,
    /// Bytes in use on each of them before it began, as far as it can be said.
    #[serde(default)]
    pub(crate) gpu_bytes: BTreeMap<String, u64>,
    /// Where it runs; absolute.
    pub(crate) workdir: PathBuf,
    /// Where run folders are made; absolute.
    pub(crate) runs_dir: PathBuf,
    /// How long it may take.
    pub(crate) limits: Limits,
    /// The command that has to succeed before its program is started; empty: none.
    pub(crate) preflight: Vec<String>,
    /// The policy for the program when the agent dies.
    pub(crate) alone: Alone,
}

impl Job {
    /// The attempt's own folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let Self {
            folders: (_, name),
            attempt,
            ..
        } = self;
        self.run_folder().join(if name.is_empty() {
            attempt.to_string()
        } else {
            name.clone()
        })
    }

    /// Makes the attempt's folder and writes the job down in it, for an agent that comes later.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub(crate) fn write(&self) -> io::Result<()> {
        self.make_folder(&self.folder())?.replace(
            OsStr::new(FILE),
            &serde_json::to_vec(self)?,
            Durability::Synced,
        )
    }

    /// Makes a folder of the attempt or of its run.
    ///
    /// # Errors
    /// It cannot be made, or its path is not a folder of this user.
    pub(crate) fn make_folder(&self, folder: &Path) -> io::Result<PrivateDir> {
        PrivateDir::make(&self.runs_dir, self.below(folder)?)
    }

    /// Makes the folder of the run that its programs keep checkpoints in. Returns what was in its
    /// place, and is moved aside.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make_checkpoint_folder(&self, folder: &Path) -> io::Result<Option<Obstruction>> {
        PrivateDir::make_for_programs(&self.runs_dir, self.below(folder)?)
    }

    fn below<'a>(&self, folder: &'a Path) -> io::Result<&'a Path> {
        folder
            .strip_prefix(&self.runs_dir)
            .map_err(io::Error::other)
    }

    /// Reads a job that was written down.
    ///
    /// # Errors
    /// There is none that can be read, or it is another attempt's.
    pub(crate) fn read(runs_dir: &Path, sweep: &str, held: &HeldAttempt) -> io::Result<Self> {
        let HeldAttempt {
            run,
            attempt,
            incarnation,
            folder,
        } = held;
        let by_numbers = || {
            runs_dir
                .join(sweep)
                .join(run.to_string())
                .join(attempt.to_string())
        };
        let folder = if folder.as_os_str().is_empty() {
            by_numbers()
        } else {
            folder.clone()
        };
        let job: Self = serde_json::from_slice(&private::read(&folder.join(FILE))?)?;
        if job.incarnation == *incarnation {
            Ok(job)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Names it among the attempts that its agent holds.
    pub(crate) fn held(&self) -> HeldAttempt {
        HeldAttempt {
            run: self.run,
            attempt: self.attempt,
            incarnation: self.incarnation.clone(),
            folder: self.folder(),
        }
    }

    /// Returns the numbers by which the controller knows it, as far as the agent before this one
    /// knew.
    pub(crate) fn numbers(&self) -> AttemptNumbers {
        AttemptNumbers::read(&self.folder()).unwrap_or(AttemptNumbers {
            run: self.run,
            attempt: self.attempt,
        })
    }

    /// Returns the mark of the processes of the attempt.
    pub(crate) fn marker(&self) -> String {
        self.held().marker(&self.agent, &self.sweep)
    }

    /// Where the program's output goes.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder().join("output.log")
    }

    /// The run's folder, in which those of its attempts lie.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let Self {
            folders: (name, _),
            run,
            ..
        } = self;
        self.runs_dir.join(&self.sweep).join(if name.is_empty() {
            run.to_string()
        } else {
            name.clone()
        })
    }
}
