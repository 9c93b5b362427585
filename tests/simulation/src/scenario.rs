//! One seed: a sweep, machines, and what befalls them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sweep_agent::simulation::{self, Weakness};
use sweep_controller::engine::Mutation;
use sweep_controller::store::MemoryStore;
use sweep_lifecycle::state::{AttemptState, Blame, SweepState};
use tokio::sync::watch;
use turmoil::{Builder, Sim};

use crate::chance::Chance;
use crate::hosts;
use crate::interference::Interference;
use crate::paper::paper;
use crate::storage::Storage;
use crate::world::{Fault, Preemption, UserRequest, World};

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(45);
/// How long everything may take to end well afterwards.
const PEACE: Duration = Duration::from_secs(400);
/// A lease, in which agents report what they hold, and then some.
const CALM_AFTER_RESTORE: Duration = Duration::from_secs(8);
const CALM_AFTER_INTERFERENCE: Duration = Duration::from_secs(6);
const TICK: Duration = Duration::from_millis(10);
/// How long processes may outlive the sweep.
const LEFTOVERS: Duration = Duration::from_secs(30);

/// The outcome of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of all that happened, in order.
    pub trace: u64,
    /// How many events the log has.
    pub events: u64,
    /// The violations; empty: none.
    pub violations: Vec<String>,
}

/// Runs one seed with a guard of the controller missing, or one of the agents, or none; one after the other in a process.
///
/// # Errors
/// The simulation itself broke down.
pub fn run(seed: u64, mutation: Mutation, weakness: Weakness) -> Result<Report, String> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    align_task_ids()?;
    simulation::seed(seed);
    simulation::weaken(weakness);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut chance = Chance::of(seed, "scenario");
    let agents: Vec<String> = (0..chance.between(2, 4))
        .map(|number| format!("agent{number}"))
        .collect();
    let black_hole = chance.is(25).then(|| agents[0].clone());
    let is_quiet = chance.is(20);
    let sqlite = folder.path().join("sweep.db");
    let storage = if chance.is(5) {
        Storage::Sqlite(sqlite)
    } else {
        Storage::Memory(MemoryStore::new())
    };
    let world = World::new(seed, black_hole.filter(|_| !is_quiet), is_quiet, storage);
    let mut sim = Builder::new()
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(chance.between(5, 80)))
        .simulation_duration(Duration::from_secs(3600))
        .rng_seed(seed)
        .build();
    let yaml = sweep(&mut chance, is_quiet);
    let preempt = settle(
        &mut sim,
        &world,
        &agents,
        folder.path(),
        &yaml,
        mutation,
        &mut chance,
    );
    let mut trouble = Trouble {
        chance: Chance::of(seed, "trouble"),
        agents,
        preempt,
        down: Vec::new(),
        heal_at: Duration::ZERO,
        clear_at: Duration::ZERO,
        calm_until: Duration::ZERO,
        backups: Vec::new(),
    };
    let complaint = |error: Box<dyn std::error::Error>| error.to_string();
    while sim.elapsed() < TROUBLE && world.record().violations.is_empty() {
        sim.step().map_err(complaint)?;
        world.processes().open_fences(sim.elapsed());
        trouble.befall(&mut sim, &world);
    }
    trouble.end(&mut sim, &world);
    let mut ended = None;
    while sim.elapsed() < TROUBLE + PEACE && world.record().violations.is_empty() {
        sim.step().map_err(complaint)?;
        world.processes().open_fences(sim.elapsed());
        restart_controller(&mut sim, &world);
        if ended.is_none() && is_over(&world) {
            ended = Some(sim.elapsed());
        }
        if ended.is_some_and(|ended| {
            sim.elapsed() > ended + LEFTOVERS || world.processes().running(sim.elapsed()).is_empty()
        }) {
            break;
        }
    }
    if world.record().violations.is_empty() {
        check_end(&world, sim.elapsed(), ended);
    }
    let record = world.record();
    Ok(Report {
        trace: record.trace,
        events: record.events,
        violations: record.violations.clone(),
    })
}

/// Has tokio number its tasks as it did for every seed before: in which order the tasks of a crashed machine end depends on their numbers, which count on
/// through a process, modulo a small power of two.
fn align_task_ids() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| error.to_string())?;
    loop {
        let id = runtime.spawn(async {}).id().to_string();
        if id
            .parse::<u64>()
            .map_err(|error| format!("tokio's task id `{id}` is not a number: {error}"))?
            .is_multiple_of(64)
        {
            return Ok(());
        }
    }
}

/// Returns the sweep file.
fn sweep(chance: &mut Chance, is_quiet: bool) -> String {
    let common = format!(
        "metric: {{name: loss, goal: minimize}}\nprogram: simulated\nmax_silence: {}s\nretry: {{lost: 6, machine: 3, crashed: 2}}\n",
        hosts::SILENCE_MAX.as_secs()
    );
    if chance.is(60) {
        let (width, height) = (chance.between(3, 8), chance.between(2, 5));
        let values = |count: u64| {
            (0..count)
                .map(|value| value.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let text = format!(
            "method: grid\n{common}parameters:\n  x: {{values: [{}]}}\n  y: {{values: [{}]}}\n",
            values(width),
            values(height)
        );
        return text;
    }
    let method = if chance.is(25) { "bayes" } else { "random" };
    let stop = if chance.is(30) && !is_quiet {
        "early_terminate: {type: median}\n"
    } else {
        ""
    };
    let cap = chance.between(8, 25);
    format!(
        "method: {method}\n{common}{stop}run_cap: {cap}\nparameters:\n  x: {{min: 0.0, max: 1.0}}\n  y: {{values: [a, b]}}\n"
    )
}

/// Puts everybody on their machines; returns how agents are told that theirs is taken away.
fn settle(
    sim: &mut Sim<'_>,
    world: &World,
    agents: &[String],
    folder: &Path,
    yaml: &str,
    mutation: Mutation,
    chance: &mut Chance,
) -> watch::Sender<Preemption> {
    let shared = world.clone();
    sim.host("controller", move || {
        hosts::controller(shared.clone(), mutation)
    });
    let preempt = watch::Sender::new(Preemption::default());
    let is_shared = chance.is(40);
    for host in agents {
        let runs_dir = folder.join(if is_shared { "shared" } else { host });
        let (shared, name, slots, told) = (
            world.clone(),
            host.clone(),
            chance.between(1, 2) as usize,
            preempt.subscribe(),
        );
        // The folder outlives the machine's crashes.
        let _ = std::fs::create_dir_all(&runs_dir);
        sim.host(host.as_str(), move || {
            hosts::agent(
                name.clone(),
                shared.clone(),
                runs_dir.clone(),
                slots,
                told.clone(),
            )
        });
    }
    let (shared, lives) = (world.clone(), Arc::new(AtomicU64::new(0)));
    sim.host("paper", move || {
        paper(shared.clone(), lives.fetch_add(1, Ordering::Relaxed))
    });
    let (shared, yaml) = (world.clone(), yaml.to_owned());
    sim.host("person", move || {
        hosts::person(shared.clone(), yaml.clone())
    });
    preempt
}

/// The faults.
struct Trouble {
    chance: Chance,
    agents: Vec<String>,
    preempt: watch::Sender<Preemption>,
    /// Machines that are down, and until when.
    down: Vec<(String, Duration)>,
    /// When the network is whole again.
    heal_at: Duration,
    /// When the controller itself answers again.
    clear_at: Duration,
    /// In peace one trouble is over before the next one: each alone costs no attempt, several at once may.
    calm_until: Duration,
    /// Copies of the controller's data, the newest last.
    backups: Vec<Storage>,
}

impl Trouble {
    fn befall(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        restart_controller(sim, world);
        let (up, down) = std::mem::take(&mut self.down)
            .into_iter()
            .partition(|(_, until)| *until <= now);
        self.down = down;
        for (host, _) in up {
            sim.bounce(host.as_str());
        }
        if self.heal_at > Duration::ZERO && now >= self.heal_at {
            self.heal(sim);
        }
        if world.record().interference.is_some() && now >= self.clear_at {
            world.record().interference = None;
        }
        // About one trouble in a second.
        if !self.chance.is(1) {
            return;
        }
        if world.is_quiet() {
            if now < self.calm_until {
                return;
            }
            let trouble = self.chance.between(12, 14);
            return self.disturb(trouble, sim, world);
        }
        let agent = self.agents[self.chance.below(self.agents.len() as u64) as usize].clone();
        let trouble = self.chance.below(16);
        world.record().note(&format!(
            "{:.2} trouble {trouble} {agent}",
            now.as_secs_f64()
        ));
        match trouble {
            0 => self.crash(sim, "controller", now),
            1 => self.crash(sim, &agent, now),
            2 => self.crash(sim, "paper", now),
            3 if self.heal_at.is_zero() => {
                sim.partition(agent.as_str(), "controller");
                self.heal_at = now + self.a_while();
            }
            4 if self.heal_at.is_zero() => {
                let (from, to) = if self.chance.is(50) {
                    (agent.as_str(), "controller")
                } else {
                    ("controller", agent.as_str())
                };
                sim.partition_oneway(from, to);
                self.heal_at = now + self.a_while();
            }
            5 if self.heal_at.is_zero() => {
                sim.hold(agent.as_str(), "controller");
                self.heal_at = now + self.a_while();
            }
            6 => {
                world.record().disk_ms = if self.chance.is(50) {
                    self.chance.below(400)
                } else {
                    0
                }
            }
            7 => {
                let written = self.chance.is(50);
                world.record().disk.push(Fault::Failed { written });
            }
            8 => {
                let count = self.chance.between(1, 3);
                world.record().disk.extend((0..count).map(|_| Fault::Full));
            }
            9 => {
                let skews = [3_600_000, -3_600_000, 315_000_000_000, -315_000_000_000, 0];
                world.record().skew_ms = skews[self.chance.below(5) as usize];
            }
            10 => {
                self.preempt.send_modify(|preemption| {
                    *preemption = Preemption {
                        number: preemption.number + 1,
                        ..Preemption::default()
                    };
                });
            }
            12..=14 => self.disturb(trouble, sim, world),
            15 => {
                let soon = |chance: &mut Chance| Duration::from_millis(chance.between(0, 400));
                let (agent_after, programs_after) =
                    (soon(&mut self.chance), soon(&mut self.chance));
                let into_errors = self.chance.is(70);
                self.preempt.send_modify(|preemption| {
                    let number = preemption.number + 1;
                    *preemption = Preemption {
                        number,
                        agent_after,
                        programs: Some((programs_after, into_errors)),
                    };
                });
            }
            _ => {
                let wish = match self.chance.below(8) {
                    0 => UserRequest::Pause,
                    1 => UserRequest::Resume,
                    2 => UserRequest::RetryFailed,
                    3 | 4 => UserRequest::Edit(self.chance.below(4)),
                    5 => UserRequest::UndoEdit,
                    _ => UserRequest::CancelRun(self.chance.between(1, 12)),
                };
                world.record().wishes.push(wish);
            }
        }
    }

    /// Faults of the controller's identity: something else answers, a backup is made, one is restored.
    fn disturb(&mut self, trouble: u64, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        match trouble {
            12 => {
                // In peace shorter than a lease: then no attempt is lost.
                let longest = if world.is_quiet() { 2000 } else { 6000 };
                self.clear_at = now + Duration::from_millis(self.chance.between(200, longest));
                let interference = Interference::draw(&mut self.chance);
                world
                    .record()
                    .note(&format!("interference {interference:?}"));
                world.record().interference = Some(interference);
                self.calm_until = self.clear_at + CALM_AFTER_INTERFERENCE;
            }
            13 if world.record().sweep.is_some() && !world.record().state.sweeps.is_empty() => {
                let number = self.backups.len() as u64;
                match world.storage().back_up(number) {
                    Ok(backup) => self.backups.push(backup),
                    Err(error) => world
                        .record()
                        .violated(format!("no backup can be made: {error}")),
                }
            }
            14 if !self.backups.is_empty()
                && !self.down.iter().any(|(down, _)| down == "controller") =>
            {
                sim.crash("controller");
                world.record().controller_ended = false;
                // In peace the newest: what agents begin after an older one may be what a newer one says has ended.
                let newest = self.backups.len() - 1;
                let chosen = if world.is_quiet() {
                    newest
                } else {
                    self.chance.below(newest as u64 + 1) as usize
                };
                let backup = self.backups[chosen].clone();
                // A copy that the controller is not told of lets it hand out runs at once.
                world.restore(&backup, world.is_quiet() || self.chance.is(80));
                self.calm_until = now + CALM_AFTER_RESTORE;
                self.down.push((
                    "controller".to_owned(),
                    now + Duration::from_millis(self.chance.between(100, 1500)),
                ));
            }
            _ => {}
        }
    }

    fn a_while(&mut self) -> Duration {
        Duration::from_millis(self.chance.between(200, 9000))
    }

    fn crash(&mut self, sim: &mut Sim<'_>, host: &str, now: Duration) {
        if self.down.iter().any(|(down, _)| down == host) {
            return;
        }
        sim.crash(host);
        let until = now + Duration::from_millis(self.chance.between(100, 7000));
        self.down.push((host.to_owned(), until));
    }

    fn heal(&mut self, sim: &mut Sim<'_>) {
        self.heal_at = Duration::ZERO;
        for agent in &self.agents {
            sim.repair(agent.as_str(), "controller");
            sim.release(agent.as_str(), "controller");
        }
    }

    /// From now on all is well.
    fn end(&mut self, sim: &mut Sim<'_>, world: &World) {
        for (host, _) in std::mem::take(&mut self.down) {
            sim.bounce(host.as_str());
        }
        self.heal(sim);
        let mut record = world.record();
        record.interference = None;
        (record.disk_ms, record.skew_ms) = (0, 0);
        record.disk.clear();
        record.wishes = vec![UserRequest::Resume];
    }
}

/// A controller that has ended is restarted, as its supervisor would.
fn restart_controller(sim: &mut Sim<'_>, world: &World) {
    if std::mem::take(&mut world.record().controller_ended) {
        sim.crash("controller");
        sim.bounce("controller");
    }
}

fn is_over(world: &World) -> bool {
    let mut record = world.record();
    let Some(sweep) = record.state.sweeps.values().next() else {
        return false;
    };
    let stalled = sweep.stalled && sweep.state == SweepState::Paused;
    let over =
        sweep.state.is_terminal() && sweep.index.live.is_empty() && sweep.index.queued.is_empty();
    if stalled && record.wishes.is_empty() {
        record.wishes.push(UserRequest::Resume);
    }
    over
}

fn check_end(world: &World, now: Duration, ended: Option<Duration>) {
    let running = world.processes().running(now);
    let mut record = world.record();
    for overlap in world.processes().overlaps() {
        record.violated(format!(
            "I2: two attempts write one checkpoint folder: {overlap}"
        ));
    }
    let Some(sweep) = record.state.sweeps.values().next().cloned() else {
        return record.violated("I6: the sweep was never created".to_owned());
    };
    if ended.is_none() {
        let open: Vec<_> = sweep.index.queued.iter().chain(&sweep.index.live).collect();
        return record.violated(format!(
            "I6: the sweep is {} ({}) and does not end; open: {open:?}",
            sweep.state, sweep.reason
        ));
    }
    if !running.is_empty() {
        record.violated(format!("I8: left running: {running:?}"));
    }
    // What was tried beside the newest space stays, and counts no more; an edit may bring points together that were apart.
    let ended = || {
        sweep
            .runs
            .iter()
            .filter(|(_, run)| run.state.is_terminal() && !run.point.withdrawn)
    };
    if let Some(points) = sweep.grid_size {
        let tried = ended()
            .filter_map(|(_, run)| sweep.point_of(&run))
            .collect::<BTreeSet<_>>()
            .len() as u64;
        if tried != points {
            record.violated(format!(
                "I3: of a grid of {points} points {tried} were tried"
            ));
        }
    }
    let distinct = ended()
        .map(|(_, run)| run.own_point())
        .collect::<BTreeSet<_>>()
        .len();
    if distinct != ended().count() {
        record.violated(format!(
            "I3: {} runs are of {distinct} points",
            ended().count()
        ));
    }
    if world.is_quiet() && world.processes().signals() > 0 {
        let signals = world.processes().signals();
        record.violated(format!(
            "I10: {signals} signals ended programs, although the controller wanted none to end"
        ));
    }
    let identity = record.state.identity.clone();
    for (number, run) in sweep.runs.iter() {
        for (attempt, index) in run.attempts.iter().zip(1u32..) {
            if !matches!(attempt.state, AttemptState::Finished | AttemptState::Failed) {
                continue;
            }
            let blames = attempt
                .failure
                .as_ref()
                .is_some_and(|failure| failure.blame == Blame::Configuration);
            if attempt.state == AttemptState::Failed
                && blames
                && world
                    .processes()
                    .is_taken_away(&identity.incarnation(attempt))
            {
                record.violated(format!(
                    "I7: run {number} attempt {index} is blamed for what a scheduler did: {:?}",
                    attempt.failure
                ));
            }
            if let Some(points) = record.paper.get(&(number, index)).copied() {
                if attempt.points != points {
                    record.violated(format!(
                        "I1: run {number} attempt {index} gave {points} points and {} are on disk",
                        attempt.points
                    ));
                }
                continue;
            }
            let Some(given) = world
                .processes()
                .values(&identity.incarnation(attempt), now)
            else {
                continue;
            };
            if attempt.points != given.len() as u64 || attempt.series != given {
                record.violated(format!(
                    "I1: run {number} attempt {index} gave {given:?}, and on disk is {:?}",
                    attempt.series
                ));
            }
        }
    }
}
