//! The points of a finite space, one after the other, without ever making them all.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::{Config, Path, Space};

/// Beyond this many combinations of conditions [`Enumeration::size`] gives an upper bound.
const COMBINATIONS_MAX: u128 = 1 << 20;

/// The points of a finite space in W&B's order: names sorted at each level, the last name varying
/// fastest. A parameter with a condition comes after the parameters that it depends on, so that an
/// inactive one has a single place and each point turns up once.
#[derive(Clone, Debug)]
pub(crate) struct Enumeration {
    entries: Vec<EnumerationEntry>,
}

#[derive(Clone, Debug)]
struct EnumerationEntry {
    path: Path,
    axis: Axis,
    /// Active where, for each of these, that earlier entry is active and at one of these places.
    when: Vec<(usize, BTreeSet<u64>)>,
}

/// A point of an [`Enumeration`]: the place of each parameter, zero for the inactive ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digits(Vec<u64>);

impl Space {
    /// Returns the number of distinct points of the grid over this space, or `None` where a
    /// parameter cannot be enumerated. Points that differ only in inactive parameters are one.
    /// Exact, but where conditions make more than a million combinations it counts every parameter
    /// as active. Saturates.
    pub fn size(&self) -> Option<u128> {
        Enumeration::of_grid(self).map(|points| points.size())
    }
}

impl Enumeration {
    /// Returns the points that a grid tries, or `None` where it cannot enumerate a parameter.
    pub(crate) fn of_grid(space: &Space) -> Option<Self> {
        let axes: Option<Vec<_>> = space
            .parameters()
            .iter()
            .map(|parameter| Axis::of_grid(&parameter.distribution))
            .collect();
        axes.map(|axes| Self::new(space, axes))
    }

    /// Returns the points that draws can give, or `None` where they are too many to count.
    pub(crate) fn of_support(space: &Space) -> Option<Self> {
        let axes: Option<Vec<_>> = space
            .parameters()
            .iter()
            .map(|parameter| Axis::of_support(&parameter.distribution))
            .collect();
        axes.map(|axes| Self::new(space, axes))
    }

    fn new(space: &Space, axes: Vec<Axis>) -> Self {
        let mut entries: Vec<EnumerationEntry> = Vec::new();
        let mut places = BTreeMap::new();
        let mut axes: Vec<_> = axes.into_iter().map(Some).collect();
        for index in space.parents_first() {
            let parameter = &space.parameters()[index];
            let Some(axis) = axes[index].take() else {
                continue;
            };
            let mut when = Vec::new();
            for condition in &parameter.when {
                let Some(on) = places.get(&condition.on).copied() else {
                    continue;
                };
                let parent: &EnumerationEntry = &entries[on];
                when.push((
                    on,
                    condition
                        .values
                        .iter()
                        .filter_map(|value| parent.axis.place(value))
                        .collect(),
                ));
            }
            places.insert(&parameter.path, entries.len());
            entries.push(EnumerationEntry {
                path: parameter.path.clone(),
                axis,
                when,
            });
        }
        Self { entries }
    }

    /// Returns the first point, or `None` where a parameter has no value at all.
    pub(crate) fn first(&self) -> Option<Digits> {
        // Only an active empty parameter leaves no point, but no valid space has an empty one.
        let empty = self.entries.iter().any(|entry| entry.axis.len() == 0);
        (!empty).then(|| Digits(vec![0; self.entries.len()]))
    }

    /// Returns the point whose places a source of numbers picks: `pick(n)` gives a number below
    /// `n`.
    pub(crate) fn pick(&self, mut pick: impl FnMut(u64) -> u64) -> Option<Digits> {
        let mut digits = self.first()?;
        let mut active = Vec::with_capacity(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate() {
            active.push(entry.is_active(&active, &digits));
            if active[index] {
                digits.0[index] = pick(entry.axis.len()).min(entry.axis.len() - 1);
            }
        }
        Some(digits)
    }

    /// Moves on to the next point, or to the first again and returns `false` after the last.
    pub(crate) fn advance(&self, digits: &mut Digits) -> bool {
        let active = self.active(digits);
        for (index, entry) in self.entries.iter().enumerate().rev() {
            if active[index] && digits.0[index] + 1 < entry.axis.len() {
                digits.0[index] += 1;
                return true;
            }
            digits.0[index] = 0;
        }
        false
    }

    /// Returns all configurations, made one by one.
    pub(crate) fn configs(&self) -> impl Iterator<Item = Config> {
        let after = |digits: &Digits| {
            let mut next = digits.clone();
            self.advance(&mut next).then_some(next)
        };
        std::iter::successors(self.first(), after).map(|digits| self.config(&digits))
    }

    /// Returns the configuration at a point.
    pub(crate) fn config(&self, digits: &Digits) -> Config {
        let active = self.active(digits);
        let entries = self
            .entries
            .iter()
            .enumerate()
            .filter(|(index, _)| active[*index]);
        Config(
            entries
                .map(|(index, entry)| (entry.path.clone(), entry.axis.value(digits.0[index])))
                .collect(),
        )
    }

    /// Returns the number of points: exact unless more than a million combinations of conditions
    /// would have to be looked at; then as if every parameter were active, which is too many.
    /// Saturates.
    pub(crate) fn size(&self) -> u128 {
        let classes: Vec<_> = (0..self.entries.len())
            .map(|index| self.classes(index))
            .collect();
        let combinations = classes.iter().fold(1u128, |product, classes| {
            product.saturating_mul(classes.len() as u128)
        });
        if combinations > COMBINATIONS_MAX {
            return self.entries.iter().fold(1, |product: u128, entry| {
                product.saturating_mul(entry.axis.len().into())
            });
        }
        self.count(
            &classes,
            &mut Vec::new(),
            &mut Digits(vec![0; self.entries.len()]),
        )
    }

    fn count(
        &self,
        classes: &[Vec<(u64, u64)>],
        active: &mut Vec<bool>,
        digits: &mut Digits,
    ) -> u128 {
        let index = active.len();
        let Some(entry) = self.entries.get(index) else {
            return 1;
        };
        let is_active = entry.is_active(active, digits);
        active.push(is_active);
        let mut total = 0u128;
        let inactive = [(0, 1)];
        for (representative, members) in if is_active {
            classes[index].as_slice()
        } else {
            &inactive
        } {
            digits.0[index] = *representative;
            total = total.saturating_add(
                u128::from(*members).saturating_mul(self.count(classes, active, digits)),
            );
        }
        digits.0[index] = 0;
        active.pop();
        total
    }

    /// Groups the values of a parameter by the conditions that they meet: (a representative, the
    /// number of values).
    fn classes(&self, index: usize) -> Vec<(u64, u64)> {
        let conditions = self
            .entries
            .iter()
            .flat_map(|entry| &entry.when)
            .filter(|(on, _)| *on == index);
        let conditions: Vec<_> = conditions.map(|(_, places)| places).collect();
        let named: BTreeSet<u64> = conditions
            .iter()
            .flat_map(|places| places.iter().copied())
            .collect();
        let mut classes: BTreeMap<Vec<bool>, (u64, u64)> = BTreeMap::new();
        for place in &named {
            let signature = conditions
                .iter()
                .map(|places| places.contains(place))
                .collect();
            classes.entry(signature).or_insert((*place, 0)).1 += 1;
        }
        let mut classes: Vec<_> = classes.into_values().collect();
        let unnamed = self.entries[index].axis.len() - named.len() as u64;
        if unnamed > 0 {
            let representative = (0..)
                .find(|place| !named.contains(place))
                .unwrap_or_default();
            classes.push((representative, unnamed));
        }
        classes
    }

    fn active(&self, digits: &Digits) -> Vec<bool> {
        let mut active = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            active.push(entry.is_active(&active, digits));
        }
        active
    }
}

impl EnumerationEntry {
    fn is_active(&self, earlier: &[bool], digits: &Digits) -> bool {
        self.when
            .iter()
            .all(|(on, places)| earlier[*on] && places.contains(&digits.0[*on]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Condition, Distribution, Parameter, Value};

    fn parameter(name: &str, len: i64, when: &[(&str, i64)]) -> Parameter {
        let when = when
            .iter()
            .map(|(on, value)| Condition {
                on: Path::flat(*on),
                values: vec![Value::Int(*value)],
            })
            .collect();
        Parameter {
            path: Path::flat(name),
            distribution: Distribution::IntUniform {
                min: 0,
                max: len - 1,
            },
            when,
        }
    }

    fn walk(enumeration: &Enumeration) -> Vec<Config> {
        enumeration.configs().collect()
    }

    #[test]
    fn points_that_differ_only_in_inactive_parameters_are_one() {
        let space = Space::new(vec![
            parameter("a", 3, &[("z", 1)]),
            parameter("b", 2, &[]),
            parameter("c", 5, &[("a", 2), ("b", 0)]),
            parameter("z", 2, &[]),
        ]);
        let enumeration = Enumeration::of_grid(&space.unwrap()).unwrap();
        let all = walk(&enumeration);
        let distinct: BTreeSet<_> = all.iter().map(Config::key).collect();
        // For each b: z=0 one point, z=1 three values of a; c adds four more where a=2 and b=0.
        assert_eq!(
            (all.len(), distinct.len(), enumeration.size()),
            (12, 12, 12)
        );
    }

    #[test]
    fn a_trillion_points_cost_nothing() {
        let names = ["a", "b", "c", "d"];
        let space = Space::new(names.map(|name| parameter(name, 1000, &[])).to_vec()).unwrap();
        let enumeration = Enumeration::of_grid(&space).unwrap();
        assert_eq!(enumeration.size(), 1_000_000_000_000);
        let mut digits = enumeration.pick(|len| len - 1).unwrap();
        assert_eq!(
            enumeration.config(&digits).0[&Path::flat("a")],
            Value::Int(999)
        );
        assert!(!enumeration.advance(&mut digits));
    }

    #[test]
    fn no_parameters_are_one_point() {
        let enumeration = Enumeration::of_grid(&Space::default()).unwrap();
        assert_eq!(
            (walk(&enumeration), enumeration.size()),
            (vec![Config::default()], 1)
        );
    }

    proptest::proptest! {
        #[test]
        fn the_size_is_the_number_of_points(lens in proptest::collection::vec(1i64..4, 1..6), links in proptest::collection::vec((0usize..6, 0i64..4), 6)) {
            let names = ["e", "b", "d", "a", "c", "f"];
            let parameters = lens.iter().enumerate().map(|(index, len)| {
                let (on, value) = links[index];
                let when: Vec<_> = if on < index { vec![(names[on], value)] } else { Vec::new() };
                parameter(names[index], *len, &when)
            });
            let enumeration = Enumeration::of_grid(&Space::new(parameters.collect()).unwrap()).unwrap();
            let all = walk(&enumeration);
            let distinct: BTreeSet<_> = all.iter().map(Config::key).collect();
            proptest::prop_assert_eq!(all.len(), distinct.len());
            proptest::prop_assert_eq!(all.len() as u128, enumeration.size());
        }
    }
}
