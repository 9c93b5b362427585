//! Where a value lies along an axis.

use serde_json::Value;
use sweep_lifecycle::spec::ParameterAxis;

use crate::display::{number, printable};

/// A text that is longer is cut.
const LABEL_CHARS_MAX: usize = 14;
/// Categories beyond these share no label each.
const CATEGORIES_MAX: usize = 40;

/// An axis: from what a parameter or a metric may be to a place between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AxisScale {
    /// Equal differences are equal distances.
    Linear { low: f64, high: f64 },
    /// Equal factors are equal distances.
    Logarithmic { low: f64, high: f64 },
    /// One place each.
    Categories(Vec<Value>),
}

impl AxisScale {
    /// Makes an axis for numbers. Bounds that are equal are moved apart.
    pub(super) fn of_numbers(low: f64, high: f64, log: bool) -> Self {
        if log && low > 0.0 {
            return if high > low {
                Self::Logarithmic { low, high }
            } else {
                Self::Logarithmic {
                    low: low / 2.0,
                    high: low * 2.0,
                }
            };
        }
        if high > low {
            return Self::Linear { low, high };
        }
        let apart = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
        Self::Linear {
            low: low - apart,
            high: low + apart,
        }
    }

    /// Makes the axis of a parameter: of its declared values or bounds, or else of the values that it had.
    pub(super) fn of_parameter<'v>(
        axis: &ParameterAxis,
        seen: impl Iterator<Item = &'v Value>,
    ) -> Self {
        let seen: Vec<&Value> = seen.collect();
        let numbers: Vec<f64> = seen.iter().filter_map(|value| value.as_f64()).collect();
        let mut values = axis.values.clone();
        if !values.is_empty() || numbers.is_empty() || numbers.len() < seen.len() {
            for value in seen {
                if !values.contains(value) && values.len() < CATEGORIES_MAX {
                    values.push(value.clone());
                }
            }
            return Self::Categories(values);
        }
        let (low, high) = axis.range.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        let low = numbers.iter().copied().fold(low, f64::min);
        let high = numbers.iter().copied().fold(high, f64::max);
        Self::of_numbers(low, high, axis.log)
    }

    /// Returns the place of a value, 0 at the low end; `None` where the axis does not have it.
    pub(super) fn place(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Categories(values) => {
                let index = values.iter().position(|known| known == value)?;
                Some((index as f64 + 0.5) / values.len() as f64)
            }
            _ => self.place_of(value.as_f64()?),
        }
    }

    /// Returns the place of a number, which may lie outside of 0 and 1.
    pub(super) fn place_of(&self, value: f64) -> Option<f64> {
        let place = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Logarithmic { low, high } => (value.ln() - low.ln()) / (high.ln() - low.ln()),
            Self::Categories(_) => return None,
        };
        place.is_finite().then_some(place)
    }

    /// Returns about `n` ticks with their labels.
    pub(super) fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        let numbers = match self {
            Self::Categories(values) => {
                let place = |index: usize| (index as f64 + 0.5) / values.len() as f64;
                return values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| (place(index), label(value)))
                    .collect();
            }
            Self::Linear { low, high } => round_numbers(*low, *high, about),
            Self::Logarithmic { low, high } => round_factors(*low, *high, about),
        };
        numbers
            .into_iter()
            .filter_map(|value| Some((self.place_of(value)?, number(value))))
            .collect()
    }
}

/// Writes a value, cut where it is long.
pub(super) fn label(value: &Value) -> String {
    let text = match (value, value.as_f64()) {
        (Value::String(text), _) => printable(text),
        (Value::Number(_), Some(value)) => number(value),
        _ => printable(&value.to_string()),
    };
    cut(&text, LABEL_CHARS_MAX)
}

/// Cuts a text that is longer than `n` characters.
pub(super) fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn round_numbers(low: f64, high: f64, about: usize) -> Vec<f64> {
    let rough = (high - low) / about.max(1) as f64;
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= 0.7 * rough);
    let step = step.unwrap_or(10.0 * magnitude);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    if !(step > 0.0 && last - first < 100.0) {
        return vec![low, high];
    }
    // A product of whole numbers, rounded, does not gather errors as a sum would.
    (0..=(last - first) as usize)
        .map(|index| rounded((first + index as f64) * step))
        .collect()
}

/// Powers of ten, thinned out or with their doubles and halves.
fn round_factors(low: f64, high: f64, about: usize) -> Vec<f64> {
    let (first, last) = (
        (low.log10() - 1e-9).floor() as i32,
        (high.log10() + 1e-9).ceil() as i32,
    );
    let decades = ((high / low).log10() - 1e-9).ceil().max(1.0) as usize;
    let within = |value: &f64| (low * 0.999..=high * 1.001).contains(value);
    let of = |factors: &[f64], every: usize| -> Vec<f64> {
        let powers = (first..=last).filter(|power| power.rem_euclid(every as i32) == 0);
        powers
            .flat_map(|power| {
                factors
                    .iter()
                    .map(move |factor| rounded(factor * 10f64.powi(power)))
            })
            .filter(within)
            .collect()
    };
    let fine = of(&[1.0, 2.0, 5.0], 1);
    if fine.len() <= about + 1 {
        return if fine.len() < 2 {
            vec![low, high]
        } else {
            fine
        };
    }
    of(&[1.0], decades.div_ceil(about.max(1)))
}

fn rounded(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(scale: &AxisScale, about: usize) -> Vec<String> {
        scale
            .ticks(about)
            .into_iter()
            .map(|(_, label)| label)
            .collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&AxisScale::of_numbers(0.0, 1.0, false), 5),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(
            labels(&AxisScale::of_numbers(-3.0, 17.0, false), 5),
            ["0", "5", "10", "15"]
        );
        assert_eq!(
            labels(&AxisScale::of_numbers(1e-5, 1e-1, true), 5),
            ["1e-5", "0.0001", "0.001", "0.01", "0.1"]
        );
        assert_eq!(
            labels(&AxisScale::of_numbers(0.01, 0.1, true), 5),
            ["0.01", "0.02", "0.05", "0.1"]
        );
        assert_eq!(
            labels(&AxisScale::of_numbers(1e-12, 1.0, true), 4),
            ["1e-12", "1e-9", "1e-6", "0.001", "1"]
        );
    }

    #[test]
    fn every_range_has_ticks_inside() {
        for (low, high, log) in [
            (5.0, 5.0, false),
            (0.0, 0.0, true),
            (1e300, 1.7e308, false),
            (3.0, 3.0, true),
            (0.30, 0.31, true),
            (-1e-300, 1e-300, false),
        ] {
            let scale = AxisScale::of_numbers(low, high, log);
            let ticks = scale.ticks(5);
            assert!(
                (1..=20).contains(&ticks.len()),
                "{low} to {high}: {ticks:?}"
            );
            assert!(
                ticks
                    .iter()
                    .all(|(place, _)| (-0.01..=1.01).contains(place)),
                "{low} to {high}: {ticks:?}"
            );
        }
    }

    #[test]
    fn categories_have_a_place_each() {
        let axis = ParameterAxis {
            values: vec![json!("adam"), json!(7)],
            ..ParameterAxis::default()
        };
        let scale = AxisScale::of_parameter(&axis, [json!("adam"), json!("gone")].iter());
        assert_eq!(scale.place(&json!("adam")), Some(0.5 / 3.0));
        assert_eq!(scale.place(&json!("gone")), Some(2.5 / 3.0));
        assert_eq!(scale.place(&json!("7")), None);
        assert_eq!(labels(&scale, 2), ["adam", "7", "gone"]);
    }

    #[test]
    fn values_outside_of_the_bounds_widen_the_axis() {
        let axis = ParameterAxis {
            range: Some((0.1, 1.0)),
            log: true,
            ..ParameterAxis::default()
        };
        assert_eq!(
            AxisScale::of_parameter(&axis, [json!(0.01)].iter()),
            AxisScale::Logarithmic {
                low: 0.01,
                high: 1.0
            }
        );
    }
}
