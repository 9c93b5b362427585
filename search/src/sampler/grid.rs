//! Every point once, in W&B's order.

use std::collections::BTreeSet;

use super::{Ask, Suggestion, Suggestions};
use crate::space::enumeration::Enumeration;
use crate::why::{Kind, Why};

/// Returns the first points of the grid that are not taken. A space that no grid can enumerate has
/// no points: its sweep file is refused before it comes here.
pub(crate) fn suggest(ask: &Ask<'_>) -> Suggestions {
    let mut found = Suggestions {
        suggestions: Vec::new(),
        exhausted: true,
    };
    let Some(points) = Enumeration::of_grid(ask.space) else {
        return found;
    };
    let Some(mut digits) = points.first() else {
        return found;
    };
    let mut chosen = BTreeSet::new();
    // Each step passes a point that is taken or chosen, so there are at most that many steps
    // however large the grid.
    for number in 1u64.. {
        let config = points.config(&digits);
        let key = config.key();
        if !ask.taken.contains(&key) && !chosen.contains(&key) {
            if found.suggestions.len() == ask.count {
                found.exhausted = false;
                return found;
            }
            chosen.insert(key);
            found.suggestions.push(Suggestion {
                config,
                why: Why::new(Kind::Grid, format!("grid point {number}")),
            });
        }
        if !points.advance(&mut digits) {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{
        Condition, Config, Distribution, Parameter, Path, Space, Step, Taken, Value,
    };

    fn parameter(path: &[&str], distribution: Distribution) -> Parameter {
        Parameter {
            path: Path(path.iter().map(ToString::to_string).collect()),
            distribution,
            when: Vec::new(),
        }
    }

    fn categorical(values: &[Value]) -> Distribution {
        Distribution::Categorical {
            values: values.to_vec(),
            ordered: None,
        }
    }

    fn next(space: &Space, taken: &Taken, count: usize) -> Suggestions {
        suggest(&Ask {
            space,
            seed: 0,
            taken,
            next_index: 1,
            count,
        })
    }

    fn run_all(space: &Space, count: usize) -> Vec<Config> {
        let (mut taken, mut all) = (Taken::new(), Vec::new());
        loop {
            let found = next(space, &taken, count);
            assert!(found.exhausted || found.suggestions.len() == count);
            for suggestion in found.suggestions {
                assert!(taken.insert(suggestion.config.key()).is_none());
                all.push(suggestion.config);
            }
            if found.exhausted {
                assert_eq!(next(space, &taken, count).suggestions, []);
                return all;
            }
        }
    }

    #[test]
    fn names_are_sorted_at_each_level_and_the_last_varies_fastest() {
        let words = ["x", "w"].map(|word| Value::Str(word.into()));
        let space = Space::new(vec![
            parameter(&["b"], categorical(&words)),
            parameter(&["a", "z"], Distribution::IntUniform { min: 1, max: 2 }),
            parameter(&["a.y"], Distribution::Constant { value: Value::Null }),
            parameter(
                &["c"],
                Distribution::QUniform {
                    min: 0.0,
                    max: 1.0,
                    q: Step::Float(0.5),
                },
            ),
        ]);
        let all = run_all(&space.unwrap(), 3);
        let lines: Vec<_> = all
            .iter()
            .map(|config| {
                config
                    .0
                    .values()
                    .map(Value::identity)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        let expected = [
            "1 null \"x\" 0",
            "1 null \"x\" 0.5",
            "1 null \"w\" 0",
            "1 null \"w\" 0.5",
            "2 null \"x\" 0",
            "2 null \"x\" 0.5",
            "2 null \"w\" 0",
            "2 null \"w\" 0.5",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn constants_alone_are_one_run() {
        let constant = |name: &str| {
            parameter(
                &[name],
                Distribution::Constant {
                    value: Value::Int(1),
                },
            )
        };
        let space = Space::new(vec![constant("a"), constant("b")]).unwrap();
        assert_eq!(run_all(&space, 4).len(), 1);
        assert_eq!(run_all(&Space::default(), 4).len(), 1);
    }

    #[test]
    fn values_are_told_apart_as_wandb_does() {
        let float = Value::Float;
        let list = |value| Value::List(vec![value]);
        let values = [
            Value::Int(1),
            float(1.0),
            Value::Bool(true),
            Value::Str("1".into()),
            float(f64::NAN),
            float(f64::NAN),
            list(Value::Int(1)),
            list(float(1.0)),
            float(3e6),
            Value::Int(3_000_000),
            Value::Null,
        ];
        let space = Space::new(vec![parameter(&["a"], categorical(&values))]).unwrap();
        assert_eq!(run_all(&space, 1).len(), 8);
    }

    #[test]
    fn inactive_parameters_make_no_points() {
        let mut momentum = parameter(&["momentum"], Distribution::IntUniform { min: 0, max: 9 });
        momentum.when = vec![Condition {
            on: Path::flat("optimizer"),
            values: vec![Value::Str("sgd".into())],
        }];
        let optimizer = parameter(
            &["optimizer"],
            categorical(&["adam", "sgd"].map(|name| Value::Str(name.into()))),
        );
        assert_eq!(
            run_all(&Space::new(vec![momentum, optimizer]).unwrap(), 4).len(),
            11
        );
    }

    #[test]
    fn a_huge_grid_starts_at_once() {
        let wide = |name: &str| {
            parameter(
                &[name],
                Distribution::IntUniform {
                    min: 0,
                    max: 999_999,
                },
            )
        };
        let space = Space::new(vec![wide("a"), wide("b")]).unwrap();
        let found = next(&space, &Taken::new(), 2);
        assert_eq!(found.suggestions[1].why.reason, "grid point 2");
        assert!(!found.exhausted);
    }
}
