//! The controller is killed two hundred times at random moments, and twenty agents keep a history of all it has ever acknowledged.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sweep_proto::refusal;
use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use sweep_proto::v1::{
    AcquireRequest, Assignment, FinishAttemptRequest, GetMetricsRequest, MetricPoint,
    RegisterAgentRequest, ReportMetricsRequest, StartAttemptRequest,
};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::harness::{Bearer, Bench};

const KILLS: u32 = 200;
const AGENTS: u64 = 20;
const SIDE: u64 = 70;

/// The acknowledgements of the controller.
#[derive(Default)]
struct History {
    /// Each assignment with who got it.
    assigned: BTreeMap<(u64, u32), String>,
    /// The value that each run was finished with, and how many points went with it.
    finished: BTreeMap<u64, (u32, f64, u64)>,
}

/// Random enough, and the same each time.
struct Random(u64);

impl Random {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

struct Agent {
    client: AgentServiceClient<InterceptedService<Channel, Bearer>>,
    id: String,
    sweep: String,
    random: Random,
    requests: u64,
    history: Arc<Mutex<History>>,
    hurry: Arc<AtomicBool>,
}

impl Agent {
    fn request_id(&mut self) -> String {
        self.requests += 1;
        format!("{}-{}", self.id, self.requests)
    }

    /// Repeats a call until its outcome is known, with the same request each time.
    async fn call<T, F>(
        &self,
        call: impl Fn(AgentServiceClient<InterceptedService<Channel, Bearer>>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        loop {
            match call(self.client.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status)
                    if matches!(
                        status.code(),
                        Code::Cancelled | Code::Unavailable | Code::Unknown | Code::Internal
                    ) => {}
                Err(status) => return Err(status),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn pause(&mut self) {
        if !self.hurry.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(self.random.below(40))).await;
        }
    }

    async fn register(&mut self) {
        let request = RegisterAgentRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            host: "paper".to_owned(),
            slots: 1,
            request_id: self.request_id(),
            process_id: self.id.clone(),
            ..RegisterAgentRequest::default()
        };
        self.call(async |mut client| client.register_agent(request.clone()).await)
            .await
            .expect("the sweep is there");
    }

    async fn work(mut self) {
        self.register().await;
        loop {
            let request = AcquireRequest {
                agent_id: self.id.clone(),
                sweep_id: self.sweep.clone(),
                wait_ms: 500,
                request_id: self.request_id(),
                ..AcquireRequest::default()
            };
            match self
                .call(async |mut client| client.acquire(request.clone()).await)
                .await
                .map(|answer| answer.next)
            {
                Ok(Some(Next::Assignment(assignment))) => self.execute(assignment).await,
                Ok(Some(Next::Done(_))) => return,
                Ok(_) => {}
                Err(status) if refusal(&status) == Some("unknown_agent") => self.register().await,
                Err(status) => panic!("{status}"),
            }
        }
    }

    async fn execute(&mut self, assignment: Assignment) {
        let key = (assignment.run, assignment.attempt);
        let before = self
            .history
            .lock()
            .unwrap()
            .assigned
            .insert(key, self.id.clone());
        assert_eq!(before, None, "attempt {key:?} was given away twice");
        // What is refused was lost meanwhile: nothing was acknowledged.
        let _ = self.report(assignment).await;
    }

    async fn report(&mut self, assignment: Assignment) -> Result<(), Status> {
        let (run, attempt) = (assignment.run, assignment.attempt);
        let params: Value = serde_json::from_str(&assignment.params_json).unwrap();
        let value = params["x"].as_f64().unwrap() + params["y"].as_f64().unwrap() / 1000.0;
        self.pause().await;
        let start = StartAttemptRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            run,
            attempt,
            command: vec!["paper".to_owned()],
            request_id: self.request_id(),
            ..StartAttemptRequest::default()
        };
        self.call(async |mut client| client.start_attempt(start.clone()).await)
            .await?;
        let mut points = 0;
        for part in 0..1 + self.random.below(3) {
            self.pause().await;
            let point = |step| MetricPoint {
                name: "loss".to_owned(),
                step: Some(step),
                wall_ms: 0,
                value,
            };
            let request = ReportMetricsRequest {
                agent_id: self.id.clone(),
                sweep_id: self.sweep.clone(),
                run,
                attempt,
                first_seq: points,
                points: vec![point(2 * part as i64), point(2 * part as i64 + 1)],
                incarnation: String::new(),
            };
            self.call(async |mut client| client.report_metrics(request.clone()).await)
                .await?;
            points += 2;
        }
        self.pause().await;
        let finish = FinishAttemptRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            run,
            attempt,
            result: Verdict::Succeeded.into(),
            request_id: self.request_id(),
            ..FinishAttemptRequest::default()
        };
        let state = self
            .call(async |mut client| client.finish_attempt(finish.clone()).await)
            .await?
            .run_state;
        assert_eq!(state, "finished");
        let before = self
            .history
            .lock()
            .unwrap()
            .finished
            .insert(run, (attempt, value, points));
        assert_eq!(before, None, "run {run} was finished twice");
        if self.random.below(10) == 0 {
            self.pause().await;
            let again = self
                .call(async |mut client| client.finish_attempt(finish.clone()).await)
                .await;
            assert_eq!(
                again.expect("a repeat is answered as before").run_state,
                "finished"
            );
        }
        Ok(())
    }
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    let bench = Bench::new();
    let mut controller = bench.controller();
    let axis: Vec<u64> = (0..SIDE).collect();
    let text = format!(
        "method: grid\nmetric: {{name: loss, goal: minimize}}\nprogram: paper\nparameters:\n  x: {{values: {axis:?}}}\n  y: {{values: {axis:?}}}\n"
    );
    let file = bench.write("sweep.yaml", &text);
    let id = bench.create(&[&file]);

    let seed = 20_261_123;
    let history = Arc::new(Mutex::new(History::default()));
    let hurry = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let address = format!("http://127.0.0.1:{}", bench.port());
    let bearer = bench.bearer();
    let agents: Vec<_> = (0..AGENTS)
        .map(|number| {
            let endpoint = Endpoint::from_shared(address.clone())
                .unwrap()
                .timeout(Duration::from_secs(5));
            let _inside = runtime.enter();
            let agent = Agent {
                client: AgentServiceClient::with_interceptor(
                    endpoint.connect_lazy(),
                    bearer.clone(),
                ),
                id: format!("paper{number}"),
                sweep: id.clone(),
                random: Random(seed + number),
                requests: 0,
                history: Arc::clone(&history),
                hurry: Arc::clone(&hurry),
            };
            runtime.spawn(agent.work())
        })
        .collect();

    let mut random = Random(seed);
    for kill in 1..=KILLS {
        std::thread::sleep(Duration::from_millis(5 + random.below(100)));
        assert!(
            (history.lock().unwrap().finished.len() as u64) < SIDE * SIDE,
            "all is done after {kill} kills: the grid is too small"
        );
        controller.kill();
        controller = bench.controller();
    }
    hurry.store(true, Ordering::Relaxed);
    for agent in agents {
        runtime
            .block_on(agent)
            .expect("an agent has seen something that must not be");
    }

    let history = history.lock().unwrap();
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    let points: BTreeSet<String> = runs.iter().map(|run| run["params"].to_string()).collect();
    assert_eq!(
        (runs.len() as u64, points.len() as u64),
        (SIDE * SIDE, SIDE * SIDE),
        "each point of the grid once"
    );
    assert_eq!(history.finished.len() as u64, SIDE * SIDE);
    for run in &runs {
        let number = run["run"].as_u64().unwrap();
        let (attempt, value, _) = history.finished[&number];
        assert_eq!(
            (&run["state"], run["value"].as_f64()),
            (&"finished".into(), Some(value)),
            "{run}"
        );
        assert_eq!(
            run["attempts"].as_u64(),
            Some(u64::from(attempt)),
            "nobody has begun it again after its end: {run}"
        );
    }
    runtime.block_on(async {
        let mut client = bench.client().await;
        for (run, (attempt, _, points)) in history.finished.iter().step_by(17) {
            let request = GetMetricsRequest {
                sweep_id: id.clone(),
                run: *run,
                attempt: *attempt,
            };
            let mut pages = client.get_metrics(request).await.unwrap().into_inner();
            let mut steps = Vec::new();
            while let Some(page) = pages.message().await.unwrap() {
                steps.extend(page.points.iter().filter_map(|point| point.step));
            }
            assert_eq!(
                steps,
                (0..*points as i64).collect::<Vec<_>>(),
                "each acknowledged point of run {run} once"
            );
        }
    });
    drop(controller);
}
