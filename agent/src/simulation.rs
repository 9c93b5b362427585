//! An agent whose programs are scripts, over any way to the controller: the session's own code, and
//! the attempts', in a simulated world.

mod processes;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::transport::Channel;

use self::processes::{OBEYS_AFTER, Process};
pub use self::processes::{Processes, Script};
use crate::attempt::{Action, AttemptOutcome, AttemptState, Input, Want};
use crate::executor::{Execution, Executor, Work};
use crate::intake::Reading;
use crate::job::Job;
use crate::process::exit::{Exit, Obstacle};
use crate::process::fence::{self, Fence, FenceOrder};
use crate::process::launch;
use crate::runner::{AttemptChannels, AttemptEnd, AttemptEvent, Begin, Point};
use crate::session::{Surroundings, chance};
use crate::spool::Counts;
pub use crate::weakness::{Weakness, weaken};
use crate::{AgentError, AgentOptions, AgentSummary, Interrupt, Notice};

/// How often a script is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The simulated world.
pub trait World: Send + Sync {
    /// The time since the world began.
    fn now(&self) -> Duration;
    /// Returns the behaviour of an attempt's program on a machine. `params` is a JSON object.
    fn script(&self, host: &str, run: u64, attempt: u32, params: &str) -> Script;
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
    fn execute<'a>(&'a self, job: &'a Job, begin: Begin, io: AttemptChannels<'a>) -> Execution<'a> {
        let AttemptChannels { wants, seen } = io;
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
            self.processes.count_signal();
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
                return Ok(Err(attempt.could_not_start(reason)));
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
                self.processes.count_signal();
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
            let points = take_points(&mut attempt, &values, taken, now, skip);
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

/// Passes new values on to the attempt. Returns those that were not sent before.
fn take_points(
    attempt: &mut AttemptState,
    values: &[f64],
    taken: usize,
    now: Duration,
    skip: Counts,
) -> Vec<Point> {
    let mut points = Vec::new();
    for (index, value) in values.iter().enumerate().skip(taken) {
        let name = attempt.objective_name().to_owned();
        attempt.handle(
            Input::Metric {
                name: name.clone(),
                value: *value,
            },
            now,
        );
        let counts = Counts {
            output: index as u64 + 1,
            ..Counts::default()
        };
        if counts.output > skip.output {
            let reading = Reading {
                name,
                step: Some(index as i64),
                value: *value,
            };
            points.push(Point {
                reading,
                wall_ms: 0,
                counts,
            });
        }
    }
    points
}
