//! The way to the controller: the token, what counts as an answer of it, repeats where the outcome
//! of a call is unknown, and the registration.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{
    FinishAttemptRequest, FinishAttemptResponse, RegisterAgentRequest, RegisterAgentResponse,
};
use tokio::sync::{Mutex, Notify, RwLock, mpsc};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::answer::{CallError, ControllerRefusal, Outage, OutageCause, check, judge};
use super::chance;
use super::holding::Holdings;
use crate::Notice;
use crate::held::HeldAttempt;
use crate::token::TokenSource;

/// Waits between repeats: the first and the longest; each is shortened by chance, so that agents do
/// not all come back at once.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Failed calls in a row that are reported as an outage.
const FAILURES_TOLD: u32 = 2;
/// Reasons for one outage that are told: further ones are mostly the same in other words.
const REASONS_TOLD: usize = 5;
/// Of any answer; a run's parameters are the largest.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How often a call has the agent register again before it is repeated more slowly.
const REGISTRATIONS_MAX: u32 = 3;

pub(super) type Client = AgentServiceClient<InterceptedService<Channel, TokenHeader>>;

/// The service for users, from which agents fetch code.
pub(super) type Sweeps = SweepServiceClient<InterceptedService<Channel, TokenHeader>>;

/// Adds the token to each call.
#[derive(Clone)]
pub(super) struct TokenHeader(Arc<std::sync::Mutex<Option<MetadataValue<Ascii>>>>);

impl Interceptor for TokenHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = lock(&self.0).clone() {
            request.metadata_mut().insert("authorization", token);
        }
        Ok(request)
    }
}

/// Shared by everything that calls the controller.
pub(super) struct Link {
    client: Client,
    sweeps: Sweeps,
    registration: Mutex<RegisterAgentRequest>,
    /// The attempts that the agent holds.
    holdings: std::sync::Mutex<Holdings>,
    /// The id of the controller that the agent has registered with, or that its attempts are from;
    /// empty: any.
    controller: std::sync::Mutex<String>,
    /// Held while a result is on its way: the registration names no such attempt, since the
    /// controller would count it as running.
    turn: RwLock<()>,
    /// Counts registrations, so that one of several tasks that find the agent unknown registers it.
    generation: AtomicU64,
    failures: AtomicU32,
    /// Reasons of the present outage that were told.
    told: std::sync::Mutex<BTreeSet<String>>,
    notices: mpsc::UnboundedSender<Notice>,
    /// A heartbeat has news and does not wait for its interval.
    news: Notify,
    source: TokenSource,
    token: TokenHeader,
}

impl Link {
    /// Does not connect yet. `controller`: the id of the only controller whose answers count;
    /// empty: that of the first answer to a registration.
    ///
    /// # Errors
    /// The token holds what no header can.
    pub(super) fn new(
        channel: Channel,
        source: TokenSource,
        controller: &str,
        registration: RegisterAgentRequest,
        holdings: Holdings,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Arc<Self>, String> {
        let token = TokenHeader(Arc::new(std::sync::Mutex::new(bearer(&source)?)));
        let sweeps = SweepServiceClient::with_interceptor(channel.clone(), token.clone());
        let client = AgentServiceClient::with_interceptor(channel, token.clone());
        Ok(Arc::new(Self {
            client: client.max_decoding_message_size(ANSWER_BYTES_MAX),
            sweeps: sweeps.max_decoding_message_size(ANSWER_BYTES_MAX),
            holdings: std::sync::Mutex::new(holdings),
            controller: std::sync::Mutex::new(controller.to_owned()),
            registration: Mutex::new(registration),
            turn: RwLock::new(()),
            generation: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            told: std::sync::Mutex::default(),
            notices,
            news: Notify::new(),
            source,
            token,
        }))
    }

    /// Calls once.
    ///
    /// # Errors
    /// The controller refused, or there was no answer of it.
    pub(super) async fn once<A, F>(&self, call: impl FnOnce(Client) -> F) -> Result<A, CallError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.judged(call(self.client.clone()).await)
            .map(Response::into_inner)
    }

    /// Judges an answer, and notifies the user of the beginning and the end of an outage.
    ///
    /// # Errors
    /// See [`Link::once`].
    pub(super) fn judged<A>(
        &self,
        answer: Result<Response<A>, Status>,
    ) -> Result<Response<A>, CallError> {
        let own = self.controller();
        let answer = match answer {
            Ok(answer) => check(answer.metadata(), &own).map(|()| answer),
            Err(status) => Err(self.with_another_token(judge(&status, &own))),
        };
        match &answer {
            Err(CallError::Outage(Outage { reason, .. })) => {
                tracing::debug!(reason, "a call has no known outcome");
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_TOLD {
                    let mut told = lock(&self.told);
                    if told.len() < REASONS_TOLD && told.insert(reason.clone()) {
                        let _ = self.notices.send(Notice::Disconnected {
                            reason: reason.clone(),
                        });
                    }
                }
            }
            _ => {
                if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_TOLD {
                    lock(&self.told).clear();
                    let _ = self.notices.send(Notice::Reconnected);
                }
            }
        }
        answer
    }

    /// Looks for another token where the controller has refused the present one. With another one,
    /// a further try may succeed.
    fn with_another_token(&self, error: CallError) -> CallError {
        let is_refused = matches!(
            &error,
            CallError::Outage(Outage {
                cause: OutageCause::Token,
                ..
            })
        );
        let found = if is_refused {
            bearer(&self.source).ok().flatten()
        } else {
            None
        };
        let mut token = lock(&self.token.0);
        if found.is_none() || *token == found {
            return error;
        }
        *token = found;
        CallError::Outage(Outage {
            cause: OutageCause::Away,
            reason: "the controller asks for another token, which was found".to_owned(),
        })
    }

    /// Calls until the outcome is known, with the same request each time. An agent that the
    /// controller does not know, or not with what it holds, registers again. The request is made
    /// for each try: a registration may give an attempt other numbers.
    ///
    /// # Errors
    /// The controller refused.
    pub(super) async fn until_answered<A, F>(
        &self,
        call: impl Fn(Client) -> F,
    ) -> Result<A, ControllerRefusal>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.repeat(call, false).await
    }

    /// As [`Link::until_answered`], for what no run depends on: an answer of the controller that
    /// says neither yes nor no is not repeated for ever.
    ///
    /// # Errors
    /// The controller refused, or cannot do this.
    pub(super) async fn until_answered_somehow<A, F>(
        &self,
        call: impl Fn(Client) -> F,
    ) -> Result<A, ControllerRefusal>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.repeat(call, true).await
    }

    async fn repeat<A, F>(
        &self,
        call: impl Fn(Client) -> F,
        is_minor: bool,
    ) -> Result<A, ControllerRefusal>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut backoff = Backoff::default();
        let mut registered_again = 0;
        loop {
            let generation = self.generation();
            match self.once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Outage(_)) => {}
                Err(CallError::Unexplained(refused)) => {
                    if is_minor {
                        return Err(refused);
                    }
                }
                Err(CallError::Refused(refused)) if refused.asks_to_register() => {
                    registered_again += 1;
                    if let Err(CallError::Refused(refused)) = self.register_again(generation).await
                    {
                        return Err(refused);
                    }
                    if registered_again <= REGISTRATIONS_MAX {
                        continue;
                    }
                }
                Err(CallError::Refused(refused)) => return Err(refused),
            }
            backoff.wait().await;
        }
    }

    /// Registers the agent.
    ///
    /// # Errors
    /// The controller refused, or there was no answer of it.
    pub(super) async fn register(&self) -> Result<RegisterAgentResponse, CallError> {
        let mut registration = self.registration.lock().await;
        self.send_registration(&mut registration).await
    }

    /// Registers an agent that the controller does not know, or not with its attempts, unless
    /// another task has since `generation`.
    ///
    /// # Errors
    /// The controller refused, or there was no answer of it.
    pub(super) async fn register_again(&self, generation: u64) -> Result<(), CallError> {
        let mut registration = self.registration.lock().await;
        if self.generation() != generation {
            return Ok(());
        }
        // With the old request id the answer would be the old one, and nothing would be done.
        registration.request_id = chance::request_id();
        tracing::info!(agent = %registration.agent_id, "the controller does not know this agent or what it holds: registering again");
        self.send_registration(&mut registration).await.map(|_| ())
    }

    async fn send_registration(
        &self,
        registration: &mut RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, CallError> {
        let _turn = self.turn.write().await;
        let held = self.holdings().listed();
        registration.attempts = held
            .iter()
            .map(|attempt| self.holdings().live(attempt))
            .collect();
        let request = registration.clone();
        let answer = self
            .once(async |mut client| client.register_agent(request).await)
            .await?;
        // From now on the full id: other sweeps may later get an id that begins with it, or its
        // name.
        registration.sweep_id.clone_from(&answer.sweep_id);
        lock(&self.controller).clone_from(&answer.controller_id);
        for (attempt, known) in held.iter().zip(&answer.attempts) {
            let notes = self.holdings().apply(attempt, known);
            for note in notes {
                self.notice(Notice::Note(format!(
                    "run {} attempt {}: {note}",
                    attempt.run, attempt.attempt
                )));
            }
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(answer)
    }

    /// Reports the result of an attempt, once, while there is no registration.
    ///
    /// # Errors
    /// See [`Link::once`].
    pub(super) async fn finish(
        &self,
        held: &HeldAttempt,
        request: FinishAttemptRequest,
    ) -> Result<FinishAttemptResponse, CallError> {
        let _turn = self.turn.read().await;
        let answer = self
            .once(async |mut client| client.finish_attempt(request).await)
            .await?;
        self.holdings().close(held);
        Ok(answer)
    }

    /// The way to what people ask.
    pub(super) fn sweeps(&self) -> Sweeps {
        self.sweeps.clone()
    }

    /// Changes with each registration.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The attempts that the agent holds.
    pub(super) fn holdings(&self) -> MutexGuard<'_, Holdings> {
        lock(&self.holdings)
    }

    /// Has the controller hear soon of what the next heartbeat says.
    pub(super) fn hasten(&self) {
        self.news.notify_one();
    }

    /// Waits for that.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// The id of the controller whose answers count; empty: any.
    pub(super) fn controller(&self) -> String {
        lock(&self.controller).clone()
    }

    /// Notifies the user.
    pub(super) fn notice(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}

/// Returns what is shown to the controller.
///
/// # Errors
/// The token holds what no header can.
fn bearer(source: &TokenSource) -> Result<Option<MetadataValue<Ascii>>, String> {
    let Some(token) = source.find() else {
        return Ok(None);
    };
    let value = format!("Bearer {}", token.trim()).parse();
    let mut value: MetadataValue<Ascii> = value
        .map_err(|_| "the token holds characters that no token has; copy it again".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Grows from wait to wait.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    waits: u32,
}

impl Backoff {
    pub(super) async fn wait(&mut self) {
        let longest = BACKOFF_FIRST
            .saturating_mul(1 << self.waits.min(10))
            .min(BACKOFF_MAX);
        self.waits += 1;
        tokio::time::sleep(longest.mul_f64(0.5 + 0.5 * chance::fraction())).await;
    }
}
