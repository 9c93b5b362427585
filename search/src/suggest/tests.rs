//! How well the search finds.

mod code_changes;
mod floor;
mod never;

use super::*;

use crate::observation::Outcome;
use crate::space::fixture::{choice, conditional, parameter};
use crate::space::{Condition, Config, Distribution, Path, Step, Value};
use crate::why::{Kind, Prediction};

/// A sweep in memory.
struct Sweep {
    space: Space,
    method: Method,
    goal: Goal,
    seed: u64,
    observations: Vec<Observation>,
    pending: Vec<Pending>,
    taken: Taken,
    codes: Vec<String>,
    next_index: u64,
}

impl Sweep {
    fn new(space: Space, method: Method, seed: u64) -> Self {
        let (observations, pending, taken) = (Vec::new(), Vec::new(), Taken::new());
        Self {
            space,
            method,
            goal: Goal::Minimize,
            seed,
            observations,
            pending,
            taken,
            codes: Vec::new(),
            next_index: 1,
        }
    }

    fn ask(&self, count: usize) -> Suggestions {
        suggest(&Request {
            space: &self.space,
            method: self.method,
            goal: self.goal,
            seed: self.seed,
            observations: &self.observations,
            pending: &self.pending,
            taken: &self.taken,
            code: CodeLine {
                versions: &self.codes,
                probes: 2,
            },
            next_index: self.next_index,
            count,
        })
    }

    fn code(&self) -> String {
        self.codes.last().cloned().unwrap_or_default()
    }

    fn take(&mut self, suggestion: &Suggestion) {
        let key = match suggestion.why.kind {
            Kind::Probe => suggestion.config.key_again(&self.code()),
            _ => suggestion.config.key(),
        };
        assert!(
            self.taken.insert(key).is_none(),
            "{:?} was taken",
            suggestion.config
        );
    }

    /// From here on everything is of new code.
    fn change_code(&mut self) {
        self.codes.push(format!("version {}", self.codes.len() + 1));
    }

    /// Asks for `workers` at a time and ends them all.
    fn run(&mut self, runs: usize, workers: usize, outcome: impl Fn(&Config) -> Outcome) {
        while self.observations.len() < runs {
            let found = self.ask(workers);
            for suggestion in found.suggestions {
                self.take(&suggestion);
                let outcome = outcome(&suggestion.config);
                let observation = Observation::new(self.next_index, suggestion.config, outcome);
                self.observations.push(Observation {
                    code_version: self.code(),
                    ..observation
                });
                self.next_index += 1;
            }
            if found.exhausted {
                return;
            }
        }
    }

    fn best(&self) -> f64 {
        let best = crate::analysis::best(self.goal, &self.observations).unwrap();
        best.outcome.value().unwrap_or(f64::NAN)
    }
}

fn uniform(ranges: &[(f64, f64)]) -> Space {
    let parameters = ranges.iter().enumerate().map(|(index, (min, max))| {
        parameter(
            &format!("x{index}"),
            Distribution::Uniform {
                min: *min,
                max: *max,
            },
        )
    });
    Space::new(parameters.collect()).unwrap()
}

fn numbers(config: &Config) -> Vec<f64> {
    config.0.values().filter_map(Value::as_f64).collect()
}

fn branin(x: &[f64]) -> f64 {
    use std::f64::consts::PI;
    let inner = x[1] - 5.1 / (4.0 * PI * PI) * x[0] * x[0] + 5.0 / PI * x[0] - 6.0;
    inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x[0].cos() + 10.0 - 0.397_887
}

fn hartmann6(x: &[f64]) -> f64 {
    const WEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const SCALES: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const CENTRES: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let bump = |place: usize| {
        let distance: f64 = (0..6)
            .map(|j| SCALES[place][j] * (x[j] - CENTRES[place][j]).powi(2))
            .sum();
        WEIGHTS[place] * (-distance).exp()
    };
    3.32237 - (0..4).map(bump).sum::<f64>()
}

type Objective = fn(&[f64]) -> f64;

fn median_regret(
    method: Method,
    ranges: &[(f64, f64)],
    workers: usize,
    objective: Objective,
) -> f64 {
    let mut regrets: Vec<f64> = (0..5)
        .map(|seed| {
            let mut sweep = Sweep::new(uniform(ranges), method, seed);
            sweep.run(40, workers, |config| {
                Outcome::Value(objective(&numbers(config)))
            });
            sweep.best()
        })
        .collect();
    regrets.sort_by(f64::total_cmp);
    regrets[2]
}

#[test]
fn the_model_finds_far_better_points_than_chance() {
    let problems = [
        (vec![(-5.0, 10.0), (0.0, 15.0)], branin as Objective),
        (vec![(0.0, 1.0); 6], hartmann6),
    ];
    for (ranges, objective) in &problems {
        let bound = if ranges.len() == 2 { 0.02 } else { 0.4 };
        let chance = median_regret(Method::Random, ranges, 1, *objective);
        for workers in [1, 4] {
            let model = median_regret(Method::Bayes, ranges, workers, *objective);
            assert!(
                model < bound * chance,
                "{workers} workers: {model} is not well below {chance}"
            );
        }
    }
}

fn bowl(x: &[f64]) -> f64 {
    (x[0] - 0.7).powi(2) + 2.0 * (x[1] - 0.2).powi(2) + 0.3 * (6.0 * x[2]).sin()
}

#[test]
fn many_suggestions_at_once_are_not_of_one_place() {
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 2]), Method::Bayes, 1);
    sweep.run(10, 1, |config| {
        Outcome::Value(numbers(config).iter().map(|x| (x - 0.3).powi(2)).sum())
    });
    let found = sweep.ask(8).suggestions;
    let points: Vec<_> = found
        .iter()
        .map(|suggestion| numbers(&suggestion.config))
        .collect();
    for (place, a) in points.iter().enumerate() {
        for b in &points[..place] {
            assert!(
                (a[0] - b[0]).abs().max((a[1] - b[1]).abs()) > 1e-3,
                "{a:?} {b:?}"
            );
        }
    }
    // What others are trying already counts as much as what this call suggests.
    let waiting = found[0].config.clone();
    sweep.taken.insert(waiting.key());
    sweep.pending.push(Pending {
        index: sweep.next_index,
        config: waiting,
        code_version: String::new(),
    });
    sweep.next_index += 1;
    let next = numbers(&sweep.ask(1).suggestions[0].config);
    assert!(
        (next[0] - points[0][0])
            .abs()
            .max((next[1] - points[0][1]).abs())
            > 1e-3,
        "{next:?}"
    );
}

#[test]
fn failures_are_not_taken_for_good_ones() {
    let failures = |observations: &[Observation]| {
        observations
            .iter()
            .filter(|run| run.outcome == Outcome::Failed)
            .count()
    };
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 2]), Method::Bayes, 2);
    sweep.run(40, 1, |config| {
        let x = numbers(config);
        if x[0] > 0.6 {
            Outcome::Failed
        } else {
            Outcome::Value((x[0] - 0.4).powi(2) + x[1])
        }
    });
    // Later it has found the optimum, and may look anywhere. Chance fails eight times in twenty.
    assert!(
        failures(&sweep.observations[5..25]) <= 4,
        "{}",
        failures(&sweep.observations[5..25])
    );
    assert!(sweep.best() < 1e-4, "{}", sweep.best());

    // The best values lie beside the cliff.
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 2]), Method::Bayes, 2);
    sweep.run(20, 1, |config| {
        let x = numbers(config);
        if x[0] > 0.6 {
            Outcome::Failed
        } else {
            Outcome::Value(1.0 - x[0] + x[1])
        }
    });
    assert!(sweep.best() < 0.45, "{}", sweep.best());
}

#[test]
fn finite_spaces_are_tried_to_their_end() {
    let values = ["a", "b", "c"].map(|word| Value::Str(word.into())).to_vec();
    let mut child = parameter(
        "child",
        Distribution::QUniform {
            min: 0.0,
            max: 1.0,
            q: Step::Float(0.25),
        },
    );
    child.when = vec![Condition {
        on: Path::flat("kind"),
        values: vec![values[1].clone()],
    }];
    let kind = parameter(
        "kind",
        Distribution::Categorical {
            values,
            ordered: None,
        },
    );
    let size = parameter("size", Distribution::IntUniform { min: 1, max: 4 });
    let space = Space::new(vec![child, kind, size]).unwrap();
    for method in [Method::Random, Method::Bayes] {
        let mut sweep = Sweep::new(space.clone(), method, 3);
        sweep.run(
            usize::MAX,
            3,
            |config| Outcome::Value(config.0.len() as f64),
        );
        assert_eq!(sweep.observations.len(), 28, "{method:?}");
        assert_eq!(
            sweep.ask(2),
            Suggestions {
                suggestions: Vec::new(),
                exhausted: true
            }
        );
    }
}

#[test]
fn the_best_of_a_list_and_of_a_condition_is_found() {
    let parameters = vec![
        conditional(
            "momentum",
            Distribution::Uniform { min: 0.0, max: 1.0 },
            ("optimizer", "sgd"),
        ),
        parameter("optimizer", choice(&["adam", "sgd", "lion"])),
        parameter(
            "lr",
            Distribution::LogUniformValues {
                min: 1e-5,
                max: 1e-1,
            },
        ),
    ];
    let mut sweep = Sweep::new(Space::new(parameters).unwrap(), Method::Bayes, 5);
    sweep.goal = Goal::Maximize;
    sweep.run(40, 1, |config| {
        let lr = config.0[&Path::flat("lr")].as_f64().unwrap().log10() + 3.0;
        let kind = config
            .0
            .get(&Path::flat("momentum"))
            .map_or(-0.5, |momentum| -(momentum.as_f64().unwrap() - 0.9).powi(2));
        Outcome::Value(kind - 0.2 * lr * lr)
    });
    assert!(sweep.best() > -0.01, "{}", sweep.best());
}

#[test]
fn reasons_are_in_words() {
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0)]), Method::Bayes, 1);
    sweep.goal = Goal::Maximize;
    assert_eq!(
        sweep.ask(2).suggestions[1].why.reason,
        "start-up point 2 of 3, spread over the space"
    );
    sweep.run(9, 1, |config| Outcome::Value(1.0 - numbers(config)[0]));
    let suggestion = &sweep.ask(1).suggestions[0];
    let Prediction { mean, deviation } = suggestion.why.predicted.unwrap();
    let off = (mean - (1.0 - numbers(&suggestion.config)[0])).abs();
    assert!(
        off < 0.1 + 3.0 * deviation && (0.0..0.5).contains(&deviation),
        "{suggestion:?}"
    );
    assert!(
        suggestion.why.reason.starts_with("expected improvement ")
            && suggestion.why.reason.contains(", predicted "),
        "{}",
        suggestion.why.reason
    );
}

#[test]
fn many_dimensions_work() {
    let median = |method, dimensions: usize| {
        let best = (0..3).map(|seed| {
            let mut sweep = Sweep::new(uniform(&vec![(0.0, 1.0); dimensions]), method, seed);
            sweep.run(60, 2, |config| {
                Outcome::Value(numbers(config).iter().map(|x| (x - 0.4).powi(2)).sum())
            });
            sweep.best()
        });
        let mut best: Vec<f64> = best.collect();
        best.sort_by(f64::total_cmp);
        best[1]
    };
    let (model, chance) = (median(Method::Bayes, 20), median(Method::Random, 20));
    assert!(model < 0.8 * chance, "{model} {chance}");
    let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 50]), Method::Bayes, 1);
    sweep.run(20, 2, |config| Outcome::Value(numbers(config)[7]));
    assert!(
        sweep
            .observations
            .iter()
            .all(|run| numbers(&run.config).iter().all(|x| (0.0..=1.0).contains(x)))
    );
}

#[test]
fn how_far_a_run_diverged_changes_no_suggestion() {
    let suggested = |diverged: f64, goal: Goal, is_bad: fn(&[f64], usize) -> bool| {
        let mut sweep = Sweep::new(uniform(&[(0.0, 1.0); 3]), Method::Bayes, 4);
        sweep.goal = goal;
        while sweep.observations.len() < 24 {
            let runs = sweep.observations.len();
            sweep.run(runs + 1, 1, |config| {
                let x = numbers(config);
                let value = if is_bad(&x, runs) {
                    diverged * (1.0 + 0.1 * runs as f64)
                } else {
                    bowl(&x)
                };
                Outcome::Value(goal.minimized(value))
            });
        }
        sweep
            .observations
            .into_iter()
            .map(|seen| seen.config)
            .collect::<Vec<_>>()
    };
    let by_chance = |_: &[f64], runs: usize| runs % 3 == 1;
    let by_place = |x: &[f64], _: usize| x[0] > 0.45;
    for goal in [Goal::Minimize, Goal::Maximize] {
        for is_bad in [by_chance, by_place] {
            assert_eq!(suggested(1e9, goal, is_bad), suggested(1e30, goal, is_bad));
        }
    }
}
