//! Executes one attempt: makes its folder, starts its program, feeds what happens to
//! [`crate::attempt`] and carries out its actions. Decides nothing, and knows no controller: it takes
//! requests and sends events.

mod beginning;
mod events;
mod place;
mod reading;
mod stop_file;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sweep_code::redacted_arguments;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::beginning::{Begun, begin_anew, find_again};
pub(crate) use self::events::{AttemptEnd, AttemptEvent, Begin, Point};
use self::place::place_of;
use self::stop_file::StopFile;
use crate::attempt::{Action, AttemptOutcome, AttemptState, Input, UserSignal, Want};
use crate::gpu::GpuDriver;
use crate::intake::Reading;
use crate::intake::frameworks::FrameworkFiles;
use crate::intake::hint::Hints;
use crate::intake::metrics_file::MetricsFile;
use crate::intake::output::Output;
use crate::intake::wandb::WandbRuns;
use crate::job::Job;
use crate::monitor::Monitor;
use crate::process::exit::Obstacle;
use crate::process::launch::{self, Used, Word};
use crate::process::memory::Kills;
use crate::process::shims::Shims;
use crate::process::spawn::Program;
use crate::process::tree;
use crate::spool::Counts;

/// How often output, metrics, timers and processes are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Readings waiting to be sent out; with more than this, no more are read from the files until some
/// are gone.
const PENDING_MAX: usize = 10_000;
/// Readings sent out at once.
const BATCH: usize = 1000;

/// Executes an attempt to its end. When it returns, no process of the attempt is left. With a
/// `driver`, what it uses of the machine is seen as well.
///
/// # Errors
/// A folder or file of the attempt cannot be made or read: the path and why.
pub(crate) async fn execute(
    job: &Job,
    begin: Begin,
    shims: &Arc<Shims>,
    wants: &mut mpsc::UnboundedReceiver<Want>,
    seen: mpsc::Sender<AttemptEvent>,
    driver: Option<Arc<dyn GpuDriver>>,
) -> Result<AttemptEnd, (PathBuf, io::Error)> {
    let place = place_of(job);
    let kills = Kills::so_far();
    let mut attempt = AttemptState::new(&job.objective, job.limits);
    let Begun {
        program,
        argv,
        skip,
        frameworks,
    } = match begin {
        Begin::Anew => begin_anew(job, &place, shims, &mut attempt, wants, &seen).await?,
        Begin::Again(skip) => find_again(job, &place, skip).await,
    };
    let program = match program {
        Ok(program) => program,
        Err(reason) => {
            return Ok(AttemptEnd {
                outcome: attempt.could_not_start(reason),
                objective: None,
            });
        }
    };
    let output = Output::new(job.output(), &job.patterns);
    let metrics = MetricsFile::new(PathBuf::from(&place.metrics_file));
    let wandb = WandbRuns::new(&job.objective);
    let monitor = driver.map(|driver| {
        let gpus = job.slot.gpus(&*driver);
        Monitor::new(driver, gpus, job.folder(), begin == Begin::Anew)
    });
    WatchedAttempt {
        monitor,
        theirs: BTreeSet::from([job.objective.clone()]),
        used: None,
        began: Instant::now()
            .checked_sub(program.age())
            .unwrap_or_else(Instant::now),
        kills,
        attempt,
        program,
        argv,
        counts: Counts::default(),
        skip,
        again: begin != Begin::Anew,
        folder: job.folder(),
        stop_file: StopFile::new(PathBuf::from(&place.stop_file)),
        output,
        hints: Hints::new(&job.objective),
        has_hint: false,
        kept_hint: None,
        metrics,
        wandb,
        frameworks,
        given: BTreeSet::new(),
        given_by_wandb: BTreeSet::new(),
        given_by_frameworks: BTreeSet::new(),
        waiting: Vec::new(),
        waiting_since: BTreeMap::new(),
        pending: Vec::new(),
        complaints: BTreeSet::new(),
        notes: VecDeque::new(),
        seen,
        outcome: None,
    }
    .run(wants)
    .await
    .map_err(|error| (job.folder(), error))
}

/// How long the last of a program's output usually takes to be written down, and may take: on a
/// full disk it cannot be.
const WRITE_TIME: Duration = Duration::from_secs(1);
const WRITE_TIME_MAX: Duration = Duration::from_secs(65);
const WANTED_TIME_MAX: Duration = Duration::from_secs(3);
const WRITE_LOOK: Duration = Duration::from_millis(5);

/// An attempt whose program was begun.
struct WatchedAttempt {
    began: Instant,
    monitor: Option<Monitor>,
    /// Names that what the monitor sees must not have.
    theirs: BTreeSet<String>,
    /// By the program until its end.
    used: Option<Used>,
    /// As they were when it began.
    kills: Kills,
    attempt: AttemptState,
    program: Program,
    argv: Vec<String>,
    /// Readings so far.
    counts: Counts,
    /// Readings that were sent out before.
    skip: Counts,
    /// An agent before this one had begun it.
    again: bool,
    folder: PathBuf,
    stop_file: StopFile,
    output: Output,
    /// Looked for until one was found or the objective was read.
    hints: Hints,
    has_hint: bool,
    /// When it was found, and what it says, until it is told.
    kept_hint: Option<(Duration, String)>,
    metrics: MetricsFile,
    wandb: WandbRuns,
    frameworks: FrameworkFiles,
    /// Names of metrics that the program gives by its output or its metrics file: of what it says
    /// in several ways, one counts.
    given: BTreeSet<String>,
    /// Names that W&B's library gave before files of other frameworks did, and the other way round.
    given_by_wandb: BTreeSet<String>,
    given_by_frameworks: BTreeSet<String>,
    /// Readings from the output that wait until it is known whether files have the same metrics,
    /// and since when each of those does.
    waiting: Vec<Reading>,
    waiting_since: BTreeMap<String, Duration>,
    /// Readings that have not been sent out.
    pending: Vec<Point>,
    complaints: BTreeSet<String>,
    /// Those that wait until there is room for them.
    notes: VecDeque<String>,
    seen: mpsc::Sender<AttemptEvent>,
    outcome: Option<AttemptOutcome>,
}

impl WatchedAttempt {
    async fn run(mut self, wants: &mut mpsc::UnboundedReceiver<Want>) -> io::Result<AttemptEnd> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut running, mut ended, mut wants_open) = (false, false, true);
        if self.again && launch::is_preempted(&self.folder) {
            self.handle(Input::Want(Want::Preempt)).await?;
        }
        while self.outcome.is_none() {
            tokio::select! {
                want = wants.recv(), if wants_open => match want {
                    Some(want) => {
                        if matches!(want, Want::Preempt | Want::Kill) {
                            // If this agent is killed too, the next one has to know.
                            launch::mark_preempted(&self.folder);
                        }
                        if let Want::Stop { reason } = &want
                            && self.stop_file.ask(reason)
                        {
                            self.handle(Input::StopWatched).await?;
                        }
                        self.handle(Input::Want(want)).await?;
                    }
                    None => wants_open = false,
                },
                word = self.program.word(), if !ended => {
                    ended = !matches!(word, Word::Started { .. } | Word::Used(_));
                    running |= matches!(word, Word::Started { .. });
                    self.follow(word, running).await?;
                }
                permit = reserve(&self.seen), if !self.pending.is_empty() => {
                    let count = self.pending.len().min(BATCH);
                    let points = self.pending.drain(..count).collect();
                    match permit {
                        Ok(permit) => drop(permit.send(AttemptEvent::Points(points))),
                        // There is no receiver any more: the agent is being killed.
                        Err(_) => self.pending.clear(),
                    }
                }
                _ = look.tick() => {
                    if running {
                        self.read(false).await?;
                        self.monitor().await;
                    }
                    if self.attempt.awaits_empty() && self.is_empty().await {
                        self.handle(Input::Empty).await?;
                    }
                    self.send_notes();
                    self.handle(Input::Tick).await?;
                }
            }
        }
        while !self.pending.is_empty() {
            let count = self.pending.len().min(BATCH);
            if self
                .seen
                .send(AttemptEvent::Points(self.pending.drain(..count).collect()))
                .await
                .is_err()
            {
                break;
            }
        }
        for text in std::mem::take(&mut self.notes) {
            let _ = self.seen.send(AttemptEvent::Note(text)).await;
        }
        let objective = self.attempt.objective();
        Ok(AttemptEnd {
            outcome: self.outcome.expect("the loop ends with an outcome"),
            objective,
        })
    }

    /// Takes in what the shim says of a program that was `running`, or not yet.
    async fn follow(&mut self, word: Word, running: bool) -> io::Result<()> {
        let input = match word {
            Word::Started { moment, .. } => {
                let started = AttemptEvent::Started {
                    command: redacted_arguments(&self.argv),
                    moment: moment.filter(|_| !self.again),
                };
                let _ = self.seen.send(started).await;
                // One that was found again began when its shim did.
                let now = if self.again {
                    Duration::ZERO
                } else {
                    self.began.elapsed()
                };
                self.attempt.handle(Input::Started, now);
                return Ok(());
            }
            Word::Used(used) => {
                self.used = Some(used);
                return Ok(());
            }
            Word::Refused(obstacle) => Input::CouldNotStart(obstacle),
            Word::NotReady(how) => Input::NotReady {
                how,
                output: launch::end_of(&self.folder.join(launch::PREFLIGHT_OUTPUT)),
            },
            Word::Exited(exit) | Word::Cut(exit) if running => {
                if let Some(note) = self.program.shim_was_killed() {
                    self.note(note.to_owned());
                }
                if let Some(evidence) = Kills::so_far().since(&self.kills) {
                    self.handle(Input::OutOfMemory(evidence)).await?;
                }
                Input::Exited(exit)
            }
            Word::Exited(_) | Word::Cut(_) => Input::CouldNotStart(Obstacle::Machine(
                "the process that looks after the program was killed".to_owned(),
            )),
        };
        self.handle(input).await
    }

    async fn handle(&mut self, input: Input) -> io::Result<()> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for action in self.attempt.handle(input, self.began.elapsed()) {
                match action {
                    Action::Terminate => self.signal(Signal::SIGTERM).await,
                    Action::Kill => self.signal(Signal::SIGKILL).await,
                    Action::PassOn(signal) => self.pass_on(signal).await,
                    Action::Note(text) => self.note(text),
                    Action::Drain => {
                        self.drain().await?;
                        inputs.push(Input::Drained);
                    }
                    Action::Finish(outcome) => self.outcome = Some(outcome),
                }
            }
        }
        Ok(())
    }

    /// Sends the attempt's use of its machine, at its interval. It is no evidence that the program
    /// makes progress.
    async fn monitor(&mut self) {
        let Some(monitor) = &mut self.monitor else {
            return;
        };
        let readings = monitor.look(self.program.tree(), &self.theirs).await;
        self.put(readings);
    }

    /// Reads the rest, now that no process can write any more.
    async fn drain(&mut self) -> io::Result<()> {
        self.wait_for_output().await;
        while self.read(true).await? {
            while self.pending.len() >= PENDING_MAX {
                let points = self.pending.drain(..BATCH).collect();
                if self.seen.send(AttemptEvent::Points(points)).await.is_err() {
                    self.pending.clear();
                }
            }
        }
        // By now it is known which names are the program's.
        if let (Some(monitor), Some(used)) = (&mut self.monitor, self.used) {
            let readings = monitor.last(self.program.tree(), used, &self.theirs).await;
            self.put(readings);
        }
        Ok(())
    }

    /// Waits until the shim, which writes down what the program prints, has written the last of it.
    async fn wait_for_output(&mut self) {
        let began = Instant::now();
        let mut is_late = false;
        // The output of an attempt that will not count is not worth a long wait.
        let patience = if self.attempt.is_wanted_to_end() {
            WANTED_TIME_MAX
        } else {
            WRITE_TIME_MAX
        };
        while self.program.has_shim() && began.elapsed() < patience {
            tokio::time::sleep(WRITE_LOOK).await;
            if !is_late && began.elapsed() >= WRITE_TIME {
                is_late = true;
                // Processes that do not die are left behind, and their shim with them.
                if !self.is_empty().await {
                    return;
                }
            }
        }
        if self.program.has_shim() || self.program.is_cut() {
            self.attempt.handle(Input::Unwritten, self.began.elapsed());
        }
    }

    async fn signal(&self, signal: Signal) {
        let tree = self.program.tree().clone();
        let count = tokio::task::spawn_blocking(move || tree.signal(signal)).await;
        tracing::debug!(%signal, processes = ?count.ok(), main = self.program.tree().main, "signalled the processes of an attempt");
    }

    /// Sends a signal to the program, if something of it handles the signal: otherwise it would be
    /// killed.
    async fn pass_on(&mut self, signal: UserSignal) {
        let tree = self.program.tree().clone();
        let signal = match signal {
            UserSignal::Usr1 => Signal::SIGUSR1,
            UserSignal::Usr2 => Signal::SIGUSR2,
        };
        let count = tokio::task::spawn_blocking(move || tree.signal_handlers(signal))
            .await
            .unwrap_or_default();
        if count == 0 {
            self.note(format!(
                "its program does not handle {signal}, which is not passed on to it"
            ));
        }
    }

    async fn is_empty(&self) -> bool {
        let tree = self.program.tree().clone();
        let look = move || {
            tree::reap_orphans();
            let is_empty = tree.living().is_empty();
            if is_empty {
                tree.clean_up();
            }
            is_empty
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(false)
    }

    /// Says something once. Nothing waits for it: a note is not worth holding up a program's end.
    fn note(&mut self, text: String) {
        if self.complaints.insert(text.clone()) {
            self.notes.push_back(text);
        }
        self.send_notes();
    }

    /// Says something that the next runs of the program need not repeat. Nothing depends on it.
    fn remark(&mut self, text: String) {
        if self.complaints.insert(text.clone()) {
            let _ = self.seen.try_send(AttemptEvent::Remark(text));
        }
    }

    /// Sends the notes for which there is room; the others wait.
    fn send_notes(&mut self) {
        while let Some(text) = self.notes.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(AttemptEvent::Note(text))) =
                self.seen.try_send(AttemptEvent::Note(text))
            {
                return self.notes.push_front(text);
            }
        }
    }
}

/// `Sender::reserve` of a clone, so that waiting for room borrows nothing of the watch.
async fn reserve(
    seen: &mpsc::Sender<AttemptEvent>,
) -> Result<mpsc::OwnedPermit<AttemptEvent>, mpsc::error::SendError<()>> {
    seen.clone().reserve_owned().await
}
