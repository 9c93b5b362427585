//! Runs with their attempts.

use sweep_lifecycle::state::{Failure, RunState};
use sweep_proto::v1;
use sweep_search::why::Why;
use tonic::Status;

use super::from_word;
use crate::store::{AttemptRow, RepeatsRow, RunRow, word};

/// A run as the wire has it.
pub(in crate::service) fn run(row: RunRow) -> v1::Run {
    v1::Run {
        sweep_id: row.sweep,
        run: row.run,
        state: word(row.state),
        reason: row.reason,
        params_json: row.params_json,
        value: row.value,
        attempts: row.attempts.into_iter().map(attempt).collect(),
        why: row.why,
        created_ms: row.created_ms,
        ended_ms: row.ended_ms,
        best: row.best,
        last: row.last,
        violates: row.violates,
        repeats: row.repeats.map(repeats),
        code_version: row.code,
        revision: row.revision,
        aside: row.aside,
        note: row.annotation.note,
        tags: row.annotation.tags.into_iter().collect(),
        pinned: row.annotation.pinned,
        suggestion: Some(suggestion(&row.suggestion, row.history)),
    }
}

fn repeats(row: RepeatsRow) -> v1::Repeats {
    v1::Repeats {
        first: row.first,
        number: row.number,
        of: row.of,
        values: row.values,
        mean: row.mean,
        deviation: row.deviation,
    }
}

/// Why a run was suggested, as the wire has it.
pub(in crate::service) fn suggestion(why: &Why, history: u64) -> v1::Suggestion {
    v1::Suggestion {
        kind: word(why.kind),
        reason: why.reason.clone(),
        mean: why.predicted.map(|predicted| predicted.mean),
        deviation: why.predicted.map(|predicted| predicted.deviation),
        improvement: why.improvement,
        success: why.success,
        observations: why.observations,
        pending: why.pending,
        history,
    }
}

fn attempt(row: AttemptRow) -> v1::Attempt {
    v1::Attempt {
        attempt: row.attempt,
        agent_id: row.agent,
        host: row.host,
        state: word(row.state),
        failure: row.failure.map(failure),
        assigned_ms: row.assigned_ms,
        started_ms: row.started_ms,
        ended_ms: row.ended_ms,
        metrics: row.metrics.into_iter().collect(),
        command: row.command,
        orphan: row.orphan,
        code_version: row.code,
        environment: row.environment,
    }
}

fn failure(failure: Failure) -> v1::Failure {
    v1::Failure {
        kind: word(failure.kind),
        blame: word(failure.blame),
        message: failure.message,
        exit_code: failure.exit_code,
        signal: failure.signal,
        output_tail: failure.output_tail,
        evidence: failure.evidence,
    }
}

/// Reads the states of runs that are asked for.
pub(in crate::service) fn run_states(words: &[String]) -> Result<Vec<RunState>, Status> {
    words.iter().map(|word| from_word("states", word)).collect()
}
