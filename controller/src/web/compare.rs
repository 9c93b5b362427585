//! Runs side by side.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde::Deserialize;
use sweep_lifecycle::state::SweepId;

use super::constants::{ConstantParameters, Parameters};
use super::html::{Escaped, PageFrame, document, duration, number, state, value_text};
use super::run::environment_of;
use super::sweep::short;
use super::sweeps::title;
use crate::store::{Query, RunRow, StoreError, SweepRow};

/// More columns than these cannot be compared by looking.
const RUNS_MAX: usize = 12;

/// Which runs are wanted.
#[derive(Deserialize)]
pub(super) struct CompareQuery {
    /// Numbers, separated by commas.
    #[serde(default)]
    runs: String,
}

/// The runs, in the order in which they were asked for, with the facts of what each was executed in.
pub(super) struct ComparedRuns {
    sweep: SweepRow,
    runs: Vec<(RunRow, BTreeMap<String, String>)>,
}

/// Reads the runs.
pub(super) fn read(
    query: &dyn Query,
    sweep: &SweepId,
    asked: &CompareQuery,
) -> Result<Option<ComparedRuns>, StoreError> {
    let Some((row, _)) = query.sweep(sweep)? else {
        return Ok(None);
    };
    let mut runs = Vec::new();
    for number in asked
        .runs
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .take(RUNS_MAX)
    {
        let Some(run) = query.run(sweep, number)? else {
            continue;
        };
        let environment = environment_of(query, sweep, &run)?;
        runs.push((
            run,
            environment
                .map(|environment| environment.facts)
                .unwrap_or_default(),
        ));
    }
    Ok(Some(ComparedRuns { sweep: row, runs }))
}

/// Writes the page.
pub(super) fn page(found: &ComparedRuns) -> String {
    let sweep = &found.sweep;
    let numbers: Vec<_> = found
        .runs
        .iter()
        .map(|(run, _)| run.run.to_string())
        .collect();
    let body = html! {
        div #compare data-sweep=(Escaped(&sweep.id)) data-runs=(numbers.join(",")) data-metric=(Escaped(&sweep.metric))
            data-codes=(Escaped(&found.runs.iter().map(|(run, _)| run.code.as_str()).collect::<Vec<_>>().join(","))) {
            h1 { "Runs side by side" }
            @if found.runs.is_empty() { p.soft { "Choose runs in the table of the sweep, or write their numbers: " code { "?runs=1,2" } } } @else { (table(found)) }
            section #curves hidden { h2 { "Learning curves" } div #curves-plot.plot {} }
            section #code hidden { h2 { "Code" } div #code-diff {} }
        }
    };
    let place = format!("/sweeps/{}", sweep.id);
    let trail = [(&*place, title(sweep))];
    document(
        &PageFrame {
            title: "Compare",
            live: &sweep.id,
            trail: &trail,
            module: Some("run.js"),
            data: None,
        },
        &body,
    )
}

fn table(found: &ComparedRuns) -> Markup {
    let runs = &found.runs;
    let constants = ConstantParameters::of(&found.sweep);
    let (configurations, fixed): (Vec<_>, Vec<_>) = runs
        .iter()
        .map(|(run, _)| constants.split(&run.params_json))
        .unzip();
    let metrics: Vec<BTreeMap<String, f64>> = runs
        .iter()
        .map(|(run, _)| {
            run.attempts
                .iter()
                .flat_map(|attempt| attempt.metrics.clone())
                .collect()
        })
        .collect();
    let names: BTreeSet<&String> = metrics.iter().flat_map(BTreeMap::keys).collect();
    let facts: BTreeSet<&String> = runs.iter().flat_map(|(_, facts)| facts.keys()).collect();
    html! {
        div.scroll { table.compare aria-label="Runs side by side" {
            thead { tr { th aria-label="What" {} @for (run, _) in runs { th.number { a href={ "/sweeps/" (Escaped(&run.sweep)) "/runs/" (run.run) } { "run " (run.run) } } } } }
            tbody {
                tr { td { "State" } @for (run, _) in runs { td.number { (state(run.state)) } } }
                (row(&found.sweep.metric, runs.iter().map(|(run, _)| run.value.map(number).unwrap_or_default()).collect(), true))
                (row("took", runs.iter().map(|(run, _)| took(run)).collect(), false))
                (row("machine", runs.iter().map(|(run, _)| run.attempts.last().map(|attempt| attempt.host.clone()).unwrap_or_default()).collect(), true))
                (row("code", runs.iter().map(|(run, _)| short(&run.code).to_owned()).collect(), true))
                (row("why", runs.iter().map(|(run, _)| run.why.clone()).collect(), false))
                (parameters("Parameters", &configurations))
                (heading("Metrics", runs.len()))
                @for name in names { (row(name, metrics.iter().map(|known| known.get(name).map(|value| number(*value)).unwrap_or_default()).collect(), false)) }
                (heading("Environment", runs.len()))
                @for name in facts { (row(name, runs.iter().map(|(_, facts)| facts.get(name).cloned().unwrap_or_default()).collect(), true)) }
                @if fixed.iter().any(|params| !params.is_empty()) { (parameters("Constants", &fixed)) }
            }
        } }
    }
}

/// The parameters of runs, one a row.
fn parameters(title: &str, of_runs: &[Parameters]) -> Markup {
    let names: BTreeSet<&String> = of_runs.iter().flat_map(BTreeMap::keys).collect();
    let text = |value: Option<&serde_json::Value>| value.map(value_text).unwrap_or_default();
    html! {
        (heading(title, of_runs.len()))
        @for name in names { (row(name, of_runs.iter().map(|params| text(params.get(name))).collect(), true)) }
    }
}

fn heading(name: &str, columns: usize) -> Markup {
    html! { tr.heading { th colspan=(columns + 1) { (name) } } }
}

fn row(name: &str, values: Vec<String>, marked: bool) -> Markup {
    let differs = marked && values.windows(2).any(|pair| pair[0] != pair[1]);
    html! { tr.differs[differs] { td { (Escaped(name)) } @for value in &values { td.number { (Escaped(value)) } } } }
}

fn took(run: &RunRow) -> String {
    let started = run
        .attempts
        .iter()
        .map(|attempt| attempt.started_ms)
        .find(|ms| *ms > 0);
    started
        .filter(|_| run.ended_ms > 0)
        .map(|started| duration(run.ended_ms - started))
        .unwrap_or_default()
}
