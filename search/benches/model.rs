//! Durations of the parts of a suggestion: learning hyperparameters, conditioning on observations,
//! predicting, searching for the best point.
//!
//! They are private: `--features bench` opens a door to them.

mod history;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sweep_search::bench::ModelBench;
use sweep_search::space::unit_cube::UnitCube;

use history::History;

/// Runs that have ended, and parameters.
const SIZES: [(usize, usize); 7] = [
    (20, 8),
    (50, 8),
    (100, 2),
    (100, 8),
    (100, 20),
    (100, 50),
    (500, 8),
];
/// How many points a prediction is measured on: about the candidates of one search.
const POINTS: usize = 1000;

fn id((runs, dimensions): (usize, usize)) -> BenchmarkId {
    BenchmarkId::from_parameter(format!("{runs} runs, {dimensions} parameters"))
}

fn fit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fit");
    // The search learns hyperparameters from no more runs than these.
    for size in SIZES.into_iter().filter(|(runs, _)| *runs <= 100) {
        let history = History::new(size.0, size.1);
        let bench = ModelBench::new(&history.space, &history.observations);
        group.bench_function(id(size), |bencher| bencher.iter(|| black_box(&bench).fit()));
    }
}

fn posterior(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("posterior");
    for size in SIZES {
        let history = History::new(size.0, size.1);
        let bench = ModelBench::new(&history.space, &history.observations);
        let theta = theta(size.1);
        group.bench_function(id(size), |bencher| {
            bencher.iter(|| black_box(&bench).posterior(&theta));
        });
    }
}

fn predict(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("predict 1000 points");
    for size in SIZES {
        let (history, elsewhere) = (
            History::new(size.0, size.1),
            History::new(size.0 + POINTS, size.1),
        );
        let cube = UnitCube::new(&history.space);
        let points: Vec<_> = elsewhere.observations[size.0..]
            .iter()
            .map(|seen| cube.point_of(&seen.config))
            .collect();
        let bench = ModelBench::new(&history.space, &history.observations);
        let posterior = bench.posterior(&theta(size.1)).expect("there is noise");
        group.bench_function(id(size), |bencher| {
            bencher.iter(|| posterior.predict(black_box(&points)));
        });
    }
}

fn learn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("learn");
    for size in SIZES {
        let history = History::new(size.0, size.1);
        let bench = ModelBench::new(&history.space, &history.observations);
        // Dropping a model of many runs takes time that no suggestion waits for.
        group.bench_function(id(size), |bencher| {
            bencher.iter_with_large_drop(|| black_box(&bench).learn());
        });
    }
}

fn maximize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maximize");
    for size in SIZES {
        let history = History::new(size.0, size.1);
        let bench = ModelBench::new(&history.space, &history.observations);
        let learnt = || bench.learn().expect("there is enough to learn from");
        group.bench_function(id(size), |bencher| {
            bencher.iter_batched_ref(
                learnt,
                |model| bench.maximize(model),
                BatchSize::PerIteration,
            );
        });
    }
}

/// Length scales of a model that has learnt something, little noise, a rough part and a quadratic
/// one.
fn theta(dimensions: usize) -> Vec<f64> {
    let mut theta = vec![0.5_f64.ln(); dimensions];
    theta.extend([-6.0, 0.0, -2.0]);
    theta
}

/// The slow ones take a good part of a second: few of them tell enough.
fn few() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group!(name = parts; config = few(); targets = fit, posterior, predict, learn, maximize);
criterion_main!(parts);
