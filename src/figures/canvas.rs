//! The sheet that all pictures are drawn on: white, with axes in grey and colours that the colour-blind tell apart.

use maud::{Markup, html};

use sweep_proto::v1::Run;

use super::scale::AxisScale;
use crate::display::{number, printable};

/// The colour of the best run and of the mean.
pub(super) const STRONG: &str = "#0072b2";
/// The colour of failed runs.
pub(super) const BAD: &str = "#d55e00";
/// Everything else that is seen.
pub(super) const PLAIN: &str = "#7f8a99";
/// Text and frames.
pub(super) const INK: &str = "#1b1f24";
const SOFT: &str = "#5b6472";
const LINE: &str = "#e3e7ec";
/// From good to bad; told apart in print without colours too.
const GOOD_TO_BAD: [(u8, u8, u8); 5] = [
    (44, 17, 95),
    (114, 31, 129),
    (183, 55, 121),
    (241, 96, 93),
    (254, 176, 120),
];
/// The width of a picture, in its own units.
pub(super) const WIDTH: f64 = 760.0;
/// A letter of the labels is about so wide, in its own units.
pub(super) const LETTER: f64 = 6.4;

/// A rectangle to draw in.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlotFrame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl PlotFrame {
    /// Returns where a place along the horizontal axis lies.
    pub(super) fn x(&self, place: f64) -> f64 {
        self.left + self.width * place
    }

    /// Returns where a place along the vertical axis lies; 0 is at the foot.
    pub(super) fn y(&self, place: f64) -> f64 {
        self.top + self.height * (1.0 - place)
    }
}

/// Makes a document of what was drawn.
pub(super) fn document(height: f64, caption: &str, drawn: &Markup) -> String {
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (fixed(height)) } width=(WIDTH) height=(fixed(height)) role="img"
            font-family="Helvetica, Arial, 'DejaVu Sans', 'Liberation Sans', 'Noto Sans', sans-serif" font-size="12" fill=(INK) {
            title { (printable(caption)) }
            desc { "Drawn by sweep" }
            rect width="100%" height="100%" fill="#fff" {}
            (drawn)
        }
    }
    .into_string()
}

/// Draws a frame with its two axes.
pub(super) fn axes(
    frame: &PlotFrame,
    (x, x_title): (&AxisScale, &str),
    (y, y_title): (&AxisScale, &str),
) -> Markup {
    let (foot, right) = (frame.top + frame.height, frame.left + frame.width);
    let turned = format!(
        "rotate(-90 {} {})",
        fixed(frame.left - 52.0),
        fixed(frame.top + frame.height / 2.0)
    );
    html! {
        @for (place, label) in y.ticks(5) {
            line x1=(fixed(frame.left)) x2=(fixed(right)) y1=(fixed(frame.y(place))) y2=(fixed(frame.y(place))) stroke=(LINE) {}
            text x=(fixed(frame.left - 6.0)) y=(fixed(frame.y(place) + 4.0)) text-anchor="end" fill=(SOFT) { (label) }
        }
        @for (place, label) in spaced(x.ticks((frame.width / 80.0) as usize), frame.width) {
            line x1=(fixed(frame.x(place))) x2=(fixed(frame.x(place))) y1=(fixed(foot)) y2=(fixed(foot + 4.0)) stroke=(SOFT) {}
            text x=(fixed(frame.x(place))) y=(fixed(foot + 18.0)) text-anchor="middle" fill=(SOFT) { (label) }
        }
        path d={ "M" (fixed(frame.left)) " " (fixed(frame.top)) "V" (fixed(foot)) "H" (fixed(right)) } fill="none" stroke=(SOFT) {}
        text x=(fixed(frame.left + frame.width / 2.0)) y=(fixed(foot + 36.0)) text-anchor="middle" { (printable(x_title)) }
        @if !y_title.is_empty() {
            text x=(fixed(frame.left - 52.0)) y=(fixed(frame.top + frame.height / 2.0)) text-anchor="middle" transform=(turned) { (printable(y_title)) }
        }
    }
}

/// Leaves out labels that would lie on others.
fn spaced(ticks: Vec<(f64, String)>, width: f64) -> Vec<(f64, String)> {
    let wide = |label: &String| LETTER * label.chars().count() as f64;
    let mut kept: Vec<(f64, String)> = Vec::new();
    for (place, label) in ticks {
        let free = kept.last().is_none_or(|(before, other)| {
            width * (place - before).abs() > (wide(other) + wide(&label)) / 2.0 + 8.0
        });
        if free {
            kept.push((place, label));
        }
    }
    kept
}

/// Draws what the signs mean, beside each other, from a point to the right.
pub(super) fn legend(x: f64, y: f64, entries: &[(Markup, &str)]) -> Markup {
    let mut left = x;
    html! {
        @for (sign, words) in entries {
            g transform={ "translate(" (fixed(left)) " " (fixed(y)) ")" } { (sign) text x="10" y="4" fill=(SOFT) { (words) } }
            @let () = left += 26.0 + LETTER * words.chars().count() as f64;
        }
    }
}

/// A run with a result: filled where it came to its end, hollow where it was stopped early.
pub(super) fn result(x: f64, y: f64, run: &Run, value: f64) -> Markup {
    let title = format!("run {}: {}", run.run, number(value));
    if run.state == "stopped" {
        ring(x, y, &title)
    } else {
        dot(x, y, &title)
    }
}

/// The legend of the signs of runs.
pub(super) fn signs(line: &'static str) -> [(Markup, &'static str); 4] {
    [
        (
            html! { path d="M-8 0H6" stroke=(STRONG) stroke-width="2" {} },
            line,
        ),
        (dot(0.0, 0.0, ""), "finished"),
        (ring(0.0, 0.0, ""), "stopped early"),
        (cross(0.0, 0.0, ""), "failed"),
    ]
}

fn dot(x: f64, y: f64, title: &str) -> Markup {
    html! { circle cx=(fixed(x)) cy=(fixed(y)) r="3.5" fill=(PLAIN) fill-opacity="0.75" { (hint(title)) } }
}

fn ring(x: f64, y: f64, title: &str) -> Markup {
    html! { circle cx=(fixed(x)) cy=(fixed(y)) r="3" fill="#fff" stroke=(PLAIN) stroke-width="1.5" { (hint(title)) } }
}

/// A run that failed.
pub(super) fn cross(x: f64, y: f64, title: &str) -> Markup {
    let (x, y) = (fixed(x - 3.0), fixed(y - 3.0));
    html! { path d={ "M" (x) " " (y) "l6 6m0-6l-6 6" } stroke=(BAD) stroke-width="1.5" fill="none" { (hint(title)) } }
}

fn hint(title: &str) -> Markup {
    html! { @if !title.is_empty() { title { (printable(title)) } } }
}

/// Returns the colour of a place between the best (0) and the worst (1).
pub(super) fn colour(place: f64) -> String {
    let scaled = place.clamp(0.0, 1.0) * (GOOD_TO_BAD.len() - 1) as f64;
    let index = (scaled as usize).min(GOOD_TO_BAD.len() - 2);
    let (from, to, share) = (
        GOOD_TO_BAD[index],
        GOOD_TO_BAD[index + 1],
        scaled - index as f64,
    );
    let mix = |from: u8, to: u8| {
        (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8
    };
    format!(
        "#{:02x}{:02x}{:02x}",
        mix(from.0, to.0),
        mix(from.1, to.1),
        mix(from.2, to.2)
    )
}

/// Writes a coordinate: a tenth is finer than anyone sees.
pub(super) fn fixed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
