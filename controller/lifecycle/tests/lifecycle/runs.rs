//! Runs that the user retries, and their observations.

use std::collections::BTreeSet;

use sweep_lifecycle::command::{AnnotationPatch, Command, Reply, SweepAction};
use sweep_lifecycle::observe::{observations, pending, planned};
use sweep_lifecycle::state::{Annotation, Retries, Run, RunState, SweepState};

use crate::world::{World, crash, exhaust, grid, sweep};

fn retry(runs: &[u64]) -> Command {
    Command::RetryRuns {
        sweep: sweep(),
        runs: runs.to_vec(),
    }
}

/// Run 1 has failed, run 2 has finished, and the sweep with them.
fn finished() -> World {
    let mut world = World::default();
    world.create(grid(2));
    world.register("ann");
    for _ in 0..2 {
        let attempt = world.begin("ann", 1);
        world.finish("ann", &attempt, crash());
    }
    let attempt = world.begin("ann", 2);
    world.ask(&exhaust());
    world.succeed("ann", &attempt, 0.5);
    assert_eq!(world.sweep().state, SweepState::Finished);
    world
}

#[test]
fn failed_runs_are_tried_again_when_a_person_asks() {
    let mut world = finished();
    assert_eq!(
        world.ask(&retry(&[])),
        Reply::Retried {
            requeued: vec![1],
            skipped: vec![]
        }
    );
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Running, "a run is tried again")
    );
    assert_eq!(
        (world.run(1).state, world.run(1).retries.counts),
        (RunState::Queued, Retries::default())
    );
    assert!(world.run(1).retries.avoid.is_empty());
    let third = world.begin("ann", 9);
    assert_eq!((third.run, third.attempt), (1, 3));
    assert_eq!(
        world.finish("ann", &third, crash()),
        Reply::Run(RunState::Queued),
        "the counts restarted"
    );
    let fourth = world.begin("ann", 9);
    world.succeed("ann", &fourth, 0.25);
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "all 2 points of the grid tried")
    );
    assert_eq!(world.sweep().index.best, Some((1, 0.25)));
}

#[test]
fn what_cannot_be_tried_again_is_explained() {
    let mut world = finished();
    let skipped = vec!["run 7: sweep k3x9q2ab has no such run".to_owned()];
    assert_eq!(
        world.ask(&retry(&[7, 2, 2])),
        Reply::Retried {
            requeued: vec![2],
            skipped
        }
    );
    let skipped = vec!["run 2: it is queued and has not ended".to_owned()];
    assert_eq!(
        world.ask_idly(&retry(&[2])),
        Reply::Retried {
            requeued: vec![],
            skipped
        }
    );
    assert_eq!(world.run(2).value, None);
    assert_eq!(world.sweep().index.best, None);
}

#[test]
fn a_run_of_a_stopped_or_paused_sweep_can_be_tried_again() {
    let mut world = World::default();
    world.create(grid(3));
    world.register("ann");
    let attempt = world.begin("ann", 1);
    world.succeed("ann", &attempt, 0.5);
    world.set(SweepAction::Pause);
    world.ask(&retry(&[1]));
    assert_eq!(world.sweep().state, SweepState::Paused);
    world.set(SweepAction::Stop);
    assert_eq!(world.run(1).state, RunState::Cancelled);
    world.ask(&retry(&[1]));
    assert_eq!(world.sweep().state, SweepState::Running);
}

#[test]
fn the_search_sees_each_run_once() {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.run_cap = Some(5);
    world.create(spec);
    world.register("ann");
    assert_eq!(planned(world.sweep()), Some(5));
    let finished = world.begin("ann", 1);
    world.begin("ann", 2);
    world.succeed("ann", &finished, 0.5);
    let queued = world.begin("ann", 3);
    world.finish("ann", &queued, crash());
    assert_eq!(
        observations(world.sweep())
            .iter()
            .map(|seen| seen.index)
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(
        pending(world.sweep())
            .iter()
            .map(|run| run.index)
            .collect::<Vec<_>>(),
        [2, 3]
    );
    let before = world.sweep().history;
    world.ask(&retry(&[1]));
    assert!(world.sweep().history > before, "the search can see it");
    assert_eq!(observations(world.sweep()), []);
    assert_eq!(
        pending(world.sweep())
            .iter()
            .map(|run| run.index)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn what_people_say_of_a_run_is_kept_and_changes_nothing_else() {
    let mut world = World::default();
    world.create(grid(9));
    world.register("ann");
    let attempt = world.begin("ann", 1);
    world.succeed("ann", &attempt, 0.5);
    let (history, before) = (world.sweep().history, world.run(1).clone().into_owned());
    let annotate = |said: AnnotationPatch| Command::AnnotateRun {
        sweep: sweep(),
        run: 1,
        said,
    };
    let tags = |tags: &[&str]| {
        tags.iter()
            .map(|tag| (*tag).to_owned())
            .collect::<BTreeSet<_>>()
    };
    world.ask(&annotate(AnnotationPatch {
        note: Some("noisy".to_owned()),
        add: tags(&["a", "b"]),
        pinned: Some(true),
        ..AnnotationPatch::default()
    }));
    let (events, _) = world
        .tell(&annotate(AnnotationPatch {
            remove: tags(&["a", "c"]),
            ..AnnotationPatch::default()
        }))
        .expect("it is noted");
    assert_eq!(events.len(), 1);
    let annotation = Annotation {
        note: "noisy".to_owned(),
        tags: tags(&["b"]),
        pinned: true,
    };
    assert_eq!(world.run(1).annotation, annotation);
    assert_eq!(
        Run {
            annotation: Annotation::default(),
            ..world.run(1).into_owned()
        },
        before
    );
    assert_eq!(world.sweep().history, history);
    let (events, _) = world
        .tell(&annotate(AnnotationPatch {
            note: Some("noisy".to_owned()),
            ..AnnotationPatch::default()
        }))
        .expect("it is known");
    assert_eq!(events, []);
    let many: BTreeSet<_> = (0..33).map(|tag| tag.to_string()).collect();
    let refused = world
        .tell(&annotate(AnnotationPatch {
            add: many,
            ..AnnotationPatch::default()
        }))
        .expect_err("too many");
    assert!(refused.to_string().contains("32 are the most"), "{refused}");
}
