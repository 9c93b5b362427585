//! Registers the agent, keeps it alive, fills its slots, obeys, and leaves.
//!
//! ```text
//! interrupts ──▶ run ──level──▶ worker (one a slot) ──wants──▶ runner ──seen──▶ report ──▶ controller
//!                                  ▲                                              │
//!                heartbeat ──wants─┘◀────────────────directives───────────────────┘
//! ```

mod acquiring;
mod answer;
pub(crate) mod chance;
mod code;
mod data;
mod environment;
mod holding;
mod leaving;
mod link;
mod pinned;
mod placement;
mod report;
mod sending;
mod state;
mod worker;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sweep_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use self::answer::{CallError, Outage, OutageCause};
use self::holding::Holdings;
use self::link::{Backoff, Link};
pub(crate) use self::state::patterns;
use self::state::{Book, Level, ROOM_LOOK, Session};
use crate::attempt::Want;
use crate::capture::Capture;
use crate::executor::Executor;
use crate::folders;
use crate::handover::{Handover, Held};
use crate::held::HeldAttempt;
use crate::job::Job;
use crate::private::{self, Obstruction};
use crate::process::tree;
use crate::room::{self, Room};
use crate::slot::{self, Slot};
use crate::{AgentError, AgentOptions, AgentSummary, Interrupt, Notice, UserSignal};

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

/// Registers the agent; `None` if it was interrupted. Returns also what an agent before this one
/// has begun.
async fn join(
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
    let program = answer.program.unwrap_or_default();
    let pinned = program.code_pinned;
    let patterns = patterns(&program.metric_patterns).map_err(AgentError::Refused)?;
    link.notice(Notice::Joined {
        sweep: answer.sweep_id.clone(),
        slots: slots.len(),
        gpus,
    });
    for job in &jobs {
        link.notice(Notice::Note(format!(
            "run {} attempt {}: taken over from an agent that was killed",
            job.run, job.attempt
        )));
    }
    for note in lost {
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
    let agent = held.agent.clone();
    let capture = options
        .captures
        .then(|| Capture::new(&options, &answer.sweep_id, &program.code_include));
    handover.take(held);
    let book = Book {
        tickets: options.count,
        ..Book::default()
    };
    let session = Session {
        link,
        executor: surroundings.executor,
        agent,
        sweep: answer.sweep_id,
        patterns,
        observer: options.captures.then(|| {
            Arc::new(environment::Observer::new(
                surroundings.host.clone(),
                &options,
            ))
        }),
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
    };
    Ok(Some((session, jobs)))
}

/// Opens the list of what the agent holds; `None` if it was interrupted while it waited for room on
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
        // Only the controller that assigned them may say anything of the attempts.
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
            // The sweep of the agent before is no more; there may be another one of that name.
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

/// Looks for what an agent that was killed has begun. What was never begun is no longer this
/// agent's; what may still be of it is ended. Returns also what a person should know.
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

/// Fills the slots until there is nothing left to do, then leaves.
async fn work(
    session: Arc<Session>,
    slots: Vec<Slot>,
    mut jobs: Vec<Job>,
    level: watch::Receiver<Option<Interrupt>>,
    mut signals: mpsc::UnboundedReceiver<UserSignal>,
) -> Result<AgentSummary, AgentError> {
    let mut workers = JoinSet::new();
    for slot in slots {
        match jobs.iter().position(|job| job.slot == slot) {
            Some(index) => drop(workers.spawn(worker::resume(
                Arc::clone(&session),
                Some(slot),
                jobs.remove(index),
                level.clone(),
            ))),
            None => drop(workers.spawn(worker::work(Arc::clone(&session), slot, level.clone()))),
        }
    }
    // There were more slots before.
    for job in jobs {
        workers.spawn(worker::resume(
            Arc::clone(&session),
            None,
            job,
            level.clone(),
        ));
    }
    let heartbeat = tokio::spawn(beat(Arc::clone(&session)));
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

/// Renews the leases, and passes on what the controller wants of the attempts.
async fn beat(session: Arc<Session>) {
    let mut ticks = tokio::time::interval(session.heartbeat);
    // With this much left of the lease, programs still have their time to end.
    let patience = session
        .lease
        .saturating_sub(session.options.grace.min(session.lease / 2));
    let (mut answered, mut deserted) = (tokio::time::Instant::now(), false);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = session.link.news() => {}
        }
        let attempts = session.link.holdings().listed();
        let live = |attempt: &HeldAttempt| v1::LiveAttempt {
            record_json: String::new(),
            ..session.link.holdings().live(attempt)
        };
        let request = v1::HeartbeatRequest {
            agent_id: session.agent.clone(),
            sweep_id: session.sweep.clone(),
            attempts: attempts.iter().map(live).collect(),
        };
        if session.program.stop_on_lease_lost
            && answered.elapsed() >= patience
            && !attempts.is_empty()
            && !deserted
        {
            deserted = true;
            let seconds = answered.elapsed().as_secs();
            let note = format!(
                "no answer from the controller for {seconds} s, and on_lease_lost is stop: the running programs are ended"
            );
            session.link.notice(Notice::Note(note));
            session.want_of_all(&Want::Preempt);
        }
        let generation = session.link.generation();
        let asked = tokio::time::Instant::now();
        let answer = session.link.once(async |mut client| {
            let mut request = tonic::Request::new(request);
            request.set_timeout(session.heartbeat.max(Duration::from_secs(2)));
            client.heartbeat(request).await
        });
        match answer.await {
            Ok(answer) => {
                // The lease runs from when it was asked for at the earliest.
                (answered, deserted) = (asked, false);
                let mut holdings = session.link.holdings();
                for (attempt, directive) in attempts.iter().zip(answer.directives) {
                    holdings.direct(attempt, directive);
                }
            }
            Err(CallError::Refused(refused)) if refused.asks_to_register() => {
                match session.link.register_again(generation).await {
                    Err(CallError::Refused(refused)) => drop(session.give_up(&refused)),
                    Err(error) => tracing::debug!(?error, "could not register again"),
                    Ok(()) => {}
                }
            }
            Err(error) => {
                tracing::debug!(?error, "a heartbeat was not answered");
                // An outage that is shorter than the lease must not cost it.
                ticks.reset_after(session.heartbeat.mul_f64(0.15 + 0.2 * chance::fraction()));
            }
        }
    }
}
