//! A sweep from its file to its end.

use sweep_proto::REFUSAL_HEADER;
use sweep_proto::v1::{
    AcquireRequest, AppendLogRequest, CancelRunRequest, Failure, FinishAttemptRequest,
    GetLogsRequest, GetMetricsRequest, GetRunRequest, GetStatusRequest, GetSweepRequest,
    HeartbeatRequest, ListAgentsRequest, ListRunsRequest, ListSweepsRequest, LiveAttempt,
    ReportMetricsRequest, RetryRunsRequest, SetSweepStateRequest, WatchSweepRequest,
    acquire_response, finish_attempt_request, set_sweep_state_request,
};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::house::{self, Clients, PATIENCE};

const GRID: &str = "method: grid\nprogram: train.py\nname: first\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2, 3]}\n";

const PAIR: &str =
    "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2]}\n";

async fn runs(clients: &mut Clients, sweep: &str, states: &[&str]) -> Vec<u64> {
    let request = ListRunsRequest {
        sweep_id: sweep.to_owned(),
        states: states.iter().map(|state| (*state).to_owned()).collect(),
    };
    let mut pages = clients
        .sweeps
        .list_runs(request)
        .await
        .expect("the sweep is there")
        .into_inner();
    let mut numbers = Vec::new();
    while let Some(page) = pages.next().await {
        numbers.extend(page.expect("a page").runs.into_iter().map(|run| run.run));
    }
    numbers
}

#[tokio::test]
async fn a_grid_is_worked_off_and_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let id = clients.create(GRID).await;
    assert!(
        id.len() == 8
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
        "{id}"
    );
    let welcome = clients.register(&id[..5], "agent-1").await;
    assert_eq!(
        (
            welcome.sweep_id.as_str(),
            welcome.lease_ms,
            welcome.heartbeat_ms
        ),
        (id.as_str(), 30_000, 10_000)
    );
    let program = welcome.program.unwrap();
    assert_eq!(
        (
            program.program.as_str(),
            program.metric.as_str(),
            program.sweep_name.as_str()
        ),
        ("train.py", "loss", "first")
    );
    assert!(!program.command.is_empty());

    let mut points = Vec::new();
    for loss in [0.5, 0.25, 0.75] {
        points.push(clients.execute(&id, "agent-1", loss).await.params_json);
    }
    points.sort();
    assert_eq!(points, [r#"{"x":1}"#, r#"{"x":2}"#, r#"{"x":3}"#]);
    let next = clients.next(&id, "agent-1").await;
    assert!(
        matches!(&next, acquire_response::Next::Done(done) if done.state == "finished"),
        "{next:?}"
    );

    assert_eq!(runs(&mut clients, "first", &[]).await, [1, 2, 3]);
    assert_eq!(
        runs(&mut clients, &id, &["failed", "queued"]).await,
        [] as [u64; 0]
    );
    let run = clients
        .sweeps
        .get_run(GetRunRequest {
            sweep_id: id.clone(),
            run: 2,
        })
        .await
        .unwrap()
        .into_inner()
        .run
        .unwrap();
    assert_eq!(
        (run.state.as_str(), run.value, run.attempts.len()),
        ("finished", Some(0.25), 1)
    );
    assert_eq!(
        (run.attempts[0].host.as_str(), run.attempts[0].command.len()),
        ("box", 2)
    );
    let sweep = clients
        .sweeps
        .get_sweep(GetSweepRequest {
            sweep_id: id.clone(),
        })
        .await
        .unwrap()
        .into_inner()
        .sweep
        .unwrap();
    assert_eq!(
        (sweep.state.as_str(), sweep.finished, sweep.best_run),
        ("finished", 3, Some(2))
    );
    assert_eq!(sweep.yaml, GRID);
    let listed = clients
        .sweeps
        .list_sweeps(ListSweepsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .sweeps;
    assert_eq!(
        (listed.len(), listed[0].id.as_str(), listed[0].yaml.as_str()),
        (1, id.as_str(), "")
    );
    let agents = clients
        .sweeps
        .list_agents(ListAgentsRequest {
            sweep_id: id.clone(),
        })
        .await
        .unwrap()
        .into_inner()
        .agents;
    assert_eq!((agents.len(), agents[0].id.as_str()), (1, "agent-1"));
    let status = clients
        .sweeps
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (status.pid, status.sweeps, status.running),
        (std::process::id(), 1, 0)
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_come_back_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    let assignment = clients.acquire(&id, "agent-1").await;
    clients.begin("agent-1", &assignment).await;
    let values: Vec<f64> = (0..12_000).map(f64::from).collect();
    clients
        .report("agent-1", &assignment, 0, &values[..7000])
        .await;
    // A repeat that overlaps what is known adds only what is new.
    clients
        .report("agent-1", &assignment, 6000, &values[6000..])
        .await;
    let request = GetMetricsRequest {
        sweep_id: id,
        run: assignment.run,
        attempt: 0,
    };
    let mut pages = clients
        .sweeps
        .get_metrics(request)
        .await
        .unwrap()
        .into_inner();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.unwrap().points.into_iter().map(|point| point.value));
    }
    assert_eq!(found, values);
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_watch_shows_changes_and_ends_with_the_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let id = clients.create(GRID).await;
    let mut watch = clients
        .sweeps
        .watch_sweep(WatchSweepRequest {
            sweep_id: id.clone(),
        })
        .await
        .unwrap()
        .into_inner();
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
async fn a_log_is_followed_until_its_attempt_ends() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
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
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
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
    let mut watch = clients
        .sweeps
        .watch_sweep(WatchSweepRequest {
            sweep_id: id.clone(),
        })
        .await
        .unwrap()
        .into_inner();
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

#[tokio::test]
async fn refusals_have_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let missing = clients
        .sweeps
        .get_sweep(GetSweepRequest {
            sweep_id: "nope".to_owned(),
        })
        .await
        .unwrap_err();
    assert_eq!(
        (
            missing.code(),
            missing
                .metadata()
                .get(REFUSAL_HEADER)
                .unwrap()
                .to_str()
                .unwrap()
        ),
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
        (
            ghost.code(),
            ghost
                .metadata()
                .get(REFUSAL_HEADER)
                .unwrap()
                .to_str()
                .unwrap()
        ),
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
        (
            unknown.code(),
            unknown
                .metadata()
                .get(REFUSAL_HEADER)
                .unwrap()
                .to_str()
                .unwrap()
        ),
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
async fn a_repeated_acquire_gets_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    let request = |request_id: &str, wait_ms| AcquireRequest {
        agent_id: "agent-1".to_owned(),
        sweep_id: id.clone(),
        wait_ms,
        request_id: request_id.to_owned(),
        code_version: String::new(),
        ..AcquireRequest::default()
    };
    let first = clients
        .agents
        .acquire(request("a", 30_000))
        .await
        .unwrap()
        .into_inner();
    assert!(
        matches!(first.next, Some(acquire_response::Next::Assignment(_))),
        "{first:?}"
    );
    let repeat = clients
        .agents
        .acquire(request("a", 30_000))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, repeat);
    // The agent's one slot is taken.
    let other = clients
        .agents
        .acquire(request("b", 0))
        .await
        .unwrap()
        .into_inner();
    assert!(
        matches!(other.next, Some(acquire_response::Next::Wait(_))),
        "{other:?}"
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
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
async fn after_a_restart_everything_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let id = clients.create(PAIR).await;
    clients.register(&id, "agent-1").await;
    let first = clients.execute(&id, "agent-1", 0.5).await;
    let second = clients.acquire(&id, "agent-1").await;
    clients.begin("agent-1", &second).await;
    controller.stop().await.unwrap();

    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    clients.report("agent-1", &second, 0, &[0.25]).await;
    assert_eq!(clients.finish("agent-1", &second).await, "finished");
    let sweep = clients
        .sweeps
        .get_sweep(GetSweepRequest { sweep_id: id })
        .await
        .unwrap()
        .into_inner()
        .sweep
        .unwrap();
    assert_eq!(
        (
            sweep.state.as_str(),
            sweep.finished,
            sweep.best_run,
            sweep.best_value
        ),
        ("finished", 2, Some(second.run), Some(0.25))
    );
    assert_ne!(first.params_json, second.params_json);
    controller.stop().await.unwrap();
    assert!(
        !dir.path().join("sweep.db-wal").exists(),
        "all of it is in one file, also where somebody has read"
    );
}

#[tokio::test]
async fn words_of_a_newer_agent_are_shown_and_its_run_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
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
