//! Prints every digit of the suggestions of fixed seeds, so that a refactoring can be compared with
//! the code before it.
//!
//! ```console
//! $ cargo run -p sweep-search --example suggestions > before.txt
//! $ cargo run -p sweep-search --example suggestions | diff before.txt -
//! ```
//!
//! The last digits differ between processors, so the output is in no test. Each sweep has
//! parameters of every kind, failures, constraints, runs in flight, runs that a rule stops early,
//! and a change of the code.

#![expect(clippy::print_stdout, reason = "it prints suggestions")]

use std::error::Error;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use sweep_search::analysis::{Cut, analyze, slice};
use sweep_search::early_stop::{
    Asha, Bands, EarlyStop, Endings, Hyperband, Median, Peer, Predictive, Reporting, Stop,
};
use sweep_search::observation::{CodeLine, Goal, Observation, Outcome, Pending};
use sweep_search::space::{Condition, Config, Distribution, Parameter, Path, Space, Taken, Value};
use sweep_search::suggest::{Method, Request, suggest};

const RUNS: u64 = 48;
const SEEDS: u64 = 3;
const WORKERS: usize = 3;
const EPOCHS: u32 = 20;

fn parameter(name: &str, distribution: Distribution) -> Parameter {
    Parameter {
        path: Path::flat(name),
        distribution,
        when: Vec::new(),
    }
}

fn words(words: &[&str]) -> Distribution {
    Distribution::Categorical {
        values: words
            .iter()
            .map(|word| Value::Str((*word).to_owned()))
            .collect(),
        ordered: None,
    }
}

fn spaces() -> Result<Vec<(&'static str, Space)>, Box<dyn Error>> {
    let log = |min, max| Distribution::LogUniformValues { min, max };
    let mut momentum = parameter("momentum", Distribution::Uniform { min: 0.0, max: 1.0 });
    momentum.when = vec![Condition {
        on: Path::flat("optimizer"),
        values: vec![Value::Str("sgd".to_owned())],
    }];
    let sizes = [16, 32, 64, 128].map(Value::Int).to_vec();
    let mixed = vec![
        parameter("lr", log(1e-5, 1e-1)),
        parameter("layers", Distribution::IntUniform { min: 1, max: 8 }),
        parameter("optimizer", words(&["adam", "sgd", "lion"])),
        momentum,
        parameter(
            "size",
            Distribution::Categorical {
                values: sizes,
                ordered: None,
            },
        ),
        parameter(
            "scale",
            Distribution::Normal {
                mu: 0.0,
                sigma: 1.0,
            },
        ),
        parameter("mix", Distribution::Beta { a: 2.0, b: 3.0 }),
    ];
    let uniform = (0..6)
        .map(|place| {
            parameter(
                &format!("x{place}"),
                Distribution::Uniform { min: 0.0, max: 1.0 },
            )
        })
        .collect();
    let finite = vec![
        parameter("layers", Distribution::IntUniform { min: 1, max: 8 }),
        parameter("optimizer", words(&["adam", "sgd", "lion"])),
        parameter("depth", Distribution::IntUniform { min: 1, max: 5 }),
    ];
    let space = |parameters| Space::new(parameters).map_err(|error| format!("{error:?}"));
    Ok(vec![
        ("uniform", space(uniform)?),
        ("mixed", space(mixed)?),
        ("finite", space(finite)?),
    ])
}

/// How a sweep differs from a plain one.
#[derive(Clone, Copy, Debug)]
struct Variant {
    noise: f64,
    fails: bool,
    is_constrained: bool,
    changes_code: bool,
    is_stopped_early: bool,
}

const PLAIN: Variant = Variant {
    noise: 0.0,
    fails: false,
    is_constrained: false,
    changes_code: false,
    is_stopped_early: false,
};

const VARIANTS: [Variant; 4] = [
    PLAIN,
    Variant {
        noise: 0.5,
        is_constrained: true,
        ..PLAIN
    },
    Variant {
        noise: 0.02,
        fails: true,
        changes_code: true,
        ..PLAIN
    },
    Variant {
        noise: 0.01,
        fails: true,
        is_stopped_early: true,
        ..PLAIN
    },
];

/// A number for each configuration: its values as coordinates, words by their length.
fn coordinates(config: &Config) -> Vec<f64> {
    let number = |value: &Value| match value {
        Value::Str(word) => 0.1 * word.len() as f64,
        other => other.as_f64().unwrap_or(0.5),
    };
    config.0.values().map(number).collect()
}

/// A bowl whose sides differ in steepness, and the changed one of newer code.
fn loss(config: &Config, is_changed: bool) -> f64 {
    let bowl = |(place, x): (usize, f64)| {
        let middle = 0.2 + 0.6 * (place as f64 * 0.618).fract();
        let distance = x.abs().min(50.0) - middle - if is_changed { 0.1 } else { 0.0 };
        distance * distance / (1.0 + place as f64)
    };
    coordinates(config)
        .into_iter()
        .enumerate()
        .map(bowl)
        .sum::<f64>()
}

fn rules() -> [EarlyStop; 4] {
    [
        EarlyStop::Hyperband(Hyperband {
            bands: Bands::MinIter(3),
            eta: 3.0,
            strict: true,
        }),
        EarlyStop::Asha(Asha {
            min_iter: 3,
            max_iter: None,
            eta: 3.0,
        }),
        EarlyStop::Median(Median {
            min_iter: 4,
            min_runs: 3,
        }),
        EarlyStop::Predictive(Predictive {
            min_probability: 0.3,
            min_iter: None,
            max_iter: None,
            min_runs: 5,
        }),
    ]
}

/// A run that has ended.
struct Run {
    index: u64,
    config: Config,
    series: Vec<f64>,
    is_stopped: bool,
    failed: bool,
    code: String,
}

impl Run {
    fn value(&self) -> f64 {
        self.series.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn peer(&self) -> Peer<'_> {
        Peer {
            series: &self.series,
            value: (!self.is_stopped && !self.failed).then(|| self.value()),
        }
    }
}

struct Sweep<'a> {
    space: &'a Space,
    variant: Variant,
    seed: u64,
    rng: ChaCha8Rng,
    runs: Vec<Run>,
    taken: Taken,
}

impl Sweep<'_> {
    fn codes(&self, index: u64) -> Vec<String> {
        let count = 1 + usize::from(self.variant.changes_code && index > RUNS / 2);
        ["first", "second"][..count]
            .iter()
            .map(|code| (*code).to_owned())
            .collect()
    }

    fn observations(&self) -> Vec<Observation> {
        let ended = self
            .runs
            .iter()
            .map(|run| (run.code.as_str(), run.peer(), run.value()));
        let mut endings = Endings::new(Goal::Minimize, ended);
        let observe = |run: &Run| {
            let outcome = if run.failed {
                Outcome::Failed
            } else if run.is_stopped {
                Outcome::Stopped(endings.ending(&run.code, &run.series, run.value()))
            } else {
                Outcome::Value(run.value())
            };
            let violation = coordinates(&run.config).iter().sum::<f64>() - 3.0;
            let violations = self.variant.is_constrained.then_some(Some(violation));
            Observation {
                violations: violations.into_iter().collect(),
                code_version: run.code.clone(),
                ..Observation::new(run.index, run.config.clone(), outcome)
            }
        };
        self.runs.iter().map(observe).collect()
    }

    fn execute(&mut self, index: u64, config: Config, code: String) -> Option<Stop> {
        let first = coordinates(&config)[0];
        let failed = self.variant.fails && (first > 0.8 && first < 1.0 || index.is_multiple_of(11));
        let end = loss(&config, code == "second")
            + self.variant.noise * self.rng.sample::<f64, _>(StandardNormal);
        let mut run = Run {
            index,
            config,
            series: Vec::new(),
            is_stopped: false,
            failed,
            code,
        };
        let mut stop = None;
        for epoch in 1..=EPOCHS {
            run.series.push(end + 1.5 / f64::from(epoch));
            let reporting = Reporting {
                goal: Goal::Minimize,
                series: &run.series,
                known: run.series.len() - 1,
                best: self.runs.iter().map(Run::value).reduce(f64::min),
            };
            let rule = &rules()[(self.seed % 4) as usize];
            if self.variant.is_stopped_early {
                stop = rule.judge(&reporting, self.runs.iter().map(Run::peer));
            }
            if stop.is_some() {
                run.is_stopped = true;
                break;
            }
        }
        self.runs.push(run);
        stop
    }

    /// Suggests runs, `WORKERS` at a time, with one more in flight, and prints them.
    fn run(&mut self, method: Method) {
        let mut index = 1;
        while index <= RUNS {
            let observations = self.observations();
            let codes = self.codes(index);
            let pending: Vec<Pending> = observations
                .first()
                .map(|first| Pending {
                    index: 1000,
                    config: first.config.clone(),
                    code_version: String::new(),
                })
                .into_iter()
                .collect();
            let found = suggest(&Request {
                space: self.space,
                method,
                goal: Goal::Minimize,
                seed: self.seed,
                observations: &observations,
                pending: &pending,
                taken: &self.taken,
                code: CodeLine {
                    versions: &codes,
                    probes: 2,
                },
                next_index: index,
                count: WORKERS,
            });
            for suggestion in found.suggestions {
                println!("{index}: {suggestion:?}");
                self.taken.insert(suggestion.config.key());
                let code = codes.last().cloned().unwrap_or_default();
                if let Some(stop) = self.execute(index, suggestion.config, code) {
                    println!("{index}: {stop:?}");
                }
                index += 1;
            }
            if found.exhausted {
                println!("exhausted");
                break;
            }
        }
    }

    fn analyze(&self) {
        let observations = self.observations();
        let codes = self.codes(RUNS);
        let line = CodeLine {
            versions: &codes,
            probes: 2,
        };
        let (space, seed) = (self.space, self.seed);
        println!(
            "{:?}",
            analyze(space, Goal::Minimize, &observations, line, seed)
        );
        let names: Vec<String> = space
            .parameters()
            .iter()
            .map(|parameter| parameter.path.to_string())
            .collect();
        if let [x, y, ..] = names.as_slice() {
            let cut = Cut {
                x,
                y: Some(y),
                through: None,
            };
            println!(
                "{:?}",
                slice(space, Goal::Minimize, &observations, line, seed, cut)
            );
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    for (name, space) in &spaces()? {
        for variant in VARIANTS {
            for seed in 1..=SEEDS {
                for method in [Method::Bayes, Method::Random] {
                    println!("# {name}, {method:?}, seed {seed}, {variant:?}");
                    let mut sweep = Sweep {
                        space,
                        variant,
                        seed,
                        rng: ChaCha8Rng::seed_from_u64(seed),
                        runs: Vec::new(),
                        taken: Taken::default(),
                    };
                    sweep.run(method);
                    sweep.analyze();
                }
            }
        }
    }
    Ok(())
}
