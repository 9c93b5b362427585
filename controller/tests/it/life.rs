//! A sweep from its file to its end.

use sweep_proto::v1::{
    AcquireRequest, GetMetricsRequest, GetRunRequest, GetStatusRequest, ListAgentsRequest,
    ListRunsRequest, acquire_response,
};
use tokio_stream::StreamExt;

use crate::house::{self, Clients};

pub(crate) const GRID: &str = "method: grid\nprogram: train.py\nname: first\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2, 3]}\n";

pub(crate) const PAIR: &str =
    "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2]}\n";

pub(crate) async fn runs(clients: &mut Clients, sweep: &str, states: &[&str]) -> Vec<u64> {
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
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
async fn a_grid_is_worked_off_and_can_be_read_back() {
    let (_dir, controller, mut clients) = house::fresh().await;
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
    let sweep = clients.sweep(&id).await;
    assert_eq!(
        (sweep.state.as_str(), sweep.finished, sweep.best_run),
        ("finished", 3, Some(2))
    );
    assert_eq!(sweep.yaml, GRID);
    let listed = clients.list().await;
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
    let (_dir, controller, mut clients) = house::fresh().await;
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
async fn a_repeated_acquire_gets_the_same_run() {
    let (_dir, controller, mut clients) = house::fresh().await;
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
async fn after_a_restart_everything_goes_on() {
    let (dir, controller, mut clients) = house::fresh().await;
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
    let sweep = clients.sweep(&id).await;
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
