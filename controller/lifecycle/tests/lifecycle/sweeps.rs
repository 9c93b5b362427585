//! Sweeps as a whole.

use sweep_lifecycle::command::{AttemptResult, Command, Directive, Refusal, Reply, SweepAction};
use sweep_lifecycle::observe::{planned, wants_suggestions};
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{RunState, StopKind, SweepId, SweepState};
use sweep_search::space::{Parameter, Path, Space};
use sweep_search::suggest::Method;

use crate::world::{World, acquire, crash, exhaust, grid, objective, report, sweep};

fn running(points: i64) -> World {
    let mut world = World::default();
    world.create(grid(points));
    world.register("ann");
    world
}

fn set(action: SweepAction) -> Command {
    Command::SetSweep {
        sweep: sweep(),
        action,
    }
}

/// A sweep that ends once a run has reached 0.1, and one agent.
fn world_with_target() -> World {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.objective.as_mut().expect("it has one").target = Some(0.1);
    world.create(spec);
    world.register("ann");
    world
}

#[test]
fn a_sweep_begins_once() {
    let mut world = running(2);
    let again = Command::CreateSweep {
        sweep: sweep(),
        spec: Box::new(grid(3)),
        source: String::new(),
        seed: 1,
    };
    assert_eq!(
        world.tell(&again),
        Err(Refusal::Exists("sweep k3x9q2ab".to_owned()))
    );
    let other = Command::SetSweep {
        sweep: SweepId("nosuch".to_owned()),
        action: SweepAction::Pause,
    };
    assert_eq!(world.refused(&other), "no sweep `nosuch`");
}

#[test]
fn a_paused_sweep_hands_out_nothing_until_resumed() {
    let mut world = running(2);
    assert_eq!(
        world.set(SweepAction::Pause),
        Reply::Sweep(SweepState::Paused)
    );
    world.ask_idly(&set(SweepAction::Pause));
    let waits = Reply::Wait {
        reason: "the sweep is paused".to_owned(),
        wants_suggestion: false,
    };
    assert_eq!(world.ask_idly(&acquire("ann", &[1])), waits);
    assert_eq!(wants_suggestions(world.sweep()), None);
    assert_eq!(
        world.set(SweepAction::Resume),
        Reply::Sweep(SweepState::Running)
    );
    world.ask_idly(&set(SweepAction::Resume));
    world.acquire("ann", &[1]);
}

#[test]
fn a_grid_of_more_points_than_can_be_counted_has_no_planned_number() {
    let mut spec = grid(2000);
    let axis = spec.space.parameters()[0].clone();
    let axes = ["a", "b", "c", "d", "e", "f", "g"].map(|name| Parameter {
        path: Path::flat(name),
        ..axis.clone()
    });
    spec.space = Space::new(axes.to_vec()).expect("seven parameters");
    let mut world = World::default();
    world.create(spec);
    assert_eq!(planned(world.sweep()), None);
    assert_eq!(wants_suggestions(world.sweep()), Some(u64::MAX));
}

#[test]
fn a_target_is_said_with_six_digits() {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.objective.as_mut().expect("it has one").target = Some(0.6);
    world.create(spec);
    world.register("ann");
    let good = world.begin("ann", 1);
    world.succeed("ann", &good, 0.588_235_294_117_647_1);
    assert_eq!(world.sweep().reason, "target reached by run 1: 0.588235");
}

#[test]
fn a_grid_ends_when_its_last_run_ends() {
    let mut world = running(2);
    assert_eq!(
        (planned(world.sweep()), wants_suggestions(world.sweep())),
        (Some(2), Some(2))
    );
    let first = world.begin("ann", 1);
    let second = world.begin("ann", 2);
    assert_eq!(wants_suggestions(world.sweep()), None);
    world.succeed("ann", &first, 0.5);
    assert_eq!(world.sweep().state, SweepState::Running);
    world.succeed("ann", &second, 0.25);
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "all 2 points of the grid tried")
    );
    let ended = Reply::Ended {
        state: SweepState::Finished,
        reason: "all 2 points of the grid tried".to_owned(),
    };
    assert_eq!(world.ask_idly(&acquire("ann", &[])), ended);
    assert_eq!(world.sweep().index.best, Some((2, 0.25)));
}

#[test]
fn a_sweep_ends_when_the_claim_that_all_is_tried_comes_last() {
    let mut world = World::default();
    world.create(SweepSpec {
        method: Method::Random,
        ..grid(1)
    });
    world.register("ann");
    let only = world.begin("ann", 1);
    world.succeed("ann", &only, 0.5);
    assert_eq!(world.sweep().state, SweepState::Running);
    assert_eq!(world.ask(&exhaust()), Reply::Sweep(SweepState::Finished));
    assert_eq!(
        world.ask_idly(&exhaust()),
        Reply::Sweep(SweepState::Finished)
    );
    assert_eq!(
        world.sweep().reason,
        "the only point of the space tried; `repeats: 3` in the sweep file tries each point three times"
    );
}

#[test]
fn the_run_cap_counts_runs_and_not_attempts() {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.run_cap = Some(2);
    world.create(spec);
    world.register("ann");
    assert_eq!(wants_suggestions(world.sweep()), Some(2));
    let first = world.begin("ann", 1);
    let second = world.begin("ann", 2);
    assert_eq!(wants_suggestions(world.sweep()), None);
    world.succeed("ann", &first, 0.5);
    let Reply::Wait { reason, .. } = world.ask_idly(&acquire("ann", &[3])) else {
        panic!("it waits")
    };
    assert_eq!(reason, "run cap of 2 reached; 1 still running");
    assert_eq!(
        world.finish("ann", &second, crash()),
        Reply::Run(RunState::Queued)
    );
    let again = world.acquire("ann", &[3]);
    assert_eq!((again.run, again.attempt), (2, 2));
    world.succeed("ann", &again, 0.5);
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "run cap of 2 reached")
    );
}

#[test]
fn a_target_ends_the_sweep_once_running_runs_have_ended() {
    let mut world = world_with_target();
    let good = world.begin("ann", 1);
    let other = world.begin("ann", 2);
    world.succeed("ann", &good, 0.1);
    assert!(matches!(
        world.ask_idly(&acquire("ann", &[3])),
        Reply::Wait {
            wants_suggestion: false,
            ..
        }
    ));
    world.succeed("ann", &other, 0.7);
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "target reached by run 1: 0.1")
    );
}

#[test]
fn a_target_holds_back_new_runs_as_soon_as_it_is_reported() {
    let mut world = world_with_target();
    let good = world.begin("ann", 1);
    assert_eq!(
        world.report("ann", &good, 0, &[0.4, 0.08, 0.3]),
        Reply::Directive(Directive::Continue)
    );
    let Reply::Wait {
        reason,
        wants_suggestion: false,
    } = world.ask_idly(&acquire("ann", &[2]))
    else {
        panic!("a run was handed out")
    };
    assert!(
        reason.starts_with("target reached by run 1: 0.08; 1 still running"),
        "{reason}"
    );
    assert_eq!(world.sweep().state, SweepState::Running);
    assert_eq!(
        world.finish("ann", &good, AttemptResult::Succeeded),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "target reached by run 1: 0.08")
    );
}

#[test]
fn a_run_that_fails_after_it_reported_the_target_leaves_the_sweep_running() {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.objective.as_mut().expect("it has one").target = Some(0.1);
    spec.retry.crashed = 0;
    world.create(spec);
    world.register("ann");
    let good = world.begin("ann", 1);
    world.report("ann", &good, 0, &[0.08]);
    world.finish("ann", &good, crash());
    assert_eq!(
        (world.run(1).state, world.sweep().state),
        (RunState::Failed, SweepState::Running)
    );
    world.begin("ann", 2);
}

#[test]
fn a_stopped_sweep_lets_running_runs_end_and_drops_queued_ones() {
    let mut world = running(9);
    let running = world.begin("ann", 1);
    let crashing = world.begin("ann", 2);
    world.finish("ann", &crashing, crash());
    assert_eq!(
        world.set(SweepAction::Stop),
        Reply::Sweep(SweepState::Stopped)
    );
    assert_eq!(
        (world.run(2).state, world.run(2).reason.as_str()),
        (RunState::Cancelled, "the sweep was stopped")
    );
    assert_eq!(
        world.report("ann", &running, 0, &[0.5]),
        Reply::Directive(Directive::Continue)
    );
    assert_eq!(
        world.finish("ann", &running, AttemptResult::Succeeded),
        Reply::Run(RunState::Finished)
    );
    world.ask_idly(&set(SweepAction::Stop));
    assert!(matches!(
        world.ask_idly(&acquire("ann", &[3])),
        Reply::Ended {
            state: SweepState::Stopped,
            ..
        }
    ));
    let refusal = world.refused(&set(SweepAction::Pause));
    assert_eq!(
        refusal,
        "sweep k3x9q2ab is stopped (stopped by user): only a running sweep can be paused"
    );
}

#[test]
fn a_run_of_a_stopped_sweep_is_not_tried_again() {
    let mut world = running(9);
    let crashing = world.begin("ann", 1);
    let leaving = world.begin("ann", 2);
    world.set(SweepAction::Stop);
    assert_eq!(
        world.finish("ann", &crashing, crash()),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        world.run(1).reason,
        "exit status 1; not tried again, since the sweep was stopped"
    );
    assert!(world.run(1).blamed);
    assert_eq!(
        world.finish("ann", &leaving, AttemptResult::Preempted),
        Reply::Run(RunState::Cancelled)
    );
}

#[test]
fn a_cancelled_sweep_kills_what_runs() {
    let mut world = running(9);
    let first = world.begin("ann", 1);
    let second = world.begin("ann", 2);
    assert_eq!(
        world.set(SweepAction::Cancel),
        Reply::Sweep(SweepState::Cancelled)
    );
    world.ask_idly(&set(SweepAction::Cancel));
    let stop = Directive::Stop {
        kind: StopKind::Cancel,
        reason: "the sweep was cancelled".to_owned(),
    };
    assert_eq!(
        world.report("ann", &first, 0, &[0.5]),
        Reply::Directive(stop)
    );
    assert_eq!(
        world.finish("ann", &first, AttemptResult::Stopped(StopKind::Cancel)),
        Reply::Run(RunState::Cancelled)
    );
    assert_eq!(
        world.ask(&Command::LoseAttempt { attempt: second }),
        Reply::Run(RunState::Cancelled)
    );
    assert!(
        world
            .refused(&set(SweepAction::Stop))
            .ends_with("only a running or paused sweep can be stopped")
    );
    assert!(
        world
            .refused(&Command::RetryRuns {
                sweep: sweep(),
                runs: vec![1]
            })
            .ends_with("`sweep resume k3x9q2ab` first, then retry")
    );
    assert_eq!(
        world.set(SweepAction::Resume),
        Reply::Sweep(SweepState::Running)
    );
    world.acquire("ann", &[3]);
}

#[test]
fn a_sweep_with_nothing_left_ends_again_at_once() {
    let mut world = running(1);
    let only = world.begin("ann", 1);
    world.ask(&exhaust());
    world.succeed("ann", &only, 0.5);
    assert_eq!(
        world.ask_idly(&set(SweepAction::Resume)),
        Reply::Sweep(SweepState::Finished)
    );
    for action in [SweepAction::Pause, SweepAction::Stop, SweepAction::Cancel] {
        let refusal = world.refused(&set(action));
        assert!(
            refusal.starts_with("sweep k3x9q2ab is finished (the only point of the grid tried): "),
            "{refusal}"
        );
    }
}

#[test]
fn a_stopped_sweep_with_nothing_left_finishes_when_resumed() {
    let mut world = running(1);
    let only = world.begin("ann", 1);
    world.ask(&exhaust());
    world.set(SweepAction::Stop);
    world.succeed("ann", &only, 0.5);
    assert_eq!(world.sweep().state, SweepState::Stopped);
    assert_eq!(
        world.set(SweepAction::Resume),
        Reply::Sweep(SweepState::Finished)
    );
}

#[test]
fn without_an_objective_a_clean_exit_is_enough() {
    let mut world = World::default();
    let mut spec = grid(1);
    spec.objective = None;
    world.create(spec);
    world.register("ann");
    let only = world.begin("ann", 1);
    assert_eq!(
        world.finish("ann", &only, AttemptResult::Succeeded),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(world.run(1).value, None);
}

#[test]
fn the_best_run_follows_the_goal() {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.objective = Some(sweep_lifecycle::spec::Objective {
        goal: sweep_search::observation::Goal::Maximize,
        ..objective()
    });
    world.create(spec);
    world.register("ann");
    for (x, value) in [(1, 0.5), (2, 0.9), (3, 0.9), (4, f64::NEG_INFINITY)] {
        let attempt = world.begin("ann", x);
        world.ask(&report("ann", &attempt, 0, &[value]));
        world.finish("ann", &attempt, AttemptResult::Succeeded);
    }
    assert_eq!(world.sweep().index.best, Some((2, 0.9)));
    world.ask(&Command::RetryRuns {
        sweep: sweep(),
        runs: vec![2],
    });
    assert_eq!(world.sweep().index.best, Some((3, 0.9)));
}
