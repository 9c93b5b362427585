//! Joins a sweep: finds the attempts of an earlier agent, and registers.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sweep_proto::v1;
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;

use super::answer::{CallError, Outage, OutageCause};
use super::environment::Observer;
use super::holding::Holdings;
use super::link::{Backoff, Link};
use super::state::{Book, Level, ROOM_LOOK, Session, patterns};
use super::{chance, leaving};
use crate::capture::Capture;
use crate::executor::Executor;
use crate::handover::{Handover, Held};
use crate::job::Job;
use crate::private::{self, Obstruction};
use crate::room::{self, Room};
use crate::slot::Slot;
use crate::{AgentError, AgentOptions, Interrupt, Notice, folders};

/// How often the first registration is tried at least before the controller counts as unreachable.
const FIRST_TRIES: u32 = 5;

/// The surroundings of an agent.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// The name of the agent's machine.
    pub(crate) host: String,
    /// The way to the controller.
    pub(crate) controller: Channel,
    /// How attempts are executed.
    pub(crate) executor: Arc<dyn Executor>,
}

/// Registers the agent; `None` if it was interrupted. Returns also the attempts that an earlier agent
/// has begun.
pub(super) async fn join(
    surroundings: Surroundings,
    options: AgentOptions,
    slots: &[Slot],
    gpus: usize,
    notices: mpsc::UnboundedSender<Notice>,
    mut level: watch::Receiver<Option<Interrupt>>,
) -> Result<Option<(Session, Vec<Job>)>, AgentError> {
    let Some((handover, left)) =
        open_handover(&surroundings, &options, &notices, &mut level).await?
    else {
        return Ok(None);
    };
    let (mut held, mut jobs, lost) = match left {
        Some(left) => take_over(&options, &*surroundings.executor, left).await,
        None => (
            Held {
                agent: chance::id(),
                sweep: options.sweep.clone(),
                ..Held::default()
            },
            Vec::new(),
            Vec::new(),
        ),
    };
    held.asked.clone_from(&options.sweep);
    let introduced = introduce(
        &surroundings,
        &options,
        slots.len(),
        (&mut held, &mut jobs),
        &notices,
        &mut level,
    )
    .await?;
    let Some((link, answer)) = introduced else {
        return Ok(None);
    };
    link.notice(Notice::Joined {
        sweep: answer.sweep_id.clone(),
        slots: slots.len(),
        gpus,
    });
    let taken_over = jobs.iter().map(|job| {
        format!(
            "run {} attempt {}: taken over from an agent that was killed",
            job.run, job.attempt
        )
    });
    for note in taken_over.chain(lost) {
        link.notice(Notice::Note(note));
    }
    held.sweep.clone_from(&answer.sweep_id);
    held.controller.clone_from(&answer.controller_id);
    let sweep_folder = options.runs_dir.join(&answer.sweep_id);
    folders::write_controller(&options.runs_dir, &answer.sweep_id, &answer.controller_id).map_err(
        |source| AgentError::File {
            path: sweep_folder,
            source,
        },
    )?;
    if private::is_replaceable_by_others(&options.runs_dir) {
        let folder = options.runs_dir.display();
        link.notice(Notice::Note(format!(
            "other users can replace folders in {folder}; `chmod +t` it, or name your own folder with --runs-dir"
        )));
    }
    let session = session_of(surroundings, options, link, answer, &held.agent, handover)?;
    session.handover.take(held);
    Ok(Some((session, jobs)))
}

/// Makes the session of a registered agent.
///
/// # Errors
/// A pattern of the sweep is no regular expression.
fn session_of(
    surroundings: Surroundings,
    options: AgentOptions,
    link: Arc<Link>,
    answer: v1::RegisterAgentResponse,
    agent: &str,
    handover: Handover,
) -> Result<Session, AgentError> {
    let program = answer.program.unwrap_or_default();
    let pinned = program.code_pinned;
    let patterns = patterns(&program.metric_patterns).map_err(AgentError::Refused)?;
    let capture = options
        .captures
        .then(|| Capture::new(&options, &answer.sweep_id, &program.code_include));
    let book = Book {
        tickets: options.count,
        ..Book::default()
    };
    Ok(Session {
        link,
        executor: surroundings.executor,
        agent: agent.to_owned(),
        sweep: answer.sweep_id,
        patterns,
        observer: options
            .captures
            .then(|| Arc::new(Observer::new(surroundings.host.clone(), &options))),
        capture,
        pinned: AtomicBool::new(pinned),
        others_told: Arc::default(),
        program,
        room: Room::new(options.runs_dir.clone()),
        options,
        heartbeat: Duration::from_millis(answer.heartbeat_ms.clamp(50, 60_000)),
        lease: Duration::from_millis(answer.lease_ms.max(1000)),
        handover,
        book: Mutex::new(book),
    })
}

/// Opens the list of the attempts that the agent holds; `None` if it was interrupted while it waited for room on
/// the disk.
async fn open_handover(
    surroundings: &Surroundings,
    options: &AgentOptions,
    notices: &mpsc::UnboundedSender<Notice>,
    level: &mut Level,
) -> Result<Option<(Handover, Option<Held>)>, AgentError> {
    let trouble = |source| AgentError::File {
        path: options.runs_dir.join("agents"),
        source,
    };
    let waits = Room::new(options.runs_dir.clone());
    loop {
        // Room for its first attempt too: without it there is nothing to do for it here.
        let opened = Handover::open(&options.runs_dir, &surroundings.host, &options.sweep);
        match opened {
            Err(error) if room::says_full(&error) => {
                waits
                    .look()
                    .news
                    .into_iter()
                    .for_each(|news| drop(notices.send(Notice::Note(news))));
                tokio::select! {
                    () = tokio::time::sleep(ROOM_LOOK) => {}
                    _ = interrupted(level) => return Ok(None),
                }
            }
            opened => return opened.map(Some).map_err(trouble),
        }
    }
}

/// Registers until the agent's controller answers; `None` if it was interrupted.
async fn introduce(
    surroundings: &Surroundings,
    options: &AgentOptions,
    slots: usize,
    (held, jobs): (&mut Held, &mut Vec<Job>),
    notices: &mpsc::UnboundedSender<Notice>,
    level: &mut Level,
) -> Result<Option<(Arc<Link>, v1::RegisterAgentResponse)>, AgentError> {
    let process = chance::id();
    loop {
        let registration = v1::RegisterAgentRequest {
            agent_id: held.agent.clone(),
            sweep_id: held.sweep.clone(),
            host: surroundings.host.clone(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            request_id: chance::request_id(),
            attempts: Vec::new(),
            process_id: process.clone(),
        };
        let mut holdings = Holdings::default();
        for job in &*jobs {
            holdings.add(job.held(), job.numbers(), job.record_json.clone());
        }
        // Only the controller that assigned the attempts may give directives for them.
        let controller = if jobs.is_empty() {
            ""
        } else {
            held.controller.as_str()
        };
        let (channel, token) = (surroundings.controller.clone(), options.token.clone());
        let link = Link::new(
            channel,
            token,
            controller,
            registration,
            holdings,
            notices.clone(),
        )
        .map_err(AgentError::Unauthorized)?;
        let answer = tokio::select! {
            answer = register(&link, !jobs.is_empty(), options.wait) => answer,
            is_taken_away = interrupted(level) => {
                if is_taken_away {
                    leaving::take_away(&*surroundings.executor, jobs).await;
                }
                return Ok(None);
            }
        };
        match answer {
            Ok(answer) => return Ok(Some((link, answer))),
            // The sweep of the earlier agent has ended; there may be another one of that name.
            Err(CallError::Refused(_)) if !jobs.is_empty() => {
                for job in std::mem::take(jobs) {
                    surroundings.executor.end_all(job.marker()).await;
                }
                let asked = options.sweep.clone();
                *held = Held {
                    agent: chance::id(),
                    sweep: asked.clone(),
                    asked,
                    ..Held::default()
                };
            }
            Err(error) => {
                return Err(refused(
                    error,
                    options.controller.endpoint.uri().to_string(),
                ));
            }
        }
    }
}

/// Waits for an interrupt; returns whether the machine is taken away.
async fn interrupted(level: &mut Level) -> bool {
    level
        .wait_for(Option::is_some)
        .await
        .is_ok_and(|level| level.is_some_and(|level| level >= Interrupt::Preempt))
}

/// Registers until the controller answers; an agent that holds nothing gives up after `wait`, and
/// after some tries.
async fn register(
    link: &Link,
    holds: bool,
    wait: Duration,
) -> Result<v1::RegisterAgentResponse, CallError> {
    let mut backoff = Backoff::default();
    let (began, mut tries) = (tokio::time::Instant::now(), 0);
    loop {
        tries += 1;
        match link.register().await {
            Err(CallError::Outage(outage))
                if holds
                    || ((tries < FIRST_TRIES || began.elapsed() < wait)
                        && outage.cause != OutageCause::Token) =>
            {
                if tries == 1 && !wait.is_zero() {
                    let seconds = wait.as_secs_f64();
                    link.notice(Notice::Note(format!(
                        "no controller answers; waiting up to {seconds} s for it (--wait)"
                    )));
                }
                backoff.wait().await;
            }
            answer => return answer,
        }
    }
}

/// Adopts the attempts that a killed agent has begun. Those that were never begun are dropped, and
/// processes that may be left of them are ended. Returns also notes for the user.
async fn take_over(
    options: &AgentOptions,
    executor: &dyn Executor,
    mut left: Held,
) -> (Held, Vec<Job>, Vec<String>) {
    let (mut jobs, mut lost) = (Vec::new(), Vec::new());
    for attempt in std::mem::take(&mut left.attempts) {
        let marker = attempt.marker(&left.agent, &left.sweep);
        match Job::read(&options.runs_dir, &left.sweep, &attempt) {
            Ok(job) if executor.has_begun(&job) => {
                left.attempts.push(job.held());
                jobs.push(job);
            }
            read => {
                if let Err(error) = read
                    && Obstruction::of(&error).is_some()
                {
                    lost.push(format!(
                        "run {} attempt {} is ended and not taken over: {error}",
                        attempt.run, attempt.attempt
                    ));
                }
                executor.end_all(marker).await;
            }
        }
    }
    (left, jobs, lost)
}

fn refused(error: CallError, address: String) -> AgentError {
    match error {
        CallError::Refused(refused) if refused.is_sweep_over() => {
            AgentError::SweepOver(refused.message)
        }
        CallError::Refused(refused) | CallError::Unexplained(refused) => {
            AgentError::Refused(refused.message)
        }
        CallError::Outage(Outage {
            cause: OutageCause::Token,
            reason,
        }) => AgentError::Unauthorized(reason),
        CallError::Outage(Outage { reason, .. }) => AgentError::Unreachable { address, reason },
    }
}
