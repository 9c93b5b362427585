//! All runs of a sweep, for the scripts of its page.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use sweep_lifecycle::spec::{self, ParameterAxis};
use sweep_lifecycle::state::{AttemptState, RunState, SweepId, SweepState};
use sweep_search::observation::Goal;
use sweep_search::suggest::Method;

use super::agents::GONE_MAX;
use super::limits::{self, Limit};
use crate::store::{AgentRow, Query, RunRange, RunRow, StoreError, SweepCounts, SweepRow, word};

/// Runs that are drawn and listed. Of more: those that have not ended, the best, the newest, and evenly spaced others.
const RUNS_MAX: usize = 2_000;
const OPEN_MAX: usize = 250;
const BEST_MAX: usize = 500;
const NEWEST_MAX: usize = 250;

/// Everything that a sweep's page draws.
#[derive(Serialize)]
pub(super) struct Data {
    sweep: SweepHeader,
    axes: Vec<ParameterAxis>,
    limits: Vec<Limit>,
    codes: Vec<String>,
    agents: Vec<MachineRow>,
    runs: Vec<Row>,
    /// There are more than are here: see [`RUNS_MAX`].
    cut: bool,
    /// How many there are.
    total: u64,
}

/// A sweep, and what is counted of it.
#[derive(Clone, PartialEq, Serialize)]
pub(super) struct SweepHeader {
    id: String,
    name: String,
    state: SweepState,
    reason: String,
    method: Method,
    metric: String,
    goal: Goal,
    planned: u64,
    #[serde(flatten)]
    counts: SweepCounts,
    created_ms: i64,
    revision: usize,
}

#[derive(Serialize)]
pub(super) struct MachineRow {
    id: String,
    host: String,
    slots: u32,
    alive: bool,
    health: String,
    reason: String,
    /// When it got no runs: from and until; 0: it is still so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stays: Vec<(i64, i64)>,
    succeeded: u64,
    failed: u64,
}

/// A run as the page's scripts know it. What is empty is left out.
#[derive(Clone, PartialEq, Serialize)]
pub(super) struct Row {
    run: u64,
    state: RunState,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// The best it has reached, while it has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<f64>,
    params: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metrics: BTreeMap<String, f64>,
    created: i64,
    #[serde(skip_serializing_if = "is_zero")]
    ended: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tries: Vec<Try>,
    #[serde(skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    failure: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violates: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    aside: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
}

/// An attempt: agent, state, and when it was assigned, started and ended.
#[derive(Clone, PartialEq, Serialize)]
struct Try(String, AttemptState, i64, i64, i64);

/// Reads everything of a sweep.
pub(super) fn read(query: &dyn Query, sweep: &SweepId) -> Result<Option<Data>, StoreError> {
    let Some((row, counts)) = query.sweep(sweep)? else {
        return Ok(None);
    };
    let agents = query
        .agents_shown(Some(sweep), GONE_MAX)?
        .into_iter()
        .map(machine)
        .collect();
    let total = counts.total();
    let is_cut = total > RUNS_MAX as u64;
    let found = if is_cut {
        sample(query, sweep, &row, total)?
    } else {
        query.runs(sweep, &[], RunRange::first(RUNS_MAX))?
    };
    let runs = found.into_iter().map(run).collect();
    let file = limits::spec(&row);
    let codes = row.codes.iter().map(|code| code.version.clone()).collect();
    Ok(Some(Data {
        cut: is_cut,
        total,
        axes: file.as_ref().map(spec::axes).unwrap_or_default(),
        limits: file.as_ref().map(limits::limits).unwrap_or_default(),
        sweep: head(row, counts),
        codes,
        agents,
        runs,
    }))
}

/// Reads some of the runs of a large sweep.
fn sample(
    query: &dyn Query,
    sweep: &SweepId,
    row: &SweepRow,
    total: u64,
) -> Result<Vec<RunRow>, StoreError> {
    let open = query.runs(
        sweep,
        &[RunState::Queued, RunState::Assigned, RunState::Running],
        RunRange::first(OPEN_MAX),
    )?;
    let newest = query.ended_runs(sweep, NEWEST_MAX)?;
    let mut numbers: BTreeSet<u64> = query.best_runs(row, BEST_MAX)?.into_iter().collect();
    let known: BTreeSet<u64> = open.iter().chain(&newest).map(|run| run.run).collect();
    let others = (RUNS_MAX - known.len() - numbers.len()).max(2) as u64;
    numbers.extend((0..others).map(|index| 1 + index * (total - 1) / (others - 1)));
    let numbers: Vec<_> = numbers.difference(&known).copied().collect();
    let mut runs = query.numbered_runs(sweep, &numbers)?;
    runs.extend(open.into_iter().chain(newest));
    runs.sort_by_key(|run| run.run);
    Ok(runs)
}

/// A sweep for the page's scripts.
pub(super) fn head(row: SweepRow, counts: SweepCounts) -> SweepHeader {
    SweepHeader {
        revision: row.revisions.len().max(1),
        id: row.id,
        name: row.name,
        state: row.state,
        reason: row.reason,
        method: row.method,
        metric: row.metric,
        goal: row.goal,
        planned: row.planned,
        counts,
        created_ms: row.created_ms,
    }
}

/// A run for the page's scripts.
pub(super) fn run(row: RunRow) -> Row {
    let failure = row
        .attempts
        .iter()
        .rev()
        .find_map(|attempt| attempt.failure.as_ref());
    let failure = failure
        .filter(|_| row.state == RunState::Failed)
        .map(|failure| word(failure.kind))
        .unwrap_or_default();
    let metrics = row
        .attempts
        .iter()
        .rev()
        .find(|attempt| !attempt.metrics.is_empty());
    Row {
        metrics: metrics
            .map(|attempt| attempt.metrics.clone())
            .unwrap_or_default(),
        tries: row
            .attempts
            .into_iter()
            .map(|try_| {
                Try(
                    try_.agent,
                    try_.state,
                    try_.assigned_ms,
                    try_.started_ms,
                    try_.ended_ms,
                )
            })
            .collect(),
        params: params(&row.params_json),
        run: row.run,
        state: row.state,
        value: row.value,
        best: row.best.filter(|_| row.value.is_none()),
        created: row.created_ms,
        ended: row.ended_ms,
        code: row.code,
        failure,
        reason: row.reason,
        why: word(row.suggestion.kind),
        violates: row.violates,
        aside: row.aside,
        note: row.annotation.note,
        tags: row.annotation.tags,
        pinned: row.annotation.pinned,
    }
}

pub(super) fn machine(row: AgentRow) -> MachineRow {
    MachineRow {
        id: row.id,
        host: row.host,
        slots: row.slots,
        alive: row.alive,
        health: row.health,
        reason: row.reason,
        stays: row.stays,
        succeeded: row.succeeded,
        failed: row.failed,
    }
}

/// The parameters of a configuration by their names, those inside others joined by dots.
pub(super) fn params(json: &str) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    if let Ok(Value::Object(object)) = serde_json::from_str(json) {
        flatten("", object, &mut flat);
    }
    flat
}

fn flatten(
    prefix: &str,
    object: serde_json::Map<String, Value>,
    flat: &mut BTreeMap<String, Value>,
) {
    for (name, value) in object {
        let name = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            // How a configuration writes a number that JSON does not have.
            Value::Object(inner) if inner.len() == 1 && inner.contains_key("$float") => {
                flat.insert(
                    name,
                    inner
                        .into_iter()
                        .next()
                        .map(|(_, value)| value)
                        .unwrap_or_default(),
                );
            }
            Value::Object(inner) if !inner.is_empty() => flatten(&name, inner, flat),
            value => {
                flat.insert(name, value);
            }
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_parameters_have_names_with_dots() {
        let flat = params(
            r#"{"lr": 0.1, "net": {"depth": 3, "cell": {"kind": "lstm"}}, "big": {"$float": "inf"}, "empty": {}}"#,
        );
        let names: Vec<_> = flat
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            names,
            [
                "big=\"inf\"",
                "empty={}",
                "lr=0.1",
                "net.cell.kind=\"lstm\"",
                "net.depth=3"
            ]
        );
        assert!(params("no json").is_empty());
    }
}
