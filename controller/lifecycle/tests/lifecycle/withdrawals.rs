//! Queued runs that an edit takes out of the space.

use sweep_lifecycle::command::{AttemptResult, Command, Reply};
use sweep_lifecycle::observe::pending;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{AgentInfo, RevisionEffect, RunState, SweepState};

use crate::edits::*;
use crate::world::{World, grid, offer, sweep};

#[test]
fn waiting_runs_beside_the_space_are_withdrawn_and_come_again_with_it() {
    let mut world = begun();
    let Reply::Assigned(returned) = acquire(&mut world, "ann", vec![offer(5)]) else {
        panic!("a run")
    };
    world.finish("ann", &returned, AttemptResult::Returned);
    let narrow = SweepSpec {
        space: space(&[("x", one_of(&[1, 2, 6]))]),
        ..grid(6)
    };
    let (_, effect, _) = edit(&mut world, narrow);
    assert_eq!(
        effect,
        RevisionEffect {
            inside: 2,
            outside: 2,
            withdrawn: 1,
            ..RevisionEffect::default()
        }
    );
    assert_eq!(
        (world.run(5).state, world.run(5).point.withdrawn),
        (RunState::Cancelled, true)
    );
    assert!(pending(world.sweep()).is_empty());
    let skipped = world.ask(&Command::RetryRuns {
        sweep: sweep(),
        runs: vec![3, 5],
    });
    let why = "it is not in space version 2, which the sweep has now";
    assert_eq!(
        skipped,
        Reply::Retried {
            requeued: vec![],
            skipped: vec![format!("run 3: {why}"), format!("run 5: {why}")]
        }
    );
    assert_eq!(
        undo(&mut world),
        RevisionEffect {
            inside: 4,
            ..RevisionEffect::default()
        }
    );
    assert_eq!(
        (
            world.sweep().index.points.keys.len(),
            world.sweep().space_version()
        ),
        (4, 3)
    );
    for x in [5, 6] {
        let Reply::Assigned(attempt) = tries(&mut world, "ann", &[("x", x)]) else {
            panic!("{x} is tried after all")
        };
        world.succeed("ann", &attempt, 9.0);
    }
    assert_eq!(world.sweep().state, SweepState::Finished);
}

#[test]
fn a_run_that_would_be_tried_again_is_withdrawn_unless_its_agent_ends_it_after_all() {
    let mut world = begun();
    let Reply::Assigned(lost) = acquire(&mut world, "ann", vec![offer(5)]) else {
        panic!("a run")
    };
    let narrow = SweepSpec {
        space: space(&[("x", one_of(&[1, 2, 6]))]),
        ..grid(6)
    };
    edit(&mut world, narrow);
    world.ask(&Command::LoseAttempt {
        attempt: lost.clone(),
    });
    assert_eq!(
        (world.run(5).state, world.run(5).point.withdrawn),
        (RunState::Cancelled, true)
    );
    assert!(
        world
            .run(5)
            .reason
            .ends_with("withdrawn, since it is not in space version 2"),
        "{}",
        world.run(5).reason
    );
    world.succeed("ann", &lost, 5.0);
    assert_eq!(
        (world.run(5).state, world.run(5).point.withdrawn),
        (RunState::Finished, false)
    );
}

#[test]
fn a_withdrawn_run_that_is_tried_again_holds_its_point() {
    let mut world = begun();
    let Reply::Assigned(late) = acquire(&mut world, "ann", vec![offer(5)]) else {
        panic!("a run")
    };
    world.ask(&crate::world::start("ann", &late));
    world.ask(&Command::LoseAttempt {
        attempt: late.clone(),
    });
    edit(
        &mut world,
        SweepSpec {
            space: space(&[("x", one_of(&[1, 2, 6]))]),
            ..grid(6)
        },
    );
    assert!(world.run(5).point.withdrawn);
    undo(&mut world);
    // Its agent comes back with a failure that is tried again.
    world.finish("ann", &late, crate::world::crash());
    assert_eq!(
        (
            world.run(5).state,
            world.run(5).point.withdrawn,
            world.sweep().index.points.keys.len()
        ),
        (RunState::Queued, false, 5)
    );
    let Reply::Assigned(again) = tries(&mut world, "ann", &[("x", 5)]) else {
        panic!("a run")
    };
    assert_eq!((again.run, again.attempt), (5, 2));
}

#[test]
fn a_point_is_free_again_once_all_its_runs_are_withdrawn_at_once() {
    let mut world = World::default();
    let pairs = space(&[("x", one_of(&[1, 2])), ("z", one_of(&[0, 1]))]);
    world.create(SweepSpec {
        space: pairs,
        ..grid(2)
    });
    let Command::RegisterAgent {
        agent: id,
        sweep: of,
        info,
        attempts,
    } = crate::world::register("ann")
    else {
        unreachable!("it is one")
    };
    let info = AgentInfo { slots: 4, ..info };
    world.ask(&Command::RegisterAgent {
        agent: id,
        sweep: of,
        info,
        attempts,
    });
    world.register("bob");
    let Reply::Assigned(other) = tries(&mut world, "bob", &[("x", 2), ("z", 0)]) else {
        panic!("a run")
    };
    for z in [0, 1] {
        let Reply::Assigned(attempt) = tries(&mut world, "ann", &[("x", 1), ("z", z)]) else {
            panic!("a run")
        };
        world.ask(&crate::world::start("ann", &attempt));
    }
    world.ask(&crate::world::start("bob", &other));
    edit(&mut world, grid(2));
    world.succeed("bob", &other, 0.5);
    // Both runs are of the point x = 1 now, and the space holds the configuration of neither.
    world.ask(&crate::world::remove("ann", true));
    assert_eq!(
        (world.sweep().state, world.sweep().index.points.keys.len()),
        (SweepState::Running, 1)
    );
    let Reply::Assigned(last) = tries(&mut world, "bob", &[("x", 1)]) else {
        panic!("a run")
    };
    world.succeed("bob", &last, 0.25);
    assert_eq!(world.sweep().state, SweepState::Finished);
}
