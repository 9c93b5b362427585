//! Independent draws.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Ask, Suggestion, Suggestions};
use crate::space::enumeration::Enumeration;
use crate::space::{Config, PointKey, Space, Taken};
use crate::why::{Kind, Why};

/// Draws in a row that may be taken before the sampler enumerates free points.
const DRAWS_MAX: usize = 64;
/// As [`DRAWS_MAX`] where there is no other way.
const DRAWS_MAX_UNCOUNTABLE: usize = 10_000;

/// Returns random configurations. That of run *n* depends on the seed and *n* alone, unless the
/// point is taken: then it is drawn again.
pub(crate) fn suggest(ask: &Ask<'_>) -> Suggestions {
    let points = Enumeration::of_support(ask.space);
    let mut free = Free::new(ask, points.as_ref());
    let mut found = Suggestions::default();
    for index in (ask.next_index..).take(ask.count) {
        let Some(config) = free.draw(index) else {
            found.exhausted = true;
            return found;
        };
        found.suggestions.push(Suggestion {
            config,
            why: Why::new(Kind::Random, "random draw"),
        });
    }
    found.exhausted = free.is_exhausted();
    found
}

/// The points that are neither taken nor chosen already.
pub(crate) struct Free<'a> {
    ask: &'a Ask<'a>,
    /// All points, where they can be counted.
    points: Option<&'a Enumeration>,
    chosen: Taken,
}

impl<'a> Free<'a> {
    pub(crate) fn new(ask: &'a Ask<'a>, points: Option<&'a Enumeration>) -> Self {
        Self {
            ask,
            points,
            chosen: Taken::new(),
        }
    }

    pub(crate) fn holds(&self, key: &PointKey) -> bool {
        !self.ask.taken.contains(key) && !self.chosen.contains(key)
    }

    pub(crate) fn choose(&mut self, key: PointKey) {
        self.chosen.insert(key);
    }

    /// Draws and chooses a free point, or gives `None` if there is none (or so few that ten
    /// thousand draws find none).
    pub(crate) fn draw(&mut self, index: u64) -> Option<Config> {
        let mut rng = generator(self.ask.seed, index);
        let draws = if self.points.is_some() {
            DRAWS_MAX
        } else {
            DRAWS_MAX_UNCOUNTABLE
        };
        for _ in 0..draws {
            let config = draw(self.ask.space, &mut rng);
            let key = config.key();
            if self.holds(&key) {
                self.choose(key);
                return Some(config);
            }
        }
        self.walk(&mut rng)
    }

    /// Walks over the points from a random one on. Each step passes a point that is not free, so
    /// there are few steps.
    fn walk(&mut self, rng: &mut ChaCha8Rng) -> Option<Config> {
        let points = self.points?;
        let start = points.pick(|len| rng.random_range(0..len))?;
        let mut digits = start.clone();
        loop {
            let config = points.config(&digits);
            let key = config.key();
            if self.holds(&key) {
                self.choose(key);
                return Some(config);
            }
            points.advance(&mut digits);
            if digits == start {
                return None;
            }
        }
    }

    /// Returns whether no point is free.
    pub(crate) fn is_exhausted(&self) -> bool {
        let Some(points) = self.points else {
            return false;
        };
        let Some(mut digits) = points.first() else {
            return true;
        };
        loop {
            if self.holds(&points.config(&digits).key()) {
                return false;
            }
            if !points.advance(&mut digits) {
                return true;
            }
        }
    }
}

/// The source of all randomness of a run.
pub(crate) fn generator(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

fn draw(space: &Space, rng: &mut ChaCha8Rng) -> Config {
    let values = space.parameters().iter().map(|parameter| {
        let u: f64 = rng.random();
        (parameter.path.clone(), parameter.distribution.quantile(u))
    });
    space.activate(values.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Distribution, Parameter, Path, Value};

    fn space_of(distributions: &[Distribution]) -> Space {
        let parameters = distributions
            .iter()
            .enumerate()
            .map(|(index, distribution)| Parameter {
                path: Path::flat(format!("p{index}")),
                distribution: distribution.clone(),
                when: Vec::new(),
            });
        Space::new(parameters.collect()).unwrap()
    }

    fn next(space: &Space, taken: &Taken, next_index: u64, count: usize) -> Suggestions {
        suggest(&Ask {
            space,
            seed: 7,
            taken,
            next_index,
            count,
        })
    }

    #[test]
    fn run_n_draws_the_same_whatever_the_timing() {
        let space = space_of(&[
            Distribution::Uniform { min: 0.0, max: 1.0 },
            Distribution::Normal {
                mu: 0.0,
                sigma: 1.0,
            },
        ]);
        let none = Taken::new();
        let together = next(&space, &none, 1, 5).suggestions;
        for (suggestion, index) in together.iter().zip(1..) {
            assert_eq!(
                next(&space, &none, index, 1).suggestions,
                std::slice::from_ref(suggestion)
            );
        }
        assert_ne!(together[0].config, together[1].config);
    }

    #[test]
    fn a_finite_space_is_drawn_to_its_end_without_repeats() {
        let values = (0..10).map(Value::Int).collect();
        let space = space_of(&[
            Distribution::IntUniform { min: 0, max: 99 },
            Distribution::Categorical {
                values,
                ordered: None,
            },
        ]);
        let mut taken = Taken::new();
        for index in 1..=1000 {
            let found = next(&space, &taken, index, 1);
            assert!(taken.insert(found.suggestions[0].config.key()).is_none());
            assert_eq!(found.exhausted, index == 1000);
        }
        assert_eq!(
            next(&space, &taken, 1001, 3),
            Suggestions {
                suggestions: Vec::new(),
                exhausted: true
            }
        );
        assert_eq!(next(&space, &Taken::new(), 1, 2000).suggestions.len(), 1000);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let probabilities = vec![0.7, 0.2, 0.1];
        let values = [0, 1, 2].map(Value::Int).to_vec();
        let uniform = Distribution::Uniform {
            min: -1.0,
            max: 1.0,
        };
        let space = space_of(&[
            Distribution::CategoricalWithProbabilities {
                values,
                probabilities,
            },
            uniform,
        ]);
        let draws = next(&space, &Taken::new(), 1, 2000).suggestions;
        let values = |name: &str| {
            draws
                .iter()
                .map(|draw| draw.config.0[&Path::flat(name)].as_f64().unwrap())
                .collect::<Vec<_>>()
        };
        let first = values("p0").iter().filter(|value| **value == 0.0).count();
        assert!((1330..1470).contains(&first), "{first}");
        assert!((values("p1").iter().sum::<f64>() / 2000.0).abs() < 0.05);
    }

    #[test]
    fn a_space_that_draws_one_value_over_and_over_ends() {
        let space = space_of(&[Distribution::Normal {
            mu: 1.0,
            sigma: 0.0,
        }]);
        let found = next(&space, &Taken::new(), 1, 2);
        assert_eq!((found.suggestions.len(), found.exhausted), (1, true));
    }
}
