//! Compares the rules of `early_terminate` on recorded learning curves: how much they spare, and
//! what it costs.
//!
//! ```console
//! $ cargo run --release -p sweep-search --example early_stop < curves.json
//! ```
//!
//! The input holds, for each problem, the losses of many runs after each epoch: `{"a problem":
//! [[0.9, 0.5, 0.4], …], …}`. Each 60 runs in a row are one sweep, of random search if the runs'
//! configurations were drawn at random.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, stdin};

use sweep_search::early_stop::{
    Asha, Bands, EarlyStop, Hyperband, Median, Peer, Predictive, Reporting,
};
use sweep_search::observation::Goal;

const RUNS: usize = 60;

fn rules() -> Vec<(&'static str, Option<EarlyStop>)> {
    let hyperband = |min_iter| {
        EarlyStop::Hyperband(Hyperband {
            bands: Bands::MinIter(min_iter),
            eta: 3.0,
            strict: true,
        })
    };
    let asha = |min_iter| {
        EarlyStop::Asha(Asha {
            min_iter,
            max_iter: None,
            eta: 3.0,
        })
    };
    let predictive = |min_probability, min_iter| {
        EarlyStop::Predictive(Predictive {
            min_probability,
            min_iter,
            max_iter: None,
            min_runs: 5,
        })
    };
    vec![
        ("none", None),
        ("hyperband, min_iter 1", Some(hyperband(1))),
        ("hyperband, min_iter 3", Some(hyperband(3))),
        ("asha, min_iter 1", Some(asha(1))),
        ("asha, min_iter 3", Some(asha(3))),
        (
            "median, min_iter 3",
            Some(EarlyStop::Median(Median {
                min_iter: 3,
                min_runs: 5,
            })),
        ),
        ("predictive", Some(predictive(0.2, None))),
        (
            "predictive, min_probability 0.5",
            Some(predictive(0.5, None)),
        ),
        ("predictive, min_iter 4", Some(predictive(0.2, Some(4)))),
    ]
}

/// A run with the epochs it has reported.
struct Run<'a> {
    curve: &'a [f64],
    reported: usize,
    stopped: bool,
}

impl Run<'_> {
    fn series(&self) -> &[f64] {
        &self.curve[..self.reported]
    }

    fn ended(&self) -> bool {
        self.stopped || self.reported == self.curve.len()
    }

    fn peer(&self) -> Peer<'_> {
        Peer {
            series: self.series(),
            value: (self.reported == self.curve.len()).then(|| least(self.series())),
        }
    }
}

/// Trains runs in their order with some workers, each run at its own speed, until `runs` have been
/// begun and have ended, or until `epochs` have been spent. Returns the epochs and the best value.
fn sweep(
    rule: Option<&EarlyStop>,
    curves: &[&[f64]],
    workers: usize,
    epochs: usize,
) -> (usize, f64) {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut live: Vec<(f64, usize)> = Vec::new();
    let mut spent = 0;
    while spent < epochs {
        while live.len() < workers && runs.len() < curves.len() {
            let now = live.iter().map(|(at, _)| *at).fold(f64::INFINITY, f64::min);
            live.push((
                if now.is_finite() { now } else { 0.0 } + pace(runs.len()),
                runs.len(),
            ));
            runs.push(Run {
                curve: curves[runs.len()],
                reported: 0,
                stopped: false,
            });
        }
        let Some(next) = live.iter_mut().min_by(|a, b| a.0.total_cmp(&b.0)) else {
            break;
        };
        let number = next.1;
        next.0 += pace(number);
        spent += 1;
        runs[number].reported += 1;
        if let Some(rule) = rule.filter(|_| !runs[number].ended()) {
            let best = runs
                .iter()
                .filter(|run| run.ended())
                .map(|run| least(run.series()))
                .reduce(f64::min);
            let series = runs[number].series();
            let reporting = Reporting {
                goal: Goal::Minimize,
                series,
                known: series.len() - 1,
                best,
            };
            let others = runs
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != number)
                .map(|(_, run)| run.peer());
            runs[number].stopped = rule.judge(&reporting, others).is_some();
        }
        live.retain(|(_, number)| !runs[*number].ended());
    }
    (
        spent,
        runs.iter()
            .map(|run| least(run.series()))
            .fold(f64::INFINITY, f64::min),
    )
}

/// How long an epoch of a run takes: between 0.5 and 1.5, spread evenly over the runs.
fn pace(run: usize) -> f64 {
    0.5 + (run as f64 * 0.618_033_988_749_895).fract()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    let problems: BTreeMap<String, Vec<Vec<f64>>> = serde_json::from_str(&text)?;
    println!(
        "| workers | rule | epochs | regret | lost | sweeps that lost | regret with all epochs |"
    );
    println!("|---|---|---|---|---|---|---|");
    for workers in [1, 8] {
        for (name, rule) in rules() {
            let [
                mut spent,
                mut all,
                mut sweeps,
                mut lost,
                mut losers,
                mut regret,
                mut longer,
            ] = [0.0; 7];
            for curves in problems.values() {
                let optimum = curves
                    .iter()
                    .map(|curve| least(curve))
                    .fold(f64::INFINITY, f64::min);
                for first in (0..curves.len() / RUNS).map(|sweep| sweep * RUNS) {
                    let mut order: Vec<&[f64]> = curves.iter().map(Vec::as_slice).collect();
                    order.rotate_left(first);
                    let full: usize = order[..RUNS].iter().map(|curve| curve.len()).sum();
                    let (epochs, best) = sweep(rule.as_ref(), &order[..RUNS], workers, full);
                    let loss = best
                        - order[..RUNS]
                            .iter()
                            .map(|curve| least(curve))
                            .fold(f64::INFINITY, f64::min);
                    spent += epochs as f64;
                    all += full as f64;
                    sweeps += 1.0;
                    lost += loss;
                    losers += f64::from(loss > 0.0);
                    regret += best - optimum;
                    longer += sweep(rule.as_ref(), &order, workers, full).1 - optimum;
                }
            }
            let [lost, regret, longer] = [lost, regret, longer].map(|sum| 100.0 * sum / sweeps);
            let (spent, losers) = (100.0 * spent / all, 100.0 * losers / sweeps);
            println!(
                "| {workers} | {name} | {spent:.1} % | {regret:.3} | {lost:.3} | {losers:.1} % | {longer:.3} |"
            );
        }
    }
    Ok(())
}
