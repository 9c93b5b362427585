//! Watching a sweep, following output, and long polls.

use sweep_proto::v1::{
    AcquireRequest, AppendLogRequest, GetLogsRequest, SetSweepStateRequest, acquire_response,
    set_sweep_state_request,
};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::house::{self, PATIENCE};

use crate::life::GRID;

#[tokio::test]
async fn a_watch_shows_changes_and_ends_with_the_sweep() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    let mut watch = clients.watch(&id).await;
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(first.sweep.unwrap().finished, 0);
    clients.register(&id, "agent-1").await;
    for loss in [0.5, 0.25, 0.75] {
        clients.execute(&id, "agent-1", loss).await;
    }
    let rest = async {
        let mut last = None;
        while let Some(view) = watch.next().await {
            last = Some(view.unwrap());
        }
        last
    };
    let last = tokio::time::timeout(PATIENCE, rest)
        .await
        .expect("the watch ends")
        .expect("there was a change");
    let sweep = last.sweep.unwrap();
    assert_eq!(
        (
            sweep.state.as_str(),
            sweep.finished,
            last.running.len(),
            last.ended.len()
        ),
        ("finished", 3, 0, 3)
    );
    assert_eq!(last.best.unwrap().value, Some(0.25));
    controller.stop().await.unwrap();
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
async fn a_log_is_followed_until_its_attempt_ends() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    let early = GetLogsRequest {
        sweep_id: id.clone(),
        run: 1,
        attempt: 0,
        offset: 0,
        follow: true,
    };
    assert_eq!(
        clients
            .sweeps
            .get_logs(early.clone())
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
    let assignment = clients.acquire(&id, "agent-1").await;
    clients.begin("agent-1", &assignment).await;
    let piece = |offset: u64, data: &str| AppendLogRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id.clone(),
        run: assignment.run,
        attempt: assignment.attempt,
        offset,
        data: data.as_bytes().to_vec(),
        incarnation: String::new(),
    };
    let second = GetLogsRequest {
        run: assignment.run,
        attempt: 2,
        ..early.clone()
    };
    let missing = clients.sweeps.get_logs(second).await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "run 1 has no attempt 2; it has 1")
    );
    clients.agents.append_log(piece(0, "one\n")).await.unwrap();
    let mut log = clients
        .sweeps
        .get_logs(GetLogsRequest {
            run: assignment.run,
            ..early
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(log.next().await.unwrap().unwrap().data, b"one\n");
    clients.agents.append_log(piece(0, "one\n")).await.unwrap();
    clients.agents.append_log(piece(4, "two\n")).await.unwrap();
    let second = tokio::time::timeout(PATIENCE, log.next())
        .await
        .expect("output arrives")
        .unwrap()
        .unwrap();
    assert_eq!(
        (second.offset, second.data.as_slice()),
        (4, b"two\n".as_slice())
    );
    clients.report("agent-1", &assignment, 0, &[0.5]).await;
    clients.finish("agent-1", &assignment).await;
    assert!(
        tokio::time::timeout(PATIENCE, log.next())
            .await
            .expect("the log ends")
            .is_none()
    );
    let whole = GetLogsRequest {
        sweep_id: id.clone(),
        run: assignment.run,
        attempt: 1,
        offset: 2,
        follow: false,
    };
    let mut log = clients.sweeps.get_logs(whole).await.unwrap().into_inner();
    assert_eq!(log.next().await.unwrap().unwrap().data, b"e\ntwo\n");
    assert!(log.next().await.is_none());
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn streams_and_long_polls_end_when_the_controller_stops() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    let pause = SetSweepStateRequest {
        sweep_id: id.clone(),
        action: set_sweep_state_request::Action::Pause.into(),
        request_id: String::new(),
    };
    assert_eq!(
        clients
            .sweeps
            .set_sweep_state(pause)
            .await
            .unwrap()
            .into_inner()
            .state,
        "paused"
    );
    let mut watch = clients.watch(&id).await;
    watch.next().await.unwrap().unwrap();
    let request = AcquireRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id,
        wait_ms: 60_000,
        request_id: "one wish, sent twice".to_owned(),
        ..AcquireRequest::default()
    };
    let poll = || {
        let (mut agents, request) = (clients.agents.clone(), request.clone());
        tokio::spawn(async move { agents.acquire(request).await })
    };
    // The engine answers the one when the other has come to wait in its place.
    let (mut one, mut other) = (poll(), poll());
    let (replaced, poll) = tokio::select! {
        replaced = &mut one => (replaced, other),
        replaced = &mut other => (replaced, one),
    };
    assert!(matches!(
        replaced.unwrap().unwrap().into_inner().next,
        Some(acquire_response::Next::Wait(_))
    ));
    tokio::time::timeout(PATIENCE, controller.stop())
        .await
        .expect("it stops")
        .unwrap();
    assert_eq!(poll.await.unwrap().unwrap_err().code(), Code::Unavailable);
    let end = watch.next().await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
}
