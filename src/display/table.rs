//! Tables for the terminal.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use sweep_proto::v1::{Agent, Run, Sweep, SweepUsage};

use super::run_facts::{Constants, last_beside, params_line, repeat, said};
use super::spark::spark;
use super::{ago, bytes, live, number, printable, width};

/// The name of the objective is cut to this in a terminal narrower than [`METRIC_WHOLE`].
const METRIC_WIDTH: usize = 14;
const METRIC_WHOLE: usize = 120;
/// The greatest width of a curve, in columns.
const COURSE_WIDTH: usize = 12;
/// A narrower terminal has no room for curves.
const COURSES_FROM: usize = 80;
/// A narrower terminal has no room to say how often a run was tried.
const TRIES_FROM: usize = 70;

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    table
}

/// Cuts what is too wide for the terminal: a table that wraps cannot be read.
pub(super) fn fitted(table: &Table) -> String {
    let width = width();
    let lines: Vec<_> = table
        .lines()
        .map(|line| {
            console::truncate_str(
                line.strip_prefix(' ').unwrap_or(&line).trim_end(),
                width,
                "…",
            )
            .into_owned()
        })
        .collect();
    lines.join("\n")
}

/// Sweeps, one a line.
pub(crate) fn sweeps(sweeps: &[Sweep]) -> String {
    let mut table = table(&[
        "sweep", "state", "runs", "failed", "agents", "best", "method", "age", "name",
    ]);
    for sweep in sweeps {
        let done = live::ended(sweep);
        let runs = live::planned(sweep)
            .map_or_else(|| done.to_string(), |planned| format!("{done}/{planned}"));
        let best = sweep
            .best_value
            .map(|value| format!("{}={}", printable(&sweep.metric), number(value)))
            .unwrap_or_default();
        table.add_row([
            sweep.id.clone(),
            sweep.state.clone(),
            runs,
            sweep.failed.to_string(),
            sweep.agents.to_string(),
            best,
            sweep.method.clone(),
            ago(sweep.created_ms),
            printable(&sweep.name),
        ]);
    }
    right(&mut table, &[2, 3, 4]);
    fitted(&table)
}

/// A line of [`usages`].
pub(crate) type UsageLine = (u64, [String; 9]);

/// A sweep, and its run folders on this machine: how many, and how large.
pub(crate) fn usage(sweep: &SweepUsage, (count, folders): (u64, u64)) -> UsageLine {
    let SweepUsage {
        event_bytes,
        curve_bytes,
        output_bytes,
        row_bytes,
        ..
    } = *sweep;
    let total = event_bytes + curve_bytes + output_bytes + row_bytes + folders;
    let state = if sweep.archived {
        format!("{}, archived", sweep.state)
    } else {
        sweep.state.clone()
    };
    let line = [
        sweep.sweep_id.clone(),
        state,
        sweep.runs.to_string(),
        bytes(event_bytes),
        bytes(curve_bytes),
        bytes(output_bytes),
        bytes(row_bytes),
        if count == 0 {
            String::new()
        } else {
            bytes(folders)
        },
        printable(&sweep.name),
    ];
    (total, line)
}

/// Run folders of a sweep that the controller does not have.
pub(crate) fn unknown_usage(sweep: &str, (_, folders): (u64, u64)) -> UsageLine {
    let mut line: [String; 9] = std::array::from_fn(|_| String::new());
    line[0] = sweep.to_owned();
    line[1] = "not of this controller".to_owned();
    line[7] = bytes(folders);
    (folders, line)
}

/// How much of the disk sweeps take, the largest first.
pub(crate) fn usages(mut lines: Vec<UsageLine>) -> String {
    lines.sort_by_key(|(total, _)| std::cmp::Reverse(*total));
    let mut table = table(&[
        "sweep",
        "state",
        "runs",
        "events",
        "curves",
        "output",
        "rows",
        "run folders",
        "name",
    ]);
    for (_, line) in lines {
        table.add_row(line);
    }
    right(&mut table, &[2, 3, 4, 5, 6, 7]);
    fitted(&table)
}

/// Runs, one a line; the best one is marked. Objective and state are there however narrow the terminal is. `courses` has the objective of each run over time.
pub(crate) fn runs(sweep: &Sweep, runs: &[Run], courses: &BTreeMap<u64, Vec<f64>>) -> String {
    let width = width();
    let metric = if sweep.metric.is_empty() {
        "value"
    } else {
        &sweep.metric
    };
    let metric = printable(metric);
    // The value stands at the right of its column: a long name must not push it out of sight.
    let metric = if width < METRIC_WHOLE {
        console::truncate_str(&metric, METRIC_WIDTH, "…")
    } else {
        metric.as_str().into()
    };
    let constants = Constants::of(sweep);
    let mut table = table(&[
        "run",
        "state",
        &metric,
        "curve",
        "tries",
        "parameters",
        "note",
    ]);
    for run in runs {
        let course = courses
            .get(&run.run)
            .filter(|course| course.len() > 1)
            .map(|course| spark(course, COURSE_WIDTH));
        let star = if sweep.best_run == Some(run.run) {
            "*"
        } else {
            ""
        };
        let value = run.value.or(run.best).map(number).unwrap_or_default();
        let violates = run
            .violates
            .iter()
            .map(|violated| format!("violates {violated}"));
        let repeat = run.repeats.as_ref().map(repeat);
        let aside = Some(run.aside.clone()).filter(|aside| !aside.is_empty());
        let said = Some(said(run)).filter(|said| !said.is_empty());
        let notes: Vec<_> = last_beside(run)
            .into_iter()
            .chain(said)
            .chain(repeat)
            .chain(run.reason.lines().next().map(str::to_owned))
            .chain(violates)
            .chain(aside)
            .collect();
        let note = printable(&notes.join("; "));
        let (course, tries) = (course.unwrap_or_default(), run.attempts.len().to_string());
        table.add_row([
            format!("{star}{}", run.run),
            run.state.clone(),
            value,
            course,
            tries,
            params_line(run, &constants),
            note,
        ]);
    }
    right(&mut table, &[0, 2, 4]);
    let has_courses = width >= COURSES_FROM && courses.values().any(|course| course.len() > 1);
    for (column, is_seen) in [(3, has_courses), (4, width >= TRIES_FROM)] {
        if let Some(column) = table.column_mut(column).filter(|_| !is_seen) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    fitted(&table)
}

/// Agents, one a line.
pub(crate) fn agents(agents: &[Agent]) -> String {
    let mut table = table(&[
        "agent",
        "sweep",
        "host",
        "health",
        "busy",
        "ended well",
        "failed",
        "since",
        "note",
    ]);
    for agent in agents {
        let health = if agent.alive {
            agent.health.as_str()
        } else {
            "gone"
        };
        let name = agent.id.get(..12).unwrap_or(&agent.id);
        table.add_row([
            printable(name),
            agent.sweep_id.clone(),
            printable(&agent.host),
            health.to_owned(),
            format!("{}/{}", agent.running, agent.slots.max(1)),
            agent.succeeded.to_string(),
            agent.failed.to_string(),
            ago(agent.seen_ms),
            printable(&agent.reason),
        ]);
    }
    right(&mut table, &[4, 5, 6]);
    fitted(&table)
}

/// Things with what they are on each side.
pub(crate) fn compared<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let mut table = table(&[]);
    // The names of runs stay as they are.
    table.set_header(heads);
    for row in rows {
        table.add_row(row);
    }
    fitted(&table)
}

pub(super) fn right(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
