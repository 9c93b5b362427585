//! An agent whose programs are scripts, over any way to the controller: the session's own code, and
//! the attempts', in a simulated world.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::transport::Channel;

use crate::attempt::{Action, AttemptOutcome, AttemptState, Input, Want};
use crate::executor::{Executor, Work};
use crate::intake::Reading;
use crate::job::Job;
use crate::process::exit::{Exit, Obstacle};
use crate::process::fence::{self, Fence, FenceOrder};
use crate::process::launch;
use crate::runner::{AttemptEnd, AttemptEvent, Begin, Point};
use crate::session::{Surroundings, chance};
use crate::spool::Counts;
pub use crate::weakness::{Weakness, weaken};
use crate::{AgentError, AgentOptions, AgentSummary, Interrupt, Notice};

/// How often a script is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program takes to obey SIGTERM.
const OBEYS_AFTER: Duration = Duration::from_millis(30);
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

/// The simulated world.
pub trait World: Send + Sync {
    /// The time since the world began.
    fn now(&self) -> Duration;
    /// Returns the behaviour of an attempt's program on a machine. `params` is a JSON object.
    fn script(&self, host: &str, run: u64, attempt: u32, params: &str) -> Script;
}

/// The programs of all machines. Like real ones, they survive their agent.
#[derive(Clone, Debug, Default)]
pub struct Processes(
    Arc<Mutex<BTreeMap<String, Process>>>,
    Arc<SimulatedPrograms>,
);

/// Counters over all programs.
#[derive(Debug, Default)]
struct SimulatedPrograms {
    /// How many running programs agents have signalled.
    signals: AtomicU64,
    /// Programs that were started while another one wrote their checkpoint folder.
    overlaps: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Process {
    script: Script,
    /// The machine that it runs on.
    host: String,
    /// A scheduler signalled it and its agent, and it would not have ended by itself then.
    is_taken_away: bool,
    /// The folder of its run.
    run_folder: PathBuf,
    /// Held until it ends, as by a shim.
    fence: Option<Fence>,
    /// When its agent was last here.
    attended: Duration,
    began: Duration,
    end: Option<(Duration, Exit)>,
}

impl Process {
    fn new(
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
    fn values(&self, now: Duration) -> Vec<f64> {
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

    fn exit(&self, now: Duration) -> Option<Exit> {
        self.end
            .filter(|(end, _)| *end <= now)
            .map(|(_, exit)| exit)
    }

    fn end_at(&mut self, at: Duration, exit: Exit) {
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
    fn end_deserted(&self, run_folder: &Path, now: Duration) {
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

    fn start(&self, marker: String, process: Process) {
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes everything that this thread's agents draw by chance follow from a seed.
pub fn seed(seed: u64) {
    chance::seeded::seed(seed);
}

/// An agent on a machine of that name.
///
/// # Errors
/// As [`crate::run`].
pub async fn run(
    host: &str,
    world: Arc<dyn World>,
    processes: Processes,
    controller: Channel,
    options: AgentOptions,
    interrupts: mpsc::Receiver<Interrupt>,
    notices: mpsc::UnboundedSender<Notice>,
) -> Result<AgentSummary, AgentError> {
    let executor = Arc::new(SimulatedMachine {
        host: host.to_owned(),
        world,
        processes,
    });
    crate::session::run(
        Surroundings {
            host: host.to_owned(),
            controller,
            executor,
        },
        options,
        interrupts,
        notices,
    )
    .await
}

struct SimulatedMachine {
    host: String,
    world: Arc<dyn World>,
    processes: Processes,
}

impl Executor for SimulatedMachine {
    fn execute<'a>(
        &'a self,
        job: &'a Job,
        begin: Begin,
        wants: &'a mut mpsc::UnboundedReceiver<Want>,
        seen: mpsc::Sender<AttemptEvent>,
    ) -> Work<'a, Result<AttemptEnd, (PathBuf, io::Error)>> {
        Box::pin(async move {
            let skip = match begin {
                Begin::Anew => {
                    let fence = match self
                        .enter(job, wants)
                        .await
                        .map_err(|error| (job.run_folder(), error))?
                    {
                        Ok(fence) => fence,
                        Err(outcome) => {
                            return Ok(AttemptEnd {
                                outcome,
                                objective: None,
                            });
                        }
                    };
                    let params = serde_json::Value::Object(job.params.clone()).to_string();
                    let script = self.world.script(&self.host, job.run, job.attempt, &params);
                    let process = Process::new(
                        script,
                        &self.host,
                        job.run_folder(),
                        fence,
                        self.world.now(),
                    );
                    self.processes.start(job.marker(), process);
                    Counts::default()
                }
                Begin::Again(skip) => skip,
            };
            Ok(self.attend(job, begin, skip, wants, seen).await)
        })
    }

    fn has_begun(&self, job: &Job) -> bool {
        self.processes.lock().contains_key(&job.marker())
    }

    fn terminate(&self, marker: String) -> Work<'_, ()> {
        let now = self.world.now();
        if let Some(process) = self
            .processes
            .lock()
            .get_mut(&marker)
            .filter(|process| !process.script.deaf)
        {
            process.end_at(now + OBEYS_AFTER, Exit::Signal(15));
        }
        Box::pin(async {})
    }

    fn end_all(&self, marker: String) -> Work<'_, ()> {
        if let Some(process) = self.processes.lock().get_mut(&marker) {
            self.processes.1.signals.fetch_add(1, Ordering::Relaxed);
            process.end_at(self.world.now(), Exit::Signal(9));
        }
        Box::pin(async {})
    }
}

impl SimulatedMachine {
    /// Waits for the fence of a run; returns the outcome of an attempt that is wanted to end
    /// before.
    async fn enter(
        &self,
        job: &Job,
        wants: &mut mpsc::UnboundedReceiver<Want>,
    ) -> io::Result<Result<Option<Fence>, AttemptOutcome>> {
        if crate::weakness::has(Weakness::OpenFence) {
            return Ok(Ok(None));
        }
        let mut attempt = AttemptState::new(&job.objective, job.limits);
        let order = FenceOrder {
            run_folder: job.run_folder(),
            attempt: job.attempt,
        };
        std::fs::create_dir_all(&order.run_folder)?;
        loop {
            self.processes.open_fences(self.world.now());
            if let Ok(fence) = fence::try_enter(&order, &job.marker(), &self.host)? {
                return Ok(Ok(Some(fence)));
            }
            self.processes
                .end_deserted(&order.run_folder, self.world.now());
            if attempt.is_wanted_to_end() {
                let reason =
                    Obstacle::Machine("another attempt writes the checkpoint folder".to_owned());
                let actions = attempt.handle(Input::CouldNotStart(reason), Duration::ZERO);
                let outcome = actions.into_iter().find_map(|action| {
                    if let Action::Finish(outcome) = action {
                        Some(outcome)
                    } else {
                        None
                    }
                });
                return Ok(Err(
                    outcome.expect("an attempt that could not start has ended")
                ));
            }
            tokio::select! {
                Some(want) = wants.recv() => drop(attempt.handle(Input::Want(want), Duration::ZERO)),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn look(&self, job: &Job) -> (Duration, Vec<f64>, Option<Exit>) {
        let now = self.world.now();
        self.processes.lock().get_mut(&job.marker()).map_or(
            (Duration::ZERO, Vec::new(), Some(Exit::Signal(9))),
            |process| {
                process.attended = now;
                (
                    now.saturating_sub(process.began),
                    process.values(now),
                    process.exit(now),
                )
            },
        )
    }

    fn signal(&self, job: &Job, exit: Exit) {
        let now = self.world.now();
        if let Some(process) = self.processes.lock().get_mut(&job.marker()) {
            if process.exit(now).is_none() {
                self.processes.1.signals.fetch_add(1, Ordering::Relaxed);
            }
            match exit {
                Exit::Signal(15) if process.script.deaf => {}
                Exit::Signal(15) => process.end_at(now + OBEYS_AFTER, exit),
                _ => process.end_at(now, exit),
            }
        }
    }

    async fn attend(
        &self,
        job: &Job,
        begin: Begin,
        skip: Counts,
        wants: &mut mpsc::UnboundedReceiver<Want>,
        seen: mpsc::Sender<AttemptEvent>,
    ) -> AttemptEnd {
        let mut attempt = AttemptState::new(&job.objective, job.limits);
        let _ = seen
            .send(AttemptEvent::Started {
                command: vec!["simulated".to_owned()],
                moment: None,
            })
            .await;
        let (mut taken, mut exited) = (0, false);
        let mut inputs = vec![Input::Started];
        if begin != Begin::Anew && launch::is_preempted(&job.folder()) {
            inputs.push(Input::Want(Want::Preempt));
        }
        loop {
            let (now, values, exit) = self.look(job);
            let mut points = Vec::new();
            for (index, value) in values.iter().enumerate().skip(taken) {
                attempt.handle(
                    Input::Metric {
                        name: job.objective.clone(),
                        value: *value,
                    },
                    now,
                );
                let counts = Counts {
                    output: index as u64 + 1,
                    ..Counts::default()
                };
                let reading = Reading {
                    name: job.objective.clone(),
                    step: Some(index as i64),
                    value: *value,
                };
                if counts.output > skip.output {
                    points.push(Point {
                        reading,
                        wall_ms: 0,
                        counts,
                    });
                }
            }
            taken = values.len();
            if !points.is_empty() {
                let _ = seen.send(AttemptEvent::Points(points)).await;
            }
            if let Some(exit) = exit.filter(|_| !exited) {
                exited = true;
                inputs.push(Input::Exited(exit));
            }
            if exited && attempt.awaits_empty() {
                inputs.push(Input::Empty);
            }
            inputs.push(Input::Tick);
            while !inputs.is_empty() {
                for action in attempt.handle(inputs.remove(0), now) {
                    match action {
                        Action::Terminate => self.signal(job, Exit::Signal(15)),
                        Action::Kill => self.signal(job, Exit::Signal(9)),
                        Action::Note(_) | Action::PassOn(_) => {}
                        Action::Drain => inputs.push(Input::Drained),
                        Action::Finish(outcome) => return self.ended(&attempt, outcome),
                    }
                }
            }
            tokio::select! {
                Some(want) = wants.recv() => {
                    if matches!(want, Want::Preempt | Want::Kill) {
                        launch::mark_preempted(&job.folder());
                    }
                    inputs.push(Input::Want(want));
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn ended(&self, attempt: &AttemptState, outcome: AttemptOutcome) -> AttemptEnd {
        AttemptEnd {
            outcome,
            objective: attempt.objective(),
        }
    }
}
