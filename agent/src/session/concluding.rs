//! Reports the end of an attempt.

use std::time::Duration;

use sweep_proto::v1;

use super::report::Report;
use super::state::{FAREWELL, Level, STARTS_FAILED_MAX, Session};
use crate::attempt::{AttemptFailure, AttemptOutcome};
use crate::job::Job;
use crate::runner::AttemptEnd;
use crate::{AgentError, Interrupt, Notice, room};

/// How long an agent that was killed tries to report the outcomes of its runs.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The outcome of reporting an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportOutcome {
    /// A run has ended.
    Counts,
    /// The run goes back into the queue, or is another's by now.
    CountsNot,
    /// The agent was killed before the controller answered.
    Kept,
}

/// Returns the end that is reported, and whether the controller has all reports before it. Where the
/// disk is full, the run goes back.
fn judged(session: &Session, ended: Result<(AttemptEnd, bool), AgentError>) -> (AttemptEnd, bool) {
    match ended {
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
    }
}

/// Reports the end of an attempt.
pub(super) async fn conclude(
    session: &Session,
    report: &Report,
    ended: Result<(AttemptEnd, bool), AgentError>,
    level: &mut Level,
) -> ReportOutcome {
    let (ended, delivered) = judged(session, ended);
    note_start(session, &ended.outcome);
    if let AttemptOutcome::Abandoned(_) = ended.outcome {
        announce_end(
            session,
            &report.job,
            "abandoned".to_owned(),
            (None, None),
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
            (None, ended.objective),
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
pub(super) async fn tell(
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
    let (mut last, mut message) = ended.map_or((None, failed_with), |(ended, message)| {
        (ended.objective, message)
    });
    let mut objective = None;
    let (told, state) = tokio::select! {
        answer = report.finish(result) => match answer {
            // It is tried again: its end is yet to come.
            Ok(answer) if answer.run_state == "queued" => (ReportOutcome::CountsNot, answer.run_state),
            Ok(answer) => {
                // What counts is the objective, by the sweep's rule.
                objective = answer.value;
                last = answer.last.or(last);
                (ReportOutcome::Counts, answer.run_state)
            }
            Err(reason) => {
                message = format!("the controller does not take the result: {reason}");
                (ReportOutcome::CountsNot, "abandoned".to_owned())
            }
        },
        () = patience_ends(level) => (ReportOutcome::Kept, "unreported".to_owned()),
    };
    announce_end(session, &report.job, state, (objective, last), message);
    told
}

fn announce_end(
    session: &Session,
    job: &Job,
    state: String,
    (objective, last): (Option<f64>, Option<f64>),
    message: String,
) {
    tally(session, &state);
    session.link.notice(Notice::Ended {
        run: job.run,
        attempt: job.attempt,
        state,
        objective,
        last,
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
pub(super) async fn patience_ends(level: &mut Level) {
    let mut killing = level.clone();
    tokio::select! {
        () = async { told(level, Interrupt::Preempt).await; tokio::time::sleep(FAREWELL).await } => {}
        () = async { told(&mut killing, Interrupt::Kill).await; tokio::time::sleep(LAST_WORDS).await } => {}
    }
}

/// Waits for an interrupt that goes as far as `least`.
pub(super) async fn told(level: &mut Level, least: Interrupt) {
    if level
        .wait_for(|level| level.is_some_and(|level| level >= least))
        .await
        .is_err()
    {
        // There is no sender any more.
        std::future::pending::<()>().await;
    }
}
