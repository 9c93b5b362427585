//! Runs that a person or their program offers.

use sweep_lifecycle::command::{Command, Offered, Reply, SweepAction};
use sweep_lifecycle::observe::wants_suggestions;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{RunState, SweepState};
use sweep_search::suggest::Method;
use sweep_search::why::Kind;

use crate::world::{World, acquire, grid, offer, sweep};

fn world(spec: SweepSpec) -> World {
    let mut world = World::default();
    world.create(spec);
    world.register("ann");
    world
}

fn external() -> SweepSpec {
    SweepSpec {
        method: Method::External,
        ..grid(9)
    }
}

fn offered(points: &[i64], end: bool) -> Command {
    let run = |x: &i64| Offered {
        config: offer(*x).suggestion.config,
        reason: format!("trial {x}"),
    };
    Command::OfferRuns {
        sweep: sweep(),
        runs: points.iter().map(run).collect(),
        end,
    }
}

fn numbers(reply: Reply) -> Vec<u64> {
    let Reply::Offered { runs, skipped } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(skipped, Vec::<String>::new());
    runs
}

#[test]
fn what_is_offered_is_queued_and_executed_in_order() {
    let mut world = world(external());
    assert_eq!(
        wants_suggestions(world.sweep()),
        None,
        "the search of the user suggests"
    );
    let waiting = world.ask_idly(&acquire("ann", &[7]));
    let reason = "waiting for `sweep offer` or OfferRuns: the method is external".to_owned();
    assert_eq!(
        waiting,
        Reply::Wait {
            reason,
            wants_suggestion: false
        }
    );
    assert_eq!(numbers(world.ask(&offered(&[4, 2], false))), [1, 2]);
    assert_eq!(
        (world.run(1).state, &world.run(1).why.kind),
        (RunState::Queued, &Kind::External)
    );
    assert_eq!(world.run(1).why.reason, "trial 4");
    for (number, x) in [(1, 4), (2, 2)] {
        let attempt = world.begin("ann", 9);
        assert_eq!(
            (attempt.run, world.run(number).config.key()),
            (number, offer(x).suggestion.config.key())
        );
        world.succeed("ann", &attempt, 0.5);
    }
    assert_eq!(world.sweep().state, SweepState::Running, "more may come");
    assert_eq!(numbers(world.ask(&offered(&[], true))), [] as [u64; 0]);
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "no more runs will be offered")
    );
    assert_eq!(numbers(world.ask_idly(&offered(&[], true))), [] as [u64; 0]);
    assert_eq!(
        world.refused(&offered(&[1], false)),
        "sweep k3x9q2ab is finished (no more runs will be offered): it takes no more runs"
    );
}

#[test]
fn the_last_runs_may_come_with_the_word_that_they_are_the_last() {
    let mut world = world(external());
    assert_eq!(numbers(world.ask(&offered(&[1], true))), [1]);
    assert_eq!(
        world.refused(&offered(&[2], false)),
        "sweep k3x9q2ab takes no more runs: no more runs will be offered"
    );
    let attempt = world.begin("ann", 9);
    world.succeed("ann", &attempt, 0.5);
    assert_eq!(world.sweep().state, SweepState::Finished);
}

#[test]
fn a_point_that_is_known_keeps_its_run() {
    let mut world = world(external());
    world.ask(&offered(&[3], false));
    let Reply::Offered { runs, skipped } = world.ask(&offered(&[5, 3, 5], false)) else {
        panic!("it is answered")
    };
    assert_eq!(runs, [2, 1, 2]);
    assert_eq!(
        skipped,
        [
            "entry 2: the sweep has a run with these parameters: run 1",
            "entry 3: the same parameters as entry 1"
        ]
    );
    assert_eq!(world.sweep().runs.len(), 2);
}

#[test]
fn the_run_cap_counts_what_is_offered_and_refuses_what_is_beyond() {
    let mut world = world(SweepSpec {
        run_cap: Some(3),
        ..external()
    });
    world.ask(&offered(&[1, 2], false));
    assert_eq!(
        world.refused(&offered(&[1, 3, 4], false)),
        "2 runs were offered, and the run cap of 3 lets sweep k3x9q2ab have 1 more run"
    );
    world.ask(&offered(&[3], false));
    assert_eq!(
        world.refused(&offered(&[4], false)),
        "sweep k3x9q2ab takes no more runs: run cap of 3 reached"
    );
    for _ in 0..3 {
        let attempt = world.begin("ann", 9);
        world.succeed("ann", &attempt, 0.5);
    }
    assert_eq!(world.sweep().reason, "run cap of 3 reached");
}

#[test]
fn a_point_that_is_repeated_is_known_by_its_first_run() {
    let mut world = world(SweepSpec {
        repeats: 2,
        run_cap: Some(5),
        ..external()
    });
    assert_eq!(numbers(world.ask(&offered(&[4, 2], false))), [1, 3]);
    assert_eq!(
        world.refused(&offered(&[5, 6], false)),
        "2 points of 2 runs each were offered, and the run cap of 5 lets sweep k3x9q2ab have 1 more run"
    );
    let Reply::Offered { runs, .. } = world.ask(&offered(&[2, 5], false)) else {
        panic!("it is answered")
    };
    assert_eq!((runs, world.sweep().runs.len()), (vec![3, 5], 5));
}

#[test]
fn a_search_of_ours_takes_what_a_person_believes_in_and_a_grid_does_not() {
    let mut world = world(SweepSpec {
        method: Method::Random,
        ..grid(9)
    });
    assert_eq!(numbers(world.ask(&offered(&[8], false))), [1]);
    assert_eq!(world.acquire("ann", &[1]).run, 1);
    assert_eq!(
        world.acquire("ann", &[8, 2]).run,
        2,
        "the search continues beside it"
    );
    assert_eq!(world.run(2).config.key(), offer(2).suggestion.config.key());
    assert!(
        world
            .refused(&offered(&[5], true))
            .ends_with("since it searches by itself: `sweep stop k3x9q2ab` ends it")
    );
    let mut grid = self::world(grid(2));
    assert!(
        grid.refused(&offered(&[1], false))
            .starts_with("sweep k3x9q2ab is a grid, and a grid tries each of its points by itself")
    );
}

#[test]
fn a_paused_sweep_takes_runs_and_a_stopped_one_does_not() {
    let mut world = world(external());
    world.set(SweepAction::Pause);
    world.ask(&offered(&[1], true));
    world.set(SweepAction::Resume);
    assert_eq!(world.acquire("ann", &[]).run, 1);
    world.set(SweepAction::Stop);
    assert_eq!(
        world.refused(&offered(&[2], false)),
        "sweep k3x9q2ab is stopped (stopped by user): it takes no more runs; `sweep resume k3x9q2ab` makes it run again"
    );
}
