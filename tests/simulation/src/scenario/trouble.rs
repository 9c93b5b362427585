//! Faults during a simulation: of machines, network, disk, clock, and of the controller's identity.

use std::time::Duration;

use tokio::sync::watch;
use turmoil::Sim;

use crate::chance::Chance;
use crate::interference::Interference;
use crate::storage::Storage;
use crate::world::{Fault, Preemption, UserRequest, World};

/// A lease, in which agents report what they hold, and then some.
const CALM_AFTER_RESTORE: Duration = Duration::from_secs(8);
const CALM_AFTER_INTERFERENCE: Duration = Duration::from_secs(6);

/// The faults.
pub(super) struct Trouble {
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
    pub(super) fn new(
        chance: Chance,
        agents: Vec<String>,
        preempt: watch::Sender<Preemption>,
    ) -> Self {
        Self {
            chance,
            agents,
            preempt,
            down: Vec::new(),
            heal_at: Duration::ZERO,
            clear_at: Duration::ZERO,
            calm_until: Duration::ZERO,
            backups: Vec::new(),
        }
    }

    /// Ends the faults whose time is over, and now and then begins one.
    pub(super) fn befall(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        self.recover(sim, world, now);
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
            3..=5 if self.heal_at.is_zero() => self.cut_off(trouble, &agent, sim),
            6..=9 => self.hamper(trouble, world),
            10 => self.preempt.send_modify(|preemption| {
                *preemption = Preemption {
                    number: preemption.number + 1,
                    ..Preemption::default()
                };
            }),
            12..=14 => self.disturb(trouble, sim, world),
            15 => self.preempt_programs(),
            _ => self.wish(world),
        }
    }

    /// Brings back what has been down or cut off for long enough.
    fn recover(&mut self, sim: &mut Sim<'_>, world: &World, now: Duration) {
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
    }

    /// Faults of the network between an agent and the controller.
    fn cut_off(&mut self, trouble: u64, agent: &str, sim: &mut Sim<'_>) {
        match trouble {
            3 => sim.partition(agent, "controller"),
            4 => {
                let (from, to) = if self.chance.is(50) {
                    (agent, "controller")
                } else {
                    ("controller", agent)
                };
                sim.partition_oneway(from, to);
            }
            _ => sim.hold(agent, "controller"),
        }
        self.heal_at = sim.elapsed() + self.a_while();
    }

    /// Faults of the controller's disk and clock.
    fn hamper(&mut self, trouble: u64, world: &World) {
        match trouble {
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
            _ => {
                let skews = [3_600_000, -3_600_000, 315_000_000_000, -315_000_000_000, 0];
                world.record().skew_ms = skews[self.chance.below(5) as usize];
            }
        }
    }

    /// A scheduler ends the agents' programs, too, each at its own moment.
    fn preempt_programs(&mut self) {
        let soon = |chance: &mut Chance| Duration::from_millis(chance.between(0, 400));
        let (agent_after, programs_after) = (soon(&mut self.chance), soon(&mut self.chance));
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

    /// A user asks for something.
    fn wish(&mut self, world: &World) {
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
    pub(super) fn end(&mut self, sim: &mut Sim<'_>, world: &World) {
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
pub(super) fn restart_controller(sim: &mut Sim<'_>, world: &World) {
    if std::mem::take(&mut world.record().controller_ended) {
        sim.crash("controller");
        sim.bounce("controller");
    }
}
