//! A controller in its own directory, and ways to talk to it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sweep_controller::engine::Terms;
use sweep_controller::serve::{self, AccessPolicy, Controller, ServeError, ServeOptions};
use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{
    AcquireRequest, Assignment, CreateSweepRequest, FinishAttemptRequest, GetSweepRequest,
    ListSweepsRequest, MetricPoint, RegisterAgentRequest, RegisterAgentResponse,
    ReportMetricsRequest, StartAttemptRequest, Sweep, WatchSweepRequest, WatchSweepResponse,
    acquire_response, finish_attempt_request,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Longer than any of these tests should wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn options(data_dir: &Path) -> ServeOptions {
    ServeOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: data_dir.to_owned(),
        terms: Terms {
            lease: Duration::from_secs(30),
            ..Terms::default()
        },
        grace: Duration::from_secs(5),
        // What is tested is mostly not the token.
        access: AccessPolicy::Open,
    }
}

pub(crate) async fn start(data_dir: &Path) -> Controller {
    serve::start(options(data_dir))
        .await
        .expect("the controller starts")
}

/// Starts a controller that asks for its token, beyond loopback or on it.
pub(crate) async fn start_guarded(
    data_dir: &Path,
    listen: [u8; 4],
) -> Result<Controller, ServeError> {
    let access = AccessPolicy::Token { given: None };
    serve::start(ServeOptions {
        listen: SocketAddr::from((listen, 0)),
        access,
        ..options(data_dir)
    })
    .await
}

pub(crate) async fn channel(controller: &Controller) -> Channel {
    let endpoint =
        Endpoint::from_shared(format!("http://127.0.0.1:{}", controller.address().port()))
            .expect("an address is a URI");
    endpoint.connect().await.expect("the controller listens")
}

pub(crate) struct Clients {
    pub(crate) sweeps: SweepServiceClient<Channel>,
    pub(crate) agents: AgentServiceClient<Channel>,
}

pub(crate) async fn clients(controller: &Controller) -> Clients {
    let channel = channel(controller).await;
    Clients {
        sweeps: SweepServiceClient::new(channel.clone()),
        agents: AgentServiceClient::new(channel),
    }
}

/// Starts a controller in a new folder, which is removed with the first of the three.
pub(crate) async fn fresh() -> (TempDir, Controller, Clients) {
    let dir = tempfile::tempdir().expect("the temporary folder can be written");
    let controller = start(dir.path()).await;
    let clients = clients(&controller).await;
    (dir, controller, clients)
}

impl Clients {
    /// Returns the refusal of a sweep file.
    pub(crate) async fn refused(&mut self, yaml: &str) -> Status {
        self.try_create(yaml).await.expect_err("the file is wrong")
    }

    pub(crate) async fn list(&mut self) -> Vec<Sweep> {
        self.sweeps
            .list_sweeps(ListSweepsRequest::default())
            .await
            .expect("sweeps can be listed")
            .into_inner()
            .sweeps
    }

    pub(crate) async fn sweep(&mut self, id: &str) -> Sweep {
        let sweep_id = id.to_owned();
        self.sweeps
            .get_sweep(GetSweepRequest { sweep_id })
            .await
            .expect("the sweep is there")
            .into_inner()
            .sweep
            .expect("always set")
    }

    pub(crate) async fn watch(&mut self, id: &str) -> Streaming<WatchSweepResponse> {
        let sweep_id = id.to_owned();
        self.sweeps
            .watch_sweep(WatchSweepRequest { sweep_id })
            .await
            .expect("the sweep is there")
            .into_inner()
    }

    pub(crate) async fn create(&mut self, yaml: &str) -> String {
        self.try_create(yaml).await.expect("the file is right")
    }

    async fn try_create(&mut self, yaml: &str) -> Result<String, Status> {
        let request = CreateSweepRequest {
            yaml: yaml.to_owned(),
            ..CreateSweepRequest::default()
        };
        let created = self.sweeps.create_sweep(request).await?;
        Ok(created.into_inner().sweep_id)
    }

    pub(crate) async fn register(&mut self, sweep: &str, agent: &str) -> RegisterAgentResponse {
        let request = RegisterAgentRequest {
            agent_id: agent.to_owned(),
            sweep_id: sweep.to_owned(),
            host: "box".to_owned(),
            slots: 1,
            version: "0".to_owned(),
            request_id: String::new(),
            ..RegisterAgentRequest::default()
        };
        self.agents
            .register_agent(request)
            .await
            .expect("the agent is welcome")
            .into_inner()
    }

    pub(crate) async fn next(&mut self, sweep: &str, agent: &str) -> acquire_response::Next {
        let request = AcquireRequest {
            agent_id: agent.to_owned(),
            sweep_id: sweep.to_owned(),
            wait_ms: PATIENCE.as_millis() as u64,
            ..AcquireRequest::default()
        };
        self.agents
            .acquire(request)
            .await
            .expect("the agent is known")
            .into_inner()
            .next
            .expect("always set")
    }

    pub(crate) async fn acquire(&mut self, sweep: &str, agent: &str) -> Assignment {
        match self.next(sweep, agent).await {
            acquire_response::Next::Assignment(assignment) => assignment,
            other => panic!("a run is there: {other:?}"),
        }
    }

    pub(crate) async fn begin(&mut self, agent: &str, assignment: &Assignment) {
        let request = StartAttemptRequest {
            agent_id: agent.to_owned(),
            sweep_id: assignment.sweep_id.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            command: vec!["python".to_owned(), "train.py".to_owned()],
            request_id: String::new(),
            code_version: String::new(),
            incarnation: String::new(),
        };
        self.agents
            .start_attempt(request)
            .await
            .expect("the attempt is ours");
    }

    pub(crate) async fn report(
        &mut self,
        agent: &str,
        assignment: &Assignment,
        first_seq: u64,
        values: &[f64],
    ) {
        let point = |value: &f64| MetricPoint {
            name: "loss".to_owned(),
            step: None,
            wall_ms: 1,
            value: *value,
        };
        let request = ReportMetricsRequest {
            agent_id: agent.to_owned(),
            sweep_id: assignment.sweep_id.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            first_seq,
            points: values.iter().map(point).collect(),
            incarnation: String::new(),
        };
        self.agents
            .report_metrics(request)
            .await
            .expect("the attempt is ours");
    }

    pub(crate) async fn finish(&mut self, agent: &str, assignment: &Assignment) -> String {
        let request = FinishAttemptRequest {
            agent_id: agent.to_owned(),
            sweep_id: assignment.sweep_id.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            result: finish_attempt_request::Result::Succeeded.into(),
            failure: None,
            request_id: String::new(),
            incarnation: String::new(),
            points: 0,
        };
        self.agents
            .finish_attempt(request)
            .await
            .expect("the attempt is ours")
            .into_inner()
            .run_state
    }

    /// Executes the next run from beginning to end; its loss is the given value.
    pub(crate) async fn execute(&mut self, sweep: &str, agent: &str, loss: f64) -> Assignment {
        let assignment = self.acquire(sweep, agent).await;
        self.begin(agent, &assignment).await;
        self.report(agent, &assignment, 0, &[loss]).await;
        assert_eq!(self.finish(agent, &assignment).await, "finished");
        assignment
    }
}

/// An answer in HTTP/1.1: status, head and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends a request as a browser would.
pub(crate) async fn http(
    controller: &Controller,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    http_with(controller, method, path, headers, "").await
}

/// An answer without an end.
pub(crate) struct Stream {
    stream: TcpStream,
    text: String,
}

/// Opens a page's stream of news.
pub(crate) async fn open(controller: &Controller, path: &str) -> Stream {
    let mut stream = TcpStream::connect(("127.0.0.1", controller.address().port()))
        .await
        .expect("the controller listens");
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        .await
        .expect("the controller reads");
    Stream {
        stream,
        text: String::new(),
    }
}

impl Stream {
    /// Reads until a text has come.
    pub(crate) async fn until(&mut self, expected: &str) {
        let read = async {
            while !self.text.contains(expected) {
                let mut piece = [0; 4096];
                let count = self
                    .stream
                    .read(&mut piece)
                    .await
                    .expect("the stream is open");
                assert!(count > 0, "the stream has ended: {}", self.text);
                self.text += &String::from_utf8_lossy(&piece[..count]);
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("in time");
    }
}

/// Sends a request with a body.
pub(crate) async fn http_with(
    controller: &Controller,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", controller.address().port()))
        .await
        .expect("the controller listens");
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    request += body;
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the controller reads");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("an answer has a status");
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
