//! Many seeds. `SWEEP_SIM_SEEDS=10000` runs more of them, `SWEEP_SIM_SEED=17` one.

use std::fmt::Display;

use sweep_simulation::{Mutation, run};

/// How many seeds a test run tries.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, and is `{text}`")))
}

fn replay(seed: impl Display) -> String {
    format!("SWEEP_SIM_SEED={seed} cargo test -p sweep-simulation --test seeds -- everything")
}

#[test]
fn everything_holds_under_every_seed() {
    let seeds = match number("SWEEP_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SWEEP_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let report = run(seed, Mutation::None).unwrap_or_else(|error| panic!("seed {seed}: {error}; again: {}", replay(seed)));
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}; again: {}", report.violations, replay(seed));
    }
}

#[test]
#[cfg_attr(
    not(tokio_unstable),
    ignore = "a RUSTFLAGS of your own hides that of .cargo/config.toml, and tokio draws chance that no seed gives"
)]
fn one_seed_gives_one_trace() {
    for seed in 0..10 {
        let first = run(seed, Mutation::None).expect("it runs");
        assert!(first.events > 50, "seed {seed}: {first:?}");
        assert_eq!(run(seed, Mutation::None).expect("it runs"), first, "seed {seed}");
    }
    assert_ne!(run(3, Mutation::None).map(|report| report.trace), run(4, Mutation::None).map(|report| report.trace));
}

fn is_caught(mutation: Mutation) {
    let caught = (0..SEEDS).find_map(|seed| {
        let report = run(seed, mutation).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        (!report.violations.is_empty()).then_some((seed, report.violations))
    });
    let (seed, violations) = caught.unwrap_or_else(|| panic!("{mutation:?} is not noticed within {SEEDS} seeds"));
    eprintln!("{mutation:?} is noticed by seed {seed}: {}", violations[0]);
}

#[test]
fn missing_fencing_is_noticed() {
    is_caught(Mutation::Fencing);
}

#[test]
fn missing_idempotency_is_noticed() {
    is_caught(Mutation::Idempotency);
}

#[test]
fn answers_before_the_commit_are_noticed() {
    is_caught(Mutation::CommitOrder);
}
