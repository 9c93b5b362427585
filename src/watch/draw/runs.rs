//! The table of runs.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use sweep_proto::v1::Run;

use super::look::{DrawOptions, cell, cut};
use crate::display::{number, params_line, printable};
use crate::watch::model::WatchModel;
use crate::watch::rows;

const VALUE_WIDTH: usize = 11;

pub(super) fn lines(
    model: &WatchModel,
    look: DrawOptions,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let way = if model.descending { "↓" } else { "↑" };
    let order = format!(
        "by {} {way}, {} of {}",
        model.order.word(),
        model.rows.len(),
        model.runs.len()
    );
    let metric = if model.sweep.metric.is_empty() {
        "value"
    } else {
        &model.sweep.metric
    };
    let head = format!(
        "  {:>6}  {:<9}  {}  {order}",
        "RUN",
        "STATE",
        cell(&printable(metric).to_uppercase(), VALUE_WIDTH)
    );
    let mut lines = vec![Line::styled(cut(&head, width), look.head())];
    let page = height.saturating_sub(1);
    let first = model
        .place()
        .saturating_sub(page / 2)
        .min(model.rows.len().saturating_sub(page));
    // Only what is seen is made: there may be ten thousand.
    for run in model
        .rows
        .iter()
        .skip(first)
        .take(page)
        .filter_map(|run| model.runs.get(run))
    {
        lines.push(row(model, run, look, width));
    }
    if model.rows.is_empty() {
        lines.push(Line::raw(format!("  no runs ({})", model.filter.word())));
    }
    lines
}

fn row(model: &WatchModel, run: &Run, look: DrawOptions, width: usize) -> Line<'static> {
    let star = if model.sweep.best_run == Some(run.run) {
        "*"
    } else {
        " "
    };
    let chosen = model.chosen == Some(run.run);
    let mark = if chosen { ">" } else { " " };
    let value = rows::value(run).map(number).unwrap_or_default();
    let reason = run
        .reason
        .lines()
        .next()
        .map(|reason| format!("  {}", printable(reason)))
        .unwrap_or_default();
    let left = format!("{mark}{star}{:>6}  ", run.run);
    let state = format!("{:<9}  ", run.state);
    let rest = format!(
        "{}  {}{reason}",
        cell(&value, VALUE_WIDTH),
        params_line(run, &model.constants)
    );
    let rest = cut(&rest, width.saturating_sub(left.len() + state.len()));
    let line = Line::from(vec![
        Span::raw(left),
        Span::styled(state, look.state(&run.state)),
        Span::raw(rest),
    ]);
    if chosen {
        line.style(Style::new().add_modifier(Modifier::REVERSED))
    } else {
        line
    }
}
