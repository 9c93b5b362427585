//! Tells the controller of one attempt: that it started, its metrics, its output, its end. The controller may be away at any time; the program
//! goes on meanwhile, and what it says waits.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1;
use sweep_proto::v1::directive::Kind;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::environment::Observer;
use super::link::Link;
use super::{Session, chance};
use crate::Notice;
use crate::attempt::{Failure, Outcome, Want};
use crate::job::Job;
use crate::runner::{Point, Seen};
use crate::spool::{Counts, Spool};

/// Longest time from a metric to its report, and between two pieces of output.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How much output goes into one call, and how much of an attempt's output is sent at all.
const LOG_PIECE_BYTES: u64 = 256 << 10;
const LOG_BYTES_MAX: u64 = 10 << 20;

/// The argv of a program that was started, and when.
type Begun = (Vec<String>, Option<Duration>);

/// Reports of one attempt.
pub(super) struct Report {
    pub(super) session: Arc<Session>,
    pub(super) link: Arc<Link>,
    pub(super) job: Arc<Job>,
    pub(super) wants: mpsc::UnboundedSender<Want>,
    pub(super) spool: Spool,
    pub(super) observer: Option<Arc<Observer>>,
}

impl Report {
    /// Reports what is seen until nothing more will be, and all of it is acknowledged or the attempt has lost its run.
    pub(super) async fn follow(&self, mut seen: mpsc::Receiver<Seen>) {
        let spool = &self.spool;
        let (started, is_started) = watch::channel(None);
        let collect = async {
            while let Some(seen) = seen.recv().await {
                match seen {
                    Seen::Started { command, moment } => drop(started.send(Some((command, moment)))),
                    Seen::Points(points) => {
                        if let Some(complaint) = spool.push(points.into_iter().map(wire_point).collect()).await {
                            self.note(&complaint);
                        }
                    }
                    Seen::Note(text) => self.note(&text),
                }
            }
            spool.close();
            drop(started);
        };
        let mut to_start = is_started.clone();
        let send = async {
            let Ok(Some((command, moment))) = to_start.wait_for(Option::is_some).await.map(|begun| begun.clone()) else { return };
            if self.start(command, moment).await && self.send_metrics(spool).await {
                return;
            }
            // Nobody wants the rest, but whoever fills the spool must not be held up.
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

    /// Tells a person.
    pub(super) fn note(&self, text: &str) {
        self.link.notice(Notice::Note(format!("run {} attempt {}: {text}", self.job.run, self.job.attempt)));
    }

    /// Returns what the controller is to be told of the end.
    pub(super) fn result(&self, outcome: &Outcome) -> v1::FinishAttemptRequest {
        let (result, failure) = verdict(outcome);
        v1::FinishAttemptRequest {
            agent_id: self.job.agent.clone(),
            sweep_id: self.job.sweep.clone(),
            run: self.job.run,
            attempt: self.job.attempt,
            result: result.into(),
            failure,
            request_id: chance::request_id(),
        }
    }

    /// Returns the run's state as the controller says it after the end of the attempt, or why it does not take the result.
    pub(super) async fn finish(&self, result: v1::FinishAttemptRequest) -> Result<String, String> {
        self.spool.keep_result(&result);
        let answer = self.link.until_answered(async |mut client| client.finish_attempt(result.clone()).await).await;
        answer.map(|answer| answer.run_state).map_err(|status| status.message().to_owned())
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
            run: self.job.run,
            attempt: self.job.attempt,
            command,
            request_id: chance::request_id(),
            code_version,
        };
        let answer = self.link.until_answered(async |mut client| client.start_attempt(request.clone()).await).await;
        self.obey(answer.map(|answer| answer.directive))
    }

    /// Returns whether the attempt still owned its run in the end.
    async fn send_metrics(&self, spool: &Spool) -> bool {
        let mut sent = Instant::now().checked_sub(REPORT_EVERY).unwrap_or_else(Instant::now);
        while let Some(batch) = spool.next(REPORT_EVERY.saturating_sub(sent.elapsed())).await {
            sent = Instant::now();
            let count = batch.points.len();
            let request = v1::ReportMetricsRequest {
                agent_id: self.job.agent.clone(),
                sweep_id: self.job.sweep.clone(),
                run: self.job.run,
                attempt: self.job.attempt,
                first_seq: batch.first_seq,
                points: batch.points,
            };
            let answer = self.link.until_answered(async |mut client| client.report_metrics(request.clone()).await).await;
            spool.acknowledge(count);
            if let Err(status) = &answer
                && status.code() == tonic::Code::InvalidArgument
            {
                self.note(&format!("the controller does not take {count} points: {}", status.message()));
                continue;
            }
            if !self.obey(answer.map(|answer| answer.directive)) {
                return false;
            }
        }
        true
    }

    /// Sends output as it grows, until `running` ends and all of it is sent. Lost output does no harm: the whole of it lies in the folder.
    async fn ship_output(&self, mut running: watch::Receiver<Option<Begun>>) {
        let mut offset = 0;
        let mut ended = false;
        loop {
            let data = match read_piece(&self.job, offset) {
                Ok(data) => data,
                Err(error) => {
                    tracing::warn!(%error, output = %self.job.output().display(), "output cannot be read back for the controller");
                    return;
                }
            };
            let length = data.len() as u64;
            if length > 0 {
                let request = v1::AppendLogRequest {
                    agent_id: self.job.agent.clone(),
                    sweep_id: self.job.sweep.clone(),
                    run: self.job.run,
                    attempt: self.job.attempt,
                    offset,
                    data,
                };
                let answer = self.link.until_answered(async |mut client| client.append_log(request.clone()).await).await;
                if let Err(status) = answer {
                    tracing::warn!(%status, "the controller does not take the output");
                    return;
                }
                offset += length;
            }
            if offset >= LOG_BYTES_MAX {
                let (limit, path) = (LOG_BYTES_MAX >> 20, self.job.output());
                return self.note(&format!("its output is longer than {limit} MiB; the rest is only in {}", path.display()));
            }
            if length == LOG_PIECE_BYTES {
                continue;
            }
            if ended {
                return;
            }
            // A sender that is gone ends the wait at once: the attempt has ended, and one more look finds its last words.
            ended = tokio::time::timeout(REPORT_EVERY, closed(&mut running)).await.is_ok();
        }
    }

    /// Passes on what the controller wants; returns whether the attempt still owns its run.
    fn obey(&self, answer: Result<Option<v1::Directive>, tonic::Status>) -> bool {
        let want = match answer {
            Ok(directive) => want(directive.unwrap_or_default()),
            Err(status) => Some(Want::Abandon { reason: status.message().to_owned() }),
        };
        let owns = !matches!(want, Some(Want::Abandon { .. }));
        if let Some(want) = want {
            // Whoever would obey has ended: there is nothing left to obey.
            let _ = self.wants.send(want);
        }
        owns
    }
}

/// Returns what a directive asks for, `None` to go on.
pub(super) fn want(directive: v1::Directive) -> Option<Want> {
    let kind = directive.kind();
    let reason = directive.reason;
    match kind {
        Kind::Unspecified | Kind::Continue => None,
        Kind::Stop => Some(Want::Stop { reason }),
        Kind::Cancel => Some(Want::Cancel { reason }),
        Kind::Abandon => Some(Want::Abandon { reason }),
    }
}

async fn closed(running: &mut watch::Receiver<Option<Begun>>) {
    while running.changed().await.is_ok() {}
}

/// A small piece of a file that was written a moment ago: no disk is waited for.
fn read_piece(job: &Job, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(job.output())?;
    file.seek(SeekFrom::Start(offset))?;
    let mut data = Vec::new();
    file.take(LOG_PIECE_BYTES.min(LOG_BYTES_MAX - offset)).read_to_end(&mut data)?;
    Ok(data)
}

fn wire_point(point: Point) -> (v1::MetricPoint, Counts) {
    let Point { reading, wall_ms, counts } = point;
    (v1::MetricPoint { name: reading.name, step: reading.step, wall_ms, value: reading.value }, counts)
}

fn verdict(outcome: &Outcome) -> (Verdict, Option<v1::Failure>) {
    match outcome {
        Outcome::Succeeded => (Verdict::Succeeded, None),
        Outcome::Failed(failure) => (Verdict::Failed, Some(wire_failure(failure))),
        Outcome::Stopped(_) => (Verdict::Stopped, None),
        Outcome::Cancelled(_) => (Verdict::Cancelled, None),
        Outcome::Preempted | Outcome::Abandoned(_) => (Verdict::Preempted, None),
    }
}

fn wire_failure(failure: &Failure) -> v1::Failure {
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
