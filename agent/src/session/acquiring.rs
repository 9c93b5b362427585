//! Waits for a run that the controller hands out.

use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1;
use sweep_proto::v1::acquire_response::Next;
use tokio::time::Instant;

use super::answer::ControllerRefusal;
use super::chance;
use super::code::CODE_AGE_MAX;
use super::placement::named;
use super::state::{Level, ROOM_LOOK, Session, give_run_back};

/// How long the controller may let a call wait for a run.
const ACQUIRE_WAIT: Duration = Duration::from_secs(10);
/// An answer that there is nothing to do and that came sooner than this is not followed by the next
/// question at once.
const ACQUIRE_PAUSE: Duration = Duration::from_millis(500);
/// A slot that has waited so long for one reason says it.
const WAIT_TOLD_AFTER: Duration = Duration::from_secs(10);

/// Asks for a run until an interrupt closes the slot: then a run that comes all the same is given
/// back.
pub(super) async fn ask(
    session: &Arc<Session>,
    level: &mut Level,
) -> Option<Result<Option<v1::Assignment>, ControllerRefusal>> {
    let asking = Arc::clone(session);
    let mut question = tokio::spawn(async move { acquire(&asking).await });
    tokio::select! {
        // It neither panics nor is aborted before its slot closes.
        answer = &mut question => return answer.ok(),
        _ = level.wait_for(Option::is_some) => {}
    }
    let mut handles = vec![question.abort_handle()];
    let asking = Arc::clone(session);
    let late = tokio::spawn(async move {
        if let Ok(Ok(Some(assignment))) = question.await {
            give_run_back(&asking, &assignment.sweep_id, &named(&assignment)).await;
        }
    });
    handles.push(late.abort_handle());
    session.book().late.extend(handles);
    None
}

/// Waits for a run; `None` if the sweep has ended.
async fn acquire(session: &Session) -> Result<Option<v1::Assignment>, ControllerRefusal> {
    let mut waits: Option<(String, Instant)> = None;
    loop {
        // The controller says whether the sweep has ended, and gives no run.
        let obstacle = session.obstacle();
        let code_version = if obstacle.is_none() {
            session.code_version(CODE_AGE_MAX).await
        } else {
            String::new()
        };
        let request = v1::AcquireRequest {
            agent_id: session.agent.clone(),
            sweep_id: session.sweep.clone(),
            wait_ms: ACQUIRE_WAIT.as_millis() as u64,
            request_id: chance::request_id(),
            code_version,
            obstacle: obstacle.clone().unwrap_or_default(),
        };
        let asked = Instant::now();
        let answer = session
            .link
            .until_answered(async |mut client| client.acquire(request.clone()).await)
            .await?;
        match answer.next {
            // A controller of an earlier version gives one all the same.
            Some(Next::Assignment(assignment)) if obstacle.is_some() => {
                give_run_back(session, &assignment.sweep_id, &named(&assignment)).await;
                tokio::time::sleep(ACQUIRE_WAIT).await;
            }
            Some(Next::Assignment(assignment)) => {
                session.book().waits_told.clear();
                return Ok(Some(assignment));
            }
            Some(Next::Done(done)) => {
                session.ends_because(if done.reason.is_empty() {
                    format!("the sweep is {}", done.state)
                } else {
                    format!("the sweep is {}: {}", done.state, done.reason)
                });
                return Ok(None);
            }
            Some(Next::Wait(wait)) => {
                let (reason, since) = waits
                    .take()
                    .filter(|(reason, _)| *reason == wait.reason)
                    .unwrap_or((wait.reason, asked));
                if since.elapsed() >= WAIT_TOLD_AFTER && obstacle.is_none() {
                    session.tell_waiting(&reason);
                }
                waits = Some((reason, since));
            }
            None => {
                tracing::warn!("the controller's answer is empty; it may be newer than this agent");
            }
        }
        if obstacle.is_some() {
            tokio::time::sleep(ROOM_LOOK).await;
        }
        tokio::time::sleep(
            ACQUIRE_PAUSE
                .saturating_sub(asked.elapsed())
                .mul_f64(0.5 + chance::fraction()),
        )
        .await;
    }
}
