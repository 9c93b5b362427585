//! How well the search finds, and what it never does.

use super::*;
use crate::observation::Outcome;
use crate::space::{Config, Distribution, Parameter, Path, Value};

/// A sweep in memory.
struct Sweep {
    space: Space,
    method: Method,
    goal: Goal,
    seed: u64,
    observations: Vec<Observation>,
    pending: Vec<Pending>,
    taken: BTreeSet<PointKey>,
    next_index: u64,
}

impl Sweep {
    fn new(space: Space, method: Method, seed: u64) -> Self {
        let (observations, pending, taken) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { space, method, goal: Goal::Minimize, seed, observations, pending, taken, next_index: 1 }
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
            next_index: self.next_index,
            count,
        })
    }

    /// Asks for `workers` at a time and ends them all.
    fn run(&mut self, runs: usize, workers: usize, outcome: impl Fn(&Config) -> Outcome) {
        while self.observations.len() < runs {
            let found = self.ask(workers);
            for suggestion in found.suggestions {
                assert!(self.taken.insert(suggestion.config.key()), "{:?} was taken", suggestion.config);
                let outcome = outcome(&suggestion.config);
                self.observations.push(Observation { index: self.next_index, config: suggestion.config, outcome });
                self.next_index += 1;
            }
            if found.exhausted {
                return;
            }
        }
    }

    fn best(&self) -> f64 {
        let best = crate::analysis::best(self.goal, &self.observations).unwrap();
        match best.outcome {
            Outcome::Value(value) | Outcome::Stopped(value) => value,
            Outcome::Failed => f64::NAN,
        }
    }
}

fn parameter(name: &str, distribution: Distribution) -> Parameter {
    Parameter { path: Path::flat(name), distribution, when: Vec::new() }
}

fn uniform(ranges: &[(f64, f64)]) -> Space {
    let parameters = ranges
        .iter()
        .enumerate()
        .map(|(index, (min, max))| parameter(&format!("x{index}"), Distribution::Uniform { min: *min, max: *max }));
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
        let distance: f64 = (0..6).map(|j| SCALES[place][j] * (x[j] - CENTRES[place][j]).powi(2)).sum();
        WEIGHTS[place] * (-distance).exp()
    };
    3.32237 - (0..4).map(bump).sum::<f64>()
}

type Objective = fn(&[f64]) -> f64;

fn median_regret(method: Method, ranges: &[(f64, f64)], workers: usize, objective: Objective) -> f64 {
    let mut regrets: Vec<f64> = (0..5)
        .map(|seed| {
            let mut sweep = Sweep::new(uniform(ranges), method, seed);
            sweep.run(40, workers, |config| Outcome::Value(objective(&numbers(config))));
            sweep.best()
        })
        .collect();
    regrets.sort_by(f64::total_cmp);
    regrets[2]
}

#[test]
fn the_model_finds_far_better_points_than_chance() {
    let problems = [(vec![(-5.0, 10.0), (0.0, 15.0)], branin as Objective), (vec![(0.0, 1.0); 6], hartmann6)];
    for (ranges, objective) in &problems {
        let bound = if ranges.len() == 2 { 0.1 } else { 0.9 };
        let chance = median_regret(Method::Random, ranges, 1, *objective);
        for workers in [1, 4] {
            let model = median_regret(Method::Bayes, ranges, workers, *objective);
            assert!(model < bound * chance, "{workers} workers: {model} is not well below {chance}");
        }
    }
}
