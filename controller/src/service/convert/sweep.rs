//! Sweeps, their files and what may be done to them.

use sweep_lifecycle::command::SweepAction;
use sweep_lifecycle::spec::{Diagnostic, OnLeaseLost, Severity};
use sweep_proto::v1;
use sweep_proto::v1::set_sweep_state_request::Action;
use tonic::Status;

use super::super::refusal::invalid;
use crate::engine::SweepContext;
use crate::store::{SweepCounts, SweepRow, word};

/// A sweep as the wire has it.
pub(in crate::service) fn sweep(row: SweepRow, counts: &SweepCounts) -> v1::Sweep {
    v1::Sweep {
        id: row.id,
        name: row.name,
        state: word(row.state),
        reason: row.reason,
        method: word(row.method),
        metric: row.metric,
        goal: word(row.goal),
        planned: row.planned,
        queued: counts.queued,
        running: counts.running,
        finished: counts.finished,
        stopped: counts.stopped,
        failed: counts.failed,
        cancelled: counts.cancelled,
        agents: counts.agents,
        best_run: counts.best.map(|(run, _)| run),
        best_value: counts.best.map(|(_, value)| value),
        created_ms: row.created_ms,
        updated_ms: row.updated_ms,
        yaml: row.yaml,
        stalled: row.stalled,
        archived: row.archived,
        unread: String::new(),
        early_stop_note: String::new(),
    }
}

/// The user's request for the state of a sweep.
pub(in crate::service) fn sweep_action(action: i32) -> Result<SweepAction, Status> {
    match Action::try_from(action) {
        Ok(Action::Pause) => Ok(SweepAction::Pause),
        Ok(Action::Resume) => Ok(SweepAction::Resume),
        Ok(Action::Stop) => Ok(SweepAction::Stop),
        Ok(Action::Cancel) => Ok(SweepAction::Cancel),
        Ok(Action::Unspecified) | Err(_) => Err(invalid(format!(
            "action {action} is none of pause, resume, stop, cancel"
        ))),
    }
}

/// A mistake or a warning.
pub(in crate::service) fn diagnostic(diagnostic: Diagnostic) -> v1::Diagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => v1::diagnostic::Severity::Error,
        Severity::Warning => v1::diagnostic::Severity::Warning,
    };
    v1::Diagnostic {
        severity: severity.into(),
        message: diagnostic.message,
        line: diagnostic.span.map_or(0, |span| span.line),
        column: diagnostic.span.map_or(0, |span| span.column),
        help: diagnostic.help.unwrap_or_default(),
    }
}

/// Converts the execution spec of a sweep for agents.
pub(in crate::service) fn program(basis: &SweepContext) -> v1::Program {
    let spec = &basis.spec;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let patterns = spec.metric_patterns.iter();
    v1::Program {
        command: spec.command.clone(),
        program: text(&spec.program),
        metric: spec
            .objective
            .as_ref()
            .map(|objective| objective.metric.clone())
            .unwrap_or_default(),
        metric_patterns: patterns
            .map(|pattern| v1::MetricPattern {
                name: text(&pattern.name),
                regex: pattern.regex.clone(),
            })
            .collect(),
        metric_files: spec.metric_files.clone(),
        sweep_name: text(&spec.name),
        project: text(&spec.project),
        entity: text(&spec.entity),
        max_runtime_ms: spec.max_runtime_ms.unwrap_or(0),
        max_silence_ms: spec.max_silence_ms.unwrap_or(0),
        stop_on_lease_lost: spec.on_lease_lost == OnLeaseLost::Stop,
        preflight: spec.preflight.clone(),
        omit_none: spec.omit_none,
        code_pinned: basis.pinned,
        code_include: spec.code.include.clone(),
        data: spec
            .data
            .iter()
            .map(|set| v1::DataSource {
                name: set.name.clone(),
                location: set.location.clone(),
            })
            .collect(),
    }
}
