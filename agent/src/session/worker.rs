//! One slot: takes a run, has it executed, reports it, again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sweep_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::acquiring::ask;
use super::pinned::Code;
use super::placement::{AttemptPlacement, named, place};
use super::report::Report;
use super::state::{FAREWELL, Level, ROOM_LOOK, STARTS_FAILED_MAX, Session, give_run_back};
use crate::attempt::{AttemptFailure, AttemptOutcome, Limits, Want};
use crate::gpu::left_behind;
use crate::job::Job;
use crate::process::launch::Launch;
use crate::room;
use crate::runner::{self, AttemptEnd, Begin};
use crate::slot::Slot;
use crate::spool::{Counts, Spool};
use crate::{AgentError, Interrupt, Notice};

/// How long an agent that was killed tries to report the outcomes of its runs.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long the driver may take to free the memory of a program that has ended; and how often it is
/// looked, before and after that.
const GPU_PATIENCE: Duration = Duration::from_secs(5);
const GPU_LOOK: Duration = Duration::from_millis(100);
const GPU_LOOK_ASIDE: Duration = Duration::from_secs(2);
/// Things seen that wait for the reporter. Each may be a batch of points.
const SEEN_MAX: usize = 16;

/// Works until there is nothing left to do for this slot.
pub(super) async fn work(session: Arc<Session>, slot: Slot, mut level: Level) {
    while level.borrow().is_none() && take_ticket(&session) {
        tokio::select! {
            () = session.look_at_data() => {}
            _ = level.wait_for(Option::is_some) => {}
        }
        let Some(next) = ask(&session, &mut level).await else {
            give_ticket_back(&session);
            break;
        };
        let assignment = match next {
            Ok(Some(assignment)) => assignment,
            Ok(None) => {
                give_ticket_back(&session);
                break;
            }
            Err(refused) => {
                let reason = session.give_up(&refused);
                session.ends_because(reason);
                break;
            }
        };
        let placed = match place(&session, &assignment) {
            Ok(placed) => placed,
            Err(AgentError::File { source, .. }) if room::says_full(&source) => {
                session.room.note_refusal();
                give_run_back(&session, &assignment.sweep_id, &named(&assignment)).await;
                give_ticket_back(&session);
                tokio::time::sleep(ROOM_LOOK).await;
                continue;
            }
            Err(error) => {
                session.book().failed.get_or_insert(error);
                break;
            }
        };
        session.tell_note(&assignment.early_stop_note);
        if let (Some(capture), Some(program)) = (&session.capture, &assignment.program) {
            capture.include(&program.code_include).await;
        }
        let Some(code) = session.ready(&assignment, &placed.held, &mut level).await else {
            give_ticket_back(&session);
            break;
        };
        session.look_at_data_of(&assignment).await;
        let counts = match job(&session, &slot, &assignment, placed, code) {
            Ok(job) => {
                let (run, gpu_bytes) = (job.run, job.gpu_bytes.clone());
                let counts = attend(&session, job, Begin::Anew, &mut level).await;
                set_aside(&session, run, gpu_bytes, &mut level).await;
                counts
            }
            Err(reason) => {
                session
                    .book()
                    .failed
                    .get_or_insert(AgentError::Refused(reason));
                false
            }
        };
        if !counts {
            give_ticket_back(&session);
        }
        if session.book().failed.is_some() {
            break;
        }
    }
    let leaves_soon = level
        .borrow()
        .is_some_and(|interrupt| interrupt >= Interrupt::Preempt);
    if !leaves_soon {
        session.look_at_outputs().await;
    }
    if session.book().tickets == Some(0) && level.borrow().is_none() {
        let count = session.options.count.unwrap_or_default();
        session.ends_because(format!(
            "{count} {} ended (--count {count})",
            if count == 1 { "run has" } else { "runs have" }
        ));
    }
}

fn take_ticket(session: &Session) -> bool {
    let mut book = session.book();
    if book.failed.is_some() {
        return false;
    }
    match &mut book.tickets {
        None => true,
        Some(0) => false,
        Some(tickets) => {
            *tickets -= 1;
            true
        }
    }
}

fn give_ticket_back(session: &Session) {
    if let Some(tickets) = &mut session.book().tickets {
        *tickets += 1;
    }
}

/// Continues an attempt that an earlier agent has begun, then works as any slot does.
pub(super) async fn resume(session: Arc<Session>, slot: Option<Slot>, job: Job, mut level: Level) {
    let job = Job {
        patterns: session.patterns.clone(),
        ..job
    };
    // Its ticket was that of the agent before.
    let (run, gpu_bytes) = (job.run, job.gpu_bytes.clone());
    attend(&session, job, Begin::Again(Counts::default()), &mut level).await;
    if let Some(slot) = slot {
        set_aside(&session, run, gpu_bytes, &mut level).await;
        work(session, slot, level).await;
    }
}

/// Keeps the slot from taking a run while its GPUs hold memory that a run has left behind: what
/// comes next would fail for want of it.
async fn set_aside(session: &Session, run: u64, before: BTreeMap<String, u64>, level: &mut Level) {
    // A thread has its own time: without GPUs, as in the simulation, none is asked.
    if before.is_empty() {
        return;
    }
    let before = Arc::new(before);
    let ended = Instant::now();
    let mut told = false;
    loop {
        let (driver, looked_at) = (Arc::clone(&session.options.driver), Arc::clone(&before));
        // It neither panics nor is aborted. A GPU without a reading counts as free.
        let left = tokio::task::spawn_blocking(move || left_behind(&*driver, &looked_at))
            .await
            .unwrap_or_default();
        if left.is_empty() {
            break;
        }
        let held: Vec<_> = left
            .iter()
            .map(|(gpu, bytes)| format!("GPU {gpu} {:.1} GB", *bytes as f64 / 1e9))
            .collect();
        if !told && ended.elapsed() >= GPU_PATIENCE {
            told = true;
            session.link.notice(Notice::Note(format!(
                "run {run} has ended and none of its processes is left, but more memory is in use than before it ({}): quarantined until it is free; \
                 nvidia-smi says more, and a reset or a restart of the machine may be needed",
                held.join(", ")
            )));
        }
        let pause = if told { GPU_LOOK_ASIDE } else { GPU_LOOK };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = level.wait_for(Option::is_some) => return,
        }
    }
    if told {
        let names: Vec<_> = before.keys().map(String::as_str).collect();
        session.link.notice(Notice::Note(format!(
            "GPU {}: free again, takes runs again",
            names.join(", ")
        )));
    }
}

/// Executes and reports an attempt; returns whether it counts as a run that has ended.
async fn attend(session: &Arc<Session>, job: Job, begin: Begin, level: &mut Level) -> bool {
    let key = job.held();
    let (wants, mut wanted) = mpsc::unbounded_channel();
    let numbers = if begin == Begin::Anew {
        key.numbers()
    } else {
        session.link.holdings().numbers(&key)
    };
    session.hold(&key, numbers, job.record_json.clone(), wants.clone());
    // An interrupt from now on reaches it; an earlier one has not.
    let interrupted = *level.borrow();
    if let Some(interrupt) = interrupted {
        if begin == Begin::Anew {
            give_run_back(session, &job.sweep, &key).await;
            session.release(&key);
            return false;
        }
        match interrupt {
            Interrupt::Drain | Interrupt::PassOn(_) => {}
            Interrupt::Preempt | Interrupt::Stop => drop(wants.send(Want::Preempt)),
            Interrupt::Kill => drop(wants.send(Want::Kill)),
        }
    }
    let running = session.begin_in_folder().await;
    let written = job.write();
    let (spool, recovered) = Spool::open(&job.folder());
    let spool = Arc::new(spool);
    let missing = session.link.holdings().attach(&key, &spool);
    let job = Arc::new(job);
    let (link, observer) = (Arc::clone(&session.link), session.observer.clone());
    let report = Report {
        session: Arc::clone(session),
        link,
        job: Arc::clone(&job),
        wants,
        spool,
        begun: OnceLock::new(),
        observer,
    };
    for note in recovered.note.iter().chain(&missing) {
        report.note(note);
    }
    let told = match (written, recovered.result) {
        (Err(source), _) => {
            let ended = Err(AgentError::File {
                path: job.folder(),
                source,
            });
            conclude(session, &report, ended, level).await
        }
        (Ok(()), Some(result)) => {
            if deliver(&report, level.clone()).await {
                tell(session, &report, result, None, level).await
            } else {
                ReportOutcome::Kept
            }
        }
        (Ok(()), None) => {
            let begin = if begin == Begin::Anew {
                begin
            } else {
                Begin::Again(recovered.counts)
            };
            let ended = execute(session, begin, &report, &mut wanted, level.clone()).await;
            conclude(session, &report, ended, level).await
        }
    };
    drop(running);
    if told == ReportOutcome::Kept {
        if !session.options.ends_alone {
            report.note("its result is kept: an agent that is started again with the same --runs-dir reports it");
        }
        session.link.holdings().remove(&key);
        return true;
    }
    session.release(&key);
    report.spool.remove();
    told == ReportOutcome::Counts
}

/// How long a failure waits for a preemption that explains it.
fn settling_time(session: &Session) -> Duration {
    #[cfg(feature = "simulation")]
    if crate::weakness::has(crate::weakness::Weakness::JudgesAtOnce) {
        return Duration::ZERO;
    }
    session.options.settle
}

/// Makes a job of what the controller has sent.
///
/// # Errors
/// It makes no sense: what is wrong, in words.
fn job(
    session: &Session,
    slot: &Slot,
    assignment: &v1::Assignment,
    placed: AttemptPlacement,
    code: Code,
) -> Result<Job, String> {
    let sweep = &assignment.sweep_id;
    // The sweep may have been edited since the agent registered.
    let edited = assignment.program.as_ref();
    let patterns = match edited {
        Some(program) => super::state::patterns(&program.metric_patterns)?,
        None => session.patterns.clone(),
    };
    let program = edited.unwrap_or(&session.program);
    Ok(Job {
        agent: session.agent.clone(),
        sweep: sweep.clone(),
        run: assignment.run,
        attempt: assignment.attempt,
        incarnation: assignment.incarnation.clone(),
        record_json: assignment.record_json.clone(),
        folders: placed.folders,
        repeat: assignment.repeat,
        seed: assignment.seed,
        params: placed.params,
        command: program.command.clone(),
        program: program.program.clone(),
        objective: program.metric.clone(),
        patterns,
        metric_files: program.metric_files.clone(),
        project: program.project.clone(),
        entity: program.entity.clone(),
        slot: slot.clone(),
        code_version: code.version,
        obstacle: code.obstacle,
        gpu_bytes: slot.bytes_in_use(&*session.options.driver),
        workdir: code.workdir,
        runs_dir: session.options.runs_dir.clone(),
        limits: Limits {
            grace: session.options.grace,
            runtime: limit(program.max_runtime_ms),
            silence: limit(program.max_silence_ms),
            settle: settling_time(session),
        },
        omits_none: program.omit_none,
        preflight: program.preflight.clone(),
        alone: session.alone(),
    })
}

fn limit(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// Runs the program, reporting meanwhile; returns also whether the controller has all that there
/// was to report.
async fn execute(
    session: &Session,
    begin: Begin,
    report: &Report,
    wanted: &mut mpsc::UnboundedReceiver<Want>,
    level: Level,
) -> Result<(AttemptEnd, bool), AgentError> {
    let (seen, to_report) = mpsc::channel(SEEN_MAX);
    let (told, to_follow) = mpsc::channel(SEEN_MAX);
    let (over, is_over) = oneshot::channel::<()>();
    let announce = announce(session, &report.job, to_report, told);
    let run = async {
        let ended = session
            .executor
            .execute(&report.job, begin, wanted, seen)
            .await;
        drop(over);
        ended
    };
    let (ended, (), delivered) =
        tokio::join!(run, announce, follow(report, to_follow, is_over, level));
    ended
        .map(|ended| (ended, delivered))
        .map_err(|(path, source)| AgentError::File { path, source })
}

/// Reports what an agent before this one has not got rid of; returns whether the controller has it
/// now.
async fn deliver(report: &Report, level: Level) -> bool {
    let (seen, to_follow) = mpsc::channel(1);
    let argv = Launch::read(&report.job.folder())
        .map(|launch| launch.command.argv)
        .unwrap_or_default();
    let command = sweep_code::redacted_arguments(&argv);
    // The receiver is right here.
    let _ = seen.try_send(runner::AttemptEvent::Started {
        command,
        moment: None,
    });
    drop(seen);
    let (_, is_over) = oneshot::channel();
    follow(report, to_follow, is_over, level).await
}

/// Reports what is seen. The controller may be away for good: an agent that is to leave does not
/// wait for it long once the program `is_over`. Returns whether the controller has all of it, or
/// wants no more.
async fn follow(
    report: &Report,
    seen: mpsc::Receiver<runner::AttemptEvent>,
    is_over: oneshot::Receiver<()>,
    mut level: Level,
) -> bool {
    let mut killing = level.clone();
    let leaving = async {
        // An error is what it waits for: nothing is ever sent.
        let _ = is_over.await;
        patience_ends(&mut level).await;
    };
    tokio::select! {
        () = report.follow(seen) => true,
        () = told(&mut killing, Interrupt::Kill) => false,
        () = leaving => false,
    }
}

/// Passes on what is seen, and tells a person of the start.
async fn announce(
    session: &Session,
    job: &Job,
    mut seen: mpsc::Receiver<runner::AttemptEvent>,
    told: mpsc::Sender<runner::AttemptEvent>,
) {
    while let Some(seen) = seen.recv().await {
        if let runner::AttemptEvent::Started { command, .. } = &seen {
            session.book().starts_failed = 0;
            session.link.notice(Notice::Started {
                run: job.run,
                attempt: job.attempt,
                command: command.clone(),
            });
        }
        if told.send(seen).await.is_err() {
            return;
        }
    }
}

/// The outcome of reporting an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportOutcome {
    /// A run has ended.
    Counts,
    /// The run goes back into the queue, or is another's by now.
    CountsNot,
    /// The agent was killed before the controller answered.
    Kept,
}

/// Reports the end of an attempt.
async fn conclude(
    session: &Session,
    report: &Report,
    ended: Result<(AttemptEnd, bool), AgentError>,
    level: &mut Level,
) -> ReportOutcome {
    let (ended, delivered) = match ended {
        // The run is not at fault and goes back. The slot asks for the next one when there is room.
        Ok((ended, _)) if could_not_start(&ended.outcome) && session.obstacle().is_some() => (
            AttemptEnd {
                outcome: AttemptOutcome::Preempted,
                objective: None,
            },
            true,
        ),
        Err(AgentError::File { source, .. }) if room::says_full(&source) => {
            session.room.note_refusal();
            (
                AttemptEnd {
                    outcome: AttemptOutcome::Preempted,
                    objective: None,
                },
                true,
            )
        }
        Ok(ended) => ended,
        Err(error) => {
            let message = error.to_string();
            session.book().failed.get_or_insert(error);
            let failure = AttemptFailure {
                kind: "could_not_start",
                blame: "machine",
                message,
                ..AttemptFailure::default()
            };
            (
                AttemptEnd {
                    outcome: AttemptOutcome::Failed(failure),
                    objective: None,
                },
                true,
            )
        }
    };
    note_start(session, &ended.outcome);
    if let AttemptOutcome::Abandoned(_) = ended.outcome {
        announce_end(
            session,
            &report.job,
            "abandoned".to_owned(),
            None,
            ended.outcome.in_words(),
        );
        return ReportOutcome::CountsNot;
    }
    let result = report.result(&ended.outcome);
    if !delivered && ended.outcome != AttemptOutcome::Preempted {
        // A result without its metrics would be taken for another one.
        report.spool.keep_result(&result);
        announce_end(
            session,
            &report.job,
            "unreported".to_owned(),
            ended.objective,
            ended.outcome.in_words(),
        );
        return ReportOutcome::Kept;
    }
    let told = tell(
        session,
        report,
        result,
        Some((&ended, ended.outcome.in_words())),
        level,
    )
    .await;
    if ended.outcome == AttemptOutcome::Preempted {
        ReportOutcome::CountsNot
    } else {
        told
    }
}

/// Tells the controller of the end of an attempt.
async fn tell(
    session: &Session,
    report: &Report,
    result: v1::FinishAttemptRequest,
    ended: Option<(&AttemptEnd, String)>,
    level: &mut Level,
) -> ReportOutcome {
    let failed_with = result
        .failure
        .as_ref()
        .map(|failure| failure.message.clone())
        .unwrap_or_default();
    let (mut objective, mut message) = ended.map_or((None, failed_with), |(ended, message)| {
        (ended.objective, message)
    });
    let (told, state) = tokio::select! {
        answer = report.finish(result) => match answer {
            // It is tried again: its end is yet to come.
            Ok(answer) if answer.run_state == "queued" => (ReportOutcome::CountsNot, answer.run_state),
            Ok(answer) => {
                // What counts is the objective, by the sweep's rule.
                if let Some(value) = answer.value {
                    objective = Some(value);
                    let last = answer.last.filter(|last| message.is_empty() && (last - value).abs() > f64::EPSILON * value.abs());
                    message.extend(last.map(|last| format!("(last {last})")));
                }
                (ReportOutcome::Counts, answer.run_state)
            }
            Err(reason) => {
                message = format!("the controller does not take the result: {reason}");
                (ReportOutcome::CountsNot, "abandoned".to_owned())
            }
        },
        () = patience_ends(level) => (ReportOutcome::Kept, "unreported".to_owned()),
    };
    announce_end(session, &report.job, state, objective, message);
    told
}

fn announce_end(
    session: &Session,
    job: &Job,
    state: String,
    objective: Option<f64>,
    message: String,
) {
    tally(session, &state);
    session.link.notice(Notice::Ended {
        run: job.run,
        attempt: job.attempt,
        state,
        objective,
        message,
    });
}

/// Whether it is the machine that kept the program from starting.
fn could_not_start(outcome: &AttemptOutcome) -> bool {
    matches!(
        outcome,
        AttemptOutcome::Failed(AttemptFailure {
            kind: "could_not_start",
            blame: "machine",
            ..
        })
    )
}

/// A machine on which nothing starts must not take run after run.
fn note_start(session: &Session, outcome: &AttemptOutcome) {
    let AttemptOutcome::Failed(AttemptFailure {
        kind: "could_not_start",
        blame: "machine",
        message,
        ..
    }) = outcome
    else {
        return;
    };
    let mut book = session.book();
    book.starts_failed += 1;
    if book.starts_failed >= STARTS_FAILED_MAX {
        let error = format!(
            "{STARTS_FAILED_MAX} programs in a row could not be started on this machine; the last one: {message}"
        );
        book.failed.get_or_insert(AgentError::Refused(error));
    }
}

fn tally(session: &Session, state: &str) {
    let summary = &mut session.book().summary;
    match state {
        "finished" => summary.finished += 1,
        "stopped" => summary.stopped += 1,
        "failed" => summary.failed += 1,
        _ => summary.other += 1,
    }
}

/// Waits until an agent that was told to leave, if it ever is, has waited long enough.
async fn patience_ends(level: &mut Level) {
    let mut killing = level.clone();
    tokio::select! {
        () = async { told(level, Interrupt::Preempt).await; tokio::time::sleep(FAREWELL).await } => {}
        () = async { told(&mut killing, Interrupt::Kill).await; tokio::time::sleep(LAST_WORDS).await } => {}
    }
}

/// Waits for an interrupt that goes as far as `least`.
async fn told(level: &mut Level, least: Interrupt) {
    if level
        .wait_for(|level| level.is_some_and(|level| level >= least))
        .await
        .is_err()
    {
        // There is no sender any more.
        std::future::pending::<()>().await;
    }
}
