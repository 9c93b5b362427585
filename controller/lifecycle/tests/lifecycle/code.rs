//! Code that changes: pinned and pushed, points tried again with it, and what people say of versions.

use sweep_lifecycle::command::{
    AttemptResult, Command, Directive, Pin, Push, Reply, Rerun, SweepAction,
};
use sweep_lifecycle::observe::{code_line, observations, planned, wants_suggestions};
use sweep_lifecycle::spec::{CodeMode, CodePolicy, SweepSpec};
use sweep_lifecycle::state::{
    AttemptRef, AttemptState, CodeAbout, CodeMark, RunState, StopKind, SweepState,
};
use sweep_search::suggest::Method;

use crate::world::{World, acquire, agent, crash, grid, offer, start, sweep};

pub(crate) fn code(version: &str) -> Pin {
    Pin {
        version: version.to_owned(),
        about: CodeAbout {
            branch: "main".to_owned(),
            ..CodeAbout::default()
        },
    }
}

pub(crate) fn pinned(spec: SweepSpec) -> SweepSpec {
    SweepSpec {
        code: CodePolicy {
            mode: CodeMode::Pin,
            ..CodePolicy::default()
        },
        ..spec
    }
}

/// A world with a sweep that is pinned to version `a`, and two agents.
pub(crate) fn world(spec: SweepSpec) -> World {
    let mut world = World::default();
    let spec = Box::new(pinned(spec));
    world.ask(&Command::CreatePinnedSweep {
        sweep: sweep(),
        spec,
        source: String::new(),
        seed: 7,
        code: code("a"),
    });
    world.register("ann");
    world.register("bob");
    world
}

pub(crate) fn push(version: &str, push: Push) -> Command {
    Command::PinCode {
        sweep: sweep(),
        code: code(version),
        push,
    }
}

pub(crate) fn mark(version: &str, mark: Option<CodeMark>) -> Command {
    Command::MarkCode {
        sweep: sweep(),
        version: version.to_owned(),
        mark,
    }
}

pub(crate) fn same_as(version: &str, other: &str) -> Command {
    mark(version, Some(CodeMark::SameAs(other.to_owned())))
}

pub(crate) fn rerun(which: Rerun) -> Command {
    Command::RerunPoints {
        sweep: sweep(),
        which,
    }
}

/// Executes the run of a point, or the next that is queued, to its end; returns its number.
pub(crate) fn execute(world: &mut World, x: i64, loss: f64) -> u64 {
    let attempt = world.begin("ann", x);
    world.succeed("ann", &attempt, loss);
    attempt.run
}

pub(crate) fn pushed(reply: Reply) -> (u32, bool, Vec<u64>, Vec<u64>, Vec<String>) {
    let Reply::Pinned(to) = reply else {
        panic!("{reply:?}")
    };
    (to.number, to.moved, to.stopped, to.again, to.skipped)
}

pub(crate) fn tried_again(reply: Reply) -> (Vec<u64>, Vec<String>) {
    let Reply::Rerun { again, skipped } = reply else {
        panic!("{reply:?}")
    };
    (again, skipped)
}

#[test]
fn a_pinned_sweep_is_never_there_without_its_code() {
    let mut world = World::default();
    let spec = Box::new(pinned(grid(3)));
    let refused = world.refused(&Command::CreateSweep {
        sweep: sweep(),
        spec,
        source: String::new(),
        seed: 7,
    });
    assert!(refused.contains("no code came with it"), "{refused}");
    let mut world = self::world(grid(3));
    assert_eq!(
        (
            world.sweep().code.pinned.as_deref(),
            world.sweep().code.versions.len()
        ),
        (Some("a"), 1)
    );
    // What an agent has itself is of no concern, and is not taken down.
    world.ask_idly(&Command::DescribeCode {
        agent: agent("ann"),
        sweep: sweep(),
        version: "own".to_owned(),
        about: CodeAbout::default(),
    });
    let offers = vec![offer(1)];
    world.ask(&Command::Acquire {
        agent: agent("ann"),
        sweep: sweep(),
        offers,
        code_version: "own".to_owned(),
    });
    let attempt = AttemptRef {
        sweep: sweep(),
        run: 1,
        attempt: 1,
    };
    assert_eq!(
        (
            world.attempt(&attempt).pinned,
            world.attempt(&attempt).code,
            world.run(1).code_version.as_str()
        ),
        (true, 1, "a")
    );
    assert_eq!(world.sweep().code.versions.len(), 1);
}

#[test]
fn what_runs_finishes_on_the_old_code_and_what_begins_has_the_new() {
    let mut world = world(grid(4));
    let old = world.begin("ann", 1);
    let (number, moved, stopped, again, _) = pushed(world.ask(&push("b", Push::default())));
    assert_eq!((number, moved, stopped.len(), again.len()), (2, true, 0, 0));
    let (_, moved, ..) = pushed(world.ask_idly(&push("b", Push::default())));
    assert!(!moved, "it is there already");
    let new = world.begin("bob", 2);
    world.succeed("ann", &old, 0.5);
    world.succeed("bob", &new, 0.25);
    assert_eq!(
        (
            world.run(1).code_version.as_str(),
            world.run(2).code_version.as_str()
        ),
        ("a", "b")
    );
    // Back to what was there before: that is searched for then.
    world.ask(&push("a", Push::default()));
    assert_eq!(
        (code_line(world.sweep()), world.sweep().code.versions.len()),
        (vec!["b".to_owned(), "a".to_owned()], 2)
    );
}

#[test]
fn a_sweep_that_tracks_has_nothing_to_push_until_it_is_pinned() {
    let mut world = World::default();
    world.create(grid(4));
    world.register("ann");
    let refused = world.refused(&push("b", Push::default()));
    assert!(
        refused.contains("nothing to push") && refused.contains("--pin"),
        "{refused}"
    );
    world.ask(&push(
        "b",
        Push {
            pin: true,
            ..Push::default()
        },
    ));
    execute(&mut world, 1, 0.5);
    assert_eq!(world.run(1).code_version, "b");
}

#[test]
fn running_attempts_make_way_if_a_person_wants_it_and_use_up_no_retry() {
    let mut world = world(grid(4));
    let (one, two, three) = (
        world.begin("ann", 1),
        world.begin("ann", 2),
        world.begin("bob", 3),
    );
    let (_, _, stopped, ..) = pushed(world.ask(&push(
        "b",
        Push {
            stop_running: true,
            ..Push::default()
        },
    )));
    assert_eq!(stopped, [1, 2, 3]);
    let Reply::Directive(Directive::Stop { kind, reason }) = world.report("ann", &one, 0, &[0.5])
    else {
        panic!("it is to stop")
    };
    assert_eq!(
        (kind, reason.contains("makes way for code version b")),
        (StopKind::Requeue, true)
    );
    assert_eq!(
        world.finish("ann", &one, AttemptResult::Stopped(StopKind::Cancel)),
        Reply::Run(RunState::Queued)
    );
    assert_eq!(
        (world.attempt(&one).state, world.run(1).retries.counts),
        (AttemptState::Cancelled, Default::default())
    );
    // One crashes when it is told to end, one has ended well before it was.
    assert_eq!(
        world.finish("ann", &two, crash()),
        Reply::Run(RunState::Queued)
    );
    world.report("bob", &three, 0, &[0.25]);
    assert_eq!(
        world.finish("bob", &three, AttemptResult::Succeeded),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(
        (
            world.run(2).retries.counts,
            world.run(2).retries.avoid.len()
        ),
        (Default::default(), 0)
    );
    let again = world.begin("ann", 9);
    assert_eq!(
        (again.run, again.attempt, world.run(1).code_version.as_str()),
        (1, 2, "b")
    );
    // A person may still end it for good.
    world.ask(&push(
        "c",
        Push {
            stop_running: true,
            ..Push::default()
        },
    ));
    world.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Cancel,
    });
    assert_eq!(
        world.finish("ann", &again, AttemptResult::Stopped(StopKind::Cancel)),
        Reply::Run(RunState::Cancelled)
    );
}

#[test]
fn a_grid_tries_points_again_and_still_ends_when_all_were_tried() {
    let mut world = world(grid(3));
    for (x, loss) in [(1, 0.3), (2, 0.1)] {
        execute(&mut world, x, loss);
    }
    let (_, _, _, again, skipped) = pushed(world.ask(&push(
        "b",
        Push {
            rerun: Rerun::Best(1),
            ..Push::default()
        },
    )));
    assert_eq!((again, skipped.len()), (vec![3], 0));
    assert_eq!(
        (planned(world.sweep()), wants_suggestions(world.sweep())),
        (Some(4), Some(1))
    );
    assert_eq!(execute(&mut world, 9, 0.4), 3, "it comes first");
    assert_eq!(
        (
            world.run(3).config.clone(),
            world.run(3).code_version.as_str()
        ),
        (world.run(2).config.clone(), "b")
    );
    assert_eq!(world.sweep().state, SweepState::Running, "a point is left");
    execute(&mut world, 3, 0.2);
    world.ask(&acquire("ann", &[]));
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "all 3 points of the grid tried")
    );
    // All of it again: what has a result of that code is not.
    let (again, skipped) = tried_again(world.ask(&rerun(Rerun::All)));
    assert_eq!((again, world.sweep().state), (vec![5], SweepState::Running));
    assert_eq!(
        skipped,
        ["the point of run 2 has been asked for with that code already"]
    );
    let (again, skipped) = tried_again(world.ask(&rerun(Rerun::All)));
    assert_eq!((again.len(), skipped.len()), (0, 2), "{skipped:?}");
    execute(&mut world, 9, 0.6);
    assert_eq!(
        (
            world.sweep().state,
            world.sweep().runs.len(),
            world.sweep().index.best
        ),
        (SweepState::Finished, 5, Some((2, 0.1)))
    );
    world.assert_an_image_gives_the_state();
}

#[test]
fn no_run_cap_counts_what_a_person_asks_for_again() {
    let mut world = world(SweepSpec {
        run_cap: Some(4),
        repeats: 2,
        method: Method::Random,
        ..grid(9)
    });
    for x in [1, 1, 2, 2] {
        execute(&mut world, x, 0.1 * x as f64);
    }
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "run cap of 4 reached")
    );
    let (_, _, _, again, _) = pushed(world.ask(&push(
        "b",
        Push {
            rerun: Rerun::Best(1),
            ..Push::default()
        },
    )));
    assert_eq!((again, planned(world.sweep())), (vec![5], Some(6)));
    assert_eq!(
        (execute(&mut world, 9, 0.5), execute(&mut world, 9, 0.6)),
        (5, 6)
    );
    assert_eq!(
        (
            world.sweep().state,
            world.sweep().index.reruns,
            world.sweep().index.points.again
        ),
        (SweepState::Finished, 2, 1)
    );
    let seen: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|seen| (seen.index, seen.code_version, seen.repeats))
        .collect();
    assert_eq!(
        seen,
        [
            (1, "a".to_owned(), 2),
            (3, "a".to_owned(), 2),
            (5, "b".to_owned(), 2)
        ]
    );
}

#[test]
fn a_sweep_that_tracks_tries_points_again_with_whatever_comes_next() {
    let mut world = World::default();
    world.create(grid(2));
    world.register("ann");
    let execute = |world: &mut World, version: &str, loss: f64| {
        let offers = vec![offer(1), offer(2)];
        let ask = Command::Acquire {
            agent: agent("ann"),
            sweep: sweep(),
            offers,
            code_version: version.to_owned(),
        };
        let Reply::Assigned(attempt) = world.ask(&ask) else {
            panic!("a run")
        };
        world.ask(&start("ann", &attempt));
        world.succeed("ann", &attempt, loss);
    };
    execute(&mut world, "a", 0.2);
    execute(&mut world, "a", 0.1);
    let (again, _) = tried_again(world.ask(&rerun(Rerun::Best(1))));
    assert_eq!(
        (again, world.run(3).point.again.as_str()),
        (vec![3], "after a")
    );
    execute(&mut world, "b", 0.3);
    let (again, _) = tried_again(world.ask(&rerun(Rerun::All)));
    assert_eq!((again, world.run(4).point.again.as_str()), (vec![4], "b"));
    execute(&mut world, "b", 0.3);
    assert_eq!(world.sweep().state, SweepState::Finished);
    let (again, skipped) = tried_again(world.ask(&rerun(Rerun::Best(2))));
    assert_eq!((again.len(), skipped.len()), (0, 2), "{skipped:?}");
}

#[test]
fn points_are_tried_again_where_no_version_is_known() {
    let mut world = World::default();
    world.create(grid(1));
    world.register("ann");
    execute(&mut world, 1, 0.5);
    assert_eq!(tried_again(world.ask(&rerun(Rerun::All))).0, [2]);
    assert_eq!(execute(&mut world, 9, 0.4), 2);
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "the only point of the grid tried")
    );
}
