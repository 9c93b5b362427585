//! The way to the controller: the token, repeats where the outcome of a call is unknown, and the agent's registration.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{LiveAttempt, RegisterAgentRequest, RegisterAgentResponse};
use tokio::sync::{Mutex, mpsc};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::chance;
use crate::Notice;

/// Waits between repeats: the first and the longest; each is shortened by chance, so that agents do not all come back at once.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A single failed call is no news; so many in a row are.
const FAILURES_TOLD: u32 = 2;
/// Of any answer; a run's parameters are the largest.
const ANSWER_BYTES_MAX: usize = 16 << 20;

pub(super) type Client = AgentServiceClient<InterceptedService<Channel, Token>>;

/// What people ask, agents ask for code.
pub(super) type Sweeps = SweepServiceClient<InterceptedService<Channel, Token>>;

/// Adds the token to each call.
#[derive(Clone)]
pub(super) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Shared by everything that calls the controller.
pub(super) struct Link {
    client: Client,
    sweeps: Sweeps,
    registration: Mutex<RegisterAgentRequest>,
    /// The attempts that the agent holds: run and attempt.
    held: std::sync::Mutex<BTreeSet<(u64, u32)>>,
    /// Counts registrations, so that of many who find the agent unknown one registers it.
    generation: AtomicU64,
    failures: AtomicU32,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Link {
    /// Does not connect yet.
    ///
    /// # Errors
    /// The token holds what no header can.
    pub(super) fn new(
        controller: Channel,
        token: Option<&str>,
        registration: RegisterAgentRequest,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Arc<Self>, String> {
        let token = token.map(|token| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim())
                .parse()
                .map_err(|_| "the token holds characters that no token has; copy it again".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        let token = Token(token.transpose()?);
        let sweeps = SweepServiceClient::with_interceptor(controller.clone(), token.clone());
        let client = AgentServiceClient::with_interceptor(controller, token);
        Ok(Arc::new(Self {
            client: client.max_decoding_message_size(ANSWER_BYTES_MAX),
            sweeps: sweeps.max_decoding_message_size(ANSWER_BYTES_MAX),
            held: std::sync::Mutex::new(registration.attempts.iter().map(|live| (live.run, live.attempt)).collect()),
            registration: Mutex::new(registration),
            generation: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            notices,
        }))
    }

    /// Calls once.
    ///
    /// # Errors
    /// What the controller, or the way to it, answered.
    pub(super) async fn once<A, F>(&self, call: impl FnOnce(Client) -> F) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let answer = call(self.client.clone()).await;
        match &answer {
            Err(status) if is_outcome_unknown(status.code()) => {
                tracing::debug!(%status, "a call has no known outcome");
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 == FAILURES_TOLD {
                    let _ = self.notices.send(Notice::Disconnected { reason: reason(status) });
                }
            }
            _ => {
                if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_TOLD {
                    let _ = self.notices.send(Notice::Reconnected);
                }
            }
        }
        answer.map(Response::into_inner)
    }

    /// Calls until the outcome is known, with the same request each time. An agent that the controller no longer knows registers again.
    ///
    /// # Errors
    /// The controller refused.
    pub(super) async fn until_answered<A, F>(&self, call: impl Fn(Client) -> F) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut backoff = Backoff::default();
        let mut registered_again = 0;
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            match self.once(&call).await {
                Err(status) if is_outcome_unknown(status.code()) => {}
                Err(status) if is_unknown_agent(&status) && registered_again < 3 => {
                    registered_again += 1;
                    match self.register_again(generation).await {
                        Err(status) if !is_outcome_unknown(status.code()) => return Err(status),
                        _ => {}
                    }
                }
                answer => return answer,
            }
            backoff.wait().await;
        }
    }

    /// Registers the agent.
    ///
    /// # Errors
    /// What the controller, or the way to it, answered.
    pub(super) async fn register(&self) -> Result<RegisterAgentResponse, Status> {
        let request = self.registration.lock().await.clone();
        let answer = self.once(async |mut client| client.register_agent(request).await).await?;
        // From now on the full id, whatever other sweep may later begin like it or take its name.
        self.registration.lock().await.sweep_id.clone_from(&answer.sweep_id);
        Ok(answer)
    }

    /// Registers an agent that the controller has forgotten, unless somebody has since `generation`.
    ///
    /// # Errors
    /// What the controller, or the way to it, answered.
    pub(super) async fn register_again(&self, generation: u64) -> Result<(), Status> {
        let mut registration = self.registration.lock().await;
        if self.generation.load(Ordering::Acquire) != generation {
            return Ok(());
        }
        // With the old request id the answer would be the old one, and nothing would be done.
        registration.request_id = chance::request_id();
        registration.attempts = self.held().iter().map(|(run, attempt)| LiveAttempt { run: *run, attempt: *attempt }).collect();
        let request = registration.clone();
        tracing::info!(agent = %request.agent_id, "the controller does not know this agent any more: registering again");
        self.once(async |mut client| client.register_agent(request).await).await?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// The way to what people ask.
    pub(super) fn sweeps(&self) -> Sweeps {
        self.sweeps.clone()
    }

    /// See [`Link::register_again`].
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The attempts that a registration names.
    pub(super) fn held(&self) -> MutexGuard<'_, BTreeSet<(u64, u32)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a person.
    pub(super) fn notice(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}

/// Grows from wait to wait.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    waits: u32,
}

impl Backoff {
    pub(super) async fn wait(&mut self) {
        let longest = BACKOFF_FIRST.saturating_mul(1 << self.waits.min(10)).min(BACKOFF_MAX);
        self.waits += 1;
        tokio::time::sleep(longest.mul_f64(0.5 + 0.5 * chance::fraction())).await;
    }
}

/// Returns whether a call may have had its effect: it has to be repeated with the same request id. A full disk of the controller counts: there
/// the answer says that nothing was done, and later something can be.
pub(super) fn is_outcome_unknown(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Aborted
    )
}

/// Returns whether the controller has given this agent up, or never knew it.
pub(super) fn is_unknown_agent(status: &Status) -> bool {
    refusal(status) == Some("unknown_agent")
}

/// Returns whether the controller refused since the sweep has ended.
pub(super) fn is_sweep_over(status: &Status) -> bool {
    refusal(status) == Some("sweep_ended")
}

fn refusal(status: &Status) -> Option<&str> {
    status.metadata().get(sweep_proto::REFUSAL_HEADER)?.to_str().ok()
}

/// Says why in a line.
pub(super) fn reason(status: &Status) -> String {
    use std::error::Error;
    let mut text = if status.message().is_empty() { status.code().description().to_owned() } else { status.message().to_owned() };
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
