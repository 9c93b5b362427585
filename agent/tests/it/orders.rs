//! Requests of the controller, the user and the machine to attempts.

use std::time::Duration;

use serde_json::json;
use sweep_agent::{AgentError, Interrupt};
use sweep_proto::v1;
use sweep_proto::v1::directive::Kind;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;

use crate::harness::{Harness, Running, assignment, harness, one};

fn order(harness: &Harness, kind: Kind, reason: &str) {
    let directive = v1::Directive {
        kind: kind.into(),
        reason: reason.to_owned(),
    };
    harness.fake.paper().directives.insert(1, directive);
}

async fn patient() -> (Harness, Running) {
    started(&["./patient.sh"]).await
}

async fn started(command: &[&str]) -> (Harness, Running) {
    let mut harness = one(command).await;
    if command.contains(&"./forks.sh") {
        harness.options.grace = Duration::from_millis(300);
    }
    let running = harness.start();
    // The first metric shows that the program has got as far as it will get by itself.
    harness
        .fake
        .until("reporting", |paper| paper.points.contains_key(&(1, 1)))
        .await;
    (harness, running)
}

#[tokio::test]
async fn a_stopped_program_may_save_its_work_and_what_it_reached_counts() {
    let (harness, running) = patient().await;
    order(&harness, Kind::Stop, "worse than the median at step 3");
    let summary = running.end().await.unwrap();
    assert_eq!((summary.stopped, summary.finished), (1, 0));
    assert_eq!(harness.only_end().0, Verdict::Stopped);
    assert_eq!(harness.values(1, "loss"), [0.9, 0.1]);
    let state = harness.options.runs_dir.join("wine1234/1/checkpoint/state");
    assert_eq!(std::fs::read_to_string(state).unwrap(), "saved\n");
}

#[tokio::test]
async fn a_cancelled_program_leaves_nothing_behind_whatever_its_children_do() {
    let (harness, running) = started(&["./forks.sh", "stay"]).await;
    assert!(
        harness.left_behind().len() >= 2,
        "the program has no children: {:?}",
        harness.left_behind()
    );
    order(&harness, Kind::Cancel, "the user asked for it");
    running.end().await.unwrap();
    assert_eq!(harness.only_end().0, Verdict::Cancelled);
    assert_eq!(harness.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn an_abandoned_attempt_is_ended_and_not_reported() {
    let (harness, running) = patient().await;
    order(&harness, Kind::Abandon, "it was lost");
    let summary = running.end().await.unwrap();
    assert_eq!((summary.other, summary.finished), (1, 0));
    assert!(harness.fake.paper().finished.is_empty());
    assert_eq!(harness.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_preempted_agent_gives_its_runs_back() {
    let (harness, running) = patient().await;
    running.interrupt(Interrupt::Preempt).await;
    let summary = running.end().await.unwrap();
    assert_eq!(harness.only_end().0, Verdict::Preempted);
    assert_eq!(
        (summary.other, summary.ended_because.as_str()),
        (1, "the machine was taken away; its runs went back")
    );
    let paper = harness.fake.paper();
    assert_eq!((paper.left.len(), paper.announced.len()), (1, 1));
}

#[tokio::test]
async fn the_first_interrupt_lets_runs_end_and_takes_no_more() {
    let harness = harness(&["./patient.sh"], &[json!({}), json!({})]).await;
    let running = harness.start();
    harness
        .fake
        .until("reporting", |paper| paper.points.contains_key(&(1, 1)))
        .await;
    running.interrupt(Interrupt::Drain).await;
    let heartbeats = harness.fake.paper().heartbeats;
    harness
        .fake
        .until("alive", |paper| paper.heartbeats > heartbeats + 2)
        .await;
    assert!(
        harness.fake.paper().finished.is_empty(),
        "draining ends nothing"
    );
    order(&harness, Kind::Stop, "enough");
    let summary = running.end().await.unwrap();
    assert_eq!(
        (summary.stopped, summary.ended_because.as_str()),
        (1, "interrupted; what was running has ended")
    );
    assert_eq!(harness.fake.paper().queue.len(), 1);
}

#[tokio::test]
async fn a_run_that_comes_after_the_first_interrupt_is_given_back() {
    let mut harness = one(&["./patient.sh"]).await;
    harness.options.slots = Some(2);
    harness.fake.paper().hold = true;
    let running = harness.start();
    harness
        .fake
        .until("reporting and asking", |paper| {
            paper.points.contains_key(&(1, 1)) && paper.held == 1
        })
        .await;
    running.interrupt(Interrupt::Drain).await;
    let heartbeats = harness.fake.paper().heartbeats;
    harness
        .fake
        .until("alive", |paper| paper.heartbeats > heartbeats + 1)
        .await;
    harness
        .fake
        .paper()
        .queue
        .push(assignment(2, 1, &json!({})));
    harness
        .fake
        .until("given back", |paper| paper.finished.len() == 1)
        .await;
    let (verdict, run) = harness
        .fake
        .paper()
        .finished
        .values()
        .map(|end| (end.result(), end.run))
        .next()
        .unwrap();
    assert_eq!((verdict, run), (Verdict::Returned, 2));
    order(&harness, Kind::Stop, "enough");
    assert_eq!(running.end().await.unwrap().stopped, 1);
}

#[tokio::test]
async fn the_third_interrupt_kills_at_once() {
    let mut harness = one(&["./forks.sh", "stay"]).await;
    harness.options.grace = Duration::from_secs(3600);
    let running = harness.start();
    harness
        .fake
        .until("reporting", |paper| paper.points.contains_key(&(1, 1)))
        .await;
    running.interrupt(Interrupt::Stop).await;
    running.interrupt(Interrupt::Kill).await;
    running.end().await.unwrap();
    assert_eq!(harness.only_end().0, Verdict::Preempted);
    assert_eq!(harness.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn an_idle_agent_leaves_at_once() {
    let harness = harness(&["./good.sh"], &[]).await;
    harness.fake.paper().open_ended = true;
    let running = harness.start();
    harness
        .fake
        .until("registered", |paper| paper.heartbeats > 0)
        .await;
    running.interrupt(Interrupt::Drain).await;
    running.end().await.unwrap();
    assert_eq!(harness.fake.paper().left.len(), 1);
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let mut harness = one(&["./good.sh"]).await;
    harness.options.sweep = "beer".to_owned();
    assert!(
        matches!(harness.start().end().await, Err(AgentError::Refused(message)) if message == "no sweep `beer`")
    );
    harness.fake.paper().token = Some("secret".to_owned());
    assert!(matches!(
        harness.start().end().await,
        Err(AgentError::Unauthorized(_))
    ));
    harness.options.token = sweep_agent::TokenSource::new(|| Some("secret".to_owned()));
    harness.options.sweep = "wine".to_owned();
    assert_eq!(harness.run().await.finished, 1);
    harness.options.gpus_per_run = Some(1000);
    assert!(matches!(
        harness.start().end().await,
        Err(AgentError::Slots(_))
    ));
    harness.options.gpus_per_run = None;
    harness.options.workdir = "/no/such/folder".into();
    assert!(matches!(
        harness.start().end().await,
        Err(AgentError::File { .. })
    ));
}
