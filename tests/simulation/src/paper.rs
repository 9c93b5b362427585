//! A program that speaks the agents' protocol by itself and badly: it sends requests twice, at once and much later, in any order. The answers must
//! be those of before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use sweep_proto::v1::{
    AcquireRequest, Assignment, FinishAttemptRequest, HeartbeatRequest, LiveAttempt, MetricPoint,
    RegisterAgentRequest, ReportMetricsRequest, StartAttemptRequest,
};
use sweep_proto::{CONTROLLER_HEADER, REFUSAL_HEADER, refusal};
use tokio::time::sleep;
use tonic::Status;
use tonic::transport::Channel;

use crate::chance::Chance;
use crate::hosts::CONTROLLER;
use crate::network;
use crate::world::World;

const NAME: &str = "paper";

/// A request that may be sent again at any time, with the answer it had.
#[derive(Clone)]
enum Old {
    Acquire(AcquireRequest, Box<Assignment>),
    Start(StartAttemptRequest),
    Report(ReportMetricsRequest),
    Finish(FinishAttemptRequest, String),
}

pub(crate) async fn paper(world: World, life: u64) -> turmoil::Result {
    let sweep = loop {
        let sweep = world.record().sweep.clone();
        match sweep {
            Some(sweep) => break sweep,
            None => sleep(Duration::from_millis(300)).await,
        }
    };
    let chance = Chance::of(world.seed(), &format!("paper {life}"));
    let client = AgentServiceClient::new(network::controller());
    let mut paper = Paper {
        client,
        world,
        sweep,
        chance,
        life,
        calls: 0,
        old: Vec::new(),
        given: BTreeMap::new(),
        refused: BTreeSet::new(),
        restores: 0,
    };
    paper.register().await;
    loop {
        paper.round().await;
        sleep(Duration::from_millis(paper.chance.between(50, 800))).await;
    }
}

struct Paper {
    client: AgentServiceClient<Channel>,
    world: World,
    sweep: String,
    chance: Chance,
    /// How often the machine was started before.
    life: u64,
    calls: u64,
    old: Vec<Old>,
    /// The attempts by agent and request.
    given: BTreeMap<(u64, u32), String>,
    /// Attempts that it stopped executing because a call about them was refused.
    refused: BTreeSet<(u64, u32)>,
    /// How often a backup had been restored when it last looked.
    restores: u64,
}

impl Paper {
    fn agent(&self) -> String {
        format!("{NAME}{}", self.life)
    }

    /// It changes now and then, also between an assignment and its start.
    fn code_version(&mut self) -> String {
        format!("code {}", self.calls / 16)
    }

    fn request_id(&mut self) -> String {
        self.calls += 1;
        format!("{}-{}", self.agent(), self.calls)
    }

    async fn register(&mut self) {
        let request = RegisterAgentRequest {
            agent_id: self.agent(),
            sweep_id: self.sweep.clone(),
            host: NAME.to_owned(),
            slots: 3,
            request_id: self.request_id(),
            process_id: self.agent(),
            ..RegisterAgentRequest::default()
        };
        while self
            .client
            .register_agent(request.clone())
            .await
            .is_err_and(|status| is_unknown(&status))
        {
            sleep(Duration::from_millis(300)).await;
        }
    }

    async fn round(&mut self) {
        let restores = self.world.record().restores;
        if std::mem::replace(&mut self.restores, restores) != restores {
            // The answers of before are void.
            self.old.clear();
            self.given.clear();
            self.refused.clear();
        }
        let request = AcquireRequest {
            agent_id: self.agent(),
            sweep_id: self.sweep.clone(),
            wait_ms: 300,
            request_id: self.request_id(),
            code_version: self.code_version(),
            ..AcquireRequest::default()
        };
        match self.acquire(request).await {
            Ok(Some(assignment)) => {
                let key = (assignment.run, assignment.attempt);
                if self.execute(assignment).await.is_err() {
                    self.refused.insert(key);
                }
            }
            Ok(None) => {}
            Err(status) if refusal(&status) == Some("unknown_agent") => self.register().await,
            Err(_) => {}
        }
        self.beat().await;
        for _ in 0..self.chance.below(3) {
            self.repeat().await;
        }
    }

    async fn acquire(&mut self, request: AcquireRequest) -> Result<Option<Assignment>, Status> {
        loop {
            let twice = self.chance.is(30);
            let mut second = self.client.clone();
            let answer = if twice {
                let (one, two) = tokio::join!(
                    self.client.acquire(request.clone()),
                    second.acquire(request.clone())
                );
                let assigned = |answer: &Result<tonic::Response<_>, _>| {
                    answer
                        .as_ref()
                        .ok()
                        .and_then(|answer| assignment(answer.get_ref()))
                };
                if let (Some(one), Some(two)) = (assigned(&one), assigned(&two))
                    && one != two
                    && self.restores == self.world.record().restores
                {
                    self.world.record().violated(format!(
                        "I4: one request to acquire got {one:?} and {two:?}"
                    ));
                }
                // The first of two that wait is told that the other has taken its place.
                if assigned(&two).is_some() { two } else { one }
            } else {
                self.client.acquire(request.clone()).await
            };
            match answer {
                Ok(answer) => {
                    let assignment = assignment(answer.get_ref());
                    if let Some(assignment) = &assignment {
                        self.received(&request, assignment);
                    }
                    return Ok(assignment);
                }
                Err(status) if is_unknown(&status) => sleep(Duration::from_millis(200)).await,
                Err(status) => return Err(status),
            }
        }
    }

    fn received(&mut self, request: &AcquireRequest, assignment: &Assignment) {
        let key = (assignment.run, assignment.attempt);
        let before = self.given.insert(key, request.request_id.clone());
        let is_current = self.restores == self.world.record().restores;
        if before.is_some_and(|before| before != request.request_id) && is_current {
            self.world
                .record()
                .violated(format!("I2: attempt {key:?} was given away twice"));
        }
        self.old
            .push(Old::Acquire(request.clone(), Box::new(assignment.clone())));
    }

    async fn execute(&mut self, assignment: Assignment) -> Result<(), Status> {
        let (run, attempt) = (assignment.run, assignment.attempt);
        let (agent_id, sweep_id) = (self.agent(), self.sweep.clone());
        let start = StartAttemptRequest {
            agent_id: agent_id.clone(),
            sweep_id: sweep_id.clone(),
            run,
            attempt,
            command: vec![NAME.to_owned()],
            request_id: self.request_id(),
            code_version: self.code_version(),
            incarnation: String::new(),
        };
        until(async || self.client.clone().start_attempt(start.clone()).await).await?;
        self.old.push(Old::Start(start));
        let points = self.chance.between(1, 4);
        for seq in 0..points {
            sleep(Duration::from_millis(self.chance.between(10, 700))).await;
            let value = self.chance.below(1000) as f64 / 1000.0;
            let point = MetricPoint {
                name: "loss".to_owned(),
                step: Some(seq as i64),
                wall_ms: 0,
                value,
            };
            let report = ReportMetricsRequest {
                agent_id: agent_id.clone(),
                sweep_id: sweep_id.clone(),
                run,
                attempt,
                first_seq: seq,
                points: vec![point],
                incarnation: String::new(),
            };
            until(async || self.client.clone().report_metrics(report.clone()).await).await?;
            self.old.push(Old::Report(report));
        }
        let finish = FinishAttemptRequest {
            agent_id,
            sweep_id,
            run,
            attempt,
            result: Verdict::Succeeded.into(),
            request_id: self.request_id(),
            ..FinishAttemptRequest::default()
        };
        let state = until(async || self.client.clone().finish_attempt(finish.clone()).await)
            .await?
            .run_state;
        self.world.told(run, attempt, &state);
        if state == "finished" && self.restores == self.world.record().restores {
            self.world.record().paper.insert((run, attempt), points);
        }
        self.old.push(Old::Finish(finish, state));
        Ok(())
    }

    async fn beat(&mut self) {
        let attempts = self
            .given
            .keys()
            .filter(|key| !self.refused.contains(key))
            .map(|(run, attempt)| LiveAttempt {
                run: *run,
                attempt: *attempt,
                ..LiveAttempt::default()
            })
            .collect();
        let request = HeartbeatRequest {
            agent_id: self.agent(),
            sweep_id: self.sweep.clone(),
            attempts,
        };
        // Only news of life.
        let _ = self.client.heartbeat(request).await;
    }

    /// Sends something once more that was answered before.
    async fn repeat(&mut self) {
        if self.old.is_empty() {
            return;
        }
        let index = self.chance.below(self.old.len() as u64) as usize;
        match self.old[index].clone() {
            Old::Acquire(request, before) => {
                let answer = self.client.acquire(request).await;
                if let Some(again) = answer.ok().and_then(|answer| assignment(answer.get_ref()))
                    && again != *before
                    && self.restores == self.world.record().restores
                {
                    self.world.record().violated(format!(
                        "I4: a repeated request to acquire got {again:?} after {before:?}"
                    ));
                }
            }
            Old::Start(request) => drop(self.client.start_attempt(request).await),
            Old::Report(request) => drop(self.client.report_metrics(request).await),
            Old::Finish(request, before) => {
                let answer = self.client.finish_attempt(request).await;
                if let Ok(again) = answer
                    && again.get_ref().run_state != before
                    && self.restores == self.world.record().restores
                {
                    let again = again.into_inner().run_state;
                    self.world.record().violated(format!(
                        "I4: a repeated result was answered {again} after {before}"
                    ));
                }
            }
        }
    }
}

fn assignment(answer: &sweep_proto::v1::AcquireResponse) -> Option<Assignment> {
    match &answer.next {
        // What is said of the sweep beside it may have changed since.
        Some(Next::Assignment(assignment)) => Some(Assignment {
            early_stop_note: String::new(),
            ..assignment.clone()
        }),
        _ => None,
    }
}

/// Calls until the outcome is known.
async fn until<T, F: Future<Output = Result<tonic::Response<T>, Status>>>(
    call: impl Fn() -> F,
) -> Result<T, Status> {
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_unknown(&status) => sleep(Duration::from_millis(200)).await,
            Err(status) => return Err(status),
        }
    }
}

/// Returns whether a call has no answer of the controller: only refusals in the protocol's terms are answers, and only its own.
fn is_unknown(status: &Status) -> bool {
    let header = |name| {
        status
            .metadata()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let is_own = header(CONTROLLER_HEADER).is_none_or(|controller| controller == CONTROLLER);
    !is_own || header(REFUSAL_HEADER).is_none_or(|refusal| refusal == "full")
}
