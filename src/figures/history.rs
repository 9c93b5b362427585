//! How the best result got better.

use std::fmt::Write as _;

use maud::html;

use super::canvas::{self, PlotFrame, STRONG, WIDTH, fixed};
use super::scale::AxisScale;
use super::{Drawn, Picture, Subject};
use crate::display::number;

const HEIGHT: f64 = 380.0;
/// Of results, this share decides what the axis shows; those that are worse lie at its end.
const SHOWN: f64 = 0.95;
/// Results that are all above zero and this factor apart are drawn by their logarithm.
const LOG_FROM: f64 = 50.0;

/// Draws the result of each run in the order in which they ended, and the best one so far.
pub(crate) fn history(subject: &Subject<'_>) -> Picture {
    let mut ended: Vec<&Drawn<'_>> = subject
        .runs
        .iter()
        .filter(|drawn| drawn.run.ended_ms > 0)
        .collect();
    ended.sort_by_key(|drawn| (drawn.run.ended_ms, drawn.run.run));
    let values: Vec<f64> = subject.measured().map(|(_, value)| value).collect();
    let y = of_values(&values, subject.maximizes());
    let x = AxisScale::of_numbers(0.5, (ended.len().max(1) as f64) + 0.5, false);
    let frame = PlotFrame {
        left: 76.0,
        top: 40.0,
        width: WIDTH - 100.0,
        height: HEIGHT - 90.0,
    };
    let across = |index: usize| frame.x(x.place_of(index as f64 + 1.0).unwrap_or(0.0));
    let metric = &subject.sweep.metric;
    let caption = caption(subject, &ended);
    let drawn = html! {
        (canvas::axes(&frame, (&x, "runs, in the order in which they ended"), (&y, metric)))
        @for (index, drawn) in ended.iter().enumerate() {
            @match drawn.run.value.filter(|value| value.is_finite()) {
                Some(value) => {
                    @let place = y.place_of(value).unwrap_or(0.0).clamp(0.0, 1.0);
                    (canvas::result(across(index), frame.y(place), drawn.run, value))
                },
                None if drawn.run.state == "failed" => (canvas::cross(across(index), frame.top - 6.0, &format!("run {} failed", drawn.run.run))),
                None => {},
            }
        }
        path d=(best_so_far(subject, &ended, &y, &frame, across)) fill="none" stroke=(STRONG) stroke-width="2" {}
        (canvas::legend(frame.left + 4.0, 16.0, &canvas::signs("best so far")))
    };
    Picture {
        name: "history",
        svg: canvas::document(HEIGHT, &caption, &drawn),
        caption,
    }
}

fn caption(subject: &Subject<'_>, ended: &[&Drawn<'_>]) -> String {
    let best = match (subject.sweep.best_run, subject.sweep.best_value) {
        (Some(run), Some(value)) => format!("; the best is {} (run {run})", number(value)),
        _ => String::new(),
    };
    format!(
        "{}: {} over {} runs{best}",
        subject.title(),
        subject.sweep.metric,
        ended.len()
    )
}

/// The axis of the objective: of what is worth seeing, a little wider.
fn of_values(values: &[f64], maximizes: bool) -> AxisScale {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if maximizes {
        sorted.reverse();
    }
    let (Some(best), Some(last)) = (sorted.first().copied(), sorted.last().copied()) else {
        return AxisScale::of_numbers(0.0, 1.0, false);
    };
    let shown = sorted[((sorted.len() - 1) as f64 * SHOWN) as usize];
    // A few results that are not far off do not make the axis shorter.
    let worst = if (last - best).abs() < 2.0 * (shown - best).abs() {
        last
    } else {
        shown
    };
    let (low, high) = (best.min(worst), best.max(worst));
    if low > 0.0 && high / low > LOG_FROM {
        return AxisScale::of_numbers(low / 1.15, high * 1.15, true);
    }
    let margin = 0.05 * (high - low);
    AxisScale::of_numbers(low - margin, high + margin, false)
}

fn best_so_far(
    subject: &Subject<'_>,
    ended: &[&Drawn<'_>],
    y: &AxisScale,
    frame: &PlotFrame,
    across: impl Fn(usize) -> f64,
) -> String {
    let mut best: Option<f64> = None;
    let mut path = String::new();
    for (index, drawn) in ended.iter().enumerate() {
        let Some(value) = drawn
            .run
            .value
            .filter(|value| value.is_finite() && drawn.counts())
        else {
            continue;
        };
        if best.is_some_and(|best| !subject.is_better(value, best)) {
            continue;
        }
        let (x, place) = (
            fixed(across(index)),
            y.place_of(value).unwrap_or(0.0).clamp(0.0, 1.0),
        );
        // Writing to a string does not fail.
        let _ = if best.is_none() {
            write!(path, "M{x} {}", fixed(frame.y(place)))
        } else {
            write!(path, "H{x}V{}", fixed(frame.y(place)))
        };
        best = Some(value);
    }
    if best.is_some() {
        let _ = write!(path, "H{}", fixed(frame.left + frame.width));
    }
    path
}
