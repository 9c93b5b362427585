//! Registers the agent, keeps it alive, fills its slots, obeys, and leaves.
//!
//! ```text
//! interrupts ──▶ run ──level──▶ worker (one a slot) ──wants──▶ runner ──seen──▶ report ──▶ controller
//!                                  ▲                                              │
//!                heartbeat ──wants─┘◀────────────────directives───────────────────┘
//! ```

mod acquiring;
mod answer;
mod assignment;
mod attending;
pub(crate) mod chance;
mod code;
mod concluding;
mod data;
mod environment;
mod heartbeat;
mod holding;
mod joining;
mod leaving;
mod link;
mod pinned;
mod placement;
mod quarantine;
mod report;
mod sending;
mod state;
mod worker;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(crate) use self::joining::Surroundings;
use self::joining::join;
pub(crate) use self::state::patterns;
use self::state::{Level, Session};
use crate::attempt::Want;
use crate::job::Job;
use crate::process::tree;
use crate::slot::{self, Slot};
use crate::{AgentError, AgentOptions, AgentSummary, Interrupt, Notice, UserSignal, private, room};

/// See [`crate::run`].
pub(crate) async fn run(
    surroundings: Surroundings,
    options: AgentOptions,
    mut interrupts: mpsc::Receiver<Interrupt>,
    notices: mpsc::UnboundedSender<Notice>,
) -> Result<AgentSummary, AgentError> {
    let options = absolute(options)?;
    let gpus = slot::find_gpus(&*options.driver);
    let slots =
        slot::plan(&gpus, options.slots, options.gpus_per_run).map_err(AgentError::Slots)?;
    tree::adopt_orphans();
    let (level, is_level) = watch::channel(None);
    let (passed, signals) = mpsc::unbounded_channel();
    let listen = async {
        while let Some(interrupt) = interrupts.recv().await {
            if let Interrupt::PassOn(signal) = interrupt {
                // Before the agent has joined there is no program.
                let _ = passed.send(signal);
                continue;
            }
            level.send_if_modified(|level| {
                let further = level.is_none_or(|level| interrupt > level);
                if further {
                    *level = Some(interrupt);
                }
                further
            });
        }
        std::future::pending::<()>().await;
    };
    let work = async {
        let Some((session, jobs)) = join(
            surroundings,
            options,
            &slots,
            gpus.names.len(),
            notices,
            is_level.clone(),
        )
        .await?
        else {
            let (ended_because, departure) = (
                "interrupted before it had joined".to_owned(),
                (*is_level.borrow()).into(),
            );
            return Ok(AgentSummary {
                ended_because,
                departure,
                ..AgentSummary::default()
            });
        };
        work(Arc::new(session), slots, jobs, is_level, signals).await
    };
    tokio::select! {
        () = listen => unreachable!("listening never ends"),
        summary = work => summary,
    }
}

fn absolute(mut options: AgentOptions) -> Result<AgentOptions, AgentError> {
    for path in [&mut options.workdir, &mut options.runs_dir] {
        *path = std::path::absolute(&*path).map_err(|source| AgentError::File {
            path: path.clone(),
            source,
        })?;
    }
    if let Err(source) = std::fs::read_dir(&options.workdir) {
        return Err(AgentError::File {
            path: options.workdir,
            source,
        });
    }
    match private::make_root(&options.runs_dir) {
        // It is waited for.
        Err(error) if room::says_full(&error) => Ok(options),
        Err(source) => Err(AgentError::File {
            path: options.runs_dir,
            source,
        }),
        Ok(()) => Ok(options),
    }
}

/// Keeps the slots filled until there is nothing left to do, then leaves.
async fn work(
    session: Arc<Session>,
    slots: Vec<Slot>,
    jobs: Vec<Job>,
    level: watch::Receiver<Option<Interrupt>>,
    mut signals: mpsc::UnboundedReceiver<UserSignal>,
) -> Result<AgentSummary, AgentError> {
    let mut workers = fill_slots(&session, slots, jobs, &level);
    let heartbeat = tokio::spawn(heartbeat::beat(Arc::clone(&session)));
    let mut orders = level.clone();
    let mut announcing = JoinSet::new();
    let obey = async {
        loop {
            let why = tokio::select! {
                Ok(()) = orders.changed() => *orders.borrow_and_update(),
                Some(signal) = signals.recv() => Some(Interrupt::PassOn(signal)),
                else => return std::future::pending::<()>().await,
            };
            let Some(why) = why else { continue };
            let want = match why {
                Interrupt::Drain => continue,
                Interrupt::PassOn(signal) => Want::PassOn(signal),
                Interrupt::Preempt | Interrupt::Stop => Want::Preempt,
                Interrupt::Kill => Want::Kill,
            };
            if !matches!(why, Interrupt::PassOn(_)) && announcing.is_empty() {
                announcing.spawn(leaving::announce(Arc::clone(&session), why));
            }
            session.want_of_all(&want);
        }
    };
    let all = async {
        let mut broken = None;
        while let Some(ended) = workers.join_next().await {
            broken = broken.or(ended.err());
        }
        broken
    };
    let broken = tokio::select! {
        () = obey => unreachable!("obeying never ends"),
        broken = all => broken,
    };
    heartbeat.abort();
    for question in std::mem::take(&mut session.book().late) {
        question.abort();
    }
    let why = *level.borrow();
    code::finish_sending(&session, why).await;
    if let Some(error) = broken.filter(|error| error.is_panic()) {
        std::panic::resume_unwind(error.into_panic());
    }
    let why = *level.borrow();
    announcing.abort_all();
    leaving::leave(&session, why).await;
    let mut book = session.book();
    match book.failed.take() {
        Some(error) => Err(error),
        None => Ok(book.summary.clone()),
    }
}

/// Starts a worker for each slot, and for each attempt of an earlier agent.
fn fill_slots(
    session: &Arc<Session>,
    slots: Vec<Slot>,
    mut jobs: Vec<Job>,
    level: &Level,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for slot in slots {
        match jobs.iter().position(|job| job.slot == slot) {
            Some(index) => drop(workers.spawn(worker::resume(
                Arc::clone(session),
                Some(slot),
                jobs.remove(index),
                level.clone(),
            ))),
            None => drop(workers.spawn(worker::work(Arc::clone(session), slot, level.clone()))),
        }
    }
    // There were more slots before.
    for job in jobs {
        workers.spawn(worker::resume(
            Arc::clone(session),
            None,
            job,
            level.clone(),
        ));
    }
    workers
}
