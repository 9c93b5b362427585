//! Everything that a program has started, found and signalled.
//!
//! A process belongs to an attempt if it is in the attempt's [`cgroup`](super::cgroup), is in the
//! session of the attempt's program, descends from one that belongs, or carries the attempt's
//! marker in its environment. Children that call `setsid` leave the session, and fork twice to lose
//! their parent: the shim is a subreaper, so they are handed to it instead of to `init`. If the
//! shim is killed they are handed to its agent, which is a subreaper too: what it has not started
//! itself and what began after the shim belongs to an attempt whose shim was killed, and all of
//! those end. Where there is no cgroup, and neither the shim nor the agent that started it lives, a
//! process escapes that has left its session, outlived its parent *and* cleared its environment.
//!
//! Elsewhere than on Linux there is no `/proc`: the program's process group is all that is reached.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable that marks each process of an attempt, its children included.
pub(crate) const MARKER: &str = "SWEEP_ATTEMPT_ID";

/// The shims that the agents of this process have started and that were not reaped yet. A process
/// has one set of children, so this is
/// one for all agents: a child in it must not be reaped as an orphan.
static MAIN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Whether orphans of programs are handed to this process.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// The processes of one attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// The program's process, which leads its session; 0 while there is none.
    pub(crate) main: i32,
    /// The process that looks after it, whose children are the attempt's, and which is none of its
    /// processes itself.
    pub(crate) shim: i32,
    /// The attempt's marker.
    pub(crate) marker: String,
    /// Its cgroup, where it has one.
    pub(crate) cgroup: Option<PathBuf>,
    /// When its shim began, in clock ticks since the machine did, if that was killed: orphans of
    /// this process that began later may be the attempt's.
    pub(crate) orphans_since: Option<u64>,
}

/// Asks the kernel to hand orphans to this process.
pub(crate) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    match nix::sys::prctl::set_child_subreaper(true) {
        Ok(()) => ADOPTS.store(true, Ordering::Relaxed),
        Err(error) => {
            tracing::warn!(%error, "orphans of programs cannot be adopted: some may be missed when an attempt ends");
        }
    }
}

/// Returns whether orphans of what this process has started are handed to it.
pub(crate) fn adopts_orphans() -> bool {
    ADOPTS.load(Ordering::Relaxed)
}

/// Reaps dead orphans that were handed to this process since the one that looked after them has
/// died.
pub(crate) fn reap_orphans() {
    #[cfg(target_os = "linux")]
    linux::reap_orphans(&linux::process_table());
}

/// Starts a program without a moment in which it could be taken for an orphan.
pub(crate) fn spawn_main<T, E>(spawn: impl FnOnce() -> Result<(T, i32), E>) -> Result<(T, i32), E> {
    let mut main = MAIN.lock().unwrap_or_else(PoisonError::into_inner);
    let started = spawn()?;
    main.insert(started.1);
    Ok(started)
}

/// Notes that a program has been waited for.
pub(crate) fn forget_main(pid: i32) {
    MAIN.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&pid);
}

impl Tree {
    /// Removes what the attempt leaves behind beside processes. To be called once those have ended.
    pub(crate) fn clean_up(&self) {
        if let Some(folder) = self.cgroup.as_ref().filter(|folder| folder.exists()) {
            super::cgroup::remove(folder);
        }
    }

    /// Signals every process of the attempt and returns how many there were. Looks at the whole
    /// process table: for a blocking thread.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        let members = self.living();
        for pid in &members {
            // It may have ended since; then there is nothing to signal.
            let _ = kill(Pid::from_raw(*pid), signal);
            if signal == Signal::SIGTERM {
                // A stopped process does not see SIGTERM before it continues.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGCONT);
            }
        }
        members.len()
    }

    /// Signals the program's own process if it handles the signal, otherwise each process of the
    /// attempt that does, and returns how many there were: a shell that waits for the program hands
    /// no signal on. Looks at the whole process table: for a blocking thread.
    pub(crate) fn signal_handlers(&self, signal: Signal) -> usize {
        let handlers = self.handlers(signal);
        let receivers = if handlers.contains(&self.main) {
            BTreeSet::from([self.main])
        } else {
            handlers
        };
        receivers
            .into_iter()
            .filter(|pid| kill(Pid::from_raw(*pid), signal).is_ok())
            .count()
    }

    #[cfg(target_os = "linux")]
    fn handlers(&self, signal: Signal) -> BTreeSet<i32> {
        self.living()
            .into_iter()
            .filter(|pid| linux::handles(*pid, signal))
            .collect()
    }

    /// Whether a process handles a signal cannot be seen.
    #[cfg(not(target_os = "linux"))]
    fn handlers(&self, _: Signal) -> BTreeSet<i32> {
        BTreeSet::from([self.main])
    }

    /// Returns the ids of the attempt's living processes. For a blocking thread.
    #[cfg(target_os = "linux")]
    pub(crate) fn living(&self) -> BTreeSet<i32> {
        linux::members(self, &linux::process_table())
    }

    /// Returns the program itself while its process group exists.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn living(&self) -> BTreeSet<i32> {
        let group = Pid::from_raw(-self.main);
        if kill(group, None).is_ok() {
            BTreeSet::from([-self.main])
        } else {
            BTreeSet::new()
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::sync::PoisonError;

    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::{Pid, getsid};

    use super::{MAIN, MARKER, Tree};
    use crate::process::cgroup;

    /// One line of the process table.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct ProcessEntry {
        pid: i32,
        parent: i32,
        session: i32,
        /// In clock ticks since the machine began.
        start: u64,
        dead: bool,
    }

    pub(super) fn process_table() -> Vec<ProcessEntry> {
        let Ok(folder) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        pids.filter_map(|pid| {
            parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
        })
        .collect()
    }

    /// `pid (name) state ppid pgrp session …`; the name may hold anything, also `) R 1`.
    fn parse_stat(pid: i32, stat: &str) -> Option<ProcessEntry> {
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let dead = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let start = fields.nth(15)?.parse().ok()?;
        Some(ProcessEntry {
            pid,
            parent,
            session,
            start,
            dead,
        })
    }

    pub(super) fn members(tree: &Tree, table: &[ProcessEntry]) -> BTreeSet<i32> {
        let own = own_pid();
        let own_session = getsid(None).map(Pid::as_raw).unwrap_or_default();
        let started = MAIN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let inside = tree
            .cgroup
            .as_deref()
            .map(cgroup::processes)
            .unwrap_or_default();
        let is_orphan = |entry: &ProcessEntry| {
            let is_late = tree.orphans_since.is_some_and(|since| entry.start >= since);
            is_late
                && entry.parent == own
                && entry.session != own_session
                && !started.contains(&entry.pid)
        };
        let living: Vec<_> = table
            .iter()
            .filter(|entry| !entry.dead && entry.pid != own && entry.pid != tree.shim)
            .collect();
        let root = |entry: &&&ProcessEntry| {
            inside.contains(&entry.pid)
                || (tree.main > 0 && entry.session == tree.main)
                || (tree.shim > 0 && entry.parent == tree.shim)
                || is_orphan(entry)
                || carries(entry.pid, &tree.marker)
        };
        let mut members: BTreeSet<i32> =
            living.iter().filter(root).map(|entry| entry.pid).collect();
        loop {
            let children: Vec<_> = living
                .iter()
                .filter(|entry| members.contains(&entry.parent) && !members.contains(&entry.pid))
                .map(|entry| entry.pid)
                .collect();
            if children.is_empty() {
                return members;
            }
            members.extend(children);
        }
    }

    /// Returns whether a process has a handler for a signal, or waits for it.
    pub(super) fn handles(pid: i32, signal: Signal) -> bool {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
            return false;
        };
        let has = |name: &str| {
            let mask = status
                .lines()
                .find_map(|line| u64::from_str_radix(line.strip_prefix(name)?.trim(), 16).ok());
            mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
        };
        // Some block a signal and fetch it.
        has("SigCgt:") || has("SigBlk:")
    }

    fn carries(pid: i32, marker: &str) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| variable.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"="))
            .any(|value| value == marker.as_bytes())
    }

    /// Reaps dead children that this process has inherited. Those that it has started itself are in
    /// the registry, or in its own session.
    pub(super) fn reap_orphans(table: &[ProcessEntry]) {
        let own = own_pid();
        let session = getsid(None).map(Pid::as_raw).unwrap_or_default();
        let main = MAIN.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in table.iter().filter(|entry| {
            entry.dead
                && entry.parent == own
                && entry.session != session
                && !main.contains(&entry.pid)
        }) {
            // The first one has reaped it.
            let _ = waitpid(Pid::from_raw(entry.pid), Some(WaitPidFlag::WNOHANG));
        }
    }

    fn own_pid() -> i32 {
        Pid::this().as_raw()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_name_cannot_forge_its_line() {
            let entry = parse_stat(
                7,
                "7 (a) R 1 1 1 (b) Z 5 6 42 0 -1 8 9 10 11 12 13 14 15 16 17 18 19 20 4711 22",
            )
            .unwrap();
            assert_eq!(
                entry,
                ProcessEntry {
                    pid: 7,
                    parent: 5,
                    session: 42,
                    start: 4711,
                    dead: true
                }
            );
        }

        #[test]
        fn descendants_in_other_sessions_are_members() {
            let entry = |pid, parent, session| ProcessEntry {
                pid,
                parent,
                session,
                start: 50,
                dead: false,
            };
            let table = [
                entry(1_000_003, 1_000_002, 9),
                entry(1_000_002, 1_000_001, 1_000_002),
                entry(1_000_001, 1, 1_000_001),
                entry(1_000_004, 1, 4),
                entry(1_000_005, 1_000_009, 1_000_005),
                entry(1_000_009, 1, 1_000_009),
            ];
            let tree = Tree {
                main: 1_000_001,
                shim: 1_000_009,
                marker: "x".to_owned(),
                ..Tree::default()
            };
            let expected = BTreeSet::from([1_000_001, 1_000_002, 1_000_003, 1_000_005]);
            assert_eq!(
                members(&tree, &table),
                expected,
                "the shim's orphans, and not the shim"
            );
        }

        #[test]
        fn orphans_of_a_shim_that_was_killed_are_members_once_they_are_younger_than_it() {
            let own_session = getsid(None).unwrap().as_raw();
            let entry = |pid, parent, session, start| ProcessEntry {
                pid,
                parent,
                session,
                start,
                dead: false,
            };
            let table = [
                // An orphan and its child, one that is older than the shim, and what this process
                // has started itself.
                entry(1_000_001, own_pid(), 1_000_001, 60),
                entry(1_000_002, 1_000_001, 1_000_002, 70),
                entry(1_000_003, own_pid(), 1_000_003, 40),
                entry(1_000_004, own_pid(), own_session, 80),
            ];
            let tree = Tree {
                marker: "x".to_owned(),
                ..Tree::default()
            };
            assert_eq!(members(&tree, &table), BTreeSet::new(), "its shim lives");
            let tree = Tree {
                orphans_since: Some(50),
                ..tree
            };
            assert_eq!(
                members(&tree, &table),
                BTreeSet::from([1_000_001, 1_000_002])
            );
        }
    }
}
