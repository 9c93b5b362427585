//! Plots the surrogate model along one parameter.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde_json::Value;
use sweep_proto::v1::SliceSweepResponse;

use super::canvas::{self, PlotFrame, STRONG, WIDTH, fixed};
use super::scale::AxisScale;
use super::{Picture, Subject};

const HEIGHT: f64 = 300.0;
const LEGEND: f64 = 20.0;

/// Draws the model's mean and one standard deviation along each of some parameters, with what was measured. The others are held where the
/// recommended run has them, so points may lie off the line.
pub(crate) fn slice(subject: &Subject<'_>, slices: &[(String, SliceSweepResponse)]) -> Picture {
    let drawn = html! {
        (canvas::legend(74.0, 14.0, &canvas::signs("expected ± one standard deviation")))
        @for (index, (name, slice)) in slices.iter().enumerate() { (panel(subject, name, slice, index)) }
    };
    let rows = slices.len().div_ceil(2).max(1);
    let names: Vec<&str> = slices.iter().map(|(name, _)| name.as_str()).collect();
    let held = slices.first().map_or(0, |(_, slice)| slice.observations);
    let caption = format!(
        "{}: what a model of {held} runs expects of {} along {}, with one standard deviation, the other parameters as in the recommended run",
        subject.title(),
        subject.sweep.metric,
        names.join(", ")
    );
    Picture {
        name: "slice",
        svg: canvas::document(LEGEND + HEIGHT * rows as f64, &caption, &drawn),
        caption,
    }
}

fn panel(subject: &Subject<'_>, name: &str, slice: &SliceSweepResponse, index: usize) -> Markup {
    let half = WIDTH / 2.0;
    let frame = PlotFrame {
        left: 70.0 + half * (index % 2) as f64,
        top: LEGEND + 16.0 + HEIGHT * (index / 2) as f64,
        width: half - 84.0,
        height: HEIGHT - 66.0,
    };
    let values: Vec<Value> = slice
        .x_json
        .iter()
        .map(|value| serde_json::from_str(value).unwrap_or_default())
        .collect();
    let seen = subject
        .runs
        .iter()
        .filter_map(|drawn| drawn.params.get(name));
    let x = subject
        .axis(name)
        .map_or(AxisScale::Categories(Vec::new()), |axis| {
            AxisScale::of_parameter(axis, seen.chain(&values))
        });
    let y = of_model(subject, slice);
    let points: Vec<(f64, f64, f64)> = values
        .iter()
        .zip(slice.mean.iter().zip(&slice.deviation))
        .filter_map(|(value, (mean, deviation))| {
            let up = |value: f64| Some(frame.y(y.place_of(value)?.clamp(0.0, 1.0)));
            Some((
                frame.x(x.place(value)?),
                up(*mean)?,
                up(mean - deviation)? - up(mean + deviation)?,
            ))
        })
        .collect();
    html! {
        (canvas::axes(&frame, (&x, name), (&y, if index.is_multiple_of(2) { &subject.sweep.metric } else { "" })))
        @for (drawn, value) in subject.measured() {
            @if let (Some(at), Some(place)) = (drawn.params.get(name).and_then(|value| x.place(value)), y.place_of(value)) {
                @if (0.0..=1.0).contains(&place) {
                    (canvas::result(frame.x(at), frame.y(place), drawn.run, value))
                }
            }
        }
        @for (drawn, at) in subject.runs.iter().filter(|drawn| drawn.run.state == "failed").filter_map(|drawn| Some((drawn, x.place(drawn.params.get(name)?)?))) {
            (canvas::cross(frame.x(at), frame.top - 4.0, &format!("run {} failed", drawn.run.run)))
        }
        @if let AxisScale::Categories(_) = x { (whiskers(&points)) } @else { (band(&points)) }
    }
}

/// The axis of the objective: of the model and of what was measured near it.
fn of_model(subject: &Subject<'_>, slice: &SliceSweepResponse) -> AxisScale {
    let bounds = slice
        .mean
        .iter()
        .zip(&slice.deviation)
        .flat_map(|(mean, deviation)| [mean - deviation, mean + deviation]);
    let fold = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    let (low, high) = bounds
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), fold);
    if low > high {
        return AxisScale::of_numbers(0.0, 1.0, false);
    }
    let reach = high - low;
    let near = subject
        .measured()
        .map(|(_, value)| value)
        .filter(|value| (low - reach..=high + reach).contains(value));
    let (low, high) = near.fold((low, high), fold);
    let margin = 0.05 * (high - low);
    AxisScale::of_numbers(low - margin, high + margin, false)
}

fn band(points: &[(f64, f64, f64)]) -> Markup {
    let mut edge = String::new();
    let mut mean = String::new();
    // Writing to a string does not fail.
    for (index, (x, y, wide)) in points.iter().enumerate() {
        let sign = if index == 0 { 'M' } else { 'L' };
        let _ = write!(edge, "{sign}{} {}", fixed(*x), fixed(y - wide / 2.0));
        let _ = write!(mean, "{sign}{} {}", fixed(*x), fixed(*y));
    }
    for (x, y, wide) in points.iter().rev() {
        let _ = write!(edge, "L{} {}", fixed(*x), fixed(y + wide / 2.0));
    }
    html! {
        @if !points.is_empty() { path d={ (edge) "Z" } fill=(STRONG) fill-opacity="0.18" {} }
        path d=(mean) fill="none" stroke=(STRONG) stroke-width="2" {}
    }
}

fn whiskers(points: &[(f64, f64, f64)]) -> Markup {
    html! {
        @for (x, y, wide) in points {
            path d={ "M" (fixed(*x)) " " (fixed(y - wide / 2.0)) "v" (fixed(*wide)) } stroke=(STRONG) stroke-opacity="0.4" stroke-width="10" {}
            path d={ "M" (fixed(x - 12.0)) " " (fixed(*y)) "h24" } stroke=(STRONG) stroke-width="3" {}
        }
    }
}
