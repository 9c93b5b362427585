//! Executes an attempt, and reports it meanwhile.

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::concluding::{ReportOutcome, conclude, patience_ends, tell, told};
use super::report::Report;
use super::state::{Level, Session, give_run_back};
use crate::attempt::Want;
use crate::job::Job;
use crate::process::launch::Launch;
use crate::runner::{AttemptChannels, AttemptEnd, AttemptEvent, Begin};
use crate::spool::{Recovered, Spool};
use crate::{AgentError, Interrupt, Notice};

/// Things seen that wait for the reporter. Each may be a batch of points.
const SEEN_MAX: usize = 16;

/// Executes and reports an attempt; returns whether it counts as a run that has ended.
pub(super) async fn attend(
    session: &Arc<Session>,
    job: Job,
    begin: Begin,
    level: &mut Level,
) -> bool {
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
    let told = match written {
        Ok(()) => attend_written(session, begin, &report, recovered, &mut wanted, level).await,
        Err(source) => {
            let path = report.job.folder();
            let ended = Err(AgentError::File { path, source });
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

/// Executes an attempt whose job is written down, or delivers the result that an earlier agent kept.
async fn attend_written(
    session: &Session,
    begin: Begin,
    report: &Report,
    recovered: Recovered,
    wanted: &mut mpsc::UnboundedReceiver<Want>,
    level: &mut Level,
) -> ReportOutcome {
    if let Some(result) = recovered.result {
        return if deliver(report, level.clone()).await {
            tell(session, report, result, None, level).await
        } else {
            ReportOutcome::Kept
        };
    }
    let begin = match begin {
        Begin::Anew => Begin::Anew,
        Begin::Again(_) => Begin::Again(recovered.counts),
    };
    let ended = execute(session, begin, report, wanted, level.clone()).await;
    conclude(session, report, ended, level).await
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
    let channels = AttemptChannels {
        wants: wanted,
        seen,
    };
    let run = async {
        let ended = session.executor.execute(&report.job, begin, channels).await;
        drop(over);
        ended
    };
    let (ended, (), delivered) =
        tokio::join!(run, announce, follow(report, to_follow, is_over, level));
    ended
        .map(|ended| (ended, delivered))
        .map_err(|(path, source)| AgentError::File { path, source })
}

/// Reports the rest of what an earlier agent had to report; returns whether the controller has it
/// now.
async fn deliver(report: &Report, level: Level) -> bool {
    let (seen, to_follow) = mpsc::channel(1);
    let argv = Launch::read(&report.job.folder())
        .map(|launch| launch.command.argv)
        .unwrap_or_default();
    let command = sweep_code::redacted_arguments(&argv);
    // The receiver is right here.
    let _ = seen.try_send(AttemptEvent::Started {
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
    seen: mpsc::Receiver<AttemptEvent>,
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

/// Passes events on, and notifies the user of the start.
async fn announce(
    session: &Session,
    job: &Job,
    mut seen: mpsc::Receiver<AttemptEvent>,
    told: mpsc::Sender<AttemptEvent>,
) {
    while let Some(seen) = seen.recv().await {
        if let AttemptEvent::Started { command, .. } = &seen {
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
