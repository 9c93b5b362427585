//! The page of all sweeps.

use maud::{Markup, html};
use sweep_lifecycle::state::SweepId;

use super::html::{Escaped, Frame, document, moment, number, state};
use super::spark;
use crate::store::{Query, StoreError, SweepCounts, SweepRow};

/// A sweep in the list.
pub(super) struct Listed {
    row: SweepRow,
    counts: SweepCounts,
    /// The values of its runs, in the order in which they ended.
    values: Vec<f64>,
}

/// Reads all sweeps.
pub(super) fn read(query: &dyn Query) -> Result<Vec<Listed>, StoreError> {
    let listed = |(row, counts): (SweepRow, SweepCounts)| {
        let values = query.values(&SweepId(row.id.clone()))?;
        Ok(Listed { row, counts, values })
    };
    query.sweeps()?.into_iter().map(listed).collect()
}

/// Writes the page.
pub(super) fn page(sweeps: &[Listed], now_ms: i64) -> String {
    let body = if sweeps.is_empty() {
        html! { h1 { "Sweeps" } p.soft { "None yet. Begin one with " code { "sweep create FILE" } "." } }
    } else {
        html! {
            div.row.between {
                h1 { "Sweeps" }
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
        }
    };
    document(&Frame { title: "Sweeps", live: "all", module: Some("agents.js"), ..Frame::default() }, &body)
}

fn line(Listed { row, counts, values }: &Listed, now_ms: i64) -> Markup {
    let (done, total) = progress(row, counts);
    html! {
        tr data-state=(Escaped(&row.state)) data-text=(Escaped(&format!("{} {} {} {}", row.id, row.name, row.metric, row.method))) {
            td { a href={ "/sweeps/" (Escaped(&row.id)) } { (Escaped(title(row))) } @if !row.name.is_empty() { " " code.soft { (Escaped(&row.id)) } } }
            td { (state(&row.state)) @if row.stalled { " " span.state.failed { "stalled" } } }
            td {
                @if let Some(total) = total { progress max=(total) value=(done) aria-label={ (done) " of " (total) " runs" } {} " " }
                span.number { (done) @if let Some(total) = total { "/" (total) } }
            }
            td.number { @if let Some((run, value)) = counts.best {
                a href={ "/sweeps/" (Escaped(&row.id)) "/runs/" (run) } title=(Escaped(&row.metric)) { (number(value)) }
            } }
            td { (spark::best_so_far(values, &row.goal)) }
            td.number { @if counts.failed > 0 { span.bad { (counts.failed) } } }
            td.number { (counts.running) }
            td.number { (counts.agents) }
            td { (Escaped(&row.method)) }
            td.soft { (moment(row.created_ms, now_ms)) }
        }
    }
}

/// What people call a sweep: its name, or else its id.
pub(super) fn title(row: &SweepRow) -> &str {
    if row.name.is_empty() { &row.id } else { &row.name }
}

/// How many runs have ended, and of how many, where that is known.
pub(super) fn progress(row: &SweepRow, counts: &SweepCounts) -> (u64, Option<u64>) {
    let done = counts.finished + counts.stopped + counts.failed + counts.cancelled;
    (done, (row.planned > 0).then(|| row.planned.max(done)))
}
