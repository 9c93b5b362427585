//! Failed runs, grouped by cause.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Serialize;
use sweep_proto::cause;

use super::html::Escaped;
use super::rows;
use crate::store::RunRow;

/// Failures with one cause.
pub(super) struct Group {
    kind: String,
    blame: String,
    pub(super) runs: Vec<u64>,
    /// Of the first one.
    message: String,
    evidence: String,
    tail: String,
    /// Agents and machines on which they happened, and how often.
    pub(super) hosts: BTreeMap<String, usize>,
}

/// Groups failed runs by the cause of their last failure, the most frequent first.
pub(super) fn groups(failed: &[RunRow]) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for run in failed {
        let attempt = run.attempts.iter().rev().find(|attempt| attempt.failure.is_some());
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        let kind = failure.map(|failure| word(&failure.kind)).unwrap_or_default();
        let message = failure.map_or(run.reason.as_str(), |failure| failure.message.as_str());
        let group = groups.entry((kind.clone(), cause(message))).or_insert_with(|| Group {
            kind,
            blame: failure.map(|failure| word(&failure.blame)).unwrap_or_default(),
            runs: Vec::new(),
            message: message.to_owned(),
            evidence: failure.map(|failure| failure.evidence.clone()).filter(|text| !message.contains(text.as_str())).unwrap_or_default(),
            tail: failure.map(|failure| failure.output_tail.clone()).unwrap_or_default(),
            hosts: BTreeMap::new(),
        });
        group.runs.push(run.run);
        if let Some(attempt) = attempt {
            *group.hosts.entry(attempt.host.clone()).or_default() += 1;
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.runs.len()));
    groups
}

/// Shows groups of failures, each with an example.
pub(super) fn list(sweep: &str, groups: &[Group]) -> Markup {
    html! {
        @for group in groups {
            details.card.failure data-runs=(numbers(&group.runs)) {
                summary {
                    strong.count { (group.runs.len()) } " "
                    span.state.failed { (Escaped(&group.kind)) } " "
                    span { (Escaped(first_line(&group.message))) }
                    span.soft { " blames the " (Escaped(&group.blame)) " · on " (Escaped(&hosts(&group.hosts))) }
                }
                p {
                    @for run in group.runs.iter().take(30) { a href={ "/sweeps/" (Escaped(sweep)) "/runs/" (run) } { "run " (run) } " " }
                    @if group.runs.len() > 30 { span.soft { "and " (group.runs.len() - 30) " more" } }
                }
                @if !group.evidence.is_empty() { p { span.soft { "Evidence: " } (Escaped(&group.evidence)) } }
                @if !group.tail.is_empty() { div.scroll { pre { (Escaped(&group.tail)) } } }
            }
        }
    }
}

/// Where failures happened: the machine with the most first.
pub(super) fn hosts(hosts: &BTreeMap<String, usize>) -> String {
    let mut hosts: Vec<_> = hosts.iter().collect();
    hosts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let named: Vec<_> = hosts.iter().take(4).map(|(host, count)| format!("{host} ({count})")).collect();
    let more = if hosts.len() > 4 { format!(" and {} more", hosts.len() - 4) } else { String::new() };
    named.join(", ") + &more
}

fn numbers(runs: &[u64]) -> String {
    runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A kind or a blame in words.
pub(super) fn word(value: &impl Serialize) -> String {
    rows::word(value).replace('_', " ")
}
