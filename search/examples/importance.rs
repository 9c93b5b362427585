//! Compares the importance of parameters with and without early stopping, for an objective whose
//! parts are known.
//!
//! ```console
//! $ cargo run --release -p sweep-search --example importance
//! ```
//!
//! Each sweep has 90 runs of 20 epochs, one after the other, of `method: bayes`. The objective is a
//! floor that depends on the parameters, plus a part that each run loses while it is trained, plus
//! noise. A second sweep of each kind changes its code half-way, by a comment alone.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::collections::BTreeMap;
use std::error::Error;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use sweep_search::analysis::{Analysis, analyze};
use sweep_search::early_stop::{Bands, EarlyStop, Endings, Hyperband, Peer, Reporting};
use sweep_search::observation::{CodeLine, Goal, Observation, Outcome};
use sweep_search::space::{Config, Distribution, Parameter, Path, Space, Taken, Value};
use sweep_search::suggest::{Method, Request, suggest};

const RUNS: u64 = 90;
const EPOCHS: u32 = 20;
const PROBES: usize = 2;
const SEEDS: u64 = 5;

fn space() -> Result<Space, Box<dyn Error>> {
    let flat = |name: &str, distribution| Parameter {
        path: Path::flat(name),
        distribution,
        when: Vec::new(),
    };
    let words = ["sgd", "adam", "adamw"].map(|word| Value::Str(word.to_owned()));
    let space = Space::new(vec![
        flat(
            "learning_rate",
            Distribution::LogUniformValues {
                min: 1e-5,
                max: 1e-1,
            },
        ),
        flat(
            "weight_decay",
            Distribution::LogUniformValues {
                min: 1e-6,
                max: 1e-2,
            },
        ),
        flat(
            "batch_size",
            Distribution::Categorical {
                values: [32, 64, 128, 256, 512].map(Value::Int).to_vec(),
                ordered: None,
            },
        ),
        flat(
            "optimizer",
            Distribution::Categorical {
                values: words.to_vec(),
                ordered: None,
            },
        ),
        flat("dropout", Distribution::Uniform { min: 0.0, max: 0.6 }),
        flat("layers", Distribution::IntUniform { min: 2, max: 8 }),
    ]);
    space.map_err(|error| format!("{error:?}").into())
}

/// The validation loss after each epoch; it ends early where the run fails.
fn curve(config: &Config, rng: &mut ChaCha8Rng) -> (Vec<f64>, bool) {
    let number = |name: &str| {
        config
            .0
            .get(&Path::flat(name))
            .and_then(Value::as_f64)
            .unwrap_or_default()
    };
    let is_sgd = config.0.get(&Path::flat("optimizer")) == Some(&Value::Str("sgd".to_owned()));
    let (rate, layers) = (number("learning_rate"), number("layers"));
    let floor = 0.25
        + 0.05 * (rate.log10() + 2.5).powi(2)
        + 0.4 * (number("dropout") - 0.25).powi(2)
        + if is_sgd { 0.08 } else { 0.0 }
        + 0.02 * (layers - 4.0).abs();
    let fails = (rate > 0.05 && is_sgd) || (number("batch_size") == 512.0 && layers >= 6.0);
    let epochs = if fails { 2 } else { EPOCHS };
    let loss = |epoch: u32| {
        floor + 1.5 * (-f64::from(epoch) / 4.0).exp() + 0.01 * rng.sample::<f64, _>(StandardNormal)
    };
    ((0..epochs).map(loss).collect(), fails)
}

/// A run that has ended.
struct Run {
    config: Config,
    series: Vec<f64>,
    outcome: Option<f64>,
    is_stopped: bool,
    /// The value that it would have reached at its end.
    truth: f64,
    code: &'static str,
}

impl Run {
    fn peer(&self) -> Peer<'_> {
        Peer {
            series: &self.series,
            value: self.outcome.filter(|_| !self.is_stopped),
        }
    }
}

fn observations(runs: &[Run]) -> Vec<Observation> {
    let ended = runs
        .iter()
        .filter_map(|run| Some((run.code, run.peer(), run.outcome?)));
    let mut endings = Endings::new(Goal::Minimize, ended);
    let observe = |(index, run): (u64, &Run)| {
        let outcome = match run.outcome {
            None => Outcome::Failed,
            Some(reached) if run.is_stopped => {
                Outcome::Stopped(endings.ending(run.code, &run.series, reached))
            }
            Some(value) => Outcome::Value(value),
        };
        Observation {
            code_version: run.code.to_owned(),
            ..Observation::new(index, run.config.clone(), outcome)
        }
    };
    (1..).zip(runs).map(observe).collect()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The outcome of a sweep.
struct Sweep {
    analysis: Analysis,
    stopped: usize,
    epochs: usize,
    /// Of the predicted endings: the median of their errors, and of their deviations.
    error: f64,
    deviation: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Trains a run until a rule stops it.
fn train(
    config: Config,
    code: &'static str,
    rule: Option<&EarlyStop>,
    runs: &[Run],
    rng: &mut ChaCha8Rng,
) -> Run {
    let (whole, fails) = curve(&config, rng);
    let mut run = Run {
        truth: least(&whole),
        config,
        series: Vec::new(),
        outcome: None,
        is_stopped: false,
        code,
    };
    for value in whole {
        run.series.push(value);
        let peers = runs
            .iter()
            .filter(|other| other.code == code)
            .map(Run::peer);
        let reporting = Reporting {
            goal: Goal::Minimize,
            series: &run.series,
            known: run.series.len() - 1,
            best: None,
        };
        if rule.is_some_and(|rule| rule.judge(&reporting, peers).is_some()) {
            run.is_stopped = true;
            break;
        }
    }
    run.outcome = (!fails || run.is_stopped).then(|| least(&run.series));
    run
}

/// Runs a sweep; its code changes after half of the runs, where `codes` names two.
fn sweep(space: &Space, rule: Option<&EarlyStop>, codes: &[&'static str], seed: u64) -> Sweep {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut runs: Vec<Run> = Vec::new();
    let mut taken = Taken::default();
    let mut epochs = 0;
    for next_index in 1..=RUNS {
        let code = codes[(next_index - 1) as usize * codes.len() / RUNS as usize];
        let versions: Vec<String> = codes
            .iter()
            .take_while(|other| **other != code)
            .chain([&code])
            .map(|code| (*code).to_owned())
            .collect();
        let observations = observations(&runs);
        let request = Request {
            space,
            method: Method::Bayes,
            goal: Goal::Minimize,
            seed,
            observations: &observations,
            pending: &[],
            taken: &taken,
            code: CodeLine {
                versions: &versions,
                probes: PROBES,
            },
            next_index,
            count: 1,
        };
        let Some(suggestion) = suggest(&request).suggestions.pop() else {
            break;
        };
        taken.insert(suggestion.config.key());
        let run = train(suggestion.config, code, rule, &runs, &mut rng);
        epochs += run.series.len();
        runs.push(run);
    }
    summarise(space, codes, &runs, epochs, seed)
}

/// Analyses a sweep that has ended.
fn summarise(
    space: &Space,
    codes: &[&'static str],
    runs: &[Run],
    epochs: usize,
    seed: u64,
) -> Sweep {
    let versions: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    let observations = observations(runs);
    let analysis = analyze(
        space,
        Goal::Minimize,
        &observations,
        CodeLine {
            versions: &versions,
            probes: PROBES,
        },
        seed,
    );
    let endings = || {
        runs.iter()
            .zip(&observations)
            .filter(|(run, _)| run.is_stopped)
    };
    let error = median(
        endings()
            .filter_map(|(run, seen)| Some((seen.outcome.value()? - run.truth).abs()))
            .collect(),
    );
    let deviation = median(
        endings()
            .map(|(_, seen)| seen.outcome.deviation())
            .collect(),
    );
    Sweep {
        analysis,
        stopped: endings().count(),
        epochs,
        error,
        deviation,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let space = space()?;
    let hyperband = EarlyStop::Hyperband(Hyperband {
        bands: Bands::MinIter(3),
        eta: 3.0,
        strict: true,
    });
    let names: Vec<String> = space
        .parameters()
        .iter()
        .map(|parameter| parameter.path.to_string())
        .collect();
    println!(
        "| seed | stopping | {} | largest difference | stopped | epochs | endings off by | their deviation | agreement |",
        names.join(" | ")
    );
    println!(
        "|---|---|{}---|---|---|---|---|---|",
        "---|".repeat(names.len())
    );
    for seed in 1..=SEEDS {
        let mut before: Option<BTreeMap<String, f64>> = None;
        for (name, rule) in [("none", None), ("hyperband, min_iter 3", Some(&hyperband))] {
            let Sweep {
                analysis,
                stopped,
                epochs,
                error,
                deviation,
            } = sweep(&space, rule, &["a"], seed);
            let shares: BTreeMap<String, f64> = analysis
                .effects
                .iter()
                .map(|effect| (effect.path.to_string(), effect.share))
                .collect();
            let share = |name: &String| shares.get(name).copied().unwrap_or(f64::NAN);
            let difference = before.as_ref().map(|before| {
                let gaps = names.iter().map(|name| {
                    (share(name) - before.get(name).copied().unwrap_or(f64::NAN)).abs()
                });
                gaps.fold(
                    0.0f64,
                    |most, gap| if gap.is_nan() { gap } else { most.max(gap) },
                )
            });
            let cells: Vec<String> = names
                .iter()
                .map(|name| format!("{:.2}", share(name)))
                .collect();
            let difference = difference
                .map(|difference| format!("{difference:.2}"))
                .unwrap_or_default();
            let changed = sweep(&space, rule, &["a", "b"], seed).analysis.agreements;
            let agreement = changed.first().map(|agreement| {
                format!(
                    "{:.3} ± {:.3}",
                    agreement.correlation.0, agreement.correlation.1
                )
            });
            let agreement = agreement.unwrap_or_else(|| "none".to_owned());
            println!(
                "| {seed} | {name} | {} | {difference} | {stopped} | {epochs} | {error:.3} | {deviation:.3} | {agreement} |",
                cells.join(" | ")
            );
            before = Some(shares);
        }
    }
    Ok(())
}
