//! Streams that last as long as the sweep: output and the live view.
//!
//! Each waits for a commit, looks at the query tables, and sends what is new; it looks a few times a second at most.

use std::time::Duration;

use sweep_lifecycle::state::{AttemptRef, RunState, SweepId};
use sweep_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refusal::{stopping, unknown_sweep};
use super::{Services, convert};
use crate::store::{Query, RunRange, RunRow, StoreError};

/// A stream that lasts until its subject ends.
pub(super) type Follow<T> = ReceiverStream<Result<T, Status>>;

/// Shortest time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOG_BYTES_PER_MESSAGE: usize = 256 << 10;
const ENDED_RUNS: usize = 10;
/// More runs at once than any screen holds.
const RUNNING_RUNS_MAX: usize = 200;

/// Names an attempt of a run: the given one, or the newest for 0.
pub(super) fn attempt_of(row: &RunRow, attempt: u32) -> Result<AttemptRef, Status> {
    let found = match attempt {
        0 => row.attempts.last(),
        number => row.attempts.iter().find(|row| row.attempt == number),
    };
    let name = |number| AttemptRef {
        sweep: SweepId(row.sweep.clone()),
        run: row.run,
        attempt: number,
    };
    match found {
        Some(found) => Ok(name(found.attempt)),
        None if attempt == 0 => Err(Status::failed_precondition(format!(
            "run {} has not begun: it is {}",
            row.run, row.state
        ))),
        None => Err(Status::not_found(format!(
            "run {} has no attempt {attempt}; it has {}",
            row.run,
            row.attempts.len()
        ))),
    }
}

/// The output of an attempt from a byte on; with `follow`, until the attempt ends.
pub(super) fn logs(
    services: Services,
    attempt: AttemptRef,
    offset: u64,
    follow: bool,
) -> Follow<v1::GetLogsResponse> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(status) = send_logs(&services, &attempt, offset, follow, &sender).await {
            // The caller may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_logs(
    services: &Services,
    attempt: &AttemptRef,
    mut offset: u64,
    follow: bool,
    sender: &mpsc::Sender<Result<v1::GetLogsResponse, Status>>,
) -> Result<(), Status> {
    let mut commits = services.engine.commits();
    loop {
        commits.mark_unchanged();
        let id = attempt.clone();
        // Whether it has ended is asked first: what it wrote before its end is then in the second answer.
        let (ended, part) = services
            .read(move |query| {
                Ok((
                    !follow || has_ended(query, &id)?,
                    query.log(&id, offset, LOG_BYTES_PER_MESSAGE)?,
                ))
            })
            .await?;
        let read = part.data.len();
        if read > 0 {
            // Behind what is not kept of a long output, the part begins later than asked for.
            offset = part.offset;
            let piece = v1::GetLogsResponse {
                attempt: attempt.attempt,
                offset,
                data: part.data,
            };
            if sender.send(Ok(piece)).await.is_err() {
                return Ok(());
            }
            offset += read as u64;
            if ended || read == LOG_BYTES_PER_MESSAGE {
                continue;
            }
        } else if ended {
            return Ok(());
        }
        if !ended && next_look(services, &mut commits, sender).await? == FollowStep::Over {
            return Ok(());
        }
    }
}

fn has_ended(query: &dyn Query, attempt: &AttemptRef) -> Result<bool, StoreError> {
    let row = query.run(&attempt.sweep, attempt.run)?;
    let row = row.and_then(|row| {
        row.attempts
            .into_iter()
            .find(|row| row.attempt == attempt.attempt)
    });
    Ok(row.is_none_or(|row| row.ended_ms != 0))
}

/// The sweep now and after each change, until it has ended and nothing runs any more.
pub(super) fn sweep(services: Services, sweep: SweepId) -> Follow<v1::WatchSweepResponse> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(status) = send_sweep(&services, &sweep, &sender).await {
            // The caller may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_sweep(
    services: &Services,
    sweep: &SweepId,
    sender: &mpsc::Sender<Result<v1::WatchSweepResponse, Status>>,
) -> Result<(), Status> {
    let (mut commits, changes) = (services.engine.commits(), services.engine.changes());
    let mut shown = None;
    loop {
        commits.mark_unchanged();
        let (id, stamp) = (sweep.clone(), changes.of(sweep));
        let unread = services.unread.of(sweep);
        let view = services.read(move |query| look(query, &id)).await?;
        let (mut view, over) = view.ok_or_else(|| unknown_sweep(&sweep.0))?;
        if let Some(shown) = view.sweep.as_mut().filter(|shown| shown.best_run.is_none()) {
            shown.unread.clone_from(&unread);
        }
        if shown.as_ref() != Some(&view) {
            if sender.send(Ok(view.clone())).await.is_err() {
                return Ok(());
            }
            shown = Some(view);
        }
        // A commit that has changed nothing of this sweep is no reason to look.
        loop {
            if over || next_look(services, &mut commits, sender).await? == FollowStep::Over {
                return Ok(());
            }
            commits.mark_unchanged();
            if changes.of(sweep) != stamp || services.unread.of(sweep) != unread {
                break;
            }
        }
    }
}

/// Returns the live view, and whether it is the last one.
fn look(
    query: &dyn Query,
    sweep: &SweepId,
) -> Result<Option<(v1::WatchSweepResponse, bool)>, StoreError> {
    let Some((row, counts)) = query.sweep(sweep)? else {
        return Ok(None);
    };
    let running = query.runs(
        sweep,
        &[RunState::Assigned, RunState::Running],
        RunRange::first(RUNNING_RUNS_MAX),
    )?;
    let ended = query.ended_runs(sweep, ENDED_RUNS)?;
    let best = match counts.best {
        Some((run, _)) => query.run(sweep, run)?,
        None => None,
    };
    let over = row.state.is_terminal() && running.is_empty();
    let view = v1::WatchSweepResponse {
        sweep: Some(v1::Sweep {
            yaml: String::new(),
            ..convert::sweep(row, &counts)
        }),
        running: running.into_iter().map(convert::run).collect(),
        ended: ended.into_iter().map(convert::run).collect(),
        best: best.map(convert::run),
    };
    Ok(Some((view, over)))
}

#[derive(PartialEq, Eq)]
enum FollowStep {
    Again,
    Over,
}

/// Waits for a commit after the last look, and at least [`LOOK_EVERY`].
async fn next_look<T>(
    services: &Services,
    commits: &mut watch::Receiver<u64>,
    sender: &mpsc::Sender<T>,
) -> Result<FollowStep, Status> {
    let change = async {
        tokio::time::sleep(LOOK_EVERY).await;
        commits.changed().await
    };
    tokio::select! {
        changed = change => match changed {
            Ok(()) => Ok(FollowStep::Again),
            Err(_) => Err(stopping()),
        },
        () = sender.closed() => Ok(FollowStep::Over),
        status = services.stopped() => Err(status),
    }
}
