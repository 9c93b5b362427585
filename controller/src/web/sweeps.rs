//! The page of all sweeps.

use maud::{Markup, html};
use serde::Deserialize;
use sweep_lifecycle::state::{SweepId, SweepState};

use super::html::{Escaped, PageFrame, document, moment, number, state};
use super::spark;
use crate::store::{Query, StoreError, SweepCounts, SweepRow, word};

/// A sweep in the list.
pub(super) struct Listed {
    row: SweepRow,
    counts: SweepCounts,
    /// The values of its runs, in the order in which they ended.
    values: Vec<f64>,
}

/// Sweeps on a page, the newest first.
const PAGE: u64 = 100;
/// Values of a sweep that are read for its line.
const VALUES_MAX: usize = 60;

/// Which sweeps are wanted.
#[derive(Deserialize)]
pub(super) struct SweepsQuery {
    /// From 1.
    page: Option<u64>,
    /// Those that are archived.
    #[serde(default)]
    archived: u8,
}

/// One page of the list.
pub(super) struct Page {
    sweeps: Vec<Listed>,
    number: u64,
    archived: bool,
    /// How many sweeps are archived, and how many are not.
    counts: (u64, u64),
}

/// Reads a page of sweeps.
pub(super) fn read(query: &dyn Query, asked: &SweepsQuery) -> Result<Page, StoreError> {
    let listed = |(row, counts): (SweepRow, SweepCounts)| {
        let values = query.values(&SweepId(row.id.clone()), VALUES_MAX)?;
        Ok(Listed {
            row,
            counts,
            values,
        })
    };
    let (archived, number) = (asked.archived > 0, asked.page.unwrap_or(1).max(1));
    let skip = usize::try_from((number - 1).saturating_mul(PAGE)).unwrap_or(usize::MAX);
    let rows = query.sweep_page(archived, skip, PAGE as usize)?;
    let sweeps = rows
        .into_iter()
        .map(listed)
        .collect::<Result<_, StoreError>>()?;
    Ok(Page {
        sweeps,
        number,
        archived,
        counts: (query.sweep_count(true)?, query.sweep_count(false)?),
    })
}

/// Links to the other pages, and to archived sweeps.
fn links(page: &Page) -> Markup {
    let total = if page.archived {
        page.counts.0
    } else {
        page.counts.1
    };
    let last = total.div_ceil(PAGE).max(1);
    let place = |number: u64| {
        if page.archived {
            format!("/?archived=1&page={number}")
        } else {
            format!("/?page={number}")
        }
    };
    html! {
        nav.row.soft aria-label="Pages" {
            @if last > 1 {
                @if page.number > 1 { a rel="prev" href=(place(page.number - 1)) { "Newer" } }
                span { "Page " (page.number) " of " (last) ", " (total) " sweeps" }
                @if page.number < last { a rel="next" href=(place(page.number + 1)) { "Older" } }
            }
            @if page.archived { a href="/" { "Sweeps that are not archived" } }
            @else if page.counts.0 > 0 { a href="/?archived=1" { (page.counts.0) " archived" } }
        }
    }
}

/// Writes the page.
pub(super) fn page(found: &Page, now_ms: i64) -> String {
    let sweeps = &found.sweeps;
    let title = if found.archived {
        "Archived sweeps"
    } else {
        "Sweeps"
    };
    let body = if sweeps.is_empty() && found.archived {
        html! { h1 { (title) } p.soft { "None. " code { "sweep archive SWEEP" } " hides a sweep that has ended." } (links(found)) }
    } else if sweeps.is_empty() {
        html! { h1 { (title) } p.soft { "None yet. Begin one with " code { "sweep create FILE" } "." } (links(found)) }
    } else {
        html! {
            div.row.between {
                h1 { (title) }
                div.row #sweeps-filter hidden {
                    input #q type="search" placeholder="name, id, metric" aria-label="Search sweeps";
                    select #state aria-label="State" {
                        option value="" { "all states" }
                        @for name in ["running", "paused", "finished", "stopped", "cancelled"] { option value=(name) { (name) } }
                    }
                }
            }
            div.scroll { table #sweeps data-refresh="sweeps" aria-label="Sweeps" {
                thead { tr {
                    th { "Sweep" } th { "State" } th { "Progress" } th.number { "Best" } th { "Best so far" } th.number { "Failed" }
                    th.number { "Running" } th.number { "Agents" } th { "Method" } th { "Age" }
                } }
                tbody { @for sweep in sweeps { (line(sweep, now_ms)) } }
            } }
            (links(found))
        }
    };
    document(
        &PageFrame {
            title,
            live: "all",
            module: Some("agents.js"),
            ..PageFrame::default()
        },
        &body,
    )
}

fn line(
    Listed {
        row,
        counts,
        values,
    }: &Listed,
    now_ms: i64,
) -> Markup {
    let (done, total) = progress(row, counts);
    html! {
        tr data-state=(word(row.state)) data-text=(Escaped(&format!("{} {} {} {}", row.id, row.name, row.metric, word(row.method)))) {
            td { a href={ "/sweeps/" (Escaped(&row.id)) } { (Escaped(title(row))) } @if !row.name.is_empty() { " " code.soft { (Escaped(&row.id)) } } }
            td { (outcome(row, counts)) }
            td {
                @if let Some(total) = total { progress max=(total) value=(done) aria-label={ (done) " of " (total) " runs" } {} " " }
                span.number { (done) @if let Some(total) = total { "/" (total) } }
            }
            td.number { @if let Some((run, value)) = counts.best {
                a href={ "/sweeps/" (Escaped(&row.id)) "/runs/" (run) } title=(Escaped(&row.metric)) { (number(value)) }
            } }
            td { (spark::best_so_far(values, row.goal)) }
            td.number { @if counts.failed > 0 { span.bad { (counts.failed) } } }
            td.number { (counts.running) }
            td.number { (counts.agents) }
            td { (word(row.method)) }
            td.soft { (moment(row.created_ms, now_ms)) }
        }
    }
}

/// Returns the title of a sweep: its name, or else its id.
pub(super) fn title(row: &SweepRow) -> &str {
    if row.name.is_empty() {
        &row.id
    } else {
        &row.name
    }
}

/// The state of a sweep, and what is wrong with it.
pub(super) fn outcome(row: &SweepRow, counts: &SweepCounts) -> Markup {
    let in_vain = row.state == SweepState::Finished
        && counts.finished + counts.stopped == 0
        && counts.failed > 0;
    html! {
        @if in_vain { span.state.failed { (word(row.state)) ", all failed" } } @else { (state(row.state)) }
        @if row.stalled { " " span.state.failed { "stalled" } }
    }
}

/// How many runs have ended, and of how many, where that is known: not where more were imported
/// than the run cap allows.
pub(super) fn progress(row: &SweepRow, counts: &SweepCounts) -> (u64, Option<u64>) {
    let done = counts.finished + counts.stopped + counts.failed + counts.cancelled;
    (
        done,
        (row.planned > 0 && done <= row.planned).then_some(row.planned),
    )
}
