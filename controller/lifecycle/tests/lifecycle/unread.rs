//! Sweeps whose objective nothing has reported, and output that is read again.

use sweep_lifecycle::command::{AttemptResult, Command, Reply, SweepAction};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{
    AttemptRef, AttemptState, Blame, FailureKind, RunState, SweepState, Timestamp,
};

use crate::world::{World, acquire, failed, grid, point, points, sweep};

fn without_objective() -> AttemptResult {
    failed(
        FailureKind::NoMetric,
        Blame::Configuration,
        "no metric was seen",
    )
}

fn world(names: &[&str]) -> World {
    let mut world = World::default();
    world.create(grid(9));
    names.iter().for_each(|name| world.register(name));
    world
}

fn reread(attempt: &AttemptRef, points: Vec<MetricPoint>) -> Command {
    Command::RereadRun {
        attempt: attempt.clone(),
        points,
    }
}

#[test]
fn new_runs_wait_for_a_second_run_once_one_has_ended_without_the_objective() {
    let mut world = world(&["ann", "bob", "cat"]);
    let (first, second) = (world.begin("ann", 1), world.begin("bob", 2));
    world.finish("ann", &first, without_objective());
    let Reply::Wait { reason, .. } = world.ask_idly(&acquire("ann", &[3])) else {
        panic!("it waits")
    };
    assert!(
        reason.starts_with("run 1 ended without reporting `loss`"),
        "{reason}"
    );
    world.finish("bob", &second, without_objective());
    assert_eq!(world.sweep().state, SweepState::Paused);
    let reason = &world.sweep().reason;
    assert!(reason.starts_with("runs 1 and 2 ended without reporting `loss`, and no run has reported it: no metric was seen"), "{reason}");
    assert!(
        reason.contains("`sweep reread ") && reason.contains("`sweep resume "),
        "{reason}"
    );
    world.assert_an_image_gives_the_state();
    // The user who resumes it has fixed it, or wants to test it.
    world.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Resume,
    });
    let (third, fourth) = (world.begin("ann", 3), world.begin("bob", 4));
    world.succeed("ann", &third, 0.5);
    world.finish("bob", &fourth, without_objective());
    world.begin("cat", 5);
    assert_eq!(world.sweep().state, SweepState::Running);
}

#[test]
fn one_more_run_is_handed_out_where_none_is_left_that_could_confirm_it() {
    let mut world = world(&["ann", "bob"]);
    let first = world.begin("ann", 1);
    world.finish("ann", &first, without_objective());
    let second = world.begin("ann", 2);
    assert!(matches!(
        world.ask_idly(&acquire("bob", &[3])),
        Reply::Wait { .. }
    ));
    // A crash is no evidence of how the metric is read.
    world.finish(
        "ann",
        &second,
        failed(
            FailureKind::CudaOutOfMemory,
            Blame::Configuration,
            "CUDA out of memory",
        ),
    );
    let third = world.begin("bob", 3);
    world.report("bob", &third, 0, &[0.5]);
    world.begin("ann", 4);
    assert_eq!(world.sweep().state, SweepState::Running);
}

#[test]
fn a_run_whose_output_is_read_again_finishes() {
    let mut world = world(&["ann"]);
    let first = world.begin("ann", 1);
    let other = [MetricPoint {
        name: "acc".to_owned(),
        ..point("loss", 0.9)
    }];
    world.ask(&Command::ReportMetrics {
        agent: crate::world::agent("ann"),
        attempt: first.clone(),
        first_seq: 0,
        points: other.to_vec(),
    });
    assert!(
        world
            .refused(&reread(&first, points(&[0.5])))
            .contains("has not ended")
    );
    world.finish("ann", &first, without_objective());
    assert_eq!(world.run(1).state, RunState::Failed);
    let again = [points(&[0.5, 0.25]), other.to_vec()].concat();
    assert_eq!(
        world.ask(&reread(&first, again.clone())),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(
        (world.run(1).state, world.run(1).value, world.run(1).blamed),
        (RunState::Finished, Some(0.25), false)
    );
    let attempt = world.attempt(&first);
    assert_eq!(
        (attempt.state, attempt.points, attempt.series.as_slice()),
        (AttemptState::Finished, 3, &[0.5, 0.25][..])
    );
    assert!(attempt.failure.is_none());
    assert_eq!(world.sweep().index.best, Some((1, 0.25)));
    // Nothing that was recorded changes.
    assert_eq!(
        world.ask_idly(&reread(&first, again)),
        Reply::Run(RunState::Finished)
    );
    world.assert_an_image_gives_the_state();
}

#[test]
fn another_failure_stays_one_whatever_is_read_again() {
    let mut world = world(&["ann"]);
    let first = world.begin("ann", 1);
    world.finish(
        "ann",
        &first,
        failed(
            FailureKind::CudaOutOfMemory,
            Blame::Configuration,
            "CUDA out of memory",
        ),
    );
    assert_eq!(
        world.ask(&reread(&first, points(&[0.5]))),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        (world.run(1).state, world.attempt(&first).series.as_slice()),
        (RunState::Failed, &[0.5][..])
    );
}

#[test]
fn values_of_one_step_are_one_iteration() {
    let mut world = World::default();
    world.create(SweepSpec { ..grid(3) });
    world.register("ann");
    let attempt = world.begin("ann", 1);
    let at = |step, value| MetricPoint {
        step,
        wall: Timestamp(0),
        ..point("loss", value)
    };
    let values = vec![
        at(Some(1), 0.9),
        at(Some(1), 0.8),
        at(Some(2), 0.7),
        at(None, 0.6),
        at(None, 0.5),
        at(Some(2), 0.4),
    ];
    let report = |first_seq, points| Command::ReportMetrics {
        agent: crate::world::agent("ann"),
        attempt: attempt.clone(),
        first_seq,
        points,
    };
    world.ask(&report(0, values));
    world.ask(&report(6, vec![at(Some(2), 0.3)]));
    assert_eq!(world.attempt(&attempt).series, [0.8, 0.7, 0.6, 0.5, 0.3]);
}
