//! Failed runs, grouped by cause.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Serialize;
use sweep_lifecycle::state::SweepId;

use super::html::Escaped;
use crate::store::{self, FailureGroup, Query, RunRow, StoreError};

/// Causes that are shown.
const GROUPS_MAX: usize = 50;
/// Runs of a cause that scripts can select.
const RUNS_MAX: usize = 1_000;

/// Failures with one cause.
pub(super) struct CauseGroup {
    pub(super) kind: String,
    blame: String,
    /// How many runs failed for it.
    pub(super) count: u64,
    /// The first of them.
    runs: Vec<u64>,
    /// Of the first one.
    message: String,
    evidence: String,
    tail: String,
    /// Machines on which they happened, and how often.
    pub(super) hosts: BTreeMap<String, u64>,
}

/// Failed runs by the cause of their last failure.
#[derive(Default)]
pub(super) struct Failures {
    /// How many causes there are.
    pub(super) causes: u64,
    /// The most frequent ones, the most frequent first.
    pub(super) groups: Vec<CauseGroup>,
}

/// Reads the failures of a sweep, and one run of each cause.
pub(super) fn read(query: &dyn Query, sweep: &SweepId) -> Result<Failures, StoreError> {
    let found = query.failures(sweep)?;
    let causes = found.len() as u64;
    let groups = found.into_iter().take(GROUPS_MAX).map(|group| {
        let runs = query.failed_runs(sweep, &group.key, RUNS_MAX)?;
        Ok(group_of(
            query.run(sweep, group.first)?.as_ref(),
            group,
            runs,
        ))
    });
    Ok(Failures {
        causes,
        groups: groups.collect::<Result<_, StoreError>>()?,
    })
}

fn group_of(example: Option<&RunRow>, group: FailureGroup, runs: Vec<u64>) -> CauseGroup {
    let failure = example.and_then(|run| {
        run.attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.failure.as_ref())
    });
    let reason = example.map(|run| run.reason.as_str()).unwrap_or_default();
    let message = failure.map_or(reason, |failure| failure.message.as_str());
    CauseGroup {
        kind: failure
            .map(|failure| word(&failure.kind))
            .unwrap_or_default(),
        blame: failure
            .map(|failure| word(&failure.blame))
            .unwrap_or_default(),
        count: group.runs,
        runs,
        message: message.to_owned(),
        evidence: failure
            .map(|failure| failure.evidence.clone())
            .filter(|text| !message.contains(text.as_str()))
            .unwrap_or_default(),
        tail: failure
            .map(|failure| failure.output_tail.clone())
            .unwrap_or_default(),
        hosts: group.hosts,
    }
}

/// Shows groups of failures, each with an example.
pub(super) fn list(sweep: &str, groups: &[CauseGroup]) -> Markup {
    html! {
        @for group in groups {
            details.card.failure data-runs=(numbers(&group.runs)) {
                summary {
                    strong.count { (group.count) } " "
                    span.state.failed { (Escaped(&group.kind)) } " "
                    span { (Escaped(first_line(&group.message))) }
                    span.soft { " attribution: " (Escaped(&group.blame)) " · on " (Escaped(&hosts(&group.hosts))) }
                }
                p {
                    @for run in group.runs.iter().take(30) { a href={ "/sweeps/" (Escaped(sweep)) "/runs/" (run) } { "run " (run) } " " }
                    @if group.count > 30 { span.soft { "and " (group.count - 30) " more" } }
                }
                @if !group.evidence.is_empty() { p { span.soft { "Evidence: " } (Escaped(&group.evidence)) } }
                @if !group.tail.is_empty() { div.scroll { pre { (Escaped(&group.tail)) } } }
            }
        }
    }
}

/// Where failures happened: the machine with the most first.
pub(super) fn hosts(hosts: &BTreeMap<String, u64>) -> String {
    let mut hosts: Vec<_> = hosts.iter().collect();
    hosts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let named: Vec<_> = hosts
        .iter()
        .take(4)
        .map(|(host, count)| format!("{host} ({count})"))
        .collect();
    let more = if hosts.len() > 4 {
        format!(" and {} more", hosts.len() - 4)
    } else {
        String::new()
    };
    named.join(", ") + &more
}

fn numbers(runs: &[u64]) -> String {
    runs.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A kind or a blame in words.
pub(super) fn word(value: &impl Serialize) -> String {
    store::word(value).replace('_', " ")
}
