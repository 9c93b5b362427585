//! Refused calls and their codes.

use sweep_proto::refusal;
use sweep_proto::v1::{
    AcquireRequest, AppendLogRequest, CancelRunRequest, Failure, FinishAttemptRequest,
    GetRunRequest, GetSweepRequest, HeartbeatRequest, ListRunsRequest, LiveAttempt,
    ReportMetricsRequest, RetryRunsRequest, SetSweepStateRequest, finish_attempt_request,
};
use tonic::Code;

use crate::house::{self};

use crate::life::{GRID, PAIR};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one refusal after the other")]
async fn refusals_have_their_codes() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let missing = clients
        .sweeps
        .get_sweep(GetSweepRequest {
            sweep_id: "nope".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), refusal(&missing).unwrap()),
        (Code::NotFound, "unknown_sweep")
    );
    let id = clients.create(GRID).await;
    let run = clients
        .sweeps
        .get_run(GetRunRequest {
            sweep_id: id.clone(),
            run: 9,
        })
        .await
        .unwrap_err();
    assert_eq!(
        (run.code(), run.message()),
        (Code::NotFound, format!("sweep {id} has no run 9").as_str())
    );
    let states = ListRunsRequest {
        sweep_id: id.clone(),
        states: vec!["done".to_owned()],
    };
    assert_eq!(
        clients.sweeps.list_runs(states).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let cancel = CancelRunRequest {
        sweep_id: id.clone(),
        run: 9,
        request_id: String::new(),
    };
    assert_eq!(
        clients.sweeps.cancel_run(cancel).await.unwrap_err().code(),
        Code::NotFound
    );
    let action = SetSweepStateRequest {
        sweep_id: id.clone(),
        action: 77,
        request_id: String::new(),
    };
    assert_eq!(
        clients
            .sweeps
            .set_sweep_state(action)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );

    let acquire = AcquireRequest {
        agent_id: "ghost".to_owned(),
        sweep_id: id.clone(),
        wait_ms: 0,
        ..AcquireRequest::default()
    };
    let ghost = clients.agents.acquire(acquire).await.unwrap_err();
    assert_eq!(
        (ghost.code(), refusal(&ghost).unwrap()),
        (Code::NotFound, "unknown_agent")
    );
    clients.register(&id, "agent-1").await;
    let assignment = clients.execute(&id, "agent-1", 0.5).await;
    let finish = FinishAttemptRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id.clone(),
        run: assignment.run,
        attempt: 7,
        result: 1,
        failure: None,
        request_id: String::new(),
        incarnation: String::new(),
        points: 0,
    };
    let unknown = clients
        .agents
        .finish_attempt(finish.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (unknown.code(), refusal(&unknown).unwrap()),
        (Code::NotFound, "unknown_attempt")
    );
    let senseless = FinishAttemptRequest {
        result: 0,
        ..finish
    };
    assert_eq!(
        clients
            .agents
            .finish_attempt(senseless)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
    let live = LiveAttempt {
        run: assignment.run,
        attempt: 7,
        ..LiveAttempt::default()
    };
    let beat = HeartbeatRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id.clone(),
        attempts: vec![live],
    };
    let directives = clients
        .agents
        .heartbeat(beat)
        .await
        .unwrap()
        .into_inner()
        .directives;
    assert_eq!(
        directives
            .iter()
            .map(|directive| directive.kind().as_str_name())
            .collect::<Vec<_>>(),
        ["KIND_ABANDON"]
    );
    let retry = RetryRunsRequest {
        sweep_id: id.clone(),
        runs: Vec::new(),
        request_id: String::new(),
    };
    assert_eq!(
        clients
            .sweeps
            .retry_runs(retry)
            .await
            .unwrap()
            .into_inner()
            .requeued,
        [] as [u64; 0]
    );
    let numbers = ReportMetricsRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id,
        run: u64::MAX,
        ..ReportMetricsRequest::default()
    };
    assert_eq!(
        clients
            .agents
            .report_metrics(numbers)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_goes_on() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    let assignment = clients.acquire(&id, "agent-1").await;
    let piece = |bytes: usize| AppendLogRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id.clone(),
        run: assignment.run,
        attempt: assignment.attempt,
        offset: 0,
        data: vec![b'x'; bytes],
        incarnation: String::new(),
    };
    assert_eq!(
        clients
            .agents
            .append_log(piece(5 << 20))
            .await
            .unwrap_err()
            .code(),
        Code::OutOfRange
    );
    assert_eq!(
        clients
            .agents
            .append_log(piece((1 << 20) + 1))
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
    clients.agents.append_log(piece(1 << 20)).await.unwrap();
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn words_of_a_newer_agent_are_shown_and_its_run_is_tried_again() {
    let (dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(PAIR).await;
    clients.register(&id, "agent-1").await;
    let assignment = clients.acquire(&id, "agent-1").await;
    clients.begin("agent-1", &assignment).await;
    let failure = Failure {
        kind: "melted".to_owned(),
        blame: "provider".to_owned(),
        message: "90 °C".to_owned(),
        ..Failure::default()
    };
    let request = FinishAttemptRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id.clone(),
        run: assignment.run,
        attempt: assignment.attempt,
        result: finish_attempt_request::Result::Failed.into(),
        failure: Some(failure),
        ..FinishAttemptRequest::default()
    };
    assert_eq!(
        clients
            .agents
            .finish_attempt(request)
            .await
            .unwrap()
            .into_inner()
            .run_state,
        "queued"
    );
    controller.stop().await.unwrap();

    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let run = clients
        .sweeps
        .get_run(GetRunRequest {
            sweep_id: id,
            run: 1,
        })
        .await
        .unwrap()
        .into_inner()
        .run
        .unwrap();
    let failure = run.attempts[0].failure.clone().unwrap();
    assert_eq!(
        (
            failure.kind.as_str(),
            failure.blame.as_str(),
            failure.message.as_str()
        ),
        ("melted", "provider", "90 °C")
    );
}
