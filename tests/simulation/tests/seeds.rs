//! Many seeds. `SWEEP_SIM_SEEDS=10000` runs more of them, `SWEEP_SIM_SEEDS=5000..10000` a range, `SWEEP_SIM_SEED=17` one.

use std::fmt::Display;
use std::ops::Range;

use sweep_simulation::{Mutation, Weakness, run};

/// How many seeds a test run tries.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is to be a number, and is `{text}`"))
    })
}

/// Returns the seeds of `SWEEP_SIM_SEEDS`: `5000..10000`, or as many from 0 on.
fn range() -> Option<Range<u64>> {
    let text = std::env::var("SWEEP_SIM_SEEDS").ok()?;
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    let bounds = first.parse().ok().zip(end.parse().ok());
    let (first, end) = bounds
        .unwrap_or_else(|| panic!("SWEEP_SIM_SEEDS is to be a number or a range, and is `{text}`"));
    Some(first..end)
}

fn replay(seed: impl Display) -> String {
    format!("SWEEP_SIM_SEED={seed} cargo test -p sweep-simulation --test seeds -- everything")
}

#[test]
fn everything_holds_under_every_seed() {
    let seeds = match number("SWEEP_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => range().unwrap_or(0..SEEDS),
    };
    let mut broken = 0;
    for seed in seeds {
        let violations = run(seed, Mutation::None, Weakness::None)
            .map_or_else(|error| vec![error], |report| report.violations);
        if !violations.is_empty() {
            broken += 1;
            eprintln!("seed {seed}: {violations:#?}; again: {}", replay(seed));
        }
    }
    assert_eq!(broken, 0, "seeds that broke an invariant");
}

#[test]
#[cfg_attr(
    not(tokio_unstable),
    ignore = "your own RUSTFLAGS hides that of .cargo/config.toml, and tokio draws chance that no seed gives"
)]
fn one_seed_gives_one_trace() {
    for seed in 0..10 {
        let first = run(seed, Mutation::None, Weakness::None).expect("it runs");
        assert!(first.events > 50, "seed {seed}: {first:?}");
        assert_eq!(
            run(seed, Mutation::None, Weakness::None).expect("it runs"),
            first,
            "seed {seed}"
        );
    }
    let trace = |seed| run(seed, Mutation::None, Weakness::None).map(|report| report.trace);
    assert_ne!(trace(3), trace(4));
}

fn is_caught(mutation: Mutation, weakness: Weakness) {
    let caught = (0..SEEDS).find_map(|seed| {
        let report =
            run(seed, mutation, weakness).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        (!report.violations.is_empty()).then_some((seed, report.violations))
    });
    let (seed, violations) = caught.unwrap_or_else(|| {
        panic!("{mutation:?}, {weakness:?} is not noticed within {SEEDS} seeds")
    });
    eprintln!(
        "{mutation:?}, {weakness:?} is noticed by seed {seed}: {}",
        violations[0]
    );
}

#[test]
fn missing_fencing_is_noticed() {
    is_caught(Mutation::Fencing, Weakness::None);
}

#[test]
fn missing_idempotency_is_noticed() {
    is_caught(Mutation::Idempotency, Weakness::None);
}

#[test]
fn answers_before_the_commit_are_noticed() {
    is_caught(Mutation::CommitOrder, Weakness::None);
}

#[test]
fn an_agent_that_ends_programs_for_any_answer_is_noticed() {
    is_caught(Mutation::None, Weakness::AnyAnswerEnds);
}

#[test]
fn an_agent_that_passes_over_points_is_noticed() {
    is_caught(Mutation::None, Weakness::PointsPassedOver);
}

#[test]
fn an_agent_that_does_not_wait_for_the_checkpoint_folder_is_noticed() {
    is_caught(Mutation::None, Weakness::OpenFence);
}

#[test]
fn an_agent_that_judges_failures_at_once_is_noticed() {
    is_caught(Mutation::None, Weakness::JudgesAtOnce);
}
