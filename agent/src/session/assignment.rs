//! Makes jobs of assignments.

use std::time::Duration;

use sweep_proto::v1;

use super::pinned::Code;
use super::placement::AttemptPlacement;
use super::state::{Session, patterns};
use crate::attempt::Limits;
use crate::job::Job;
use crate::slot::Slot;

/// How long a failure waits for a preemption that explains it.
fn settling_time(session: &Session) -> Duration {
    #[cfg(feature = "simulation")]
    if crate::weakness::has(crate::weakness::Weakness::JudgesAtOnce) {
        return Duration::ZERO;
    }
    session.options.settle
}

/// Makes a job of an assignment.
///
/// # Errors
/// The assignment is invalid: the reason in words.
pub(super) fn job(
    session: &Session,
    slot: &Slot,
    assignment: &v1::Assignment,
    placed: AttemptPlacement,
    code: Code,
) -> Result<Job, String> {
    let sweep = &assignment.sweep_id;
    // The sweep may have been edited since the agent registered.
    let edited = assignment.program.as_ref();
    let patterns = match edited {
        Some(program) => patterns(&program.metric_patterns)?,
        None => session.patterns.clone(),
    };
    let program = edited.unwrap_or(&session.program);
    Ok(Job {
        agent: session.agent.clone(),
        sweep: sweep.clone(),
        run: assignment.run,
        attempt: assignment.attempt,
        incarnation: assignment.incarnation.clone(),
        record_json: assignment.record_json.clone(),
        folders: placed.folders,
        repeat: assignment.repeat,
        seed: assignment.seed,
        params: placed.params,
        command: program.command.clone(),
        program: program.program.clone(),
        objective: program.metric.clone(),
        patterns,
        metric_files: program.metric_files.clone(),
        project: program.project.clone(),
        entity: program.entity.clone(),
        slot: slot.clone(),
        code_version: code.version,
        obstacle: code.obstacle,
        gpu_bytes: slot.bytes_in_use(&*session.options.driver),
        workdir: code.workdir,
        runs_dir: session.options.runs_dir.clone(),
        limits: Limits {
            grace: session.options.grace,
            runtime: limit(program.max_runtime_ms),
            silence: limit(program.max_silence_ms),
            settle: settling_time(session),
        },
        omits_none: program.omit_none,
        preflight: program.preflight.clone(),
        alone: session.alone(),
    })
}

fn limit(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}
