//! Points that are executed several times.

use std::collections::BTreeMap;

use sweep_lifecycle::command::{Command, TellOutcome};
use sweep_lifecycle::observe::{observations, pending, planned, wants_suggestions};
use sweep_lifecycle::repeats::seed;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{AttemptRef, Blame, FailureKind, SweepState};
use sweep_search::observation::Outcome;

use crate::world::{World, failed, grid, sweep};

fn world(spec: SweepSpec) -> World {
    let mut world = World::default();
    world.create(spec);
    for name in ["ann", "bob", "cat"] {
        world.register(name);
    }
    world
}

fn thrice(points: i64) -> World {
    world(SweepSpec {
        repeats: 3,
        ..grid(points)
    })
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn a_point_is_executed_so_often_and_counts_as_the_mean() {
    let mut world = thrice(2);
    assert_eq!(planned(world.sweep()), Some(6));
    let attempts: Vec<AttemptRef> = ["ann", "bob", "cat"]
        .map(|name| world.begin(name, 1))
        .into();
    assert_eq!(
        attempts
            .iter()
            .map(|attempt| attempt.run)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        (world.run(3).point.first, world.run(3).why.reason.as_str()),
        (1, "repeat 3 of 3 of run 1")
    );
    assert_eq!(
        (
            pending(world.sweep()).len(),
            observations(world.sweep()).len()
        ),
        (1, 0),
        "the search knows one point"
    );
    world.succeed("ann", &attempts[0], 0.1);
    let early = observations(world.sweep());
    assert_eq!(
        (
            &early[0].outcome,
            early[0].repeats,
            pending(world.sweep()).len()
        ),
        (&Outcome::Value(0.1), 1, 0)
    );
    assert_eq!(
        world.sweep().index.best,
        None,
        "one lucky draw is no result"
    );
    world.succeed("bob", &attempts[1], 0.6);
    world.succeed("cat", &attempts[2], 0.5);
    let seen = observations(world.sweep());
    let Outcome::Value(mean) = seen[0].outcome else {
        panic!("{seen:?}")
    };
    assert!((mean - 0.4).abs() < 1e-12 && seen[0].repeats == 3 && seen.len() == 1);
    assert!(
        world
            .sweep()
            .index
            .best
            .is_some_and(|(run, best)| run == 1 && (best - 0.4).abs() < 1e-12)
    );
    for name in ["ann", "bob", "cat"] {
        let attempt = world.begin(name, 2);
        world.succeed(name, &attempt, 0.45);
    }
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (
            SweepState::Finished,
            "all 2 points of the grid tried 3 times"
        )
    );
    assert_eq!(world.sweep().index.best.map(|(run, _)| run), Some(1));
    world.ask(&Command::RetryRuns {
        sweep: sweep(),
        runs: vec![2],
    });
    assert_eq!(
        world.sweep().index.best.map(|(run, _)| run),
        Some(4),
        "the first point is open again"
    );
}

#[test]
fn repeats_that_fail_leave_the_mean_to_the_others_while_they_are_the_most() {
    let mut world = world(SweepSpec {
        repeats: 3,
        retry: sweep_lifecycle::spec::RetryPolicy {
            lost: 0,
            machine: 0,
            crashed: 0,
        },
        ..grid(2)
    });
    let crash = || failed(FailureKind::Crashed, Blame::Configuration, "burst");
    let one: Vec<AttemptRef> = ["ann", "bob", "cat"]
        .map(|name| world.begin(name, 1))
        .into();
    world.succeed("ann", &one[0], 0.2);
    world.finish("bob", &one[1], crash());
    world.succeed("cat", &one[2], 0.4);
    assert!(
        world
            .sweep()
            .index
            .best
            .is_some_and(|(run, best)| run == 1 && (best - 0.3).abs() < 1e-12)
    );
    let two: Vec<AttemptRef> = ["ann", "bob", "cat"]
        .map(|name| world.begin(name, 2))
        .into();
    world.succeed("ann", &two[0], 0.1);
    world.finish("bob", &two[1], crash());
    world.finish("cat", &two[2], crash());
    assert_eq!(observations(world.sweep())[1].outcome, Outcome::Failed);
    assert_eq!(world.sweep().index.best.map(|(run, _)| run), Some(1));
}

#[test]
fn a_cap_counts_runs_and_may_cut_the_last_point_short() {
    let mut world = world(SweepSpec {
        run_cap: Some(4),
        repeats: 3,
        ..grid(9)
    });
    assert_eq!(
        (planned(world.sweep()), wants_suggestions(world.sweep())),
        (Some(4), Some(2))
    );
    for place in 0..4_i64 {
        let name = ["ann", "bob", "cat"][usize::try_from(place % 3).expect("small")];
        let attempt = world.begin(name, 1 + place / 3);
        world.succeed(name, &attempt, 0.5);
    }
    assert_eq!(
        (world.sweep().runs.len(), world.sweep().reason.as_str()),
        (4, "run cap of 4 reached")
    );
    assert_eq!(world.run(4).point.first, 4);
}

#[test]
fn a_target_is_reached_by_a_mean() {
    let mut spec = SweepSpec {
        repeats: 2,
        ..grid(9)
    };
    spec.objective.as_mut().expect("it has one").target = Some(0.3);
    let mut world = world(spec);
    let info = sweep_lifecycle::state::AgentInfo {
        asks: true,
        ..Default::default()
    };
    world.ask(&Command::RegisterAgent {
        agent: crate::world::agent("dan"),
        sweep: sweep(),
        info,
        attempts: Vec::new(),
    });
    let tell = |world: &mut World, value: f64| {
        let attempt = world.acquire("dan", &[1, 2]);
        world.ask(&Command::Tell {
            attempt,
            told: TellOutcome::Value(value),
            metrics: BTreeMap::new(),
        });
    };
    tell(&mut world, 0.1);
    tell(&mut world, 0.9);
    assert_eq!(world.sweep().state, SweepState::Running);
    tell(&mut world, 0.2);
    assert_eq!(
        world.sweep().state,
        SweepState::Running,
        "half of the point"
    );
    tell(&mut world, 0.3);
    assert_eq!(world.sweep().reason, "target reached by run 3: 0.25");
}

#[test]
fn each_run_has_a_seed_of_its_own() {
    let seeds: std::collections::BTreeSet<u32> = (0..10)
        .flat_map(|sweep| (1..=100).map(move |run| seed(sweep, run)))
        .collect();
    assert_eq!(seeds.len(), 1000);
}
