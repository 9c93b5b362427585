//! Sparklines: a curve in the height of a line.

use std::fmt::Write;

use maud::{Markup, html};
use sweep_search::observation::Goal;

const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 22.0;
/// Steps that can be told apart at that size.
const STEPS_MAX: usize = 60;

/// Draws the best value so far over the runs that had one, in the order in which they ended.
pub(super) fn best_so_far(values: &[f64], goal: Goal) -> Markup {
    let mut best = f64::NAN;
    let course: Vec<f64> = values
        .iter()
        .map(|value| {
            if best.is_nan() || goal.is_better(*value, best) {
                best = *value;
            }
            best
        })
        .collect();
    if course.len() < 2 {
        return html! {};
    }
    html! {
        svg.spark viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } width=(WIDTH) height=(HEIGHT) role="img" aria-label="best value so far" {
            path d=(path(&course)) {}
        }
    }
}

fn path(course: &[f64]) -> String {
    let count = course.len().min(STEPS_MAX);
    let points: Vec<f64> = (0..count)
        .map(|index| course[index * (course.len() - 1) / (count - 1)])
        .collect();
    let (low, high) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let span = if high > low { high - low } else { 1.0 };
    let mut path = String::new();
    for (index, value) in points.iter().enumerate() {
        let x = 1.0 + (WIDTH - 2.0) * index as f64 / (count - 1) as f64;
        let y = 2.0 + (HEIGHT - 4.0) * (1.0 - (value - low) / span);
        // Writing to a string does not fail.
        let _ = if index == 0 {
            write!(path, "M{x:.1} {y:.1}")
        } else {
            write!(path, "H{x:.1}V{y:.1}")
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_down_where_less_is_better() {
        assert_eq!(path(&[2.0, 1.0]), "M1.0 2.0H119.0V20.0");
        let drawn = best_so_far(&[2.0, 3.0, 1.0], Goal::Minimize).into_string();
        assert!(drawn.contains("M1.0 2.0H60.0V2.0H119.0V20.0"), "{drawn}");
        assert_eq!(best_so_far(&[1.0], Goal::Minimize).into_string(), "");
    }
}
