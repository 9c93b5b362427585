//! Chooses the folders of an attempt. A folder of another incarnation is never continued: it is
//! moved aside, or, where it is in use, left alone and the new attempt gets a folder with another
//! name.
//!
//! A run's folder is kept as long as its configuration is the same, since its checkpoint is; an
//! attempt's folder belongs to one incarnation.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::job::FILE;
use crate::private::{self, Durability, Obstruction, PrivateDir};
use crate::process::{fence, spawn};

/// Where a sweep's folder says which controller its runs belong to.
const CONTROLLER: &str = "controller";
/// Numbers that are tried for the name of a folder that is moved aside.
const NAMES_MAX: u32 = 10_000;

/// The owner of a folder, according to its job.
#[derive(Deserialize)]
struct FolderOwner {
    #[serde(default)]
    incarnation: String,
    params: Map<String, Value>,
}

/// The owner of the folders.
pub(crate) struct Claim<'a> {
    /// The run's number.
    pub(crate) run: u64,
    /// The attempt's number.
    pub(crate) attempt: u32,
    /// See [`HeldAttempt::incarnation`](crate::held::HeldAttempt::incarnation).
    pub(crate) incarnation: &'a str,
    /// The run's configuration.
    pub(crate) params: &'a Map<String, Value>,
}

/// Returns the name of the run's folder in that of its sweep, and of the attempt's folder in that.
/// `is_held` says of an attempt's folder whether this agent is using it; `note` is called with the
/// file that was in place of a folder.
///
/// # Errors
/// A folder cannot be read or moved.
pub(crate) fn choose(
    sweep: &Path,
    claim: &Claim<'_>,
    is_held: &dyn Fn(&Path) -> bool,
    note: &dyn Fn(String),
) -> io::Result<(String, String)> {
    let run_name = claim.run.to_string();
    if let Some((runs_dir, name)) = sweep
        .parent()
        .zip(sweep.file_name().and_then(OsStr::to_str))
    {
        clear(runs_dir, name, note)?;
    }
    clear(sweep, &run_name, note)?;
    let run = sweep.join(&run_name);
    let owners = owners(&run)?;
    let is_busy = |folder: &Path| is_held(folder) || is_running(folder);
    let is_ours = |owner: &FolderOwner| {
        owner.params == *claim.params
            && controller(&owner.incarnation) == controller(claim.incarnation)
    };
    let run_name = match owners.iter().find(|(_, owner)| !is_ours(owner)) {
        None => run_name,
        Some(_)
            if fence::holding_attempt(&run)?.is_some()
                || owners.iter().any(|(name, _)| is_busy(&run.join(name))) =>
        {
            format!("{run_name}.{}", claim.incarnation)
        }
        Some((_, owner)) => {
            move_aside(sweep, &run_name, &owner.incarnation)?;
            run_name
        }
    };
    let run = sweep.join(&run_name);
    let attempt_name = claim.attempt.to_string();
    clear(&run, &attempt_name, note)?;
    let attempt = run.join(&attempt_name);
    let attempt_name = match read(&attempt)? {
        Some(owner) if owner.incarnation == claim.incarnation => attempt_name,
        None if !attempt.join("output.log").exists() => attempt_name,
        // An attempt on another machine shows by its fence alone.
        _ if fence::holding_attempt(&run)? == Some(claim.attempt) || is_busy(&attempt) => {
            format!("{attempt_name}.{}", claim.incarnation)
        }
        owner => {
            move_aside(
                &run,
                &attempt_name,
                owner.as_ref().map_or("", |owner| &owner.incarnation),
            )?;
            attempt_name
        }
    };
    Ok((run_name, attempt_name))
}

/// Moves what is no folder of the agent's user out of the place of one.
fn clear(parent: &Path, name: &str, note: &dyn Fn(String)) -> io::Result<()> {
    match PrivateDir::open(&parent.join(name)) {
        Err(error) if Obstruction::of(&error).is_some() => {
            // If it cannot be moved, the first error says more.
            if move_aside(parent, name, "replaced").is_err() {
                return Err(error);
            }
            note(format!("{error}; it was moved aside"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Makes the folder of a sweep and writes down which controller its runs belong to, on which only
/// messages depend.
///
/// # Errors
/// The folder cannot be made, or its path is not a folder of this user.
pub(crate) fn write_controller(runs_dir: &Path, sweep: &str, controller: &str) -> io::Result<()> {
    let folder = PrivateDir::make(runs_dir, Path::new(sweep))?;
    if let Err(error) = folder.replace(
        OsStr::new(CONTROLLER),
        controller.as_bytes(),
        Durability::Cached,
    ) {
        tracing::debug!(%error, sweep, "the controller of a sweep is not written down");
    }
    Ok(())
}

/// Returns the id of the controller that the runs of a sweep in a folder for runs belong to, as far
/// as an agent has written it down.
pub fn controller_of(runs_dir: &Path, sweep: &str) -> Option<String> {
    // A sweep's id is letters and digits: nothing else is a folder of runs.
    let is_id = !sweep.is_empty() && sweep.chars().all(|char| char.is_ascii_alphanumeric());
    let text = is_id.then(|| private::read(&runs_dir.join(sweep).join(CONTROLLER)).ok())??;
    Some(String::from_utf8_lossy(&text).trim().to_owned()).filter(|id| !id.is_empty())
}

/// Attempts' folders in a run's folder, each with what its job says.
fn owners(run: &Path) -> io::Result<Vec<(String, FolderOwner)>> {
    let entries = match fs::read_dir(run) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut owners = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(owner) = read(&entry.path())? {
            owners.push((entry.file_name().to_string_lossy().into_owned(), owner));
        }
    }
    Ok(owners)
}

/// Reads whose an attempt's folder is; `None`: it has no job that can be read.
fn read(attempt: &Path) -> io::Result<Option<FolderOwner>> {
    match private::read(&attempt.join(FILE)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        // Its program has put something else there.
        Err(error) if Obstruction::of(&error).is_some() => Ok(None),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The controller's id in an incarnation.
fn controller(incarnation: &str) -> &str {
    incarnation.split('.').next().unwrap_or_default()
}

/// Returns whether the program of an attempt lives.
pub(crate) fn is_running(attempt: &Path) -> bool {
    spawn::find(attempt).is_some_and(|(program, _)| program.tree().shim != 0)
}

fn move_aside(parent: &Path, name: &str, incarnation: &str) -> io::Result<()> {
    let label = if incarnation.is_empty() {
        "old"
    } else {
        incarnation
    };
    let names = (0..NAMES_MAX).map(|number| {
        if number == 0 {
            format!("{name}.{label}")
        } else {
            format!("{name}.{label}-{number}")
        }
    });
    for aside in names {
        if !parent.join(&aside).exists() {
            tracing::info!(folder = %parent.join(name).display(), aside, "moved a folder of another incarnation aside");
            return fs::rename(parent.join(name), parent.join(aside));
        }
    }
    Err(io::Error::other(format!(
        "{NAMES_MAX} folders beside {} were moved aside before; remove some",
        parent.join(name).display()
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Sweep(tempfile::TempDir);

    impl Sweep {
        /// Begins an attempt as an agent does, and returns the names of its folders.
        fn begin(
            &self,
            attempt: u32,
            incarnation: &str,
            x: u64,
            is_held: bool,
        ) -> (String, String) {
            let params = json!({ "x": x }).as_object().unwrap().clone();
            let claim = Claim {
                run: 5,
                attempt,
                incarnation,
                params: &params,
            };
            let (run, attempt) = choose(self.0.path(), &claim, &|_| is_held, &|_| {}).unwrap();
            let folder = self.0.path().join(&run).join(&attempt);
            fs::create_dir_all(&folder).unwrap();
            fs::write(
                folder.join(FILE),
                json!({ "incarnation": incarnation, "params": params }).to_string(),
            )
            .unwrap();
            fs::write(folder.join("output.log"), incarnation).unwrap();
            (run, attempt)
        }

        fn output(&self, path: &str) -> String {
            fs::read_to_string(self.0.path().join(path).join("output.log")).unwrap()
        }
    }

    fn names(run: &str, attempt: &str) -> (String, String) {
        (run.to_owned(), attempt.to_owned())
    }

    #[test]
    fn attempts_of_one_run_share_its_folder_whatever_the_epoch() {
        let sweep = Sweep(tempfile::tempdir().unwrap());
        assert_eq!(sweep.begin(1, "a.1.10", 7, false), names("5", "1"));
        assert_eq!(sweep.begin(2, "a.2.20", 7, false), names("5", "2"));
        assert_eq!(
            sweep.begin(2, "a.2.20", 7, true),
            names("5", "2"),
            "it is taken up again"
        );
    }

    #[test]
    fn an_attempt_of_another_incarnation_is_moved_aside_unless_it_runs() {
        let sweep = Sweep(tempfile::tempdir().unwrap());
        sweep.begin(1, "a.1.10", 7, false);
        assert_eq!(sweep.begin(1, "a.2.20", 7, false), names("5", "1"));
        assert_eq!(
            (sweep.output("5/1"), sweep.output("5/1.a.1.10")),
            ("a.2.20".to_owned(), "a.1.10".to_owned())
        );
        assert_eq!(sweep.begin(1, "a.3.30", 7, true), names("5", "1.a.3.30"));
        assert_eq!(sweep.output("5/1"), "a.2.20");
    }

    #[test]
    fn a_run_of_another_configuration_or_controller_is_moved_aside_with_its_checkpoint() {
        let sweep = Sweep(tempfile::tempdir().unwrap());
        sweep.begin(1, "a.1.10", 7, false);
        fs::create_dir(sweep.0.path().join("5/checkpoint")).unwrap();
        assert_eq!(sweep.begin(1, "a.2.20", 8, false), names("5", "1"));
        assert!(!sweep.0.path().join("5/checkpoint").exists());
        assert!(sweep.0.path().join("5.a.1.10/checkpoint").exists());
        assert_eq!(sweep.begin(1, "b.1.30", 8, true), names("5.b.1.30", "1"));
        assert_eq!(sweep.output("5/1"), "a.2.20");
    }

    #[test]
    fn what_a_program_has_put_in_the_place_of_folders_is_moved_aside_and_said() {
        let sweep = Sweep(tempfile::tempdir().unwrap());
        let params = json!({ "x": 7 }).as_object().unwrap().clone();
        let claim = Claim {
            run: 5,
            attempt: 1,
            incarnation: "a.1.10",
            params: &params,
        };
        let notes = std::cell::RefCell::new(Vec::new());
        let choose = || {
            choose(sweep.0.path(), &claim, &|_| false, &|note| {
                notes.borrow_mut().push(note);
            })
            .unwrap()
        };
        std::os::unix::fs::symlink("/etc", sweep.0.path().join("5")).unwrap();
        assert_eq!(choose(), names("5", "1"));
        assert!(
            sweep.0.path().join("5.replaced").is_symlink()
                && notes.borrow()[0].contains("5 is a link, not a folder")
        );
        fs::create_dir(sweep.0.path().join("5")).unwrap();
        nix::unistd::mkfifo(&sweep.0.path().join("5/1"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(choose(), names("5", "1"));
        assert!(notes.borrow()[1].contains("1 is a FIFO, not a folder"));
    }

    #[test]
    fn what_an_agent_of_an_earlier_version_left_is_moved_aside() {
        let sweep = Sweep(tempfile::tempdir().unwrap());
        sweep.begin(1, "", 7, false);
        assert_eq!(sweep.begin(1, "a.1.10", 7, false), names("5", "1"));
        assert_eq!(sweep.output("5.old/1"), "");
    }
}
