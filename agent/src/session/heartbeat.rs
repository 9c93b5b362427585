//! Renews the leases of the attempts, and passes directives on to them.

use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1;
use tokio::time::Instant;

use super::answer::CallError;
use super::chance;
use super::state::Session;
use crate::Notice;
use crate::attempt::Want;
use crate::held::HeldAttempt;

/// Sends heartbeats until it is dropped.
pub(super) async fn beat(session: Arc<Session>) {
    let mut ticks = tokio::time::interval(session.heartbeat);
    // With this much left of the lease, programs still have their time to end.
    let patience = session
        .lease
        .saturating_sub(session.options.grace.min(session.lease / 2));
    let (mut answered, mut deserted) = (Instant::now(), false);
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
        let asked = Instant::now();
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
