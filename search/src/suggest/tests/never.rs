//! Properties of suggestions that hold for every space and history.

use proptest::prelude::*;

use super::*;
use crate::observation::Ending;
use crate::space::Step;

fn any_distribution() -> impl Strategy<Value = Distribution> {
    let value = prop_oneof![
        (-3i64..3).prop_map(Value::Int),
        Just(Value::Null),
        Just(Value::Str("x".into())),
        Just(Value::Float(0.5))
    ];
    let step = prop_oneof![(1i64..3).prop_map(Step::Int), Just(Step::Float(0.3))];
    prop_oneof![
        value
            .clone()
            .prop_map(|value| Distribution::Constant { value }),
        proptest::collection::vec(value, 1..4).prop_map(|values| Distribution::Categorical {
            values,
            ordered: None
        }),
        Just(Distribution::CategoricalWithProbabilities {
            values: [1, 2].map(Value::Int).to_vec(),
            probabilities: vec![0.25, 0.75]
        }),
        (-3i64..3, 0i64..5).prop_map(|(min, width)| Distribution::IntUniform {
            min,
            max: min + width
        }),
        (-1e300f64..1e300).prop_map(|min| Distribution::Uniform { min, max: 1.1e300 }),
        (1e-300f64..1.0).prop_map(|min| Distribution::LogUniformValues { min, max: 1e300 }),
        (-2.0f64..2.0, step).prop_map(|(min, q)| Distribution::QUniform {
            min,
            max: min + 3.0,
            q
        }),
        Just(Distribution::Normal {
            mu: 0.0,
            sigma: 1e300
        }),
        Just(Distribution::QBeta {
            a: 0.5,
            b: 2.0,
            q: Step::Float(0.1)
        }),
    ]
}

fn any_space() -> impl Strategy<Value = Space> {
    proptest::collection::vec((any_distribution(), 0usize..8), 0..5).prop_map(|entries| {
        let names = ["d", "a", "c", "b", "e"];
        let parameters = entries
            .iter()
            .enumerate()
            .map(|(index, (distribution, on))| {
                let mut parameter = parameter(names[index], distribution.clone());
                if *on < index {
                    let values = vec![entries[*on].0.quantile(0.2), entries[*on].0.quantile(0.7)];
                    parameter.when = vec![Condition {
                        on: Path::flat(names[*on]),
                        values,
                    }];
                }
                parameter
            });
        Space::new(parameters.collect()).unwrap()
    })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => (-1.0f64..1.0).prop_map(Outcome::Value),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1e300), Just(1e300), Just(1e-300), Just(0.0)].prop_map(Outcome::Value),
        1 => (-1.0f64..1.0, prop_oneof![3 => 1e-3..1.0f64, 1 => Just(1e-300), 1 => Just(1e300), 1 => Just(f64::MAX)])
            .prop_map(|(mean, deviation)| Outcome::Stopped(Ending { mean, deviation })),
        1 => Just(Outcome::Failed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_history_of_no_space_does_harm(
        space in any_space(), other in any_space(), outcomes in proptest::collection::vec((any_outcome(), proptest::bool::weighted(0.3)), 0..12), seed: u64, workers in 1usize..4,
        maximize: bool,
    ) {
        for method in [Method::Grid, Method::Random, Method::Bayes] {
            let mut sweep = Sweep::new(space.clone(), method, seed);
            sweep.goal = if maximize { Goal::Maximize } else { Goal::Minimize };
            // Runs of another space stay in the history when a sweep is edited.
            let mut foreign = Sweep::new(other.clone(), Method::Random, seed);
            foreign.run(2, 1, |_| Outcome::Value(0.5));
            sweep.taken.extend(foreign.taken.iter().copied());
            sweep.observations.append(&mut foreign.observations);
            for (outcome, changes) in &outcomes {
                let found = sweep.ask(workers);
                prop_assert_eq!(&found, &sweep.ask(workers), "asking twice gives the same");
                prop_assert!(found.suggestions.len() <= workers && (found.exhausted || found.suggestions.len() == workers));
                for (place, suggestion) in found.suggestions.into_iter().enumerate() {
                    sweep.take(&suggestion);
                    let config = suggestion.config;
                    prop_assert!(config.0.values().filter_map(Value::as_f64).all(f64::is_finite));
                    prop_assert!(suggestion.why.predicted.is_none_or(|seen| seen.mean.is_finite() && seen.deviation >= 0.0));
                    let index = sweep.next_index;
                    let code_version = sweep.code();
                    if place == 0 {
                        sweep.observations.push(Observation { code_version, ..Observation::new(index, config, outcome.clone()) });
                    } else {
                        sweep.pending.push(Pending { index, config, code_version });
                    }
                    sweep.next_index += 1;
                }
                if *changes {
                    sweep.change_code();
                }
            }
        }
    }

    #[test]
    fn asking_for_many_is_asking_often(space in any_space(), seed: u64) {
        for method in [Method::Grid, Method::Random] {
            let together = Sweep::new(space.clone(), method, seed).ask(5).suggestions;
            let mut sweep = Sweep::new(space.clone(), method, seed);
            sweep.run(5, 1, |_| Outcome::Failed);
            let apart: Vec<_> = sweep.observations.into_iter().map(|observation| observation.config).collect();
            let together: Vec<_> = together.into_iter().map(|suggestion| suggestion.config).collect();
            prop_assert_eq!(together, apart);
        }
    }
}

fn narrowed_space() -> Space {
    Space::new(vec![
        parameter(
            "x",
            Distribution::LogUniformValues {
                min: 1e-3,
                max: 1e-1,
            },
        ),
        parameter("kind", choice(&["a", "b"])),
        parameter("n", Distribution::IntUniform { min: 4, max: 8 }),
    ])
    .unwrap()
}

#[test]
fn runs_beside_a_narrowed_space_inform_the_search_and_nothing_beside_it_is_suggested() {
    let space = narrowed_space();
    let config = |x: f64, kind: &str, n: i64| {
        Config(
            [
                (Path::flat("x"), Value::Float(x)),
                (Path::flat("kind"), Value::Str(kind.into())),
                (Path::flat("n"), Value::Int(n)),
            ]
            .into(),
        )
    };
    // The lowest values lie beyond the upper edge of x; of what is inside, near it.
    let observations: Vec<Observation> = (0..24)
        .map(|index| {
            let x = 10f64.powf(-3.5 + f64::from(index % 12) * 0.35);
            let kind = ["a", "b", "c"][index as usize % 3];
            let value = (x.log10() + 0.5).powi(2) + if kind == "c" { -1.0 } else { 0.0 };
            let config = config(x, kind, 2 + i64::from(index % 9));
            let outside = !space.holds(&config);
            Observation {
                outside,
                ..Observation::new(u64::from(index as u32) + 1, config, Outcome::Value(value))
            }
        })
        .collect();
    assert!(observations.iter().filter(|seen| seen.outside).count() > 10);
    for observations in [
        observations.clone(),
        observations
            .into_iter()
            .filter(|seen| seen.outside)
            .collect(),
    ] {
        let request = Request {
            space: &space,
            method: Method::Bayes,
            goal: Goal::Minimize,
            seed: 5,
            observations: &observations,
            pending: &[],
            taken: &Taken::new(),
            code: CodeLine::default(),
            next_index: 25,
            count: 4,
        };
        let found = suggest(&request);
        assert!(
            found
                .suggestions
                .iter()
                .all(|suggestion| space.holds(&suggestion.config)),
            "{:?}",
            found.suggestions
        );
        let x = |config: &Config| config.0[&Path::flat("x")].as_f64().unwrap();
        assert!(
            x(&found.suggestions[0].config) > 0.03,
            "it looks near the edge that leads to better values: {:?}",
            found.suggestions[0]
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_space_becomes_nothing_beside_it_is_suggested(spaces in prop::collection::vec(any_space(), 2..4), seed in 0..1000_u64) {
        use crate::space::revision::carry;
        use crate::space::{Origins, ConfigLocation};

        let mut carried: Vec<(Config, f64)> = Vec::new();
        for (edit, space) in spaces.iter().enumerate() {
            let origins = Origins {
                was: space.parameters().iter().map(|parameter| (parameter.path.clone(), parameter.distribution.quantile(0.3))).collect(),
                ..Origins::default()
            };
            if edit > 0 {
                let on = |(config, value): (Config, f64)| Some((carry(&config, &spaces[edit - 1], space, &origins)?, value));
                carried = carried.into_iter().filter_map(on).collect();
            }
            let observations: Vec<Observation> = carried
                .iter()
                .zip(1..)
                .filter_map(|((config, value), index)| {
                    let (config, outside) = match space.locate(config.clone()) {
                        ConfigLocation::Inside(config) => (config, false),
                        ConfigLocation::Outside(config) => (config, true),
                        ConfigLocation::Nowhere => return None,
                    };
                    Some(Observation { outside, ..Observation::new(index, config, Outcome::Value(*value)) })
                })
                .collect();
            let sweep = Sweep {
                taken: observations.iter().filter(|seen| !seen.outside).map(|seen| seen.config.key()).collect(),
                observations,
                next_index: carried.len() as u64 + 1,
                ..Sweep::new(space.clone(), Method::Bayes, seed)
            };
            for (place, suggestion) in sweep.ask(8).suggestions.iter().enumerate() {
                prop_assert!(space.holds(&suggestion.config), "{:?} in {:?}", suggestion.config, space);
                carried.push((suggestion.config.clone(), place as f64));
            }
        }
    }
}
