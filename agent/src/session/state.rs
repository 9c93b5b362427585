//! The state that all tasks of an agent share.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sweep_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::answer::ControllerRefusal;
use super::chance;
use super::environment::Observer;
use super::link::Link;
use super::sending::Sending;
use crate::attempt::Want;
use crate::capture::Capture;
use crate::executor::Executor;
use crate::handover::Handover;
use crate::held::{AttemptNumbers, HeldAttempt};
use crate::intake::printed::Pattern;
use crate::process::launch::Alone;
use crate::room::Room;
use crate::{AgentError, AgentOptions, AgentSummary, Interrupt, Notice};

/// How often it is looked whether a full disk has room again.
pub(super) const ROOM_LOOK: Duration = Duration::from_secs(1);

/// How long good-byes may take.
pub(super) const LEAVE_TIME_MAX: Duration = Duration::from_secs(3);

/// The number of programs in a row that could not be started after which this machine is unfit for
/// the sweep.
pub(super) const STARTS_FAILED_MAX: u32 = 3;

/// How long an agent that was told to leave tries to report the outcome of its runs, once their
/// programs have ended.
pub(super) const FAREWELL: Duration = Duration::from_secs(10);

/// How far the agent was told to leave.
pub(super) type Level = watch::Receiver<Option<Interrupt>>;

/// The state that all tasks of an agent share.
pub(super) struct Session {
    pub(super) link: Arc<Link>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) agent: String,
    pub(super) sweep: String,
    pub(super) program: v1::Program,
    pub(super) patterns: Vec<Pattern>,
    pub(super) options: AgentOptions,
    pub(super) heartbeat: Duration,
    pub(super) lease: Duration,
    pub(super) handover: Handover,
    pub(super) room: Room,
    /// `None`: code is not captured.
    pub(super) capture: Option<Capture>,
    /// The controller determines the code that is executed, not the working folder.
    pub(super) pinned: AtomicBool,
    /// It was said that other agents have other code.
    pub(super) others_told: Arc<AtomicBool>,
    /// The observer of environments; `None`: environments are not captured.
    pub(super) observer: Option<Arc<Observer>>,
    pub(super) book: Mutex<Book>,
}

/// The mutable part of the state.
#[derive(Default)]
pub(super) struct Book {
    /// Runs that may still be begun; `None`: no limit.
    pub(super) tickets: Option<u64>,
    pub(super) summary: AgentSummary,
    pub(super) starts_failed: u32,
    /// Questions for a run whose slot has closed before the answer.
    pub(super) late: Vec<AbortHandle>,
    /// The controller's last message about early stopping.
    pub(super) early_stop_note: String,
    /// Why slots wait, as far as it was told since the last run was acquired.
    pub(super) waits_told: BTreeSet<String>,
    /// The remarks of attempts about the program.
    pub(super) remarks: BTreeSet<String>,
    /// The version that the controller has named last.
    pub(super) code: String,
    /// Versions of the code that are on their way to the controller.
    pub(super) sending: Sending,
    pub(super) failed: Option<AgentError>,
}

impl Session {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an attempt is the agent's, and how to reach it.
    pub(super) fn hold(
        &self,
        attempt: &HeldAttempt,
        numbers: AttemptNumbers,
        record_json: String,
        wants: mpsc::UnboundedSender<Want>,
    ) {
        self.handover.hold(attempt);
        let mut holdings = self.link.holdings();
        holdings.add(attempt.clone(), numbers, record_json);
        holdings.connect(attempt, wants);
    }

    /// Records that an attempt is no longer the agent's.
    pub(super) fn release(&self, attempt: &HeldAttempt) {
        self.link.holdings().remove(attempt);
        self.handover.release(attempt);
    }

    /// Notifies the user, once for all slots, why there is nothing to do.
    pub(super) fn tell_waiting(&self, reason: &str) {
        if self.book().waits_told.insert(reason.to_owned()) {
            self.link.notice(Notice::Note(format!("waiting: {reason}")));
        }
    }

    /// Notifies the user, once, why early stopping has nothing to compare with.
    pub(super) fn tell_note(&self, note: &str) {
        if !note.is_empty() && self.book().early_stop_note != note {
            note.clone_into(&mut self.book().early_stop_note);
            self.link.notice(Notice::Note(note.to_owned()));
        }
    }

    /// Returns the reason why no attempt can begin here, and notifies the user when it changes.
    pub(super) fn obstacle(&self) -> Option<String> {
        let look = self.room.look();
        look.news
            .into_iter()
            .for_each(|news| self.link.notice(Notice::Note(news)));
        look.obstacle
    }

    /// Takes in a refusal that ends attempts. Where the controller has no such sweep, the agent
    /// gives up. Returns why, in words.
    pub(super) fn give_up(&self, refused: &ControllerRefusal) -> String {
        if refused.is_sweep_gone() {
            let reason = format!(
                "the controller does not have the sweep any more: {}",
                refused.message
            );
            self.book()
                .failed
                .get_or_insert(AgentError::SweepGone(reason));
            self.link.holdings().direct_all(&Want::Abandon {
                reason: refused.message.clone(),
            });
        }
        refused.message.clone()
    }

    /// Returns the policy for a program whose agent has died.
    pub(super) fn alone(&self) -> Alone {
        let end_after = |patience| Alone::EndAfter {
            lock: self.handover.lock().to_owned(),
            patience,
        };
        if self.options.ends_alone {
            end_after(Duration::ZERO)
        } else if self.program.stop_on_lease_lost {
            end_after(self.lease)
        } else {
            Alone::Continue
        }
    }

    /// Notes why the agent ends; the first reason counts.
    pub(super) fn ends_because(&self, reason: impl Into<String>) {
        let ended_because = &mut self.book().summary.ended_because;
        if ended_because.is_empty() {
            *ended_because = reason.into();
        }
    }

    pub(super) fn want_of_all(&self, want: &Want) {
        self.link.holdings().direct_all(want);
    }
}

/// Gives a run back that was never begun.
pub(super) async fn give_run_back(session: &Session, sweep: &str, held: &HeldAttempt) {
    let AttemptNumbers { run, attempt } = held.numbers();
    let request = v1::FinishAttemptRequest {
        agent_id: session.agent.clone(),
        sweep_id: sweep.to_owned(),
        run,
        attempt,
        result: v1::finish_attempt_request::Result::Returned.into(),
        failure: None,
        request_id: chance::request_id(),
        incarnation: held.incarnation.clone(),
        points: 0,
    };
    let giving = session
        .link
        .until_answered(async |mut client| client.finish_attempt(request.clone()).await);
    match tokio::time::timeout(FAREWELL, giving).await {
        Ok(Ok(_)) => {}
        Ok(Err(refused)) => {
            tracing::debug!(reason = refused.message, "a run could not be given back");
        }
        Err(_) => tracing::debug!("the controller did not answer when a run was given back"),
    }
}

pub(crate) fn patterns(patterns: &[v1::MetricPattern]) -> Result<Vec<Pattern>, String> {
    let compile = |pattern: &v1::MetricPattern| {
        let name = (!pattern.name.is_empty()).then(|| pattern.name.clone());
        match regex::Regex::new(&pattern.regex) {
            Ok(regex) => Ok(Pattern { name, regex }),
            Err(error) => Err(format!(
                "the sweep's metric_patterns hold a regular expression that this agent cannot read: {error}"
            )),
        }
    };
    patterns.iter().map(compile).collect()
}
