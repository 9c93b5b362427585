//! The sweep at a glance.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use sweep_proto::v1::{Agent, Run};

use super::look::{DrawOptions, cut};
use crate::display::{self, attribution, live, number, params_line, printable, span, spark};
use crate::watch::model::WatchModel;

const BAR_WIDTH_MAX: usize = 40;
const SPARK_WIDTH_MAX: usize = 60;
const RUNNING_MAX: usize = 12;
const ENDED_MAX: usize = 3;
const CAUSES_MAX: usize = 6;

pub(super) fn lines(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let mut lines = progress(model, look, width);
    lines.extend(best(model, look, width));
    lines.extend(agents(&model.agents, look, width));
    lines.extend(running(model, look, width));
    lines.extend(ended(model, look, width));
    lines.extend(causes(model, look, width));
    lines
}

fn progress(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let sweep = &model.sweep;
    let counts = Line::raw(cut(&live::counts(sweep), width));
    let cells = width.saturating_sub(8).min(BAR_WIDTH_MAX);
    let Some(planned) = live::planned(sweep).filter(|_| cells > 0) else {
        return vec![counts];
    };
    let part = |whole: usize| {
        (u128::from(live::ended(sweep)) * whole as u128 / u128::from(planned)) as usize
    };
    let full = part(cells);
    let bar = vec![
        Span::styled("█".repeat(full), look.color(Color::Green)),
        Span::styled(
            "░".repeat(cells - full),
            Style::new().add_modifier(Modifier::DIM),
        ),
        Span::raw(format!(" {} %", part(100))),
    ];
    vec![Line::from(bar), counts]
}

fn best(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let Some(best) = &model.best else {
        return Vec::new();
    };
    let value = best.value.map(number).unwrap_or_default();
    let metric = printable(&model.sweep.metric);
    let mut lines = vec![
        head(look, "Best"),
        Line::styled(
            cut(&format!("{metric} = {value} by run {}", best.run), width),
            look.head(),
        ),
        Line::raw(cut(
            &format!("  {}", params_line(best, &model.constants)),
            width,
        )),
    ];
    let history = spark::best_so_far(&model.sweep, model.runs.values());
    if history.len() > 1 {
        let ends = format!(
            "  {} → {}",
            number(history[0]),
            number(history[history.len() - 1])
        );
        let course = spark::spark(
            &history,
            width.saturating_sub(ends.len() + 2).min(SPARK_WIDTH_MAX),
        );
        lines.push(Line::from(vec![
            Span::styled(format!("  {course}"), look.color(Color::Cyan)),
            Span::raw(ends),
        ]));
    }
    lines
}

fn agents(agents: &[Agent], look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let (alive, gone): (Vec<_>, Vec<_>) = agents.iter().partition(|agent| agent.alive);
    let busy: u32 = alive.iter().map(|agent| agent.running).sum();
    let slots: u32 = alive.iter().map(|agent| agent.slots).sum();
    let gone = if gone.is_empty() {
        String::new()
    } else {
        format!(", {} gone", gone.len())
    };
    let mut lines = vec![head(
        look,
        &format!(
            "Agents: {} ({busy} of {slots} slots busy){gone}",
            alive.len()
        ),
    )];
    for agent in alive.iter().filter(|agent| agent.health != "ok") {
        let text = format!(
            "  {} {}: {}",
            agent.health,
            printable(&agent.host),
            printable(&agent.reason)
        );
        lines.push(Line::styled(cut(&text, width), look.state(&agent.health)));
    }
    lines
}

fn running(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    if model.running.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head(look, "Running")];
    let known = model.running.iter().filter_map(|run| model.runs.get(run));
    lines.extend(
        live::mixed_versions(&model.sweep, known)
            .map(|mixed| Line::styled(cut(&mixed, width), look.color(Color::Yellow))),
    );
    for run in model
        .running
        .iter()
        .take(RUNNING_MAX)
        .filter_map(|run| model.runs.get(run))
    {
        let attempt = run.attempts.last();
        let began = attempt
            .map(|attempt| attempt.started_ms)
            .filter(|began| *began > 0);
        let took = began
            .map(|began| span((look.now_ms - began).max(0)))
            .unwrap_or_else(|| run.state.clone());
        let values: BTreeMap<_, _> = attempt
            .map(|attempt| display::metrics(attempt).0)
            .unwrap_or_default();
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| format!("{}={}", printable(name), number(**value)))
            .collect();
        let text = format!(
            "  {:>5}  {took:>7}  {}  {}",
            run.run,
            values.join(" "),
            params_line(run, &model.constants)
        );
        lines.push(Line::raw(cut(&text, width)));
    }
    let rest = model.running.len().saturating_sub(RUNNING_MAX);
    if rest > 0 {
        lines.push(Line::raw(format!("  … and {rest} more")));
    }
    lines
}

fn ended(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    if model.ended.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head(look, "Ended last")];
    let known = model
        .ended
        .iter()
        .take(ENDED_MAX)
        .filter_map(|run| model.runs.get(run));
    lines.extend(known.map(|run| ended_line(model, run, look, width)));
    lines
}

fn ended_line(model: &WatchModel, run: &Run, look: DrawOptions, width: usize) -> Line<'static> {
    let value = run
        .value
        .map(|value| format!("{}  ", number(value)))
        .unwrap_or_default();
    let reason = run
        .reason
        .lines()
        .next()
        .map(|reason| format!("{}  ", printable(reason)))
        .unwrap_or_default();
    let text = cut(
        &format!(
            "  {:>5}  {:<9}  {value}{reason}{}",
            run.run,
            run.state,
            params_line(run, &model.constants)
        ),
        width,
    );
    Line::styled(text, look.state(&run.state))
}

fn causes(model: &WatchModel, look: DrawOptions, width: usize) -> Vec<Line<'static>> {
    let groups = display::failures(model.failed());
    if groups.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head(look, "Failures by cause")];
    for group in groups.iter().take(CAUSES_MAX) {
        let blame = if group.blame.is_empty() {
            String::new()
        } else {
            format!(" (attribution: {})", attribution(&group.blame))
        };
        let first = group.example.lines().next().unwrap_or_default();
        let text = format!(
            "  {} × {}{blame}: {}",
            group.runs.len(),
            printable(&group.kind),
            printable(first)
        );
        lines.push(Line::styled(cut(&text, width), look.color(Color::Red)));
    }
    let rest = groups.len().saturating_sub(CAUSES_MAX);
    if rest > 0 {
        lines.push(Line::raw(format!("  … and {rest} more causes")));
    }
    lines
}

fn head(look: DrawOptions, text: &str) -> Line<'static> {
    Line::styled(text.to_owned(), look.head())
}
