//! A controller that hands out what it is given and writes down what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sweep_proto::v1;
use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::agent_service_server::{AgentService, AgentServiceServer};
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

#[derive(Default)]
pub(crate) struct Paper {
    pub(crate) program: v1::Program,
    /// Runs to hand out.
    pub(crate) queue: Vec<v1::Assignment>,
    /// With an empty queue: wait (`false`) or done (`true`).
    pub(crate) open_ended: bool,
    /// With an empty queue: let agents wait as long as this is set.
    pub(crate) hold: bool,
    /// How many are waiting so.
    pub(crate) held: u32,
    /// Answers no call.
    pub(crate) away: bool,
    /// Drops this many answers after having done what was asked.
    pub(crate) answers_lost: u32,
    pub(crate) token: Option<String>,
    /// The directives for attempts, by run.
    pub(crate) directives: BTreeMap<u64, v1::Directive>,
    pub(crate) agents: BTreeSet<String>,
    pub(crate) registrations: Vec<v1::RegisterAgentRequest>,
    pub(crate) started: Vec<v1::StartAttemptRequest>,
    pub(crate) codes: Vec<v1::Code>,
    pub(crate) environments: Vec<v1::Environment>,
    pub(crate) points: BTreeMap<(u64, u32), Vec<v1::MetricPoint>>,
    pub(crate) logs: BTreeMap<(u64, u32), Vec<u8>>,
    /// The end of a long output, and where it begins.
    pub(crate) tails: BTreeMap<(u64, u32), (usize, Vec<u8>)>,
    pub(crate) heartbeats: u64,
    /// By request id, so that a repeat counts once.
    pub(crate) finished: BTreeMap<String, v1::FinishAttemptRequest>,
    pub(crate) finish_calls: u32,
    pub(crate) acquired: BTreeMap<String, v1::Assignment>,
    pub(crate) announced: Vec<v1::AnnounceLeavingRequest>,
    pub(crate) left: Vec<v1::LeaveAgentRequest>,
}

#[derive(Default)]
pub(crate) struct Fake {
    paper: Mutex<Paper>,
    changed: Notify,
}

impl Fake {
    pub(crate) fn paper(&self) -> MutexGuard<'_, Paper> {
        self.paper.lock().unwrap()
    }

    pub(crate) async fn serve(self: Arc<Self>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = AgentServiceServer::from_arc(self).max_decoding_message_size(16 << 20);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        address
    }

    /// Waits until what is written down fulfils a condition.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Paper) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if condition(&self.paper()) {
                    return;
                }
                // The time limit covers conditions that no call announces.
                let _ = tokio::time::timeout(Duration::from_millis(100), changed).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .is_err()
        {
            panic!("still not {what}");
        }
    }

    fn enter<T>(&self, request: Request<T>) -> Result<T, Status> {
        let paper = self.paper();
        if paper.away {
            return Err(Status::unavailable("away"));
        }
        let shown = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        match &paper.token {
            Some(token) if shown != Some(&format!("Bearer {token}")) => {
                let mut status = Status::unauthenticated("the token is wrong");
                status
                    .metadata_mut()
                    .insert(sweep_proto::CONTROLLER_HEADER, "a1b2c3".parse().unwrap());
                Err(status)
            }
            _ => Ok(request.into_inner()),
        }
    }

    fn known(&self, agent: &str) -> Result<(), Status> {
        if self.paper().agents.contains(agent) {
            return Ok(());
        }
        let mut status = Status::not_found("no such agent");
        status.metadata_mut().insert(
            sweep_proto::REFUSAL_HEADER,
            "unknown_agent".parse().unwrap(),
        );
        Err(status)
    }

    fn answer<T>(&self, answer: T) -> Result<Response<T>, Status> {
        self.changed.notify_waiters();
        let mut paper = self.paper();
        if paper.answers_lost > 0 {
            paper.answers_lost -= 1;
            return Err(Status::cancelled("Timeout expired"));
        }
        Ok(Response::new(answer))
    }

    fn directive(&self, run: u64) -> v1::Directive {
        let go_on = v1::Directive {
            kind: v1::directive::Kind::Continue.into(),
            reason: String::new(),
        };
        self.paper().directives.get(&run).cloned().unwrap_or(go_on)
    }
}

#[tonic::async_trait]
impl AgentService for Fake {
    async fn register_agent(
        &self,
        request: Request<v1::RegisterAgentRequest>,
    ) -> Result<Response<v1::RegisterAgentResponse>, Status> {
        let request = self.enter(request)?;
        if request.sweep_id != "wine1234" && request.sweep_id != "wine" {
            let mut status = Status::not_found(format!("no sweep `{}`", request.sweep_id));
            status.metadata_mut().insert(
                sweep_proto::REFUSAL_HEADER,
                "unknown_sweep".parse().unwrap(),
            );
            return Err(status);
        }
        self.paper().agents.insert(request.agent_id.clone());
        self.paper().registrations.push(request);
        let program = self.paper().program.clone();
        self.answer(v1::RegisterAgentResponse {
            sweep_id: "wine1234".to_owned(),
            lease_ms: 600,
            heartbeat_ms: 200,
            program: Some(program),
            ..v1::RegisterAgentResponse::default()
        })
    }

    async fn acquire(
        &self,
        request: Request<v1::AcquireRequest>,
    ) -> Result<Response<v1::AcquireResponse>, Status> {
        let request = self.enter(request)?;
        self.known(&request.agent_id)?;
        let waits = |paper: &Paper| paper.hold && paper.queue.is_empty();
        if waits(&self.paper()) {
            self.paper().held += 1;
            self.until("asked to answer", |paper| !waits(paper)).await;
        }
        let next = {
            let mut paper = self.paper();
            let repeated = paper.acquired.get(&request.request_id).cloned();
            let assignment =
                repeated.or_else(|| (!paper.queue.is_empty()).then(|| paper.queue.remove(0)));
            match assignment {
                Some(assignment) => {
                    paper
                        .acquired
                        .insert(request.request_id, assignment.clone());
                    Next::Assignment(assignment)
                }
                None if paper.open_ended => Next::Wait(v1::Wait {
                    reason: "patience".to_owned(),
                }),
                None => Next::Done(v1::Done {
                    state: "finished".to_owned(),
                    reason: "all points have been tried".to_owned(),
                }),
            }
        };
        self.answer(v1::AcquireResponse { next: Some(next) })
    }

    async fn start_attempt(
        &self,
        request: Request<v1::StartAttemptRequest>,
    ) -> Result<Response<v1::StartAttemptResponse>, Status> {
        let request = self.enter(request)?;
        let directive = Some(self.directive(request.run));
        self.paper().started.push(request);
        self.answer(v1::StartAttemptResponse { directive })
    }

    async fn describe_code(
        &self,
        request: Request<v1::DescribeCodeRequest>,
    ) -> Result<Response<v1::DescribeCodeResponse>, Status> {
        let request = self.enter(request)?;
        self.paper().codes.extend(request.code);
        self.answer(v1::DescribeCodeResponse::default())
    }

    async fn describe_environment(
        &self,
        request: Request<v1::DescribeEnvironmentRequest>,
    ) -> Result<Response<v1::DescribeEnvironmentResponse>, Status> {
        let request = self.enter(request)?;
        self.paper().environments.extend(request.environment);
        self.answer(v1::DescribeEnvironmentResponse::default())
    }

    async fn push_code(
        &self,
        _: Request<tonic::Streaming<v1::PushCodeRequest>>,
    ) -> Result<Response<v1::PushCodeResponse>, Status> {
        Err(Status::unimplemented("it wants none"))
    }

    async fn report_metrics(
        &self,
        request: Request<v1::ReportMetricsRequest>,
    ) -> Result<Response<v1::ReportMetricsResponse>, Status> {
        let request = self.enter(request)?;
        {
            let mut paper = self.paper();
            let known = paper
                .points
                .entry((request.run, request.attempt))
                .or_default();
            let first = request.first_seq as usize;
            assert!(
                first <= known.len(),
                "points {}..{first} are missing",
                known.len()
            );
            known.extend(request.points.into_iter().skip(known.len() - first));
        }
        self.answer(v1::ReportMetricsResponse {
            directive: Some(self.directive(request.run)),
        })
    }

    async fn append_log(
        &self,
        request: Request<v1::AppendLogRequest>,
    ) -> Result<Response<v1::AppendLogResponse>, Status> {
        let request = self.enter(request)?;
        {
            let mut paper = self.paper();
            let known = paper
                .logs
                .entry((request.run, request.attempt))
                .or_default();
            let offset = request.offset as usize;
            if known.len() == 10 << 20 && offset > known.len() {
                paper
                    .tails
                    .entry((request.run, request.attempt))
                    .or_insert((offset, Vec::new()))
                    .1
                    .extend(request.data);
                drop(paper);
                return self.answer(v1::AppendLogResponse {});
            }
            assert!(
                offset <= known.len(),
                "output {}..{offset} is missing",
                known.len()
            );
            let news = request
                .data
                .get(known.len() - offset..)
                .unwrap_or_default()
                .to_vec();
            known.extend(news);
        }
        self.answer(v1::AppendLogResponse {})
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let request = self.enter(request)?;
        self.known(&request.agent_id)?;
        self.paper().heartbeats += 1;
        let directives = request
            .attempts
            .iter()
            .map(|attempt| self.directive(attempt.run))
            .collect();
        self.answer(v1::HeartbeatResponse { directives })
    }

    async fn finish_attempt(
        &self,
        request: Request<v1::FinishAttemptRequest>,
    ) -> Result<Response<v1::FinishAttemptResponse>, Status> {
        let request = self.enter(request)?;
        let state = match request.result() {
            Verdict::Succeeded => "finished",
            Verdict::Stopped => "stopped",
            Verdict::Cancelled => "cancelled",
            Verdict::Failed => "failed",
            Verdict::Preempted | Verdict::Returned | Verdict::Unspecified => "queued",
        };
        self.paper().finish_calls += 1;
        self.paper()
            .finished
            .insert(request.request_id.clone(), request);
        self.answer(v1::FinishAttemptResponse {
            run_state: state.to_owned(),
            ..v1::FinishAttemptResponse::default()
        })
    }

    async fn announce_leaving(
        &self,
        request: Request<v1::AnnounceLeavingRequest>,
    ) -> Result<Response<v1::AnnounceLeavingResponse>, Status> {
        let request = self.enter(request)?;
        self.known(&request.agent_id)?;
        self.paper().announced.push(request);
        self.answer(v1::AnnounceLeavingResponse {})
    }

    async fn leave_agent(
        &self,
        request: Request<v1::LeaveAgentRequest>,
    ) -> Result<Response<v1::LeaveAgentResponse>, Status> {
        let request = self.enter(request)?;
        self.paper().left.push(request);
        self.answer(v1::LeaveAgentResponse::default())
    }
}
