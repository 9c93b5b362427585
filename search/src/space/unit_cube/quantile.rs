//! Quantiles and distribution functions: W&B's, but for its slips at the very edge.

use super::functions::{beta_cdf, beta_quantile, normal_cdf_scaled, normal_quantile};
use crate::space::{Distribution, Step, Value};

/// The probability of each tail of an unbounded distribution that lies outside of the cube, which
/// holds the quantiles from 0.1 % to 99.9 %: its edges would otherwise be extreme values.
/// Random draws have no such bounds.
const TAIL: f64 = 1e-3;
/// Where these tails begin, in standard deviations from the mean.
const TAIL_START: f64 = 3.090_232_306_167_813_5;

impl Distribution {
    /// Returns the value below which a draw falls with probability `u`, which is clamped to `[0,
    /// 1]`. Rises with `u` where the values have an order. Never infinite, never NaN for a valid
    /// distribution: the ends of unbounded distributions are cut at a probability of 1e-16.
    pub fn quantile(&self, u: f64) -> Value {
        let u = if u.is_nan() { 0.5 } else { u.clamp(0.0, 1.0) };
        match self {
            Self::Constant { value } => value.clone(),
            Self::Categorical { values, .. } => values
                .get(cell(u, values.len() as u64) as usize)
                .cloned()
                .unwrap_or(Value::Null),
            Self::CategoricalWithProbabilities {
                values,
                probabilities,
            } => weighted_index(u, probabilities)
                .and_then(|index| values.get(index))
                .cloned()
                .unwrap_or(Value::Null),
            Self::IntUniform { min, max } => {
                let place = cell(u, int_count(*min, *max));
                let value = i128::from(*min) + i128::from(place);
                Value::Int(i64::try_from(value).unwrap_or(*max).min(*max))
            }
            _ => match self.step() {
                Some(q) => quantised(self.continuous_quantile(u), q),
                None => Value::Float(self.continuous_quantile(u)),
            },
        }
    }

    /// Returns the probability that a draw is at most `value` (of a quantised distribution: before
    /// rounding), or `None` where `value` is none that the parameter can take at all: text for a
    /// number, an unknown category. Numbers out of range give 0 or 1.
    pub fn cdf(&self, value: &Value) -> Option<f64> {
        let index_in = |values: &[Value]| {
            values
                .iter()
                .position(|own| own.identity() == value.identity())
        };
        match self {
            Self::Constant { value: own } => (own.identity() == value.identity()).then_some(1.0),
            Self::Categorical { values, .. } => {
                index_in(values).map(|index| (index + 1) as f64 / values.len() as f64)
            }
            Self::CategoricalWithProbabilities {
                values,
                probabilities,
            } => index_in(values)
                .map(|index| probabilities.iter().take(index + 1).sum::<f64>().min(1.0)),
            Self::IntUniform { min, max } => {
                let value = number(value)?;
                Some(
                    ((value.floor() - *min as f64 + 1.0) / int_count(*min, *max) as f64)
                        .clamp(0.0, 1.0),
                )
            }
            _ => Some(self.continuous_cdf(number(value)?)),
        }
    }

    /// Returns how far a number lies beyond the range, in widths of the range on the distribution's
    /// own scale: negative below it, 0 within.
    pub(super) fn excess(&self, value: &Value) -> f64 {
        let Some(x) = number(value) else { return 0.0 };
        let beyond = |min: f64, max: f64, x: f64| {
            let excess = if x < min {
                (x - min) / (max - min)
            } else {
                (x - max).max(0.0) / (max - min)
            };
            if excess.is_nan() { 0.0 } else { excess }
        };
        match *self {
            Self::Uniform { min, max } | Self::QUniform { min, max, .. } => beyond(min, max, x),
            Self::LogUniform { min, max } | Self::QLogUniform { min, max, .. } => {
                beyond(min, max, log(x))
            }
            Self::InvLogUniform { min, max } => -beyond(min, max, -log(x)),
            Self::LogUniformValues { min, max }
            | Self::InvLogUniformValues { min, max }
            | Self::QLogUniformValues { min, max, .. } => beyond(min.ln(), max.ln(), log(x)),
            Self::Beta { .. } | Self::QBeta { .. } => beyond(0.0, 1.0, x),
            Self::Normal { mu, sigma } | Self::QNormal { mu, sigma, .. } => {
                beyond(mu - TAIL_START * sigma, mu + TAIL_START * sigma, x)
            }
            Self::LogNormal { mu, sigma } | Self::QLogNormal { mu, sigma, .. } => {
                beyond(mu - TAIL_START * sigma, mu + TAIL_START * sigma, log(x))
            }
            // No range.
            _ => 0.0,
        }
    }

    /// Returns the probability of each of the two tails that lie outside of the cube.
    pub(super) fn tail(&self) -> f64 {
        match self {
            Self::Normal { .. }
            | Self::QNormal { .. }
            | Self::LogNormal { .. }
            | Self::QLogNormal { .. } => TAIL,
            _ => 0.0,
        }
    }

    /// Returns the step of a quantised distribution.
    pub(super) fn step(&self) -> Option<Step> {
        match self {
            Self::QUniform { q, .. }
            | Self::QLogUniform { q, .. }
            | Self::QLogUniformValues { q, .. }
            | Self::QNormal { q, .. }
            | Self::QLogNormal { q, .. }
            | Self::QBeta { q, .. } => Some(*q),
            _ => None,
        }
    }

    /// The quantile before rounding, of the distributions that have one.
    fn continuous_quantile(&self, u: f64) -> f64 {
        match *self {
            Self::Uniform { min, max } | Self::QUniform { min, max, .. } => between(min, max, u),
            Self::LogUniform { min, max } | Self::QLogUniform { min, max, .. } => {
                finite(between(min, max, u).exp())
            }
            Self::InvLogUniform { min, max } => finite((-between(min, max, 1.0 - u)).exp()),
            Self::LogUniformValues { min, max }
            | Self::InvLogUniformValues { min, max }
            | Self::QLogUniformValues { min, max, .. } => between(min.ln(), max.ln(), u)
                .exp()
                .clamp(min, max.max(min)),
            Self::Normal { mu, sigma } | Self::QNormal { mu, sigma, .. } => {
                finite(mu + sigma * normal_quantile(u))
            }
            Self::LogNormal { mu, sigma } | Self::QLogNormal { mu, sigma, .. } => {
                finite((mu + sigma * normal_quantile(u)).exp())
            }
            Self::Beta { a, b } | Self::QBeta { a, b, .. } => beta_quantile(u, a, b),
            Self::Constant { .. }
            | Self::Categorical { .. }
            | Self::CategoricalWithProbabilities { .. }
            | Self::IntUniform { .. } => u,
        }
    }

    fn continuous_cdf(&self, x: f64) -> f64 {
        match *self {
            Self::Uniform { min, max } | Self::QUniform { min, max, .. } => fraction(min, max, x),
            Self::LogUniform { min, max } | Self::QLogUniform { min, max, .. } => {
                fraction(min, max, log(x))
            }
            Self::InvLogUniform { min, max } => 1.0 - fraction(min, max, -log(x)),
            Self::LogUniformValues { min, max }
            | Self::InvLogUniformValues { min, max }
            | Self::QLogUniformValues { min, max, .. } => fraction(min.ln(), max.ln(), log(x)),
            Self::Normal { mu, sigma } | Self::QNormal { mu, sigma, .. } => {
                normal_cdf_scaled(x, mu, sigma)
            }
            Self::LogNormal { mu, sigma } | Self::QLogNormal { mu, sigma, .. } => {
                normal_cdf_scaled(log(x), mu, sigma)
            }
            Self::Beta { a, b } | Self::QBeta { a, b, .. } => beta_cdf(x, a, b),
            Self::Constant { .. }
            | Self::Categorical { .. }
            | Self::CategoricalWithProbabilities { .. }
            | Self::IntUniform { .. } => 0.5,
        }
    }
}

pub(super) fn middle(place: u64, count: u64) -> f64 {
    (place as f64 + 0.5) / count as f64
}

pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

pub(super) fn int_count(min: i64, max: i64) -> u64 {
    u64::try_from(i128::from(max) - i128::from(min) + 1).unwrap_or(if max < min {
        1
    } else {
        u64::MAX
    })
}

/// Returns which of `count` equal cells contains `u`. A border belongs to the cell below it.
pub(super) fn cell(u: f64, count: u64) -> u64 {
    let last = count.saturating_sub(1);
    let place = ((u * count as f64).ceil() - 1.0).max(0.0) as u64;
    // The product may have been rounded up past a border that `u` does not reach.
    let below = place.saturating_sub(1);
    let place = if (below + 1) as f64 / count as f64 >= u {
        below
    } else {
        place
    };
    place.min(last)
}

/// Returns the first value whose cumulated probability exceeds `u`.
fn weighted_index(u: f64, probabilities: &[f64]) -> Option<usize> {
    let mut sum = 0.0;
    let within = probabilities.iter().position(|probability| {
        sum += probability;
        u < sum
    });
    // The probabilities may sum to a little less than one.
    within.or_else(|| {
        probabilities
            .iter()
            .rposition(|probability| *probability > 0.0)
    })
}

fn quantised(x: f64, q: Step) -> Value {
    let steps = (x / q.as_f64()).round_ties_even();
    match q {
        Step::Int(q) => Value::Int((steps as i64).saturating_mul(q)),
        Step::Float(q) => Value::Float(finite(steps * q)),
    }
}

fn between(min: f64, max: f64, u: f64) -> f64 {
    let width = max - min;
    let value = if width.is_finite() {
        min + u * width
    } else {
        min * (1.0 - u) + max * u
    };
    value.clamp(min, max.max(min))
}

fn fraction(min: f64, max: f64, x: f64) -> f64 {
    let width = max - min;
    let fraction = if width.is_finite() {
        (x - min) / width
    } else {
        (x / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0)
    };
    if fraction.is_nan() {
        0.5
    } else {
        fraction.clamp(0.0, 1.0)
    }
}

fn finite(x: f64) -> f64 {
    x.clamp(-f64::MAX, f64::MAX)
}

fn log(x: f64) -> f64 {
    if x > 0.0 { x.ln() } else { f64::NEG_INFINITY }
}
