//! The fence around a run's checkpoint folder: two attempts of a run never write it at once.
//!
//! `checkpoint.lock` in the run's folder is locked by the shim of an attempt as long as its program
//! and all that the program has started live, and names the attempt. The lock is flock(2): the
//! kernel takes it from a holder that dies, and Linux clients of NFS hold it at the server, as a
//! lock of the whole file, so that it counts between machines. That is as good as it gets on a
//! shared file system: where it is mounted with `nolock` or `local_lock=flock`, the lock counts on
//! one machine only. The text in the file blocks no attempt: it says what a later attempt waits
//! for, and how to find what an attempt on the same machine has left when its shim was killed.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::exit::Obstacle;
use super::identity::{ProcessId, host_name};
use super::tree::Tree;
use crate::private::{self, Durability, Obstruction, PrivateDir};

const FILE: &str = "checkpoint.lock";
/// Says that a later attempt waits: a shim whose agent is gone then ends its program.
const WANTED: &str = "checkpoint.wanted";
/// How long a later attempt waits; far longer than any program has to end.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a shim waits for the lock that its agent has just found free.
const SHIM_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// Names that are tried for the file to lock, after the first.
const NAMES_MAX: u32 = 9;
/// Holders write less than this.
const HOLDER_BYTES_MAX: u64 = 65536;

/// Which fence an attempt needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FenceOrder {
    /// The folder of the run, in which the checkpoint folder is.
    pub(crate) run_folder: PathBuf,
    /// The attempt's number.
    pub(crate) attempt: u32,
}

/// The fence of a living attempt; dropped, it is open.
#[derive(Debug)]
pub(crate) struct Fence {
    _locked: File,
}

/// The holder of a fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FenceHolder {
    attempt: u32,
    host: String,
    shim: ProcessId,
    /// The mark of the processes of the attempt.
    marker: String,
}

impl FenceHolder {
    /// Returns whether processes of the attempt live on this machine, whichever process holds the
    /// lock.
    fn lives_here(&self) -> bool {
        self.shim.is_of_this_boot()
            && !Tree {
                marker: self.marker.clone(),
                ..Tree::default()
            }
            .living()
            .is_empty()
    }
}

impl std::fmt::Display for FenceHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "attempt {} on host {}", self.attempt, self.host)
    }
}

/// Waits until no attempt holds the fence of a run's folder. `note` is called once with the holder
/// that it waits for.
///
/// # Errors
/// It is held for too long.
pub(crate) async fn wait_until_open(
    run_folder: &Path,
    note: impl FnOnce(String),
) -> Result<(), Obstacle> {
    let (began, mut note) = (Instant::now(), Some(note));
    loop {
        let folder = run_folder.to_owned();
        // A task that neither panics nor is aborted. A file that cannot be opened is the shim's to
        // complain of.
        let holder = tokio::task::spawn_blocking(move || holder(&folder))
            .await
            .ok()
            .and_then(Result::ok)
            .flatten();
        let Some(holder) = holder else { return Ok(()) };
        if began.elapsed() >= PATIENCE {
            let minutes = PATIENCE.as_secs() / 60;
            return Err(Obstacle::Machine(format!(
                "{holder} has not ended for {minutes} min and still writes the checkpoint folder"
            )));
        }
        if let Some(note) = note.take() {
            // Where it cannot be written, there is only the wait.
            let _ = private::replace(&run_folder.join(WANTED), b"", Durability::Cached);
            note(format!(
                "waiting for {holder} to end, which still writes the checkpoint folder"
            ));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Takes the fence for an attempt whose processes carry a marker. Waits a moment for it, unless
/// `is_deserted`.
///
/// # Errors
/// Another attempt holds it, or its file cannot be made.
pub(super) fn enter(
    order: &FenceOrder,
    marker: &str,
    is_deserted: impl Fn() -> bool,
) -> Result<Fence, Obstacle> {
    let path = order.run_folder.join(FILE);
    let cannot = |error: io::Error| Obstacle::Machine(format!("{}: {error}", path.display()));
    let began = Instant::now();
    loop {
        let mut file = match try_enter(order, marker, &host_name()).map_err(cannot)? {
            Ok(fence) => return Ok(fence),
            Err(file) => file,
        };
        if began.elapsed() >= SHIM_PATIENCE || is_deserted() {
            let holder = read(&mut file)
                .map_or_else(|| "another attempt".to_owned(), |holder| holder.to_string());
            return Err(Obstacle::Machine(format!(
                "{holder} writes the checkpoint folder"
            )));
        }
        std::thread::sleep(RETRY);
    }
}

/// Takes the fence if no other attempt holds it; else returns its file.
///
/// # Errors
/// The file cannot be made or written.
pub(crate) fn try_enter(
    order: &FenceOrder,
    marker: &str,
    host: &str,
) -> io::Result<Result<Fence, File>> {
    let mut file = open(&order.run_folder)?;
    match file.try_lock() {
        // On a file system without locks, only the text in the file protects the folder.
        Ok(()) | Err(TryLockError::Error(_)) => {}
        Err(TryLockError::WouldBlock) => return Ok(Err(file)),
    }
    let holder = FenceHolder {
        attempt: order.attempt,
        host: host.to_owned(),
        shim: ProcessId::own(),
        marker: marker.to_owned(),
    };
    write(&mut file, &holder)?;
    // The attempt that waited has the fence now, or asks again.
    let _ = std::fs::remove_file(order.run_folder.join(WANTED));
    Ok(Ok(Fence { _locked: file }))
}

/// Returns the number of the attempt that holds a run's fence now, on this machine or another one;
/// 0: the number cannot be read.
///
/// # Errors
/// The fence's file cannot be opened.
pub(crate) fn holding_attempt(run_folder: &Path) -> io::Result<Option<u32>> {
    Ok(holder(run_folder)?.map(|holder| holder.attempt))
}

/// Returns whether a later attempt waits for the one that holds the fence.
pub(super) fn is_wanted(order: &FenceOrder) -> bool {
    order.run_folder.join(WANTED).exists()
}

/// Returns the present holder of a fence.
fn holder(run_folder: &Path) -> io::Result<Option<FenceHolder>> {
    if std::fs::symlink_metadata(run_folder.join(FILE)).is_err() {
        return Ok(None);
    }
    let mut file = open(run_folder)?;
    let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let unknown = || FenceHolder {
        attempt: 0,
        host: "unknown".to_owned(),
        shim: ProcessId::none(),
        marker: String::new(),
    };
    let holder = read(&mut file);
    if is_held {
        Ok(Some(holder.unwrap_or_else(unknown)))
    } else {
        Ok(holder.filter(FenceHolder::lives_here))
    }
}

/// Opens the file to lock in a run's folder. To be locked on NFS, a file has to be open for reading
/// and writing.
///
/// Where a program has put something else in its place, the next name is taken instead: all hosts
/// see the same, and so come to the same file. To move it aside could move the file away that
/// another host has just made there.
fn open(run_folder: &Path) -> io::Result<File> {
    let folder = PrivateDir::open(run_folder)?;
    let mut last = folder.open_or_create(OsStr::new(FILE));
    for number in 1..=NAMES_MAX {
        match &last {
            Err(error) if Obstruction::of(error).is_some() => {
                tracing::warn!(%error, "another name is taken for the lock of a run");
            }
            _ => break,
        }
        last = folder.open_or_create(OsStr::new(&format!("{FILE}.{number}")));
    }
    last
}

fn read(file: &mut File) -> Option<FenceHolder> {
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.take(HOLDER_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write(file: &mut File, holder: &FenceHolder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_at_a_time_is_inside_and_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let order = |attempt| FenceOrder {
            run_folder: folder.path().to_owned(),
            attempt,
        };
        assert_eq!(
            holder(folder.path()).unwrap(),
            None,
            "it never had a holder"
        );
        let first = enter(&order(1), "a:s/1/1", || false).unwrap();
        let inside = holder(folder.path()).unwrap().expect("the first is inside");
        assert_eq!((inside.attempt, inside.host), (1, host_name()));
        let Err(Obstacle::Machine(message)) = enter(&order(2), "a:s/1/2", || true) else {
            panic!("two are inside")
        };
        assert_eq!(
            message,
            format!(
                "attempt 1 on host {} writes the checkpoint folder",
                host_name()
            )
        );
        drop(first);
        assert_eq!(
            holder(folder.path()).unwrap(),
            None,
            "the content of the file alone blocks no attempt"
        );
        enter(&order(2), "a:s/1/2", || true).unwrap();
    }

    #[test]
    fn a_file_that_is_damaged_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{\"attempt\": 1").unwrap();
        assert_eq!(holder(folder.path()).unwrap(), None);
        let _fence = enter(
            &FenceOrder {
                run_folder: folder.path().to_owned(),
                attempt: 3,
            },
            "m",
            || false,
        )
        .unwrap();
        assert_eq!(
            holder(folder.path()).unwrap().map(|holder| holder.attempt),
            Some(3)
        );
    }

    #[tokio::test]
    async fn a_later_attempt_waits_and_says_so_once() {
        let folder = tempfile::tempdir().unwrap();
        let fence = enter(
            &FenceOrder {
                run_folder: folder.path().to_owned(),
                attempt: 1,
            },
            "m",
            || false,
        )
        .unwrap();
        let path = folder.path().to_owned();
        let (told, mut notes) = tokio::sync::mpsc::unbounded_channel();
        let waiting =
            tokio::spawn(async move { wait_until_open(&path, |note| drop(told.send(note))).await });
        assert_eq!(
            notes.recv().await,
            Some(format!(
                "waiting for attempt 1 on host {} to end, which still writes the checkpoint folder",
                host_name()
            ))
        );
        assert!(
            !waiting.is_finished()
                && is_wanted(&FenceOrder {
                    run_folder: folder.path().to_owned(),
                    attempt: 1
                })
        );
        drop(fence);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(notes.recv().await, None);
        let order = FenceOrder {
            run_folder: folder.path().to_owned(),
            attempt: 2,
        };
        let _fence = enter(&order, "m", || false).unwrap();
        assert!(!is_wanted(&order));
    }
}
