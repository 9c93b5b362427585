//! The controller is away, loses its state, or loses its answers; programs continue.

use std::time::Duration;

use serde_json::json;
use sweep_agent::{AgentError, Interrupt, Notice};
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use tonic::transport::Endpoint;

use crate::harness::{harness, one};

#[tokio::test]
async fn a_run_that_ends_while_the_controller_is_away_is_reported_when_it_is_back() {
    let harness =
        one(&["sh", "-c", "echo '{\"loss\": 0.5}'; until test -e \"$SWEEP_RUN_DIR/go\"; do sleep 0.05; done; echo '{\"loss\": 0.25}'"])
            .await;
    let mut running = harness.start();
    harness
        .fake
        .until("reporting", |paper| paper.points.contains_key(&(1, 1)))
        .await;
    harness.fake.paper().away = true;
    while !matches!(
        running.notices.recv().await.unwrap(),
        Notice::Disconnected { .. }
    ) {}
    std::fs::write(harness.folder(1, 1).join("go"), "").unwrap();
    while !harness.left_behind().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    harness.fake.paper().away = false;
    while running.notices.recv().await.unwrap() != Notice::Reconnected {}
    assert_eq!(running.end().await.unwrap().finished, 1);
    assert_eq!(harness.only_end().0, Verdict::Succeeded);
    assert_eq!(harness.values(1, "loss"), [0.5, 0.25]);
}

#[tokio::test]
async fn a_forgotten_agent_registers_again_under_its_name() {
    let harness = one(&["./patient.sh"]).await;
    harness.fake.paper().open_ended = true;
    let running = harness.start();
    harness
        .fake
        .until("reporting", |paper| paper.points.contains_key(&(1, 1)))
        .await;
    harness.fake.paper().agents.clear();
    harness
        .fake
        .until("registered again", |paper| paper.registrations.len() == 2)
        .await;
    {
        let paper = harness.fake.paper();
        let [first, second] = &paper.registrations[..] else {
            panic!("not two registrations")
        };
        assert_eq!(first.agent_id, second.agent_id);
        assert_ne!(
            first.request_id, second.request_id,
            "a repeated request id would be answered from memory"
        );
        assert_eq!(second.sweep_id, "wine1234");
    }
    running.interrupt(Interrupt::Preempt).await;
    running.end().await.unwrap();
    assert_eq!(harness.only_end().0, Verdict::Preempted);
}

#[tokio::test]
async fn lost_answers_lose_and_double_nothing() {
    let harness = harness(&["./good.sh"], &vec![json!({}); 3]).await;
    harness.fake.paper().answers_lost = 4;
    let running = harness.start();
    harness
        .fake
        .until("half-way", |paper| !paper.finished.is_empty())
        .await;
    harness.fake.paper().answers_lost = 4;
    assert_eq!(running.end().await.unwrap().finished, 3);
    let paper = harness.fake.paper();
    assert_eq!((paper.finished.len(), paper.acquired.len()), (3, 3));
    assert!(paper.points.values().all(|points| points.len() == 3));
}

#[tokio::test]
async fn a_killed_agent_does_not_wait_for_a_controller_that_is_away() {
    let harness = one(&["./patient.sh"]).await;
    let running = harness.start();
    harness
        .fake
        .until("reporting", |paper| paper.points.contains_key(&(1, 1)))
        .await;
    harness.fake.paper().away = true;
    running.interrupt(Interrupt::Kill).await;
    assert_eq!(running.end().await.unwrap().other, 1);
    assert_eq!(harness.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn no_controller_at_all_is_said_soon() {
    let mut harness = one(&["./good.sh"]).await;
    // The discard port: nothing listens there.
    harness.options.controller.endpoint = Endpoint::from_static("http://127.0.0.1:9");
    let Err(AgentError::Unreachable { address, reason }) = harness.start().end().await else {
        panic!("something answered")
    };
    assert_eq!(address, "http://127.0.0.1:9/");
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}
