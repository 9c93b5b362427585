//! Runs that end before their program does: cancelled, or asked to stop early.

use sweep_lifecycle::command::{AttemptResult, Command, Reply, SweepAction};
use sweep_lifecycle::event::Event;
use sweep_lifecycle::state::{
    AttemptRef, AttemptState, Blame, FailureKind, RunState, StopKind, StopRequest, SweepState,
};

use crate::attempts::running;
use crate::world::{World, crash, exhaust, failed, finish, report, sweep};

fn cancel(run: u64) -> Command {
    Command::CancelRun {
        sweep: sweep(),
        run,
    }
}

#[test]
fn a_person_may_cancel_a_run_in_any_state() {
    let mut world = running();
    let running = world.begin("ann", 1);
    let queued = world.begin("ann", 2);
    world.finish("ann", &queued, crash());
    assert_eq!(world.ask(&cancel(2)), Reply::Run(RunState::Cancelled));
    assert_eq!(world.ask_idly(&cancel(2)), Reply::Run(RunState::Cancelled));
    assert_eq!(world.ask(&cancel(1)), Reply::Run(RunState::Running));
    assert_eq!(world.ask_idly(&cancel(1)), Reply::Run(RunState::Running));
    world.ask(&report("ann", &running, 0, &[0.5]));
    // The user's word counts, however the program took the signal.
    assert_eq!(
        world.finish("ann", &running, AttemptResult::Succeeded),
        Reply::Run(RunState::Cancelled)
    );
    assert_eq!(world.attempt(&running).series, [0.5]);
    let done = world.begin("ann", 3);
    world.succeed("ann", &done, 0.5);
    assert_eq!(
        world.refused(&cancel(3)),
        "run k3x9q2ab/3 is finished already: nothing is left to cancel"
    );
}

#[test]
fn cancelling_the_last_queued_run_ends_the_sweep() {
    let mut world = running();
    let only = world.begin("ann", 1);
    world.ask(&exhaust());
    world.finish("ann", &only, crash());
    world.ask(&cancel(1));
    assert_eq!(world.sweep().state, SweepState::Finished);
}

#[test]
fn the_first_word_on_an_attempt_holds() {
    let mut world = running();
    let attempt = world.begin("ann", 1);
    world.succeed("ann", &attempt, 0.5);
    assert_eq!(
        world.ask_idly(&finish("ann", &attempt, AttemptResult::Succeeded)),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(
        world.ask_idly(&finish("ann", &attempt, crash())),
        Reply::Run(RunState::Finished)
    );
    let stranger = world.refused(&finish("bob", &attempt, AttemptResult::Succeeded));
    assert!(
        stranger.ends_with("it belongs to agent ann, not to agent bob"),
        "{stranger}"
    );
}

fn asked_to_stop_early() -> (World, AttemptRef) {
    let mut world = running();
    let attempt = world.begin("ann", 1);
    world.ask(&report("ann", &attempt, 0, &[0.9]));
    let request = StopRequest {
        kind: StopKind::Early,
        reason: "0.9 is worse than 0.3, the threshold at iteration 1".to_owned(),
        predicted: None,
    };
    world.record(Event::StopRequested {
        attempt: attempt.clone(),
        request,
    });
    (world, attempt)
}

#[test]
fn a_run_asked_to_stop_early_keeps_its_value_however_it_ends() {
    let killed = failed(FailureKind::Signal, Blame::External, "ended by SIGTERM");
    let ends = [
        (
            AttemptResult::Succeeded,
            RunState::Finished,
            AttemptState::Finished,
        ),
        (killed, RunState::Stopped, AttemptState::Stopped),
        (
            AttemptResult::Preempted,
            RunState::Stopped,
            AttemptState::Preempted,
        ),
        (
            AttemptResult::Stopped(StopKind::Cancel),
            RunState::Cancelled,
            AttemptState::Cancelled,
        ),
    ];
    for (result, run, attempt) in ends {
        let (mut world, bad) = asked_to_stop_early();
        assert_eq!(
            world.finish("ann", &bad, result.clone()),
            Reply::Run(run),
            "{result:?}"
        );
        assert_eq!(world.attempt(&bad).state, attempt, "{result:?}");
        assert_eq!(
            world.run(1).value,
            (run != RunState::Cancelled).then_some(0.9),
            "{result:?}"
        );
    }
    let (mut world, bad) = asked_to_stop_early();
    world.set(SweepAction::Cancel);
    assert_eq!(
        world.attempt(&bad).stop.as_ref().map(|stop| stop.kind),
        Some(StopKind::Early),
        "asked before the person did"
    );
    assert_eq!(
        world.ask(&Command::LoseAttempt {
            attempt: bad.clone()
        }),
        Reply::Run(RunState::Stopped)
    );
    assert_eq!(world.attempt(&bad).state, AttemptState::Lost);
}
