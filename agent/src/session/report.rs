//! Reports one attempt to the controller: its start, metrics, output and end. The controller may be
//! away at any time; the program continues meanwhile, and its output waits.

mod output;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sweep_proto::v1;
use sweep_proto::v1::directive::Kind;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::answer::{CallError, ControllerRefusal};
use super::chance;
use super::environment::Observer;
use super::link::{Backoff, Client, Link};
use super::state::Session;
use crate::Notice;
use crate::attempt::{AttemptFailure, AttemptOutcome, Want};
use crate::held::AttemptNumbers;
use crate::job::Job;
use crate::runner::{AttemptEvent, Point};
use crate::spool::{Counts, Spool};
#[cfg(feature = "simulation")]
use crate::weakness::{self, Weakness};

/// Longest time from a metric to its report, and between two pieces of output.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Of a metric.
const NAME_BYTES_MAX: usize = 1024;

/// The argv of a program that was started, and when.
type Begun = (Vec<String>, Option<Duration>);

/// Reports of one attempt.
pub(super) struct Report {
    pub(super) session: Arc<Session>,
    pub(super) link: Arc<Link>,
    pub(super) job: Arc<Job>,
    pub(super) wants: mpsc::UnboundedSender<Want>,
    pub(super) spool: Arc<Spool>,
    /// The start, as it was reported to the controller.
    pub(super) begun: OnceLock<v1::StartAttemptRequest>,
    pub(super) observer: Option<Arc<Observer>>,
}

impl Report {
    /// Reports what is seen until nothing more will be, and all of it is acknowledged or the
    /// attempt has lost its run.
    pub(super) async fn follow(&self, mut seen: mpsc::Receiver<AttemptEvent>) {
        let spool = &*self.spool;
        let (started, is_started) = watch::channel(None);
        let collect = async {
            while let Some(seen) = seen.recv().await {
                match seen {
                    AttemptEvent::Started { command, moment } => {
                        drop(started.send(Some((command, moment))));
                    }
                    AttemptEvent::Points(points) => {
                        if let Some(complaint) = spool
                            .push(points.into_iter().map(wire_point).collect())
                            .await
                        {
                            self.note(&complaint);
                        }
                    }
                    AttemptEvent::Note(text) => self.note(&text),
                    AttemptEvent::Remark(text) => self.remark(text),
                    AttemptEvent::Unread(text) => {
                        self.note(&text);
                        self.link.holdings().set_unread(&self.job.held(), text);
                        self.link.hasten();
                    }
                }
            }
            spool.close();
            drop(started);
        };
        let mut to_start = is_started.clone();
        let send = async {
            let Ok(Some((command, moment))) = to_start
                .wait_for(Option::is_some)
                .await
                .map(|begun| begun.clone())
            else {
                return;
            };
            if self.start(command, moment).await && self.send_metrics(spool).await.is_ok() {
                return;
            }
            // The rest is discarded, but writers to the spool must not be blocked.
            while let Some(batch) = spool.next(Duration::ZERO).await {
                spool.acknowledge(batch.points.len());
            }
        };
        let ship = async {
            let mut started = is_started.clone();
            if started.wait_for(Option::is_some).await.is_ok() {
                drop(started);
                self.ship_output(is_started).await;
            }
        };
        tokio::join!(collect, send, ship);
    }

    /// Notifies the user.
    pub(super) fn note(&self, text: &str) {
        self.link.notice(Notice::Note(format!(
            "run {} attempt {}: {text}",
            self.job.run, self.job.attempt
        )));
    }

    /// Notifies the user, unless another attempt has.
    fn remark(&self, text: String) {
        let is_new = self.session.book().remarks.insert(text.clone());
        if is_new {
            self.note(&text);
        }
    }

    /// Returns the report of the end.
    pub(super) fn result(&self, outcome: &AttemptOutcome) -> v1::FinishAttemptRequest {
        let (result, failure) = verdict(outcome);
        v1::FinishAttemptRequest {
            agent_id: self.job.agent.clone(),
            sweep_id: self.job.sweep.clone(),
            run: self.job.run,
            attempt: self.job.attempt,
            result: result.into(),
            failure,
            request_id: chance::request_id(),
            incarnation: self.job.incarnation.clone(),
            points: 0,
        }
    }

    /// How many points the controller has to have before it takes the result.
    fn reported(&self) -> u64 {
        #[cfg(feature = "simulation")]
        if weakness::has(Weakness::PointsPassedOver) {
            return 0;
        }
        self.spool.count()
    }

    /// The numbers by which the controller knows the attempt: a registration may change them.
    fn numbers(&self) -> AttemptNumbers {
        self.link.holdings().numbers(&self.job.held())
    }

    /// Reports the result, once the controller has all points before it. Returns the run's state as
    /// the controller says it after the end of the attempt, or why it does not take the result.
    pub(super) async fn finish(
        &self,
        result: v1::FinishAttemptRequest,
    ) -> Result<v1::FinishAttemptResponse, String> {
        self.spool.keep_result(&result);
        self.spool.close();
        let mut backoff = Backoff::default();
        loop {
            self.start_again().await?;
            // A controller that was restored meanwhile asks for points once more.
            if !self.spool.is_delivered()
                && let Err(reason) = self.send_metrics(&self.spool).await
            {
                return Err(reason);
            }
            let AttemptNumbers { run, attempt } = self.numbers();
            let request = v1::FinishAttemptRequest {
                run,
                attempt,
                points: self.reported(),
                ..result.clone()
            };
            let generation = self.link.generation();
            match self.link.finish(&self.job.held(), request).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Refused(refused))
                    if refused.asks_to_register() || refused.is_missing_points() =>
                {
                    if let Err(CallError::Refused(refused)) =
                        self.link.register_again(generation).await
                    {
                        return Err(self.session.give_up(&refused));
                    }
                }
                Err(CallError::Refused(refused)) => return Err(self.session.give_up(&refused)),
                Err(CallError::Unexplained(_) | CallError::Outage(_)) => {}
            }
            backoff.wait().await;
        }
    }

    /// Returns whether the attempt still owns its run.
    async fn start(&self, command: Vec<String>, moment: Option<Duration>) -> bool {
        let code_version = self.session.code_executed(&self.job, moment).await;
        if let Some(observer) = &self.observer {
            observer.describe(&self.link, &self.job, &command).await;
        }
        let request = v1::StartAttemptRequest {
            agent_id: self.job.agent.clone(),
            sweep_id: self.job.sweep.clone(),
            command,
            request_id: chance::request_id(),
            code_version,
            incarnation: self.job.incarnation.clone(),
            ..v1::StartAttemptRequest::default()
        };
        // It is set once: an attempt starts once.
        let _ = self.begun.set(request.clone());
        self.send_start(request).await.is_ok()
    }

    async fn send_start(&self, request: v1::StartAttemptRequest) -> Result<(), String> {
        let call = async |mut client: Client| {
            let AttemptNumbers { run, attempt } = self.numbers();
            client
                .start_attempt(v1::StartAttemptRequest {
                    run,
                    attempt,
                    ..request.clone()
                })
                .await
        };
        let answer = self.link.until_answered(call).await;
        self.obey(answer.map(|answer| answer.directive))
    }

    /// Tells a restored controller again that the program has started, if it does not know.
    ///
    /// # Errors
    /// The attempt does not own its run any more: why.
    async fn start_again(&self) -> Result<(), String> {
        let is_asked = self.link.holdings().take_needs_start(&self.job.held());
        match self.begun.get().filter(|_| is_asked) {
            Some(begun) => {
                self.send_start(v1::StartAttemptRequest {
                    request_id: chance::request_id(),
                    ..begun.clone()
                })
                .await
            }
            None => Ok(()),
        }
    }

    /// Sends points until all are acknowledged and no more will come.
    ///
    /// # Errors
    /// The attempt does not own its run any more: why.
    async fn send_metrics(&self, spool: &Spool) -> Result<(), String> {
        let mut sent = Instant::now()
            .checked_sub(REPORT_EVERY)
            .unwrap_or_else(Instant::now);
        let mut backoff = Backoff::default();
        while let Some(batch) = spool
            .next(REPORT_EVERY.saturating_sub(sent.elapsed()))
            .await
        {
            sent = Instant::now();
            self.start_again().await?;
            let (count, end) = (
                batch.points.len(),
                batch.first_seq + batch.points.len() as u64,
            );
            let request = v1::ReportMetricsRequest {
                agent_id: self.job.agent.clone(),
                sweep_id: self.job.sweep.clone(),
                first_seq: batch.first_seq,
                points: batch.points,
                incarnation: self.job.incarnation.clone(),
                ..v1::ReportMetricsRequest::default()
            };
            let generation = self.link.generation();
            let call = async |mut client: Client| {
                let AttemptNumbers { run, attempt } = self.numbers();
                client
                    .report_metrics(v1::ReportMetricsRequest {
                        run,
                        attempt,
                        ..request.clone()
                    })
                    .await
            };
            let answer = self.link.until_answered(call).await;
            #[cfg(feature = "simulation")]
            if weakness::has(Weakness::PointsPassedOver)
                && answer
                    .as_ref()
                    .is_err_and(ControllerRefusal::is_missing_points)
            {
                spool.acknowledge_until(end);
                continue;
            }
            match &answer {
                // A controller that was restored has fewer points than it had: a registration says
                // how many, and they are sent again from there.
                Err(refused) if refused.is_missing_points() => {
                    if let Err(CallError::Refused(refused)) =
                        self.link.register_again(generation).await
                    {
                        return Err(self.session.give_up(&refused));
                    }
                    backoff.wait().await;
                    continue;
                }
                Err(refused) if !refused.is_stale() && !refused.is_sweep_gone() => {
                    self.note(&format!(
                        "the controller does not take {count} points: {}",
                        refused.message
                    ));
                    spool.acknowledge_until(end);
                    continue;
                }
                Ok(_) | Err(_) => spool.acknowledge_until(end),
            }
            backoff = Backoff::default();
            self.obey(answer.map(|answer| answer.directive))?;
        }
        Ok(())
    }

    /// Passes the controller's directive on to the attempt.
    ///
    /// # Errors
    /// The attempt does not own its run any more: why.
    fn obey(&self, answer: Result<Option<v1::Directive>, ControllerRefusal>) -> Result<(), String> {
        match answer {
            Ok(directive) => {
                let directive = directive.unwrap_or_default();
                let abandoned =
                    (directive.kind() == Kind::Abandon).then(|| directive.reason.clone());
                self.link.holdings().direct(&self.job.held(), directive);
                abandoned.map_or(Ok(()), Err)
            }
            Err(refused) if refused.is_stale() || refused.is_sweep_gone() => {
                let reason = self.session.give_up(&refused);
                // The attempt has ended: there is nothing left to do.
                let _ = self.wants.send(Want::Abandon {
                    reason: reason.clone(),
                });
                Err(reason)
            }
            // The refusal does not concern the ownership of the run, so the program continues.
            Err(refused) => {
                self.note(&format!(
                    "the controller rejects its report: {}",
                    refused.message
                ));
                Ok(())
            }
        }
    }
}

async fn closed(running: &mut watch::Receiver<Option<Begun>>) {
    while running.changed().await.is_ok() {}
}

fn wire_point(point: Point) -> (v1::MetricPoint, Counts) {
    let Point {
        reading,
        wall_ms,
        counts,
    } = point;
    (
        v1::MetricPoint {
            name: shortened(reading.name),
            step: reading.step,
            wall_ms,
            value: reading.value,
        },
        counts,
    )
}

/// Shortens a name that the controller would not take: a report that is refused would hold up all
/// that come after it.
fn shortened(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

fn verdict(outcome: &AttemptOutcome) -> (Verdict, Option<v1::Failure>) {
    match outcome {
        AttemptOutcome::Succeeded => (Verdict::Succeeded, None),
        AttemptOutcome::Failed(failure) => (Verdict::Failed, Some(wire_failure(failure))),
        AttemptOutcome::Stopped(_) => (Verdict::Stopped, None),
        AttemptOutcome::Cancelled(_) => (Verdict::Cancelled, None),
        AttemptOutcome::Preempted | AttemptOutcome::Abandoned(_) => (Verdict::Preempted, None),
    }
}

fn wire_failure(failure: &AttemptFailure) -> v1::Failure {
    v1::Failure {
        kind: failure.kind.to_owned(),
        blame: failure.blame.to_owned(),
        message: failure.message.clone(),
        exit_code: failure.exit_code,
        signal: failure.signal,
        output_tail: failure.output_tail.clone(),
        evidence: failure.evidence.clone(),
    }
}
