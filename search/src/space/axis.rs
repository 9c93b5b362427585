//! The values of one parameter in a row, made when they are asked for.

use super::{Distribution, Step, Value};

/// The distinct values of one parameter in order. Long rows cost nothing: a value is computed from
/// its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Axis {
    /// Listed values, distinct by [`Value::identity`].
    List(Vec<Value>),
    /// `first + i * step`, whole numbers.
    Whole { first: i64, step: i64, len: u64 },
    /// `first + i * step`, as numpy's `arange` computes it.
    Arange { first: f64, step: f64, len: u64 },
    /// `(first + i) * q`, as a quantised distribution computes it.
    Multiples { first: i64, q: f64, len: u64 },
}

impl Axis {
    /// Returns what a grid tries of a parameter, or `None` where it has no finite list: W&B's way,
    /// a `q_uniform` leaves out its maximum, a value listed twice counts once.
    pub(crate) fn of_grid(distribution: &Distribution) -> Option<Self> {
        match distribution {
            Distribution::Constant { value } => Some(Self::List(vec![value.clone()])),
            Distribution::Categorical { values, .. } => Some(Self::List(distinct(values.iter()))),
            Distribution::IntUniform { min, max } => Some(whole_range(*min, *max, 1)),
            Distribution::QUniform { min, max, q } => Some(arange(*min, *max, *q)),
            Distribution::CategoricalWithProbabilities { .. }
            | Distribution::Uniform { .. }
            | Distribution::LogUniform { .. }
            | Distribution::LogUniformValues { .. }
            | Distribution::InvLogUniform { .. }
            | Distribution::InvLogUniformValues { .. }
            | Distribution::Beta { .. }
            | Distribution::Normal { .. }
            | Distribution::LogNormal { .. }
            | Distribution::QNormal { .. }
            | Distribution::QLogNormal { .. }
            | Distribution::QLogUniform { .. }
            | Distribution::QLogUniformValues { .. }
            | Distribution::QBeta { .. } => None,
        }
    }

    /// Returns every value that a draw can give, or `None` where they are too many to count.
    pub(crate) fn of_support(distribution: &Distribution) -> Option<Self> {
        match distribution {
            Distribution::CategoricalWithProbabilities {
                values,
                probabilities,
            } => {
                let possible = values
                    .iter()
                    .zip(probabilities)
                    .filter(|(_, probability)| **probability > 0.0);
                Some(Self::List(distinct(possible.map(|(value, _)| value))))
            }
            Distribution::QUniform { min, max, q } | Distribution::QLogUniform { min, max, q } => {
                let log = matches!(distribution, Distribution::QLogUniform { .. });
                let (low, high) = if log {
                    (min.exp(), max.exp())
                } else {
                    (*min, *max)
                };
                multiples(low, high, *q)
            }
            Distribution::QLogUniformValues { min, max, q } => multiples(*min, *max, *q),
            Distribution::QBeta { q, .. } => multiples(0.0, 1.0, *q),
            Distribution::Constant { .. }
            | Distribution::Categorical { .. }
            | Distribution::IntUniform { .. } => Self::of_grid(distribution),
            _ => None,
        }
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::List(values) => values.len() as u64,
            Self::Whole { len, .. } | Self::Arange { len, .. } | Self::Multiples { len, .. } => {
                *len
            }
        }
    }

    /// Returns the value at a place below [`Axis::len`].
    pub(crate) fn value(&self, place: u64) -> Value {
        match self {
            Self::List(values) => values.get(place as usize).cloned().unwrap_or(Value::Null),
            Self::Whole { first, step, .. } => Value::Int(saturate(
                i128::from(*first) + i128::from(place) * i128::from(*step),
            )),
            Self::Arange { first, step, .. } => Value::Float(first + place as f64 * step),
            Self::Multiples { first, q, .. } => Value::Float((*first as f64 + place as f64) * q),
        }
    }

    /// Returns the place of a value, compared by [`Value::identity`].
    pub(crate) fn place(&self, value: &Value) -> Option<u64> {
        let identity = value.identity();
        let guess = match self {
            Self::List(values) => {
                return values
                    .iter()
                    .position(|own| own.identity() == identity)
                    .map(|place| place as u64);
            }
            Self::Whole { first, step, len } => {
                let value = match value {
                    Value::Int(int) => i128::from(*int),
                    _ => value.as_f64().filter(|float| float.fract() == 0.0)? as i128,
                };
                let (offset, step) = (value - i128::from(*first), i128::from(*step));
                return u64::try_from(offset / step)
                    .ok()
                    .filter(|place| offset >= 0 && offset % step == 0 && place < len);
            }
            Self::Arange { first, step, .. } => (value.as_f64()? - first) / step,
            Self::Multiples { first, q, .. } => value.as_f64()? / q - *first as f64,
        };
        let guess = guess.round();
        let near = [guess - 1.0, guess, guess + 1.0].map(|place| place.max(0.0) as u64);
        near.into_iter()
            .find(|place| *place < self.len() && self.value(*place).identity() == identity)
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut seen = std::collections::BTreeSet::new();
    values
        .filter(|value| seen.insert(value.identity()))
        .cloned()
        .collect()
}

fn whole_range(first: i64, last: i64, step: i64) -> Axis {
    let len = (i128::from(last) - i128::from(first)) / i128::from(step.max(1)) + 1;
    Axis::Whole {
        first,
        step: step.max(1),
        len: u64::try_from(len.max(0)).unwrap_or(u64::MAX),
    }
}

fn arange(min: f64, max: f64, q: Step) -> Axis {
    let step = q.as_f64();
    // Rust's float to integer conversion saturates, so that hostile bounds end up as an empty or a
    // very long row.
    let len = ((max - min) / step).ceil() as u64;
    match q {
        Step::Int(step) if min.fract() == 0.0 && min.abs() < 9.0e15 => Axis::Whole {
            first: min as i64,
            step,
            len,
        },
        _ => Axis::Arange {
            first: min,
            step,
            len,
        },
    }
}

fn multiples(low: f64, high: f64, q: Step) -> Option<Axis> {
    let (first, last) = (
        (low / q.as_f64()).round_ties_even(),
        (high / q.as_f64()).round_ties_even(),
    );
    // Beyond this a float cannot tell neighbours apart, and no sweep would reach the end.
    if !(first.abs() < 9.0e15 && last.abs() < 9.0e15) {
        return None;
    }
    let len = (last - first + 1.0).max(0.0) as u64;
    Some(match q {
        Step::Int(step) => Axis::Whole {
            first: (first as i64).saturating_mul(step),
            step,
            len,
        },
        Step::Float(q) => Axis::Multiples {
            first: first as i64,
            q,
            len,
        },
    })
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(axis: &Axis) -> Vec<Value> {
        (0..axis.len()).map(|place| axis.value(place)).collect()
    }

    #[test]
    fn grid_values_are_those_of_wandb() {
        let ints = |ints: &[i64]| ints.iter().copied().map(Value::Int).collect::<Vec<_>>();
        let grid = |distribution: Distribution| all(&Axis::of_grid(&distribution).unwrap());
        assert_eq!(
            grid(Distribution::IntUniform { min: -1, max: 2 }),
            ints(&[-1, 0, 1, 2])
        );
        assert_eq!(
            grid(Distribution::QUniform {
                min: 0.0,
                max: 10.0,
                q: Step::Int(5)
            }),
            ints(&[0, 5]),
            "the maximum is left out"
        );
        assert_eq!(
            grid(Distribution::QUniform {
                min: 0.5,
                max: 1.1,
                q: Step::Float(0.25)
            }),
            [0.5, 0.75, 1.0].map(Value::Float)
        );
        let twice = vec![
            Value::Int(1),
            Value::Float(1.0),
            Value::Bool(true),
            Value::Int(1),
        ];
        assert_eq!(
            grid(Distribution::Categorical {
                values: twice,
                ordered: None
            }),
            [Value::Int(1), Value::Bool(true)]
        );
    }

    #[test]
    fn a_value_is_found_at_its_place() {
        let distributions = [
            Distribution::IntUniform {
                min: i64::MIN,
                max: i64::MAX,
            },
            Distribution::QUniform {
                min: 0.0,
                max: 1.0,
                q: Step::Float(0.1),
            },
            Distribution::QLogUniformValues {
                min: 32.0,
                max: 256.0,
                q: Step::Int(8),
            },
        ];
        for axis in distributions.iter().filter_map(Axis::of_support) {
            for place in [0, 1, 7] {
                assert_eq!(axis.place(&axis.value(place)), Some(place), "{axis:?}");
            }
            assert_eq!(axis.place(&Value::Str("1".into())), None);
        }
    }

    #[test]
    fn the_support_of_a_quantised_range_holds_its_rounded_ends() {
        let support = Axis::of_support(&Distribution::QUniform {
            min: 0.0,
            max: 10.0,
            q: Step::Int(3),
        })
        .unwrap();
        assert_eq!(all(&support), [0, 3, 6, 9].map(Value::Int));
        assert_eq!(
            Axis::of_support(&Distribution::Uniform { min: 0.0, max: 1.0 }),
            None
        );
    }
}
