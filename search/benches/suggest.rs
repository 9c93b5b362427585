//! How long a suggestion takes, by the number of runs that have ended and of parameters.

mod history;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sweep_search::observation::{CodeLine, Goal, Pending};
use sweep_search::space::Taken;
use sweep_search::suggest::{Method, Request, Suggestions, suggest};

use history::History;

const DIMENSIONS: usize = 8;
const RUNS: usize = 100;

/// A sweep in which some runs have ended and others are being executed.
struct Sweep {
    ended: History,
    running: Vec<Pending>,
    taken: Taken,
}

impl Sweep {
    fn new(ended: usize, running: usize, dimensions: usize) -> Self {
        let mut all = History::new(ended + running, dimensions);
        let taken = all
            .observations
            .iter()
            .map(|run| run.config.key())
            .collect();
        let running = all
            .observations
            .split_off(ended)
            .into_iter()
            .map(|run| Pending {
                index: run.index,
                config: run.config,
                code_version: String::new(),
            });
        Self {
            running: running.collect(),
            ended: all,
            taken,
        }
    }

    fn ask(&self) -> Suggestions {
        suggest(&Request {
            space: &self.ended.space,
            method: Method::Bayes,
            goal: Goal::Minimize,
            seed: 1,
            observations: &self.ended.observations,
            pending: &self.running,
            code: CodeLine::default(),
            taken: &self.taken,
            next_index: self.taken.len() as u64 + 1,
            count: 1,
        })
    }
}

fn by_runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("suggest/runs");
    for runs in [10, 50, 100, 200, 500, 2000, 5000] {
        let sweep = Sweep::new(runs, 0, DIMENSIONS);
        group.bench_function(BenchmarkId::from_parameter(runs), |bencher| {
            bencher.iter(|| black_box(&sweep).ask());
        });
    }
}

fn by_dimensions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("suggest/parameters");
    for dimensions in [2, 8, 20, 50] {
        let sweep = Sweep::new(RUNS, 0, dimensions);
        group.bench_function(BenchmarkId::from_parameter(dimensions), |bencher| {
            bencher.iter(|| black_box(&sweep).ask());
        });
    }
}

fn by_running(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("suggest/running");
    for running in [1, 7, 31] {
        let sweep = Sweep::new(RUNS, running, DIMENSIONS);
        group.bench_function(BenchmarkId::from_parameter(running), |bencher| {
            bencher.iter(|| black_box(&sweep).ask());
        });
    }
}

/// A suggestion takes milliseconds: few of them tell enough.
fn few() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group!(name = suggestions; config = few(); targets = by_runs, by_dimensions, by_running);
criterion_main!(suggestions);
