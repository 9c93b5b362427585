//! The world outside of controller and agents: time, programs, and the record of what was promised.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sweep_agent::simulation::{Processes, Script, World as Programs};
use sweep_lifecycle::event::Recorded;
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::invariants::broken;
use sweep_lifecycle::state::{AttemptState, State};

use crate::chance::Chance;
use crate::interference::Interference;
use crate::storage::Storage;

/// Shared by everything in a simulation.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    seed: u64,
    /// A machine on which everything fails at once.
    black_hole: Option<String>,
    /// Nothing goes wrong but what answers in the controller's place and what is restored: no program is to be ended.
    is_quiet: bool,
    storage: Mutex<Storage>,
    processes: Processes,
    record: Mutex<Record>,
}

/// The record so far.
#[derive(Default)]
pub(crate) struct Record {
    /// Everything is printed (`SWEEP_SIM_TRACE=1`).
    pub(crate) aloud: bool,
    /// The log as it is on disk, folded.
    pub(crate) state: State,
    pub(crate) events: u64,
    /// Of all events and all that anybody was told, in order.
    pub(crate) trace: u64,
    /// The violations.
    pub(crate) violations: Vec<String>,
    /// The error of the wall clock, in milliseconds.
    pub(crate) skew_ms: i64,
    /// The disk answers so late.
    pub(crate) disk_ms: u64,
    /// The fate of the next commits.
    pub(crate) disk: Vec<Fault>,
    /// The controller's process has ended by itself.
    pub(crate) controller_ended: bool,
    /// The sweep's id, once it was created.
    pub(crate) sweep: Option<String>,
    /// Attempts that programs other than agents have finished: how many points went with each.
    pub(crate) paper: BTreeMap<(u64, u32), u64>,
    /// The user's next request.
    pub(crate) wishes: Vec<UserRequest>,
    /// A server that answers in the controller's place.
    pub(crate) interference: Option<Interference>,
    /// How often a backup was restored: what was promised before is void.
    pub(crate) restores: u64,
}

/// The fate of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No space is left.
    Full,
    /// It fails; whether it was written, only the disk knows.
    Failed { written: bool },
}

/// How a scheduler takes machines away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preemption {
    /// Tells it from the one before.
    pub(crate) number: u64,
    /// When the agent is signalled.
    pub(crate) agent_after: Duration,
    /// When programs are signalled, and whether they turn the signal into exit status 1, as torchrun does.
    pub(crate) programs: Option<(Duration, bool)>,
}

/// A user's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserRequest {
    Pause,
    Resume,
    RetryFailed,
    CancelRun(u64),
    /// One of a few ways to change the sweep file.
    Edit(u64),
    UndoEdit,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        black_hole: Option<String>,
        is_quiet: bool,
        storage: Storage,
    ) -> Self {
        let record = Record {
            aloud: std::env::var_os("SWEEP_SIM_TRACE").is_some(),
            ..Record::default()
        };
        let storage = Mutex::new(storage);
        Self(Arc::new(Shared {
            seed,
            black_hole,
            is_quiet,
            storage,
            processes: Processes::default(),
            record: Mutex::new(record),
        }))
    }

    pub(crate) fn processes(&self) -> &Processes {
        &self.0.processes
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the controller's data is.
    pub(crate) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.0
            .storage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.0.is_quiet
    }

    /// Puts a backup in the place of the controller's data.
    pub(crate) fn restore(&self, backup: &Storage, is_recorded: bool) {
        let restored = self.storage().restore(backup, is_recorded);
        let mut record = self.record();
        match restored {
            Ok(events) => {
                record.state = State::default();
                events
                    .iter()
                    .for_each(|event| evolve(&mut record.state, event));
                record.events = events.len() as u64;
                record.restores += 1;
                record.paper.clear();
                let epoch = record.state.identity.epoch;
                record.note(&format!("restored {} events, epoch {epoch}", events.len()));
            }
            Err(error) => record.violated(format!("a backup cannot be restored: {error}")),
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Notes a commit that is on disk, and looks whether all invariants hold after each of its events.
    pub(crate) fn committed(&self, events: &[Recorded]) {
        let mut record = self.record();
        for event in events {
            evolve(&mut record.state, event);
            record.events += 1;
            record.note(&serde_json::to_string(&event.event).unwrap_or_default());
        }
        for complaint in broken(&record.state) {
            record.violated(complaint);
        }
    }

    /// An agent says that the controller has taken a result.
    pub(crate) fn told(&self, run: u64, attempt: u32, state: &str) {
        let mut record = self.record();
        record.note(&format!("told {run}/{attempt} {state}"));
        // The agent speaks of the numbers that it was given; what was promised before a restore is void.
        if record.restores > 0 {
            return;
        }
        let known = record
            .state
            .sweeps
            .values()
            .next()
            .and_then(|sweep| sweep.runs.get(run))
            .map(|run| {
                let attempt = run.attempt(attempt).map(|attempt| attempt.state);
                (run.state, attempt, run.point.withdrawn)
            });
        let withdrawn = known.is_some_and(|(.., withdrawn)| withdrawn);
        let known = known.map(|(run, attempt, _)| (run, attempt));
        let holds = match state {
            "finished" => matches!(known, Some((_, Some(AttemptState::Finished)))),
            "failed" => matches!(
                known,
                Some((_, Some(AttemptState::Failed | AttemptState::Lost)))
            ),
            // An edit may have withdrawn what would have been tried again.
            "cancelled" if withdrawn => true,
            "cancelled" => matches!(
                known,
                Some((
                    _,
                    Some(AttemptState::Cancelled | AttemptState::Lost | AttemptState::Preempted)
                ))
            ),
            _ => true,
        };
        if !holds {
            record.violated(format!("I1: an agent was told that run {run} attempt {attempt} is {state}, and on disk it is {known:?}"));
        }
    }
}

impl Record {
    pub(crate) fn note(&mut self, text: &str) {
        if self.aloud {
            let now = turmoil::sim_elapsed().unwrap_or_default();
            eprintln!("{:>8.3} {text}", now.as_secs_f64());
        }
        // FNV-1a.
        self.trace = text
            .bytes()
            .fold(self.trace ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
    }

    pub(crate) fn violated(&mut self, what: String) {
        if self.violations.len() < 20 {
            self.violations.push(what);
        }
    }
}

impl Programs for World {
    fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    fn script(&self, host: &str, run: u64, attempt: u32, params: &str) -> Script {
        if self.0.black_hole.as_deref() == Some(host) {
            return Script {
                exit: Some(1),
                ..Script::default()
            };
        }
        // What a configuration does wrong it does everywhere.
        let mut of_run = Chance::of(self.0.seed, &format!("run {params}"));
        let poisoned = of_run.is(6);
        let mut chance = Chance::of(self.0.seed, &format!("attempt {run}/{attempt}"));
        let steps = (0..chance.between(1, 6)).map(|_| {
            (
                Duration::from_millis(chance.between(50, 1500)),
                chance.below(1000) as f64 / 1000.0,
            )
        });
        let mut script = Script {
            steps: steps.collect(),
            exit: Some(0),
            deaf: chance.is(10),
        };
        if self.0.is_quiet {
            script.exit = Some(i32::from(poisoned));
            return script;
        }
        if poisoned {
            script.exit = Some(1);
        } else if chance.is(3) {
            script.exit = Some(137);
        } else if attempt == 1 && chance.is(4) {
            script.exit = None;
        }
        script
    }
}
