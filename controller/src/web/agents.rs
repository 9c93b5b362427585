//! The page of all agents: machines, what they run, and how they are.

use std::collections::BTreeMap;

use maud::{Markup, html};
use sweep_lifecycle::state::{RunState, SweepId};

use super::html::{Escaped, PageFrame, document, moment};
use crate::store::{AgentRow, Query, RunRange, StoreError};

/// Attempts that run at once, of one sweep.
const RUNNING_MAX: usize = 2_000;

/// Agents that are gone and still shown.
pub(super) const GONE_MAX: usize = 100;

/// An agent, what it runs, and the GPUs of its machine.
pub(super) struct Busy {
    pub(super) row: AgentRow,
    pub(super) runs: Vec<u64>,
    pub(super) gpus: Vec<String>,
}

/// Reads all agents.
pub(super) fn read(query: &dyn Query) -> Result<Vec<Busy>, StoreError> {
    let mut by_sweep: BTreeMap<String, Vec<AgentRow>> = BTreeMap::new();
    for row in query.agents_shown(None, GONE_MAX)? {
        by_sweep.entry(row.sweep.clone()).or_default().push(row);
    }
    let mut agents = Vec::new();
    for (sweep, rows) in by_sweep {
        agents.extend(of_sweep(query, &SweepId(sweep), rows)?);
    }
    agents.sort_by_key(|agent| order(&agent.row));
    Ok(agents)
}

/// Reads what the agents of one sweep run.
pub(super) fn of_sweep(
    query: &dyn Query,
    sweep: &SweepId,
    mut rows: Vec<AgentRow>,
) -> Result<Vec<Busy>, StoreError> {
    rows.sort_by_key(order);
    let alive = rows.iter().any(|row| row.alive);
    let states = [RunState::Assigned, RunState::Running];
    let running = if alive {
        query.runs(sweep, &states, RunRange::first(RUNNING_MAX))?
    } else {
        Vec::new()
    };
    let busy = |row: AgentRow| {
        let attempts = running
            .iter()
            .filter_map(|run| Some((run, run.attempts.last()?)))
            .filter(|(_, attempt)| attempt.agent == row.id);
        let mut environment = None;
        let mut runs = Vec::new();
        for (run, attempt) in attempts {
            runs.push(run.run);
            environment = environment
                .or((!attempt.environment.is_empty()).then(|| attempt.environment.clone()));
        }
        let gpus = match environment {
            Some(digest) => gpus(query, sweep, &digest)?,
            None => Vec::new(),
        };
        Ok(Busy { row, runs, gpus })
    };
    rows.into_iter().map(busy).collect()
}

fn gpus(query: &dyn Query, sweep: &SweepId, digest: &str) -> Result<Vec<String>, StoreError> {
    let environment = query.environment(sweep, digest)?;
    let facts = environment
        .map(|environment| environment.facts)
        .unwrap_or_default();
    Ok(facts
        .into_iter()
        .filter(|(name, _)| name.starts_with("gpu."))
        .map(|(_, fact)| fact)
        .collect())
}

/// Those that are there first, and of them those that need a person.
fn order(row: &AgentRow) -> (bool, u8, String, String) {
    (!row.alive, rank(row), row.host.clone(), row.id.clone())
}

fn rank(row: &AgentRow) -> u8 {
    match row.health.as_str() {
        "quarantined" => 0,
        "probing" => 1,
        _ => 2,
    }
}

/// Writes the page.
pub(super) fn page(agents: &[Busy], now_ms: i64) -> String {
    let body = html! {
        h1 { "Agents" }
        div data-refresh="agents" {
            @if agents.is_empty() {
                p.soft { "None yet. Start one with " code { "sweep agent SWEEP" } "." }
            } @else {
                (table(agents, true, now_ms))
            }
        }
    };
    document(
        &PageFrame {
            title: "Agents",
            live: "all",
            module: Some("agents.js"),
            ..PageFrame::default()
        },
        &body,
    )
}

/// Agents as a table.
pub(super) fn table(agents: &[Busy], with_sweep: bool, now_ms: i64) -> Markup {
    html! {
        div.scroll { table.agents aria-label="Agents" {
            thead { tr {
                th { "Machine" } th { "Agent" } @if with_sweep { th { "Sweep" } } th { "Health" } th.number { "Slots" } th { "Runs now" }
                th.number { "Ended well" } th.number { "Failed" } th { "GPUs" } th { "Version" } th { "Since" }
            } }
            tbody { @for agent in agents { (line(agent, with_sweep, now_ms)) } }
        } }
    }
}

fn line(Busy { row, runs, gpus }: &Busy, with_sweep: bool, now_ms: i64) -> Markup {
    let sweep = Escaped(&row.sweep);
    html! {
        tr.gone[!row.alive] data-agent=(Escaped(&row.id)) {
            td { strong { (Escaped(&row.host)) } }
            td { code title=(Escaped(&row.id)) { (Escaped(brief(&row.id))) } }
            @if with_sweep { td { a href={ "/sweeps/" (sweep) } { code { (sweep) } } } }
            td { (health(row)) }
            td.number { (row.running) "/" (row.slots.max(1)) }
            td { @for run in runs.iter().take(16) { a href={ "/sweeps/" (sweep) "/runs/" (run) } { (run) } " " } @if runs.len() > 16 { "…" } }
            td.number { (row.succeeded) }
            td.number { @if row.failed > 0 { span.bad[row.failed > row.succeeded] { (row.failed) } } }
            td.soft { @for gpu in gpus { div { (Escaped(gpu)) } } }
            td.soft { (Escaped(&row.version)) }
            td.soft { (moment(row.seen_ms, now_ms)) }
        }
    }
}

/// As much of an id as the command line needs.
pub(super) fn brief(id: &str) -> &str {
    id.char_indices().nth(8).map_or(id, |(end, _)| &id[..end])
}

fn health(row: &AgentRow) -> Markup {
    let bad = matches!(row.health.as_str(), "quarantined" | "probing");
    html! {
        @if !row.alive { span.state { "gone" } }
        @else if bad {
            span.state.failed { (Escaped(&row.health)) } " "
            button.small type="button" data-readmit=(Escaped(&row.id)) hidden { "Readmit" }
            div.soft { (Escaped(&row.reason)) }
            div.soft { code { "sweep agents readmit " (Escaped(brief(&row.id))) } }
        }
        @else { span.state.finished { "ok" } }
    }
}

/// Says of the agents of a sweep which one to look at, if any.
pub(super) fn suspects(agents: &[Busy], failed: u64) -> Vec<Markup> {
    let mut said = Vec::new();
    for Busy { row, .. } in agents
        .iter()
        .filter(|agent| matches!(agent.row.health.as_str(), "quarantined" | "probing"))
    {
        said.push(html! {
            strong { (Escaped(&row.host)) } @if row.alive { " is " } @else { " was " } (Escaped(&row.health)) ": " (Escaped(&row.reason)) " (" (row.failed) " failed, " (row.succeeded) " ended well)"
        });
    }
    if said.is_empty() {
        said.extend(worst(agents, failed));
    }
    said
}

/// The machine on which most fails, where another does clearly better.
fn worst(agents: &[Busy], failed: u64) -> Option<Markup> {
    let mut hosts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for Busy { row, .. } in agents {
        let counts = hosts.entry(&row.host).or_default();
        (counts.0, counts.1) = (counts.0 + row.failed, counts.1 + row.succeeded);
    }
    let share =
        |(failed, succeeded): (u64, u64)| failed as f64 / (failed + succeeded).max(1) as f64;
    let (host, counts) = hosts
        .iter()
        .filter(|(_, counts)| counts.0 >= 3)
        .max_by(|a, b| share(*a.1).total_cmp(&share(*b.1)))?;
    let others: Vec<_> = hosts
        .iter()
        .filter(|(other, counts)| *other != host && counts.0 + counts.1 >= 3)
        .collect();
    let best = others
        .iter()
        .map(|(_, counts)| share(**counts))
        .fold(f64::INFINITY, f64::min);
    let stands_out = share(*counts) > 0.3 && best < share(*counts) / 2.0;
    (stands_out && failed > 0).then(|| {
        html! { strong { (Escaped(host)) } ": " (counts.0) " of " (counts.0 + counts.1) " attempts failed, elsewhere " (format!("{:.0} %", 100.0 * best)) }
    })
}
