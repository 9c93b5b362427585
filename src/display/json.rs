//! JSON output: one object for each sweep, run or agent.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sweep_proto::v1::{
    Agent, Agreement, AnalyzeSweepResponse, Attempt, CodeVersion, Effect, EffectPoint,
    Recommendation, Repeats, Run, Suggestion, Sweep,
};

use super::run_facts::{self, configuration};

/// A sweep.
pub(crate) fn sweep(sweep: &Sweep) -> Value {
    json!({
        "sweep": sweep.id,
        "name": sweep.name,
        "state": sweep.state,
        "reason": sweep.reason,
        "stalled": sweep.stalled,
        "unread": (!sweep.unread.is_empty()).then_some(&sweep.unread),
        "early_stop_note": (!sweep.early_stop_note.is_empty()).then_some(&sweep.early_stop_note),
        "archived": sweep.archived,
        "method": sweep.method,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "planned": if sweep.planned == 0 { None } else { Some(sweep.planned) },
        "queued": sweep.queued,
        "running": sweep.running,
        "finished": sweep.finished,
        "stopped": sweep.stopped,
        "failed": sweep.failed,
        "cancelled": sweep.cancelled,
        "agents_alive": sweep.agents,
        "best_run": sweep.best_run,
        "best_value": sweep.best_value,
        "created_ms": sweep.created_ms,
        "updated_ms": sweep.updated_ms,
    })
}

/// Reads what [`sweep`] has written, as far as a table of sweeps shows it.
pub(crate) fn read_sweep(object: &Value) -> Option<Sweep> {
    let text = |key: &str| object[key].as_str().map(str::to_owned);
    let count = |key: &str| object[key].as_u64().unwrap_or_default();
    Some(Sweep {
        id: text("sweep")?,
        name: text("name").unwrap_or_default(),
        state: text("state")?,
        method: text("method").unwrap_or_default(),
        metric: text("metric").unwrap_or_default(),
        planned: count("planned"),
        finished: count("finished"),
        stopped: count("stopped"),
        failed: count("failed"),
        cancelled: count("cancelled"),
        best_value: object["best_value"].as_f64(),
        created_ms: object["created_ms"].as_i64().unwrap_or_default(),
        ..Sweep::default()
    })
}

/// A version of the code.
pub(crate) fn code(version: &CodeVersion) -> Value {
    let code = version.code.clone().unwrap_or_default();
    json!({
        "number": version.number,
        "version": code.version,
        "since_ms": version.since_ms,
        "first_agent": version.agent_id,
        "first_host": version.host,
        "agents": version.agents,
        "runs": version.runs,
        "running": version.running,
        "finished": version.finished,
        "failed": version.failed,
        "best_run": version.best_run,
        "best_value": version.best_value,
        "commit": code.commit,
        "subject": code.subject,
        "branch": code.branch,
        "remote": code.remote,
        "uncommitted": {"files": code.files, "lines_added": code.lines_added, "lines_removed": code.lines_removed},
        "notes": code.notes,
        "outputs": code.outputs,
        "pinned": version.pinned,
        "unusable": version.unusable,
        "same_as": (version.same_as > 0).then_some(version.same_as),
        "changes": version.changes.map(|changes| json!({"files": changes.files, "lines_added": changes.lines_added, "lines_removed": changes.lines_removed})),
    })
}

/// A run. `attempts` is how many; `executions` has them in full.
pub(crate) fn run(run: &Run) -> Value {
    let metrics = run
        .attempts
        .iter()
        .rev()
        .find(|attempt| !attempt.metrics.is_empty())
        .map(metrics);
    json!({
        "sweep": run.sweep_id,
        "run": run.run,
        "state": run.state,
        "reason": run.reason,
        "params": configuration(run),
        "value": run.value,
        "best": run.best,
        "last": run.last,
        "attempts": run.attempts.len(),
        "metrics": metrics.unwrap_or_else(|| json!({})),
        "violates": run.violates,
        "repeats": run.repeats.as_ref().map(repeats),
        "why": run.why,
        "suggestion": run.suggestion.as_ref().map(suggestion),
        "created_ms": run.created_ms,
        "ended_ms": if run.ended_ms == 0 { None } else { Some(run.ended_ms) },
        "code_version": run.code_version,
        "revision": run.revision,
        "aside": if run.aside.is_empty() { None } else { Some(&run.aside) },
        "note": run.note,
        "tags": run.tags,
        "pinned": run.pinned,
        "executions": run.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn repeats(repeats: &Repeats) -> Value {
    json!({
        "first": repeats.first, "number": repeats.number, "of": repeats.of,
        "values": repeats.values, "mean": repeats.mean, "deviation": repeats.deviation,
    })
}

/// The model's prediction for a configuration.
pub(crate) fn expected(recommendation: &Recommendation) -> Value {
    json!({"mean": recommendation.mean, "deviation": recommendation.deviation})
}

/// The analysis of a sweep.
pub(crate) fn analysis(analysis: &AnalyzeSweepResponse) -> Value {
    let value = |point: &EffectPoint| {
        serde_json::from_str(&point.value_json)
            .unwrap_or_else(|_| Value::String(point.value_json.clone()))
    };
    let effect = |effect: &Effect| {
        let curve: Vec<_> =
            effect.curve.iter().map(|point| json!({"value": value(point), "mean": point.mean, "deviation": point.deviation})).collect();
        let direction = (!effect.direction.is_empty()).then_some(&effect.direction);
        json!({"parameter": effect.parameter, "share": effect.share, "share_deviation": effect.share_deviation, "share_max": effect.share_max, "direction": direction, "curve": curve})
    };
    json!({
        "recommendation": analysis.recommendation.as_ref().map(|run| json!({"run": run.run, "by_model": run.by_model, "expected": expected(run), "reason": run.reason})),
        "effects": analysis.effects.iter().map(effect).collect::<Vec<_>>(),
        "failing": if analysis.failing.is_empty() { None } else { Some(&analysis.failing) },
        "observations": analysis.observations,
        "ended": analysis.ended,
        "skill": analysis.skill,
        "advice": analysis.advice.iter().map(|advice| json!({"parameter": advice.parameter, "text": advice.text})).collect::<Vec<_>>(),
        "agreements": analysis.agreements.iter().map(agreement).collect::<Vec<_>>(),
    })
}

/// How far an older version of the code agrees with the newest.
pub(crate) fn agreement(agreement: &Agreement) -> Value {
    json!({
        "newest": agreement.newest, "older": agreement.older, "correlation": agreement.correlation,
        "deviation": agreement.deviation, "shift": agreement.shift,
    })
}

/// Why a run was suggested, in numbers.
pub(crate) fn suggestion(why: &Suggestion) -> Value {
    json!({
        "kind": why.kind, "reason": why.reason, "mean": why.mean, "deviation": why.deviation, "improvement": why.improvement,
        "success": why.success, "observations": why.observations, "pending": why.pending, "history": why.history,
    })
}

fn metrics(attempt: &Attempt) -> Value {
    object(run_facts::metrics(attempt).0)
}

fn object(metrics: BTreeMap<&String, &f64>) -> Value {
    metrics
        .into_iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn attempt(attempt: &Attempt) -> Value {
    let failure = attempt.failure.as_ref().map(|failure| {
        json!({
            "kind": failure.kind, "blame": failure.blame, "message": failure.message,
            "exit_code": failure.exit_code, "signal": failure.signal, "output_tail": failure.output_tail, "evidence": failure.evidence,
        })
    });
    json!({
        "attempt": attempt.attempt, "agent": attempt.agent_id, "host": attempt.host, "state": attempt.state, "failure": failure,
        "assigned_ms": attempt.assigned_ms, "started_ms": attempt.started_ms, "ended_ms": attempt.ended_ms, "command": attempt.command,
        "code_version": attempt.code_version,
        "environment": if attempt.environment.is_empty() { None } else { Some(&attempt.environment) },
        "metrics": metrics(attempt), "system": object(run_facts::metrics(attempt).1), "orphan": if attempt.orphan.is_empty() { None } else { Some(&attempt.orphan) },
    })
}

/// An agent.
pub(crate) fn agent(agent: &Agent) -> Value {
    json!({
        "agent": agent.id, "sweep": agent.sweep_id, "host": agent.host, "slots": agent.slots, "running": agent.running,
        "alive": agent.alive, "version": agent.version, "seen_ms": agent.seen_ms,
        "health": agent.health, "reason": agent.reason, "succeeded": agent.succeeded, "failed": agent.failed,
    })
}
