//! Executes a run once more, to check that it gives the same result: as an agent does, but nothing
//! is reported.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use sweep_proto::v1;
use tokio::sync::mpsc;

use crate::attempt::{AttemptOutcome, Limits, Want};
use crate::job::Job;
use crate::process::launch::Alone;
use crate::process::shims::Shims;
use crate::runner::{self, AttemptChannels, AttemptEvent, Begin};
use crate::slot::Slot;
use crate::{AgentError, Interrupt, Notice};

/// The attempt to reproduce, and the folders for it.
#[derive(Clone, Debug)]
pub struct Reproduction {
    /// How the sweep's runs are executed.
    pub program: v1::Program,
    /// The assignment of the attempt.
    pub assignment: v1::Assignment,
    /// Where the program runs; absolute.
    pub workdir: PathBuf,
    /// Where its output and parameters are kept; absolute.
    pub runs_dir: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// A program that calls [`shim`](crate::shim) first of all.
    pub shim: PathBuf,
}

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reproduced {
    /// The last value of each metric.
    pub metrics: BTreeMap<String, f64>,
    /// Why it ended badly, in words; `None`: it ended well.
    pub trouble: Option<String>,
    /// Its output.
    pub output: PathBuf,
}

/// Executes it to its end.
///
/// # Errors
/// The assignment is invalid, or a file cannot be written.
pub async fn reproduce(
    what: Reproduction,
    mut interrupts: mpsc::Receiver<Interrupt>,
    notices: mpsc::UnboundedSender<Notice>,
) -> Result<Reproduced, AgentError> {
    let shims = Shims::new(what.shim.clone());
    let job = job(what).map_err(AgentError::Refused)?;
    let (want, mut wants) = mpsc::unbounded_channel();
    let (sender, mut seen) = mpsc::channel(16);
    let output = job.output();
    let mut metrics = BTreeMap::new();
    let channels = AttemptChannels {
        wants: &mut wants,
        seen: sender,
    };
    let executing = runner::execute(&job, Begin::Anew, &shims, channels, None);
    tokio::pin!(executing);
    let ended = loop {
        tokio::select! {
            ended = &mut executing => break ended,
            Some(what) = seen.recv() => note(what, &job, &mut metrics, &notices),
            Some(level) = interrupts.recv() => {
                let reason = "it was interrupted".to_owned();
                let _ = want.send(match level {
                    Interrupt::PassOn(signal) => Want::PassOn(signal),
                    Interrupt::Drain | Interrupt::Preempt | Interrupt::Stop => Want::Cancel { reason },
                    Interrupt::Kill => Want::Kill,
                });
            }
        }
    };
    while let Ok(what) = seen.try_recv() {
        note(what, &job, &mut metrics, &notices);
    }
    let ended = ended.map_err(|(path, source)| AgentError::File { path, source })?;
    let trouble = match ended.outcome {
        AttemptOutcome::Succeeded => None,
        AttemptOutcome::Failed(failure) => Some(failure.message),
        AttemptOutcome::Stopped(reason)
        | AttemptOutcome::Cancelled(reason)
        | AttemptOutcome::Abandoned(reason) => Some(reason),
        AttemptOutcome::Preempted => Some("the machine was taken away".to_owned()),
    };
    Ok(Reproduced {
        metrics,
        trouble,
        output,
    })
}

fn note(
    seen: AttemptEvent,
    job: &Job,
    metrics: &mut BTreeMap<String, f64>,
    notices: &mpsc::UnboundedSender<Notice>,
) {
    match seen {
        AttemptEvent::Started { command, .. } => {
            let _ = notices.send(Notice::Started {
                run: job.run,
                attempt: job.attempt,
                command,
            });
        }
        AttemptEvent::Points(points) => metrics.extend(
            points
                .into_iter()
                .map(|point| (point.reading.name, point.reading.value)),
        ),
        AttemptEvent::Note(text) | AttemptEvent::Remark(text) | AttemptEvent::Unread(text) => {
            let _ = notices.send(Notice::Note(text));
        }
    }
}

fn job(what: Reproduction) -> Result<Job, String> {
    let Reproduction {
        program,
        assignment,
        workdir,
        runs_dir,
        grace,
        ..
    } = what;
    let Ok(Value::Object(params)) = serde_json::from_str(&assignment.params_json) else {
        return Err(format!(
            "the parameters of run {} are no JSON object",
            assignment.run
        ));
    };
    let limit = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
    Ok(Job {
        agent: "reproduce".to_owned(),
        sweep: assignment.sweep_id,
        run: assignment.run,
        attempt: assignment.attempt,
        incarnation: String::new(),
        record_json: String::new(),
        folders: (String::new(), String::new()),
        repeat: assignment.repeat,
        seed: assignment.seed,
        params,
        patterns: crate::session::patterns(&program.metric_patterns)?,
        command: program.command,
        program: program.program,
        objective: program.metric,
        metric_files: program.metric_files,
        project: program.project,
        entity: program.entity,
        code_version: String::new(),
        obstacle: None,
        slot: Slot {
            devices: None,
            driver_order: false,
            exclusive: false,
        },
        gpu_bytes: BTreeMap::new(),
        workdir,
        runs_dir,
        limits: Limits {
            grace,
            runtime: limit(program.max_runtime_ms),
            silence: limit(program.max_silence_ms),
            settle: Duration::ZERO,
        },
        omits_none: program.omit_none,
        preflight: Vec::new(),
        // No later agent adopts it.
        alone: Alone::Continue,
    })
}
