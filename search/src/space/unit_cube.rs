//! The only map between what users write and the unit cube.
//!
//! [`Distribution::quantile`] and [`Distribution::cdf`] are W&B's, but for its slips at the very
//! edge. [`UnitCube`] is the place where the model-based search works: one coordinate for each
//! parameter that varies, and of all the coordinates that give one value only one.

mod functions;
mod quantile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use functions::normal_cdf;
use quantile::{cell, int_count, middle, number};

use super::{Config, Distribution, Path, Space, Value};

impl Distribution {
    /// Returns whether [`UnitCube::point_of`] knows where a value stands, be it one that the
    /// parameter cannot have.
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
}

/// A space as the model-based search sees it: the parameters that vary, each a coordinate in `[0,
/// 1]`. Of all coordinates that give one value, the *canonical* one represents it; that of an
/// inactive parameter is [`INACTIVE`].
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

/// The distance beyond the edges of the cube at which values of an earlier space are cut off:
/// farther ones add no information. Less than the distance of [`INACTIVE`].
pub const BEYOND: f64 = 0.9;
/// The same for a parameter with a condition, whose coordinate is bent into a half circle.
const BEYOND_BENT: f64 = 0.1;
/// The coordinate of a value that is not in its list. All such are one value.
const UNLISTED: f64 = 1.5;

/// The metric along a coordinate.
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

    /// Returns whether it has to be learnt if the order of the values along each coordinate
    /// matters: that of numbers in a list, of which the user does not say so.
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

    /// Returns the canonical point of a configuration. It may come from an earlier space: what is
    /// missing counts as inactive, numbers out of range lie beyond the edge, as far as [`BEYOND`],
    /// and a value that is not in the list is its own value.
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

    /// Returns the coordinate of a value that is none of the list's: of a number among numbers
    /// where it would stand.
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

/// Returns the places of the values in their order, if they have one: of numbers the rising one, of
/// other values that of the list if the user says so.
fn order(values: &[Value], ordered: Option<bool>) -> Option<Vec<usize>> {
    match ordered {
        Some(false) => None,
        Some(true) => Some(ranks(values).unwrap_or_else(|| (0..values.len()).collect())),
        None => ranks(values),
    }
}

/// Returns the places of the values in rising order if all are finite numbers and no two are the
/// same. Two values have no order worth the name.
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
