//! The simulated programs of all machines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::exit::Exit;
use crate::process::fence::Fence;

/// How long a program takes to obey SIGTERM.
pub(super) const OBEYS_AFTER: Duration = Duration::from_millis(30);
/// How long after its agent was last here a program is alone: a shim then ends it for a later
/// attempt.
const ALONE_AFTER: Duration = Duration::from_secs(1);

/// The behaviour of a program.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The objective, each value after a pause.
    pub steps: Vec<(Duration, f64)>,
    /// The exit status after the last step; `None`: it never ends.
    pub exit: Option<i32>,
    /// It does not care for SIGTERM.
    pub deaf: bool,
}

/// The programs of all machines. Like real ones, they survive their agent.
#[derive(Clone, Debug, Default)]
pub struct Processes(
    Arc<Mutex<BTreeMap<String, Process>>>,
    Arc<SimulatedPrograms>,
);

/// Counters over all programs.
#[derive(Debug, Default)]
pub(super) struct SimulatedPrograms {
    /// How many running programs agents have signalled.
    signals: AtomicU64,
    /// Programs that were started while another one wrote their checkpoint folder.
    overlaps: Mutex<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) script: Script,
    /// The machine that it runs on.
    pub(super) host: String,
    /// A scheduler signalled it and its agent, and it would not have ended by itself then.
    pub(super) is_taken_away: bool,
    /// The folder of its run.
    pub(super) run_folder: PathBuf,
    /// Held until it ends, as by a shim.
    pub(super) fence: Option<Fence>,
    /// When its agent was last here.
    pub(super) attended: Duration,
    pub(super) began: Duration,
    pub(super) end: Option<(Duration, Exit)>,
}

impl Process {
    pub(super) fn new(
        script: Script,
        host: &str,
        run_folder: PathBuf,
        fence: Option<Fence>,
        began: Duration,
    ) -> Self {
        let last = began + script.steps.iter().map(|(pause, _)| *pause).sum();
        let end = script.exit.map(|code| (last, Exit::Code(code)));
        Self {
            script,
            host: host.to_owned(),
            is_taken_away: false,
            run_folder,
            fence,
            attended: began,
            began,
            end,
        }
    }

    /// The values that it has given out.
    pub(super) fn values(&self, now: Duration) -> Vec<f64> {
        let until = self.end.map_or(now, |(end, _)| end.min(now));
        let mut at = self.began;
        let given = self.script.steps.iter().map_while(|(pause, value)| {
            at += *pause;
            (at <= until).then_some(*value)
        });
        given.collect()
    }

    /// How long it has given out nothing.
    fn silence(&self, now: Duration) -> Duration {
        let mut at = self.began;
        let given = self.script.steps.iter().map(|(pause, _)| {
            at += *pause;
            at
        });
        now.saturating_sub(
            given
                .take_while(|at| *at <= now)
                .last()
                .unwrap_or(self.began),
        )
    }

    pub(super) fn exit(&self, now: Duration) -> Option<Exit> {
        self.end
            .filter(|(end, _)| *end <= now)
            .map(|(_, exit)| exit)
    }

    pub(super) fn end_at(&mut self, at: Duration, exit: Exit) {
        if self.end.is_none_or(|(end, _)| end > at) {
            self.end = Some((at, exit));
        }
    }
}

impl Processes {
    /// Returns the markers of those that run.
    pub fn running(&self, now: Duration) -> Vec<String> {
        self.lock()
            .iter()
            .filter(|(_, process)| process.exit(now).is_none())
            .map(|(marker, _)| marker.clone())
            .collect()
    }

    /// Returns the values that the program of an attempt has given out; `None`: there never was
    /// one.
    pub fn values(&self, incarnation: &str, now: Duration) -> Option<Vec<f64>> {
        let suffix = format!("@{incarnation}");
        self.lock()
            .iter()
            .find(|(marker, _)| marker.ends_with(&suffix))
            .map(|(_, process)| process.values(now))
    }

    /// Has a scheduler signal the programs on a machine: each exits with status 1, or by the
    /// signal. Returns the markers of those that were not about to fail by themselves, since they
    /// had given out nothing for `silence_max`.
    pub fn signal(
        &self,
        host: &str,
        at: Duration,
        into_errors: bool,
        silence_max: Duration,
    ) -> Vec<String> {
        let mut processes = self.lock();
        let running = processes
            .iter_mut()
            .filter(|(_, process)| process.host == host && process.exit(at).is_none());
        let signalled = running.filter_map(|(marker, process)| {
            process.end_at(
                at + OBEYS_AFTER,
                if into_errors {
                    Exit::Code(1)
                } else {
                    Exit::Signal(15)
                },
            );
            (process.silence(at) < silence_max).then(|| marker.clone())
        });
        signalled.collect()
    }

    /// Records that programs and their agent were both signalled.
    pub fn note_preemption(&self, markers: &[String]) {
        let mut processes = self.lock();
        for marker in markers {
            if let Some(process) = processes.get_mut(marker) {
                process.is_taken_away = true;
            }
        }
    }

    /// Returns whether a scheduler ended the program of an attempt.
    pub fn is_taken_away(&self, incarnation: &str) -> bool {
        let suffix = format!("@{incarnation}");
        self.lock()
            .iter()
            .any(|(marker, process)| marker.ends_with(&suffix) && process.is_taken_away)
    }

    /// Returns how many running programs agents have signalled.
    pub fn signals(&self) -> u64 {
        self.1.signals.load(Ordering::Relaxed)
    }

    /// Returns the programs that were started while another one wrote their checkpoint folder, in
    /// words.
    pub fn overlaps(&self) -> Vec<String> {
        self.1
            .overlaps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Opens the fences of programs that have ended, as the kernel does.
    pub fn open_fences(&self, now: Duration) {
        for process in self.lock().values_mut() {
            if process.fence.is_some() && process.exit(now).is_some() {
                process.fence = None;
            }
        }
    }

    /// Ends the programs that write a run's checkpoint folder and have no agent any more.
    pub(super) fn end_deserted(&self, run_folder: &Path, now: Duration) {
        for process in self
            .lock()
            .values_mut()
            .filter(|process| process.run_folder == run_folder)
        {
            if process.attended + ALONE_AFTER < now {
                process.end_at(now, Exit::Signal(9));
            }
        }
    }

    pub(super) fn start(&self, marker: String, process: Process) {
        let mut processes = self.lock();
        let now = process.began;
        let others = processes.iter().filter(|(_, other)| {
            other.run_folder == process.run_folder && other.exit(now).is_none()
        });
        for (other, _) in others {
            self.1
                .overlaps
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("{marker} was started while {other} ran"));
        }
        processes.insert(marker, process);
    }

    /// Counts a signal of an agent to a running program.
    pub(super) fn count_signal(&self) {
        self.1.signals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
