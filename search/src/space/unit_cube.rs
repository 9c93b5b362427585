//! The only map between what users write and the unit cube.
//!
//! [`Distribution::quantile`] and [`Distribution::cdf`] are W&B's, but for its slips at the very edge. [`UnitCube`] is the place where
//! the model-based search works: one coordinate for each parameter that varies, and of all the coordinates that give one value only one.

mod functions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use functions::normal_cdf;
use functions::{beta_cdf, beta_quantile, normal_cdf_scaled, normal_quantile};

use super::{Config, Distribution, Path, Space, Step, Value};

impl Distribution {
    /// Returns the value below which a draw falls with probability `u`, which is clamped to `[0, 1]`. Rises with `u` where the values
    /// have an order. Never infinite, never NaN for a valid distribution: the ends of unbounded distributions are cut at a
    /// probability of 1e-16.
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

    /// Returns the probability that a draw is at most `value` (of a quantised distribution: before rounding), or `None` where `value`
    /// is none that the parameter can take at all: text for a number, an unknown category. Numbers out of range give 0 or 1.
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

    /// Returns whether [`UnitCube::point_of`] knows where a value stands, be it one that the parameter cannot have.
    pub(super) fn has_place_for(&self, value: &Value) -> bool {
        match self {
            Self::Categorical { values, ordered } if order(values, *ordered).is_some() => {
                number(value).is_some()
                    || values.iter().any(|own| own.identity() == value.identity())
            }
            Self::Constant { .. }
            | Self::Categorical { .. }
            | Self::CategoricalWithProbabilities { .. } => true,
            _ => number(value).is_some_and(f64::is_finite),
        }
    }

    /// Returns how far a number lies beyond the range, in widths of the range on the distribution's own scale: negative below it, 0 within.
    fn excess(&self, value: &Value) -> f64 {
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
    fn tail(&self) -> f64 {
        match self {
            Self::Normal { .. }
            | Self::QNormal { .. }
            | Self::LogNormal { .. }
            | Self::QLogNormal { .. } => TAIL,
            _ => 0.0,
        }
    }

    /// Returns the step of a quantised distribution.
    fn step(&self) -> Option<Step> {
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

/// A space as the model-based search sees it: the parameters that vary, each a coordinate in `[0, 1]`. Of all coordinates that
/// give one value, the *canonical* one represents it; that of an inactive parameter is [`INACTIVE`].
#[derive(Clone, Debug)]
pub struct UnitCube<'a> {
    space: &'a Space,
    parents_first: Vec<usize>,
    dimensions: Vec<Dimension<'a>>,
    has_conditions: bool,
}

#[derive(Clone, Debug)]
struct Dimension<'a> {
    path: &'a Path,
    distribution: &'a Distribution,
    scale: Scale,
    /// How far beyond the edges a coordinate may lie.
    beyond: f64,
}

/// The coordinate of a parameter that is not active.
pub const INACTIVE: f64 = -1.0;

/// How far beyond the edges of the cube a value of an earlier space may lie: what is farther away says as little. Not as far as [`INACTIVE`].
pub const BEYOND: f64 = 0.9;
/// The same for a parameter with a condition, whose coordinate is bent into a half circle.
const BEYOND_BENT: f64 = 0.1;
/// The coordinate of a value that is not in its list. All such are one value.
const UNLISTED: f64 = 1.5;

/// The probability of each tail of an unbounded distribution that lies outside of the cube, which holds the quantiles from 0.1 % to 99.9 %: at its
/// edges would else be values that nobody means. Random draws have no such bounds.
const TAIL: f64 = 1e-3;
/// Where these tails begin, in standard deviations from the mean.
const TAIL_START: f64 = 3.090_232_306_167_813_5;

/// What nearness means along a coordinate.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Any coordinate is canonical.
    Continuous,
    /// The values have an order and lie at the middles of this many equal cells.
    Cells(u64),
    /// A list with an order: as [`Scale::Cells`]; the places of the values in their list.
    Ranked(Vec<usize>),
    /// The values have an order and are rounded from a continuous coordinate.
    Rounded,
    /// The values have no order: only being the same counts. Their canonical coordinates.
    Nominal(Vec<f64>),
}

impl<'a> UnitCube<'a> {
    /// Looks at a space.
    pub fn new(space: &'a Space) -> Self {
        let varying = space.parameters().iter().filter_map(|parameter| {
            let scale = scale(&parameter.distribution)?;
            let beyond = if parameter.when.is_empty() {
                BEYOND
            } else {
                BEYOND_BENT
            };
            Some(Dimension {
                path: &parameter.path,
                distribution: &parameter.distribution,
                scale,
                beyond,
            })
        });
        Self {
            space,
            parents_first: space.parents_first(),
            dimensions: varying.collect(),
            has_conditions: space
                .parameters()
                .iter()
                .any(|parameter| !parameter.when.is_empty()),
        }
    }

    /// Returns what nearness means along each coordinate.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = &Scale> {
        self.dimensions.iter().map(|dimension| &dimension.scale)
    }

    /// Returns the parameter of each coordinate.
    pub fn paths(&self) -> impl Iterator<Item = &'a Path> {
        self.dimensions.iter().map(|dimension| dimension.path)
    }

    /// Returns whether the parameter of each coordinate is there only under a condition.
    pub fn conditional(&self) -> impl Iterator<Item = bool> {
        self.dimensions.iter().map(|dimension| {
            self.space
                .get(dimension.path)
                .is_some_and(|parameter| !parameter.when.is_empty())
        })
    }

    /// Returns whether it has to be learnt if the order of the values along each coordinate matters: that of numbers in a list, of which the user
    /// does not say so.
    pub fn learns_order(&self) -> impl Iterator<Item = bool> {
        let learns = |distribution: &Distribution| {
            matches!(
                distribution,
                Distribution::Categorical { ordered: None, .. }
            )
        };
        self.dimensions.iter().map(move |dimension| {
            matches!(dimension.scale, Scale::Ranked(_)) && learns(dimension.distribution)
        })
    }

    /// Returns whether other parameters depend on the parameter of each coordinate.
    pub fn parents(&self) -> impl Iterator<Item = bool> {
        let is_parent = |path: &Path| {
            self.space
                .parameters()
                .iter()
                .flat_map(|parameter| &parameter.when)
                .any(|condition| condition.on == *path)
        };
        self.dimensions
            .iter()
            .map(move |dimension| is_parent(dimension.path))
    }

    /// Returns the configuration at a point, inactive parameters dropped.
    pub fn config_at(&self, point: &[f64]) -> Config {
        let constants =
            self.space
                .parameters()
                .iter()
                .filter_map(|parameter| match &parameter.distribution {
                    Distribution::Constant { value } => {
                        Some((parameter.path.clone(), value.clone()))
                    }
                    _ => None,
                });
        let mut values: BTreeMap<Path, Value> = constants.collect();
        for (dimension, u) in self.dimensions.iter().zip(point) {
            values.insert(dimension.path.clone(), dimension.value(*u));
        }
        for parameter in self.space.parameters() {
            // A list of one value is no dimension, but it is no constant either.
            values
                .entry(parameter.path.clone())
                .or_insert_with(|| parameter.distribution.quantile(0.5));
        }
        self.space.activate_in(&self.parents_first, values)
    }

    /// Returns the canonical point of a configuration. It may come from an earlier space: what is missing counts as inactive, numbers out of
    /// range lie beyond the edge, as far as [`BEYOND`], and a value that is not in the list is its own value.
    pub fn point_of(&self, config: &Config) -> Vec<f64> {
        let coordinate = |dimension: &Dimension<'_>| {
            let value = config.0.get(dimension.path)?;
            dimension
                .coordinate(value)
                .or_else(|| dimension.unlisted(value))
        };
        self.dimensions
            .iter()
            .map(|dimension| coordinate(dimension).unwrap_or(INACTIVE))
            .collect()
    }

    /// Makes a point canonical.
    pub fn snap(&self, point: &mut [f64]) {
        if self.has_conditions {
            point.copy_from_slice(&self.point_of(&self.config_at(point)));
            return;
        }
        for (dimension, u) in self.dimensions.iter().zip(point) {
            *u = dimension.snapped(*u);
        }
    }
}

impl Dimension<'_> {
    fn value(&self, u: f64) -> Value {
        match (&self.scale, self.distribution) {
            (Scale::Ranked(order), Distribution::Categorical { values, .. }) => {
                let place = order[cell(u.clamp(0.0, 1.0), order.len() as u64) as usize];
                values[place].clone()
            }
            _ => {
                let tail = self.distribution.tail();
                self.distribution
                    .quantile(tail + u.clamp(0.0, 1.0) * (1.0 - 2.0 * tail))
            }
        }
    }

    fn coordinate(&self, value: &Value) -> Option<f64> {
        match (&self.scale, self.distribution) {
            (Scale::Cells(count), Distribution::IntUniform { min, .. }) => {
                let place = (number(value)? - *min as f64 + 0.5) / *count as f64;
                Some(place.clamp(-self.beyond, 1.0 + self.beyond))
            }
            (Scale::Ranked(order), Distribution::Categorical { values, .. }) => {
                let rank = order
                    .iter()
                    .position(|place| values[*place].identity() == value.identity())?;
                Some(middle(rank as u64, order.len() as u64))
            }
            (
                Scale::Nominal(middles),
                Distribution::Categorical { values, .. }
                | Distribution::CategoricalWithProbabilities { values, .. },
            ) => {
                let place = values
                    .iter()
                    .position(|own| own.identity() == value.identity())?;
                middles.get(place).copied()
            }
            _ => {
                let tail = self.distribution.tail();
                let within =
                    ((self.distribution.cdf(value)? - tail) / (1.0 - 2.0 * tail)).clamp(0.0, 1.0);
                Some(
                    within
                        + self
                            .distribution
                            .excess(value)
                            .clamp(-self.beyond, self.beyond),
                )
            }
        }
    }

    /// Returns the coordinate of a value that is none of the list's: of a number among numbers where it would stand.
    fn unlisted(&self, value: &Value) -> Option<f64> {
        match (&self.scale, self.distribution) {
            (Scale::Ranked(order), Distribution::Categorical { values, .. }) => {
                let value = number(value)?;
                let below = order
                    .iter()
                    .filter(|place| number(&values[**place]).is_some_and(|other| other < value))
                    .count();
                Some((below as f64 / order.len() as f64).clamp(-self.beyond, 1.0 + self.beyond))
            }
            (Scale::Nominal(_), _) => Some(UNLISTED),
            _ => None,
        }
    }

    fn snapped(&self, u: f64) -> f64 {
        let u = u.clamp(0.0, 1.0);
        match &self.scale {
            Scale::Continuous => u,
            Scale::Cells(count) => middle(cell(u, *count), *count),
            Scale::Ranked(order) => middle(cell(u, order.len() as u64), order.len() as u64),
            Scale::Rounded | Scale::Nominal(_) => self.coordinate(&self.value(u)).unwrap_or(u),
        }
    }
}

fn scale(distribution: &Distribution) -> Option<Scale> {
    match distribution {
        Distribution::Constant { .. } => None,
        Distribution::Categorical { values, .. } if values.len() < 2 => None,
        Distribution::Categorical { values, ordered } => {
            let count = values.len() as u64;
            Some(order(values, *ordered).map_or_else(
                || Scale::Nominal((0..count).map(|place| middle(place, count)).collect()),
                Scale::Ranked,
            ))
        }
        Distribution::CategoricalWithProbabilities { probabilities, .. } => {
            let mut before = 0.0;
            let middles = probabilities.iter().map(|probability| {
                before += probability;
                before - probability / 2.0
            });
            Some(Scale::Nominal(middles.collect()))
        }
        Distribution::IntUniform { min, max } => Some(Scale::Cells(int_count(*min, *max))),
        _ => Some(if distribution.step().is_some() {
            Scale::Rounded
        } else {
            Scale::Continuous
        }),
    }
}

/// Returns the places of the values in their order, if they have one: of numbers the rising one, of other values that of the list if the user says so.
fn order(values: &[Value], ordered: Option<bool>) -> Option<Vec<usize>> {
    match ordered {
        Some(false) => None,
        Some(true) => Some(ranks(values).unwrap_or_else(|| (0..values.len()).collect())),
        None => ranks(values),
    }
}

/// Returns the places of the values in rising order if all are finite numbers and no two are the same. Two values have no order worth
/// the name.
fn ranks(values: &[Value]) -> Option<Vec<usize>> {
    let numbers: Option<Vec<f64>> = values.iter().map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() > 2)?;
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    order
        .windows(2)
        .all(|pair| numbers[pair[0]] < numbers[pair[1]])
        .then_some(order)
}

fn middle(place: u64, count: u64) -> f64 {
    (place as f64 + 0.5) / count as f64
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

fn int_count(min: i64, max: i64) -> u64 {
    u64::try_from(i128::from(max) - i128::from(min) + 1).unwrap_or(if max < min {
        1
    } else {
        u64::MAX
    })
}

/// Returns which of `count` equal cells contains `u`. A border belongs to the cell below it.
fn cell(u: f64, count: u64) -> u64 {
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
