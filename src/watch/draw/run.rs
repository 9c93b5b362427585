//! One run, and its output.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use sweep_proto::v1::{Attempt, Run};

use super::look::{DrawOptions, cell, cut};
use crate::display::{self, attribution, number, printable, span, spark};
use crate::watch::model::WatchModel;

const NAME_WIDTH_MAX: usize = 24;
const TAIL_LINES: usize = 8;

pub(super) fn lines(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let Some(run) = model.run() else {
        return vec![Line::raw("no run is chosen: 2 lists them")];
    };
    let reason = if run.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&run.reason))
    };
    let mut lines = vec![Line::styled(
        cut(&format!("Run {} is {}{reason}", run.run, run.state), width),
        look.state(&run.state),
    )];
    if let Some(value) = run.value.or(run.best) {
        lines.push(Line::raw(cut(
            &format!("{} = {}", printable(&model.sweep.metric), number(value)),
            width,
        )));
    }
    lines.extend(
        run.violates
            .iter()
            .map(|violated| Line::raw(cut(&format!("violates {}", printable(violated)), width))),
    );
    lines.extend(course(model, run, look, width));
    lines.push(Line::raw(cut(
        &format!("why: {}", printable(&run.why)),
        width,
    )));
    lines.push(Line::raw(cut(
        &format!("again: sweep reproduce {}/{}", model.sweep.id, run.run),
        width,
    )));
    lines.extend(parameters(model, run, look, width));
    for attempt in run.attempts.iter().rev() {
        lines.extend(of_attempt(attempt, look, width));
    }
    lines
}

fn course(model: &WatchModel, run: &Run, look: DrawOptions, width: usize) -> Option<Line<'static>> {
    if model.points_of != Some(run.run) {
        return None;
    }
    let of_objective = model
        .points
        .iter()
        .filter(|point| point.name == model.sweep.metric);
    let values: Vec<f64> = of_objective.map(|point| point.value).collect();
    let course = spark::spark(&values, width.saturating_sub(2));
    (values.len() > 1).then(|| Line::styled(course, look.color(Color::Cyan)))
}

/// The parameters beside those of the best run, where they differ.
fn parameters(
    model: &WatchModel,
    run: &Run,
    look: DrawOptions,
    width: usize,
) -> Vec<Line<'static>> {
    let best = model.best.as_ref().filter(|best| best.run != run.run);
    let all = |run| {
        let (varied, fixed) = model.constants.split(run);
        [varied, fixed].concat()
    };
    let of_best: BTreeMap<_, _> = best.map(all).unwrap_or_default().into_iter().collect();
    let title = best.map_or("Parameters".to_owned(), |best| {
        format!("Parameters (and those of the best, run {})", best.run)
    });
    let mut lines = vec![Line::styled(cut(&title, width), look.head())];
    for (name, value) in all(run) {
        let other = of_best.get(&name).filter(|other| **other != value);
        let difference = other
            .map(|other| format!("  (best: {other})"))
            .unwrap_or_default();
        let style = if other.is_some() {
            look.color(Color::Yellow)
        } else {
            Style::new()
        };
        let text = format!(
            "  {}  {value}{difference}",
            cell(&name, NAME_WIDTH_MAX.min(width / 3))
        );
        lines.push(Line::styled(cut(&text, width), style));
    }
    lines
}

fn of_attempt(attempt: &Attempt, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let took = if attempt.started_ms > 0 && attempt.ended_ms > 0 {
        format!(", took {}", span(attempt.ended_ms - attempt.started_ms))
    } else {
        String::new()
    };
    let title = format!(
        "Attempt {} on {} is {}{took}",
        attempt.attempt,
        printable(&attempt.host),
        attempt.state
    );
    let mut lines = vec![Line::styled(cut(&title, width), look.head())];
    if let Some(failure) = &attempt.failure {
        let text = format!(
            "  {} (attribution: {}): {}",
            failure.kind,
            attribution(&failure.blame),
            printable(&failure.message)
        );
        lines.push(Line::styled(cut(&text, width), look.color(Color::Red)));
        if !failure.evidence.is_empty() {
            lines.push(Line::raw(cut(
                &format!("  evidence: {}", printable(&failure.evidence)),
                width,
            )));
        }
        let tail: Vec<_> = failure.output_tail.lines().collect();
        let tail = &tail[tail.len().saturating_sub(TAIL_LINES)..];
        lines.extend(
            tail.iter()
                .map(|line| Line::raw(cut(&format!("  | {}", printable(line)), width))),
        );
    }
    let (own, system) = display::metrics(attempt);
    for (name, value) in own.into_iter().chain(system) {
        lines.push(Line::raw(cut(
            &format!("  {} = {}", printable(name), number(*value)),
            width,
        )));
    }
    lines
}

/// The output of a run: a line about it, and what fits below.
pub(super) fn output(
    model: &WatchModel,
    look: DrawOptions,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let log = &model.log;
    let Some(run) = log.run else {
        return vec![Line::raw("no run is chosen: 2 lists them")];
    };
    let page = height.saturating_sub(1);
    let first = log.first(page);
    let state = match (log.ended, log.follows) {
        _ if !log.problem.is_empty() => printable(&log.problem),
        (true, _) => "ended".to_owned(),
        (false, true) => "following".to_owned(),
        (false, false) => "more may come".to_owned(),
    };
    let last = (first + page).min(log.lines.len());
    let title = format!(
        "Output of run {run}: lines {} to {last} of {} ({state})",
        (first + 1).min(last),
        log.lines.len()
    );
    let mut lines = vec![Line::styled(cut(&title, width), look.head())];
    for line in &log.lines[first..last] {
        let found = !log.search.is_empty() && line.contains(&log.search);
        let style = if found {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        lines.push(Line::styled(cut(line, width), style));
    }
    lines
}
