//! Leaving: the agent announces that its machine is taken away, says good-bye, and learns what the
//! controller has confirmed.

use std::sync::Arc;

use sweep_proto::v1;

use super::answer::CallError;
use super::chance;
use super::link::Backoff;
use super::state::{FAREWELL, LEAVE_TIME_MAX, Session};
use crate::executor::Executor;
use crate::job::Job;
use crate::process::launch;
use crate::{AgentSummary, Departure, Interrupt};

/// Why the agent ends, as far as an interrupt says it.
pub(super) fn reason(why: Option<Interrupt>) -> &'static str {
    match why {
        None | Some(Interrupt::PassOn(_)) => "there was nothing left to do",
        Some(Interrupt::Drain) => "interrupted; what was running has ended",
        Some(Interrupt::Preempt) => "the machine was taken away",
        Some(Interrupt::Stop) => "interrupted twice",
        Some(Interrupt::Kill) => "killed",
    }
}

/// Tells the controller that the agent is about to leave, so that what it holds counts as preempted
/// even if nothing more is heard of it. Nothing waits for it.
pub(super) async fn announce(session: Arc<Session>, why: Interrupt) {
    let request = v1::AnnounceLeavingRequest {
        agent_id: session.agent.clone(),
        sweep_id: session.sweep.clone(),
        reason: reason(Some(why)).to_owned(),
        request_id: chance::request_id(),
    };
    let announcing = async {
        let mut backoff = Backoff::default();
        loop {
            match session
                .link
                .once(async |mut client| client.announce_leaving(request.clone()).await)
                .await
            {
                Err(CallError::Outage(_)) => backoff.wait().await,
                Err(error) => {
                    return tracing::debug!(
                        ?error,
                        "the controller does not take the announcement that this agent leaves"
                    );
                }
                Ok(_) => return,
            }
        }
    };
    if tokio::time::timeout(FAREWELL, announcing).await.is_err() {
        tracing::debug!("the controller did not answer that this agent leaves");
    }
}

/// Ends the programs that an agent before this one has started, where the machine is taken away
/// before the controller answers. The next agent reports them as preempted.
pub(super) async fn take_away(executor: &dyn Executor, jobs: &[Job]) {
    for job in jobs {
        launch::mark_preempted(&job.folder());
        executor.terminate(job.marker()).await;
    }
}

/// Says good-bye, so that the controller need not wait for the lease to end. Not for long: the
/// lease will end anyway.
pub(super) async fn leave(session: &Session, why: Option<Interrupt>) {
    session.ends_because(reason(why));
    let ended_because = session.book().summary.ended_because.clone();
    let request = v1::LeaveAgentRequest {
        agent_id: session.agent.clone(),
        sweep_id: session.sweep.clone(),
        reason: ended_because,
    };
    let leaving = async {
        let mut backoff = Backoff::default();
        loop {
            match session
                .link
                .once(async |mut client| client.leave_agent(request.clone()).await)
                .await
            {
                Err(CallError::Outage(_)) => backoff.wait().await,
                // An agent that the controller does not know holds nothing.
                Err(_) => return v1::LeaveAgentResponse::default(),
                Ok(answer) => return answer,
            }
        }
    };
    let answer = tokio::time::timeout(LEAVE_TIME_MAX, leaving).await.ok();
    let summary = &mut session.book().summary;
    summary.departure = why.into();
    settle(summary, why, answer);
}

fn settle(
    summary: &mut AgentSummary,
    why: Option<Interrupt>,
    answer: Option<v1::LeaveAgentResponse>,
) {
    let gives_back = matches!(summary.departure, Departure::Preempted | Departure::Stopped);
    if gives_back && summary.ended_because == reason(why) {
        summary.ended_because += match answer {
            Some(_) => "; its runs went back",
            None => "; the controller did not answer: its runs go back when their leases end",
        };
    } else if answer.is_none() {
        tracing::warn!(
            "the controller did not answer the agent's good-bye; it will miss it when its lease ends"
        );
    }
    summary.quarantine = answer.map(|answer| answer.quarantine).unwrap_or_default();
}

impl From<Option<Interrupt>> for Departure {
    fn from(why: Option<Interrupt>) -> Self {
        match why {
            None | Some(Interrupt::PassOn(_)) => Self::Done,
            Some(Interrupt::Drain) => Self::Drained,
            Some(Interrupt::Preempt) => Self::Preempted,
            Some(Interrupt::Stop | Interrupt::Kill) => Self::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_went_back_only_if_the_controller_says_so() {
        let said = |why: Option<Interrupt>, answer| {
            let mut summary = AgentSummary {
                ended_because: reason(why).to_owned(),
                departure: why.into(),
                ..AgentSummary::default()
            };
            settle(&mut summary, why, answer);
            summary.ended_because
        };
        let answer = || Some(v1::LeaveAgentResponse::default());
        assert_eq!(
            said(Some(Interrupt::Preempt), answer()),
            "the machine was taken away; its runs went back"
        );
        let unanswered = "the machine was taken away; the controller did not answer: its runs go back when their leases end";
        assert_eq!(said(Some(Interrupt::Preempt), None), unanswered);
        assert_eq!(
            said(Some(Interrupt::Drain), None),
            "interrupted; what was running has ended"
        );
        assert_eq!(said(None, answer()), "there was nothing left to do");
    }
}
