//! Every run as a line through its parameters.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde_json::Value;
use sweep_proto::v1::AnalyzeSweepResponse;

use super::canvas::{self, BAD, INK, PLAIN, PlotFrame, WIDTH, fixed};
use super::scale::{AxisScale, cut};
use super::{Drawn, Picture, Subject};
use crate::display::printable;

const HEIGHT: f64 = 440.0;
/// Axes that find room beside each other, the objective not counted.
const AXES_MAX: usize = 9;
/// Labels of an axis that find room above each other.
const LABELS_MAX: usize = 16;
/// Where a line passes an axis of which its run has no value: below its foot.
const ABSENT: f64 = -0.07;

/// Draws parallel coordinates: the parameters that vary, the most important first, and the objective; the better a run, the darker its line.
pub(crate) fn parallel(subject: &Subject<'_>, analysis: &AnalyzeSweepResponse) -> Picture {
    let names = chosen(subject, analysis);
    let scales: Vec<AxisScale> = names.iter().map(|name| parameter(subject, name)).collect();
    let values: Vec<f64> = subject.measured().map(|(_, value)| value).collect();
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let objective = (!values.is_empty())
        .then(|| AxisScale::of_numbers(low, high, low > 0.0 && high / low > 50.0));
    let frame = PlotFrame {
        left: 84.0,
        top: 56.0,
        width: WIDTH - 168.0,
        height: HEIGHT - 122.0,
    };
    let columns = names.len() + usize::from(objective.is_some());
    let across = |column: usize| {
        frame.x(if columns < 2 {
            0.5
        } else {
            column as f64 / (columns - 1) as f64
        })
    };
    let lines = lines(subject, &names, &scales, objective.as_ref(), &frame, across);
    let hidden = subject.varied().count() - names.len();
    let caption = format!(
        "{}: {} runs by their parameters{}, dark where {} is good{}",
        subject.title(),
        subject.runs.len(),
        if hidden > 0 {
            format!(" ({hidden} more parameters are not drawn)")
        } else {
            String::new()
        },
        subject.sweep.metric,
        if lines.failed {
            ", dashed where a run failed"
        } else {
            ""
        },
    );
    let drawn = html! {
        (lines.drawn)
        @for (column, (name, scale)) in names.iter().zip(&scales).enumerate() {
            (axis(&frame, across(column), name, scale, columns, column))
            @if subject.runs.iter().any(|drawn| !drawn.params.contains_key(name)) { (absent(&frame, across(column), "none")) }
        }
        @if let Some(objective) = &objective {
            (axis(&frame, across(columns - 1), &subject.sweep.metric, objective, columns, columns - 1))
            @if lines.failed { (absent(&frame, across(columns - 1), "failed")) }
        }
        (key(&frame, lines.failed))
    };
    Picture {
        name: "parallel",
        svg: canvas::document(HEIGHT, &caption, &drawn),
        caption,
    }
}

/// The parameters that are drawn, the most important first; those of which nothing is known follow in the order of the file.
fn chosen(subject: &Subject<'_>, analysis: &AnalyzeSweepResponse) -> Vec<String> {
    let rank = |name: &str| {
        analysis
            .effects
            .iter()
            .position(|effect| effect.parameter == name)
            .unwrap_or(usize::MAX)
    };
    let mut names: Vec<&str> = subject.varied().collect();
    names.sort_by_key(|name| rank(name));
    names
        .into_iter()
        .take(AXES_MAX)
        .map(str::to_owned)
        .collect()
}

fn parameter(subject: &Subject<'_>, name: &str) -> AxisScale {
    let seen = subject
        .runs
        .iter()
        .filter_map(|drawn| drawn.params.get(name));
    subject
        .axis(name)
        .map_or(AxisScale::Categories(Vec::new()), |axis| {
            AxisScale::of_parameter(axis, seen)
        })
}

fn axis(
    frame: &PlotFrame,
    x: f64,
    name: &str,
    scale: &AxisScale,
    columns: usize,
    column: usize,
) -> Markup {
    let room = frame.width / (columns.max(2) - 1) as f64 / canvas::LETTER;
    // Neighbours stand at two heights, so that long names do not meet.
    let above = if columns > 5 && column % 2 == 1 {
        30.0
    } else {
        12.0
    };
    let ticks = scale.ticks(6);
    let every = ticks.len().div_ceil(LABELS_MAX).max(1);
    html! {
        path d={ "M" (fixed(x)) " " (fixed(frame.top)) "v" (fixed(frame.height)) } stroke=(INK) {}
        text x=(fixed(x)) y=(fixed(frame.top - above)) text-anchor="middle" font-weight="bold" { (cut(&printable(name), (room * 1.6).clamp(6.0, 24.0) as usize)) }
        @for (place, label) in ticks.iter().step_by(every) {
            path d={ "M" (fixed(x)) " " (fixed(frame.y(*place))) "h5" } stroke=(INK) {}
            text x=(fixed(x + 7.0)) y=(fixed(frame.y(*place) + 4.0)) stroke="#fff" stroke-width="3" stroke-linejoin="round" paint-order="stroke" font-size="11" { (label) }
        }
    }
}

fn absent(frame: &PlotFrame, x: f64, word: &str) -> Markup {
    html! { text x=(fixed(x)) y=(fixed(frame.y(ABSENT) + 15.0)) text-anchor="middle" font-size="11" font-style="italic" { (word) } }
}

/// The legend of the colours.
fn key(frame: &PlotFrame, failed: bool) -> Markup {
    let steps = 24;
    html! {
        g transform={ "translate(" (fixed(frame.left)) " " (fixed(HEIGHT - 14.0)) ")" } {
            text y="4" { "good" }
            @for step in 0..steps {
                rect x=(36 + 4 * step) y="-5" width="4.2" height="10" fill=(canvas::colour(f64::from(step) / f64::from(steps - 1))) {}
            }
            text x=(44 + 4 * steps) y="4" { "bad" }
            @if failed {
                path d={ "M" (90 + 4 * steps) " 0h26" } stroke=(BAD) stroke-dasharray="3 3" {}
                text x=(124 + 4 * steps) y="4" { "failed" }
            }
        }
    }
}

struct ParallelLines {
    drawn: Markup,
    failed: bool,
}

/// The lines of all runs, the best one on top.
fn lines(
    subject: &Subject<'_>,
    names: &[String],
    scales: &[AxisScale],
    objective: Option<&AxisScale>,
    frame: &PlotFrame,
    across: impl Fn(usize) -> f64,
) -> ParallelLines {
    let mut ranked: Vec<(&Drawn<'_>, f64)> = subject.measured().collect();
    ranked.sort_by(|a, b| {
        if subject.maximizes() {
            a.1.total_cmp(&b.1)
        } else {
            b.1.total_cmp(&a.1)
        }
    });
    let failed: Vec<&Drawn<'_>> = subject
        .runs
        .iter()
        .filter(|drawn| drawn.run.state == "failed" && drawn.run.value.is_none())
        .collect();
    let path = |drawn: &Drawn<'_>, value: Option<f64>| {
        let places = names.iter().zip(scales).map(|(name, scale)| {
            drawn
                .params
                .get(name)
                .and_then(|value: &Value| scale.place(value))
        });
        let last = objective.map(|objective| value.and_then(|value| objective.place_of(value)));
        let mut path = String::new();
        for (column, place) in places.chain(last).enumerate() {
            let (sign, x, y) = (
                if column == 0 { 'M' } else { 'L' },
                fixed(across(column)),
                fixed(frame.y(place.unwrap_or(ABSENT))),
            );
            // Writing to a string does not fail.
            let _ = write!(path, "{sign}{x} {y}");
        }
        path
    };
    let count = ranked.len();
    // Many lines are thin, or they hide each other.
    let (width, opacity) = if count > 200 {
        ("0.8", "0.4")
    } else {
        ("1.3", "0.7")
    };
    let drawn = html! {
        g fill="none" stroke=(BAD) stroke-dasharray="3 3" stroke-opacity="0.6" { @for drawn in &failed { path d=(path(drawn, None)) {} } }
        g fill="none" stroke=(PLAIN) stroke-width=(width) stroke-opacity=(opacity) {
            @for (index, (drawn, value)) in ranked.iter().enumerate() {
                @let place = 1.0 - (index as f64 + 1.0) / count as f64;
                @if subject.sweep.best_run == Some(drawn.run.run) {
                    path d=(path(drawn, Some(*value))) stroke=(canvas::colour(0.0)) stroke-width="3" stroke-opacity="1" {}
                } @else {
                    path d=(path(drawn, Some(*value))) stroke=(canvas::colour(place)) {}
                }
            }
        }
    };
    ParallelLines {
        drawn,
        failed: !failed.is_empty(),
    }
}
