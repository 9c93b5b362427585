//! That the search is never stuck.

use super::*;

#[test]
fn while_nothing_succeeds_distinct_points_fill_the_space() {
    for dimensions in [1, 3] {
        for seed in 0..5 {
            let mut sweep = Sweep::new(uniform(&vec![(0.0, 1.0); dimensions]), Method::Bayes, seed);
            sweep.run(40, 1, |_| Outcome::Failed);
            for dimension in 0..dimensions {
                let mut places: Vec<f64> = sweep.observations[..20]
                    .iter()
                    .map(|seen| numbers(&seen.config)[dimension])
                    .collect();
                places.extend([0.0, 1.0]);
                places.sort_by(f64::total_cmp);
                assert!(
                    places.windows(2).all(|pair| pair[1] - pair[0] < 0.19),
                    "seed {seed}: {places:?}"
                );
            }
        }
    }
}

#[test]
fn start_up_lasts_until_results_differ() {
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 2]), Method::Bayes, 1);
    sweep.run(15, 1, |_| Outcome::Value(0.9));
    let why = sweep.ask(1).suggestions[0].why.clone();
    assert_eq!(
        (why.kind, why.reason.as_str()),
        (
            Kind::StartUp,
            "start-up continues since no two results differ yet, spread over the space"
        )
    );
}

#[test]
fn a_plateau_is_left() {
    for seed in 0..5 {
        let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 3]), Method::Bayes, seed);
        // Chance level but for a ball with 6 % of the volume.
        sweep.run(70, 1, |config| {
            let distance: f64 = numbers(config).iter().map(|x| (x - 0.7).powi(2)).sum();
            Outcome::Value(if distance < 0.06 {
                10.0 * distance
            } else {
                0.9
            })
        });
        assert!(sweep.best() < 0.1, "seed {seed}: {}", sweep.best());
    }
}

#[test]
fn values_without_meaning_are_not_followed() {
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 3]), Method::Bayes, 1);
    sweep.run(30, 1, |config| {
        Outcome::Value((1e4 * numbers(config).iter().sum::<f64>()).sin())
    });
    let why = |sweep: &Sweep| sweep.ask(1).suggestions[0].why.clone();
    assert!(
        why(&sweep)
            .reason
            .starts_with("start-up continues since the model predicts "),
        "{}",
        why(&sweep).reason
    );
}

#[test]
fn every_branch_is_tried_and_goes_on_to_be() {
    let words = ["good", "bad", "worse", "worst"];
    let values = words.map(|word| Value::Str(word.into())).to_vec();
    let mut inner = parameter("inner", Distribution::Uniform { min: 0.0, max: 1.0 });
    inner.when = vec![Condition {
        on: Path::flat("kind"),
        values: vec![values[3].clone()],
    }];
    let parameters = vec![
        inner,
        parameter(
            "kind",
            Distribution::Categorical {
                values,
                ordered: None,
            },
        ),
        parameter("x", Distribution::Uniform { min: 0.0, max: 1.0 }),
    ];
    let mut sweep = Sweep::new(Space::new(parameters).unwrap(), Method::Bayes, 2);
    let word = |config: &Config| config.0[&Path::flat("kind")].clone();
    let objective = |config: &Config| {
        let place = words
            .iter()
            .position(|own| word(config) == Value::Str((*own).into()))
            .unwrap();
        Outcome::Value(place as f64 + config.0[&Path::flat("x")].as_f64().unwrap())
    };
    let count = |sweep: &Sweep, own: &str| {
        sweep
            .observations
            .iter()
            .filter(|seen| word(&seen.config) == Value::Str(own.into()))
            .count()
    };
    sweep.run(25, 1, objective);
    let counts = words.map(|word| count(&sweep, word));
    assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
    // Independently of the models, the least-tried branch has its turn.
    sweep.run(64, 1, objective);
    let suggestion = sweep.ask(1).suggestions.remove(0);
    assert!(
        suggestion.why.reason.starts_with("exploration: "),
        "{}",
        suggestion.why.reason
    );
    let fewest = words.iter().map(|word| count(&sweep, word)).min().unwrap();
    let own = words
        .iter()
        .find(|own| word(&suggestion.config) == Value::Str((**own).into()))
        .unwrap();
    assert_eq!(count(&sweep, own), fewest);
}

#[test]
fn numbers_in_a_list_whose_order_means_nothing_are_searched_as_well_as_words() {
    let median = |distribution: &dyn Fn(Vec<Value>) -> Distribution| {
        let objective = |config: &Config| {
            let value = |value: &Value| match value {
                Value::Int(code) => (code * 7 % 11) as f64,
                _ => f64::NAN,
            };
            Outcome::Value(
                config
                    .0
                    .values()
                    .map(value)
                    .map(|place| (place - 4.0).abs())
                    .sum(),
            )
        };
        let mut runs: Vec<usize> = (0..5)
            .map(|seed| {
                let list = |name| parameter(name, distribution((0..11).map(Value::Int).collect()));
                let mut sweep = Sweep::new(
                    Space::new(vec![list("a"), list("b"), list("c")]).unwrap(),
                    Method::Bayes,
                    seed,
                );
                while sweep.observations.is_empty() || sweep.best() > 0.0 {
                    sweep.run(sweep.observations.len() + 1, 1, objective);
                    assert!(sweep.observations.len() < 200);
                }
                sweep.observations.len()
            })
            .collect();
        runs.sort_unstable();
        runs[2]
    };
    let [learnt, named, ordered] = [None, Some(false), Some(true)]
        .map(|ordered| median(&|values| Distribution::Categorical { values, ordered }));
    assert!(
        learnt <= named + named / 2 && learnt < ordered,
        "{learnt} learnt, {named} without order, {ordered} ordered"
    );
}
