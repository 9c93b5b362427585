//! A simulated agent: acquires, starts, reports, finishes, over and over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::finish_attempt_request::Result as Outcome;
use sweep_proto::v1::{
    AcquireRequest, Assignment, FinishAttemptRequest, MetricPoint, RegisterAgentRequest,
    ReportMetricsRequest, StartAttemptRequest,
};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::figures::Figures;

/// The search space, at random: a draw costs nothing, so that the controller is measured and not the search.
pub(crate) const SWEEP_FILE: &str = "
program: train
method: random
metric: {name: loss, goal: minimize}
seed: 1
parameters:
  learning_rate: {distribution: log_uniform_values, min: 0.00001, max: 0.1}
  dropout: {distribution: uniform, min: 0, max: 1}
  units: {distribution: q_log_uniform_values, min: 64, max: 1024}
  optimizer: {values: [adam, lion, sgd]}
";

/// A call without an answer for so long is given up and made again.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
const WAIT_MS: u64 = 20_000;
/// The version of the code that all have.
const CODE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Returns a configuration of [`SWEEP_FILE`], another one for each number.
pub(crate) fn configuration(number: usize) -> String {
    let at = |prime: f64| (0.5 + number as f64 * prime.sqrt()).fract();
    let rate = 1e-5 * 1e4_f64.powf(at(2.0));
    format!(
        r#"{{"learning_rate": {rate:e}, "dropout": {}, "units": 128, "optimizer": "adam"}}"#,
        at(3.0)
    )
}

/// When an agent begins its runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// From the beginning of one run to that of the next.
    pub(crate) period: Duration,
}

/// An agent's own rhythm: agents begin one after the other, not all at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    rhythm: Rhythm,
    offset: Duration,
}

impl Rhythm {
    pub(crate) fn place(self, number: usize, of: usize) -> Beat {
        Beat {
            rhythm: self,
            offset: self.period.mul_f64(number as f64 / of as f64),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Agent {
    id: String,
    sweep: String,
    client: AgentServiceClient<Channel>,
    figures: Arc<Figures>,
    reports: u32,
    points: u32,
    calls: u64,
    /// The controller process that has answered last, by its number.
    turn: usize,
}

impl Agent {
    pub(crate) fn new(
        number: usize,
        sweep: &str,
        channel: Channel,
        figures: Arc<Figures>,
        reports: u32,
        points: u32,
    ) -> Self {
        let client = AgentServiceClient::new(channel);
        Self {
            id: format!("load-{number:05}"),
            sweep: sweep.to_owned(),
            client,
            figures,
            reports,
            points,
            calls: 0,
            turn: 0,
        }
    }

    /// Executes runs until told to stop; the run at hand is brought to its end.
    pub(crate) async fn work(mut self, beat: Option<Beat>) -> Result<()> {
        self.register().await?;
        let start = Instant::now();
        let mut next = start + beat.map_or(Duration::ZERO, |beat| beat.offset);
        while !self.figures.stop.load(Ordering::Relaxed) {
            if let Some(beat) = beat {
                sleep_until(next).await;
                // Who is late does not catch up in a burst.
                next = (next + beat.rhythm.period).max(Instant::now());
            }
            if let Some(assignment) = self.acquire().await? {
                self.execute(&assignment).await?;
            }
        }
        Ok(())
    }

    async fn execute(&mut self, assignment: &Assignment) -> Result<()> {
        self.start(assignment).await?;
        for report in 0..self.reports {
            self.report(assignment, report).await?;
        }
        self.finish(assignment).await?;
        self.figures
            .ended(u64::from(self.reports) * u64::from(self.points));
        Ok(())
    }

    async fn register(&mut self) -> Result<()> {
        let request = RegisterAgentRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            host: self.id.clone(),
            slots: 1,
            request_id: self.request_id(),
            ..RegisterAgentRequest::default()
        };
        self.call("RegisterAgent", async |mut client| {
            client.register_agent(request.clone()).await
        })
        .await?;
        Ok(())
    }

    async fn acquire(&mut self) -> Result<Option<Assignment>> {
        let request = AcquireRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            wait_ms: WAIT_MS,
            request_id: self.request_id(),
            code_version: CODE.to_owned(),
            ..AcquireRequest::default()
        };
        let answer = self
            .call("Acquire", async |mut client| {
                client.acquire(request.clone()).await
            })
            .await?;
        match answer.next.context("an empty answer")? {
            Next::Assignment(assignment) => Ok(Some(assignment)),
            Next::Wait(_) => Ok(None),
            Next::Done(done) => bail!("the sweep has ended: {}", done.reason),
        }
    }

    async fn start(&mut self, assignment: &Assignment) -> Result<()> {
        let request = StartAttemptRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            command: vec![
                "python".to_owned(),
                "train.py".to_owned(),
                format!("--params={}", assignment.params_json),
            ],
            request_id: self.request_id(),
            code_version: CODE.to_owned(),
            incarnation: String::new(),
        };
        self.call("StartAttempt", async |mut client| {
            client.start_attempt(request.clone()).await
        })
        .await?;
        Ok(())
    }

    async fn report(&mut self, assignment: &Assignment, report: u32) -> Result<()> {
        // Each run has a different curve, so that a page has something to draw.
        let level = 1.0 + (assignment.run as f64 * 2_f64.sqrt()).fract();
        let point = |number: u32| MetricPoint {
            name: "loss".to_owned(),
            step: Some(i64::from(report * self.points + number)),
            wall_ms: 1_700_000_000_000,
            value: level / f64::from(report * self.points + number + 1).sqrt(),
        };
        let request = ReportMetricsRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            first_seq: u64::from(report * self.points),
            points: (0..self.points).map(point).collect(),
            incarnation: String::new(),
        };
        self.call("ReportMetrics", async |mut client| {
            client.report_metrics(request.clone()).await
        })
        .await?;
        Ok(())
    }

    async fn finish(&mut self, assignment: &Assignment) -> Result<()> {
        let request = FinishAttemptRequest {
            agent_id: self.id.clone(),
            sweep_id: self.sweep.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            result: Outcome::Succeeded.into(),
            request_id: self.request_id(),
            ..FinishAttemptRequest::default()
        };
        self.call("FinishAttempt", async |mut client| {
            client.finish_attempt(request.clone()).await
        })
        .await?;
        Ok(())
    }

    /// Returns a new request id. It begins with the time, as those of real agents do: what is recorded together lies together.
    fn request_id(&mut self) -> String {
        self.calls += 1;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        format!("{now:012x}-{}-{}", self.id, self.calls)
    }

    /// Makes a call until it is answered: the outcome of one that broke off is unknown, so it is made again with the same request id.
    async fn call<T>(
        &mut self,
        name: &'static str,
        call: impl AsyncFn(AgentServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T> {
        let mut pause = PAUSE_MIN;
        loop {
            let before = std::time::Instant::now();
            let turn = self.figures.turn.load(Ordering::Relaxed);
            let answer = tokio::time::timeout(DEADLINE, call(self.client.clone())).await;
            let status = match answer {
                Ok(Ok(answer)) => {
                    self.figures.answered(name, before.elapsed());
                    if self.turn < turn {
                        self.turn = turn;
                        self.figures.is_back(turn);
                    }
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            self.figures.failed(name, status.code());
            let is_open = matches!(
                status.code(),
                Code::Unavailable
                    | Code::Cancelled
                    | Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
            );
            if !is_open {
                bail!("{name} of {}: {status}", self.id);
            }
            sleep(pause.mul_f64(0.5 + self.chance())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Returns something from 0 to 1 that differs between agents and calls.
    fn chance(&self) -> f64 {
        let mixed = self.id.bytes().fold(self.calls + 1, |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (mixed % 1000) as f64 / 1000.0
    }
}
