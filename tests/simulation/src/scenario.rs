//! One seed: a sweep, machines, and what befalls them.

mod ending;
mod trouble;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sweep_agent::simulation::{self, Weakness};
use sweep_controller::engine::Mutation;
use sweep_controller::store::MemoryStore;
use tokio::sync::watch;
use turmoil::{Builder, Sim};

use self::ending::{check_end, is_over};
use self::trouble::{Trouble, restart_controller};
use crate::chance::Chance;
use crate::hosts;
use crate::paper::paper;
use crate::storage::Storage;
use crate::world::{Preemption, World};

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(45);
/// How long everything may take to end well afterwards.
const PEACE: Duration = Duration::from_secs(400);
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
    let mut trouble = Trouble::new(Chance::of(seed, "trouble"), agents, preempt);
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
