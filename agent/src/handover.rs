//! A list of the attempts that an agent holds, with its id, for the agent process that follows if
//! it is killed or upgraded.
//!
//! Each agent of a machine has its own place, `<runs_dir>/agents/<host>-<n>`: a lock that ends with
//! the process, and beside it the list.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::held::HeldAttempt;
use crate::private::{self, Durability, Obstruction, PrivateDir};

/// Agents on one machine that share a folder of runs.
const PLACES_MAX: u32 = 10_000;

/// The place of a living agent.
#[derive(Debug)]
pub(crate) struct Handover {
    list: PathBuf,
    lock: PathBuf,
    /// Held until the process ends, however it ends.
    _locked: File,
    held: Mutex<Held>,
}

/// The id of an agent, and the attempts that it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The agent's id.
    pub(crate) agent: String,
    /// The sweep as it was asked for.
    pub(crate) asked: String,
    /// The sweep's full id.
    pub(crate) sweep: String,
    /// The id of the controller that its attempts are from; empty in a list of an agent of an
    /// earlier version.
    #[serde(default)]
    pub(crate) controller: String,
    /// Its attempts.
    pub(crate) attempts: Vec<HeldAttempt>,
}

impl Held {
    fn is_for(&self, asked: &str) -> bool {
        !self.attempts.is_empty() && (self.asked == asked || self.sweep == asked)
    }
}

impl Handover {
    /// Takes a place: that of an agent for the same sweep that was killed, with what it held, or a
    /// free one.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn open(
        runs_dir: &Path,
        host: &str,
        asked: &str,
    ) -> io::Result<(Self, Option<Held>)> {
        let folder = runs_dir.join("agents");
        let places = PrivateDir::make(runs_dir, Path::new("agents"))?;
        let host: String = host
            .chars()
            .map(|char| {
                if char.is_ascii_alphanumeric() || "-_.".contains(char) {
                    char
                } else {
                    '_'
                }
            })
            .collect();
        let mut free = None;
        for number in 1..=PLACES_MAX {
            let name = format!("{host}-{number}.lock");
            let lock = folder.join(&name);
            let is_new = !lock.exists();
            if is_new && free.is_some() {
                break;
            }
            let file = match places.open_or_create(OsStr::new(&name)) {
                Err(error) if Obstruction::of(&error).is_some() => {
                    tracing::warn!(%error, "another place is taken");
                    continue;
                }
                file => file?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => continue,
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            let list = lock.with_extension("json");
            let left: Option<Held> = private::read(&list)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let place = Self {
                list,
                lock,
                _locked: file,
                held: Mutex::default(),
            };
            match left {
                Some(left) if left.is_for(asked) => return Ok((place, Some(left))),
                // It waits for an agent of its own sweep.
                Some(left) if !left.attempts.is_empty() => {}
                _ if free.is_none() => free = Some(place),
                _ => {}
            }
        }
        free.map(|place| (place, None)).ok_or_else(|| {
            io::Error::other(format!(
                "more than {PLACES_MAX} agents share {}",
                folder.display()
            ))
        })
    }

    /// The file whose lock says that an agent is here.
    pub(crate) fn lock(&self) -> &Path {
        &self.lock
    }

    /// Records the present agent and its attempts.
    pub(crate) fn take(&self, held: Held) {
        *self.held() = held;
        self.write();
    }

    /// Notes that an attempt is the agent's.
    pub(crate) fn hold(&self, attempt: &HeldAttempt) {
        let mut held = self.held();
        if !held.attempts.contains(attempt) {
            held.attempts.push(attempt.clone());
            drop(held);
            self.write();
        }
    }

    /// Notes that an attempt is the agent's no more.
    pub(crate) fn release(&self, attempt: &HeldAttempt) {
        self.held().attempts.retain(|known| known != attempt);
        self.write();
    }

    fn write(&self) {
        let held = self.held();
        let written = if held.attempts.is_empty() {
            fs::remove_file(&self.list).or_else(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(error)
                }
            })
        } else {
            let bytes = serde_json::to_vec(&*held).map_err(io::Error::from);
            bytes.and_then(|bytes| private::replace(&self.list, &bytes, Durability::Synced))
        };
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.list.display(), "if this agent is killed, the next one will not find its attempts");
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(asked: &str) -> Held {
        let controller = "a1b2c3".to_owned();
        Held {
            agent: format!("agent of {asked}"),
            asked: asked.to_owned(),
            sweep: format!("{asked}1234"),
            controller,
            attempts: Vec::new(),
        }
    }

    #[test]
    fn the_next_agent_of_a_sweep_takes_over_what_a_dead_one_held() {
        let folder = tempfile::tempdir().unwrap();
        let open = |asked: &str| Handover::open(folder.path(), "gpu/1", asked).unwrap();
        let (first, left) = open("wine");
        assert_eq!(left, None);
        first.take(held("wine"));
        let attempt = |run, attempt| HeldAttempt {
            run,
            attempt,
            incarnation: "a1b2c3.1.0".to_owned(),
            folder: PathBuf::from("wine/4/2"),
        };
        first.hold(&attempt(3, 1));
        first.hold(&attempt(4, 2));
        first.release(&attempt(3, 1));
        let (second, left) = open("wine");
        assert_eq!(left, None, "the first one lives");
        assert_ne!(first.lock(), second.lock());
        drop((first, second));
        assert_eq!(
            open("digits").1,
            None,
            "another sweep's attempts are not for this one"
        );
        let expected = Held {
            attempts: vec![attempt(4, 2)],
            ..held("wine")
        };
        let (third, left) = open("wine1234");
        assert_eq!(left, Some(expected.clone()), "by its full id too");
        third.take(expected);
        third.release(&attempt(4, 2));
        drop(third);
        assert_eq!(open("wine").1, None, "an agent that has left holds nothing");
        assert_eq!(
            fs::read_dir(folder.path().join("agents")).unwrap().count(),
            2,
            "places are used again"
        );
    }

    #[test]
    fn a_list_of_an_agent_of_an_earlier_version_is_read() {
        let left: Held = serde_json::from_str(
            r#"{"agent": "a", "asked": "wine", "sweep": "wine1234", "attempts": [[4, 2]]}"#,
        )
        .unwrap();
        assert_eq!(
            left.attempts,
            [HeldAttempt {
                run: 4,
                attempt: 2,
                ..HeldAttempt::default()
            }]
        );
        assert_eq!(left.controller, "");
    }
}
