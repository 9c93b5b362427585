//! The page of one sweep: what can be read without scripts, and the places where they draw.

use std::collections::BTreeSet;

use maud::{Markup, html};
use sweep_lifecycle::state::{CodeVersion, RunState, SweepId};

use super::agents::{self, Busy};
use super::constants::ConstantParameters;
use super::failures::{self, CauseGroup, Failures};
use super::html::{Escaped, PageFrame, counted, document, duration, moment, number, state};
use super::sweeps::{outcome, progress, title};
use crate::early_stop_note::early_stop_note;
use crate::store::{CodeCounts, Query, RunRange, RunRow, StoreError, SweepCounts, SweepRow, word};
use crate::target_note::target_note;

/// Runs that are listed without scripts: the newest.
const RUNS_SHOWN: usize = 200;

/// The content of the page without scripts.
pub(super) struct SweepPage {
    row: SweepRow,
    counts: SweepCounts,
    codes: Vec<(CodeVersion, CodeCounts)>,
    agents: Vec<Busy>,
    failures: Failures,
    newest: Vec<RunRow>,
    best: Option<RunRow>,
    constants: ConstantParameters,
    /// Why early stopping has nothing to compare with, or empty.
    early_stop_note: String,
}

/// Reads what the page says in itself.
pub(super) fn read(query: &dyn Query, sweep: &SweepId) -> Result<Option<SweepPage>, StoreError> {
    let Some((mut row, counts)) = query.sweep(sweep)? else {
        return Ok(None);
    };
    let mut counted = query.codes(&row)?;
    let codes = row
        .codes
        .iter()
        .map(|code| {
            (
                code.clone(),
                counted.remove(&code.version).unwrap_or_default(),
            )
        })
        .collect();
    let mut newest = query.runs(
        sweep,
        &[RunState::Queued, RunState::Assigned, RunState::Running],
        RunRange::first(RUNS_SHOWN),
    )?;
    newest.extend(query.ended_runs(sweep, RUNS_SHOWN - newest.len())?);
    let best = match counts.best {
        Some((run, _)) => query.run(sweep, run)?,
        None => None,
    };
    let agents = agents::of_sweep(
        query,
        sweep,
        query.agents_shown(Some(sweep), agents::GONE_MAX)?,
    )?;
    let failures = failures::read(query, sweep)?;
    let early_stop_note = early_stop_note(query, &row)?;
    if row.reason.is_empty() {
        row.reason = target_note(query, &row, &counts)?;
    }
    Ok(Some(SweepPage {
        constants: ConstantParameters::of(&row),
        row,
        early_stop_note,
        counts,
        codes,
        agents,
        failures,
        newest,
        best,
    }))
}

/// Writes the page.
pub(super) fn page(found: &SweepPage, now_ms: i64) -> String {
    let row = &found.row;
    let groups = &found.failures.groups;
    let body = html! {
        div #sweep data-sweep=(Escaped(&row.id)) data-metric=(Escaped(&row.metric)) {
            (head(found, now_ms))
            nav.sections aria-label="Sections" {
                @for (place, name) in SECTIONS { a href={ "#" (place) } { (name) } }
            }
            (findings(found, groups))
            div.grid2 {
                (drawn("history", "Best so far", "The value of each run in the order in which they ended, and the best so far."))
                (drawn("importance", "Parameter importance", "The share of the observed variation that each parameter explains by itself, by the surrogate model."))
            }
            section #parallel hidden {
                div.row.between {
                    h2 { "Parallel coordinates" }
                    div #parallel-tools.row {}
                }
                p #selection.row.soft role="status" {}
                div #parallel-plot.plot.tall {}
            }
            div.grid2 {
                (drawn("slices", "Surrogate model", "The model along parameters, the others held at the best configuration: mean, two deviations, runs, and where they fail."))
                (drawn("curves", "Learning curves", "The objective over the steps of each run; those that were stopped early end in a cross."))
            }
            (drawn("sliders", "Constraint explorer", "Bounds on metrics, and which run is the best within them."))
            section #timeline-agents {
                h2 #timeline { "Agents and what they ran" }
                div #timeline-plot.plot hidden {}
                div data-refresh="agents" {
                    @if found.agents.is_empty() {
                        p.soft { "No agent has joined. Start one with " code { "sweep agent " (Escaped(&row.id)) } "." }
                    } @else { (agents::table(&found.agents, false, now_ms)) }
                }
            }
            section #code {
                h2 { "Code versions" }
                div data-refresh="code" { (codes(found, now_ms)) }
                div #code-diff {}
            }
            section #failures {
                h2 { "Failures" }
                div data-refresh="failures" {
                    @if groups.is_empty() { p.soft { "No run has failed." } } @else { (failures::list(&row.id, groups)) }
                }
            }
            section #runs {
                div.row.between { h2 { "Runs" } div #runs-tools.row {} }
                div #table { (runs(found)) }
            }
            section #file {
                h2 { "Sweep file" @if !row.revisions.is_empty() { span.soft { " revision " (row.revisions.len()) } } }
                (revisions(row, now_ms))
                details { summary { "Show the file" } div.scroll { pre #yaml { (Escaped(row.revisions.last().map_or(&row.yaml, |last| &last.yaml))) } } }
            }
        }
    };
    let place = format!("/sweeps/{}", row.id);
    let frame = PageFrame {
        title: title(row),
        live: &row.id,
        trail: &[(&place, title(row))],
        module: Some("sweep.js"),
        data: Some(&format!("{place}/data.json")),
    };
    document(&frame, &body)
}

const SECTIONS: [(&str, &str); 10] = [
    ("findings", "Findings"),
    ("history", "History"),
    ("parallel", "Parameters"),
    ("slices", "Model"),
    ("curves", "Curves"),
    ("timeline", "Agents"),
    ("code", "Code"),
    ("failures", "Failures"),
    ("runs", "Runs"),
    ("file", "File"),
];

/// A place in which a script draws; without scripts there is nothing to see in it.
fn drawn(id: &str, title: &str, about: &str) -> Markup {
    html! {
        section id=(id) hidden {
            h2 title=(about) { (title) }
            div id={ (id) "-tools" } class="row" {}
            div id={ (id) "-plot" } class="plot" role="img" aria-label=(about) {}
        }
    }
}

fn head(found: &SweepPage, now_ms: i64) -> Markup {
    let (row, counts) = (&found.row, &found.counts);
    let (done, total) = progress(row, counts);
    html! {
        div data-refresh="head" {
            div.row.between {
                h1 { (Escaped(title(row))) " " (outcome(row, counts)) }
                div #actions.row {}
            }
            @if !row.reason.is_empty() { p.soft { (Escaped(&row.reason)) } }
            @if !found.early_stop_note.is_empty() { p.bad { (Escaped(&found.early_stop_note)) } }
            p.facts {
                span { code { (Escaped(&row.id)) } }
                span { (word(row.method)) ", " (word(row.goal)) " " strong { (Escaped(&row.metric)) } }
                span {
                    @if let Some(total) = total { progress max=(total) value=(done) aria-label="progress" {} " " }
                    strong { (done) } @if let Some(total) = total { " of " (total) } " runs ended"
                }
                @for (count, name, class) in [
                    (counts.running, "running", ""), (counts.queued, "queued", ""), (counts.finished, "finished", ""),
                    (counts.stopped, "stopped early", ""), (counts.failed, "failed", "bad"), (counts.cancelled, "cancelled", ""),
                ] {
                    @if count > 0 { span class=(class) { strong { (count) } " " (name) } }
                }
                span { strong { (counts.agents) } @if counts.agents == 1 { " agent" } @else { " agents" } }
                span.soft { "begun " (moment(row.created_ms, now_ms)) }
            }
        }
    }
}

/// Prints the main facts in words. Scripts add the analysis.
fn findings(found: &SweepPage, groups: &[CauseGroup]) -> Markup {
    let row = &found.row;
    let suspects = agents::suspects(&found.agents, found.counts.failed);
    html! {
        section #findings {
            h2 { "Findings" }
            dl.findings data-refresh="findings" {
                dt { "Best" }
                dd #finding-best { (best(found)) }
                dt { "Machines" }
                dd #finding-machines {
                    @if suspects.is_empty() { "No machine stands out." }
                    @for suspect in &suspects { div { (suspect) } }
                }
                dt { "Failures" }
                dd #finding-failures {
                    @match groups.first() {
                        None => "None.",
                        Some(worst) => {
                            (counted(found.counts.failed, "run")) " failed, " (counted(found.failures.causes, "cause")) ". Most frequent: "
                            a href="#failures" { (Escaped(&worst.kind)) } ", " (counted(worst.count, "run")) ", on " (Escaped(&failures::hosts(&worst.hosts))) "."
                        },
                    }
                }
                @if found.codes.len() > 1 {
                    dt { "Code" }
                    dd #finding-code { (found.codes.len()) " versions: " a href="#code" { "results by version" } "." }
                }
            }
            dl.findings #learnt data-sweep=(Escaped(&row.id)) {}
        }
    }
}

fn best(found: &SweepPage) -> Markup {
    let Some(run) = &found.best else {
        return html! { "No run has a result yet." };
    };
    let value = found.counts.best.map(|(_, value)| value);
    html! {
        a href={ "/sweeps/" (Escaped(&run.sweep)) "/runs/" (run.run) } { "Run " (run.run) }
        @if let Some(value) = value { ": " (Escaped(&found.row.metric)) " = " strong { (number(value)) } }
        " with " (found.constants.line(&run.params_json))
        div.soft { "Suggested as: " (Escaped(&run.why)) }
    }
}

fn codes(found: &SweepPage, now_ms: i64) -> Markup {
    if found.codes.is_empty() {
        return html! { p.soft { "No run has begun yet." } };
    }
    let outputs: BTreeSet<&str> = found
        .codes
        .iter()
        .flat_map(|(code, _)| &code.about.outputs)
        .map(String::as_str)
        .collect();
    let outputs: Vec<&str> = outputs.into_iter().collect();
    html! {
        div.scroll { table aria-label="Code versions" {
            thead { tr {
                th.number { "Version" } th { "Code" } th { "Commit" } th { "Uncommitted" } th { "Since" } th.number { "Runs" }
                th.number { "Running" } th.number { "Failed" } th.number { "Best" } th aria-label="Differences" {}
            } }
            tbody { @for (index, (code, counts)) in found.codes.iter().enumerate() {
                tr data-version=(Escaped(&code.version)) {
                    td.number { (index + 1) @if found.row.pinned == code.version { " " span.state { "pinned" } } }
                    td { code { (Escaped(short(&code.version))) } }
                    td { code { (Escaped(short(&code.about.commit))) } " " (Escaped(&code.about.subject)) }
                    td.soft { @if code.about.files > 0 { (counted(code.about.files, "file")) " +" (code.about.added) " −" (code.about.removed) } }
                    td.soft { (moment(code.since.0, now_ms)) }
                    td.number { (counts.runs) } td.number { (counts.running) }
                    td.number { @if counts.failed > 0 { span.bad { (counts.failed) } } }
                    td.number { @if let Some((run, value)) = counts.best {
                        a href={ "/sweeps/" (Escaped(&found.row.id)) "/runs/" (run) } { (number(value)) }
                    } }
                    td data-diff=(index + 1) {}
                }
            } }
        } }
        @if !outputs.is_empty() {
            p.soft { "Outputs of programs, part of no version: " (Escaped(&outputs.join(", "))) }
        }
    }
}

/// As much of a digest as tells it from others.
pub(super) fn short(hash: &str) -> &str {
    if hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        &hash[..8]
    } else {
        hash
    }
}

fn runs(found: &SweepPage) -> Markup {
    if found.newest.is_empty() {
        return html! { p.soft { "None yet." } };
    }
    html! {
        div.scroll.long[found.newest.len() == RUNS_SHOWN] { table aria-label="Runs" {
            thead { tr { th.number { "Run" } th { "State" } th.number { "Value" } th { "Parameters" } th.number { "Took" } th { "Why" } } }
            tbody { @for run in &found.newest { (line(run, &found.constants)) } }
        } }
        @if found.newest.len() == RUNS_SHOWN { p.soft { "The newest " (RUNS_SHOWN) "; " code { "sweep runs " (Escaped(&found.row.id)) } " lists all." } }
    }
}

fn line(run: &RunRow, constants: &ConstantParameters) -> Markup {
    let started = run
        .attempts
        .iter()
        .map(|attempt| attempt.started_ms)
        .find(|ms| *ms > 0);
    html! {
        tr {
            td.number { a href={ "/sweeps/" (Escaped(&run.sweep)) "/runs/" (run.run) } { (run.run) } }
            td { (state(run.state)) }
            td.number { @if let Some(value) = run.value.or(run.best) {
                (number(value))
                @if let Some(last) = run.last.map(number).filter(|last| *last != number(value)) { br; span.soft { "last " (last) } }
            } }
            td { (constants.line(&run.params_json)) }
            td.number { @if let (Some(started), true) = (started, run.ended_ms > 0) { (duration(run.ended_ms - started)) } }
            td.soft { (Escaped(if run.reason.is_empty() { &run.why } else { &run.reason })) }
        }
    }
}

fn revisions(row: &SweepRow, now_ms: i64) -> Markup {
    html! {
        @if row.revisions.len() > 1 { ul {
            @for (index, revision) in row.revisions.iter().enumerate().skip(1) {
                li { "Revision " (index + 1) ", " (moment(revision.since_ms, now_ms)) ": "
                    @for (place, change) in revision.changes.iter().enumerate() { @if place > 0 { "; " } (Escaped(change)) } }
            }
        } }
    }
}
