//! A controller that was restored from a backup, and agents that know more than it.

use sweep_lifecycle::command::{AttemptFence, AttemptResult, Command, Directive, Refusal, Reply};
use sweep_lifecycle::decide::{directive, fence, recognize};
use sweep_lifecycle::event::Event;
use sweep_lifecycle::state::{
    AttemptRecord, AttemptRef, AttemptState, HeldAttempt, RunState, SweepState,
};

use crate::world::{World, acquire, agent, grid, offer, register, report, start, sweep};

/// A world with a controller, a sweep of nine points and agents.
fn running(names: &[&str]) -> World {
    let mut world = World::default();
    world.ask(&Command::BeginEpoch {
        controller: "a1".to_owned(),
        restored: false,
    });
    world.create(grid(9));
    names.iter().for_each(|name| world.register(name));
    world
}

/// The report of an agent on its attempt.
/// Returns the attempt that took the place of a preempted one, as its agent knows it, in a world that is lost.
fn retried_later() -> (AttemptRef, HeldAttempt) {
    let mut later = running(&["ann", "bob"]);
    let first = later.begin("ann", 3);
    later.finish("ann", &first, AttemptResult::Preempted);
    let second = later.acquire("bob", &[]);
    let known = held(&later, &second);
    (second, known)
}

fn held(world: &World, attempt: &AttemptRef) -> HeldAttempt {
    let run = world.run(attempt.run).into_owned();
    let record = AttemptRecord {
        config: run.config,
        why: run.why,
        history: run.history,
        repeat: 1,
        again: String::new(),
        code_version: String::new(),
        pinned: false,
    };
    let incarnation = world.state.identity.incarnation(&world.attempt(attempt));
    HeldAttempt {
        attempt: attempt.clone(),
        incarnation,
        record: Some(Box::new(record)),
    }
}

fn adopt(name: &str, held: &HeldAttempt) -> Command {
    Command::AdoptAttempt {
        agent: agent(name),
        held: Box::new(held.clone()),
    }
}

fn restored(names: &[&str]) -> World {
    let mut world = running(names);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    world
}

/// Registers an agent again, which names an attempt that it holds.
fn register_with(world: &mut World, name: &str, attempt: &AttemptRef) {
    let Command::RegisterAgent {
        agent, sweep, info, ..
    } = register(name)
    else {
        unreachable!("it is one")
    };
    world.ask(&Command::RegisterAgent {
        agent,
        sweep,
        info,
        attempts: vec![attempt.clone()],
    });
}

#[test]
fn a_log_is_given_one_identity() {
    let mut world = running(&[]);
    world.ask_idly(&Command::BeginEpoch {
        controller: "b2".to_owned(),
        restored: false,
    });
    world.ask(&Command::BeginEpoch {
        controller: "b2".to_owned(),
        restored: true,
    });
    let identity = &world.state.identity;
    assert_eq!(
        (
            identity.controller.as_str(),
            identity.epoch,
            identity.is_settling
        ),
        ("a1", 2, true)
    );
}

#[test]
fn after_a_restore_agents_register_again_and_nothing_is_handed_out_for_a_while() {
    let mut world = running(&["ann"]);
    let attempt = world.begin("ann", 1);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    let unknown = Err(Refusal::UnknownAgent("ann".to_owned()));
    assert_eq!(world.tell(&acquire("ann", &[2])), unknown);
    assert_eq!(world.tell(&report("ann", &attempt, 0, &[0.5])), unknown);
    assert_eq!(
        directive(&world.state, &agent("ann"), &attempt),
        Directive::Continue,
        "its program continues meanwhile"
    );
    register_with(&mut world, "ann", &attempt);
    world.report("ann", &attempt, 0, &[0.5]);
    let Reply::Wait { reason, .. } = world.ask_idly(&acquire("ann", &[2])) else {
        panic!("it waits")
    };
    assert!(
        reason.starts_with("the controller was restored"),
        "{reason}"
    );
    world.ask(&Command::SettleEpoch);
    assert_eq!(world.acquire("ann", &[2]).run, 2);
}

#[test]
fn what_an_agent_has_ended_since_the_backup_is_tried_again_at_no_cost() {
    let mut world = running(&["ann"]);
    let attempt = world.begin("ann", 1);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    world.register("ann");
    assert_eq!(world.attempt(&attempt).state, AttemptState::Preempted);
    assert_eq!(
        (world.run(1).state, world.run(1).retries.counts.lost),
        (RunState::Queued, 0)
    );
}

#[test]
fn a_run_that_the_backup_lacks_is_recorded_with_its_incarnation() {
    let mut before = running(&["ann"]);
    let attempt = before.begin("ann", 3);
    let known = held(&before, &attempt);
    let mut world = restored(&["ann"]);
    world.register("ann");
    assert_eq!(
        recognize(&world.state, &agent("ann"), &attempt, &known.incarnation),
        None
    );
    let Reply::Adopted(adopted) = world.ask(&adopt("ann", &known)) else {
        panic!("it is adopted")
    };
    assert_eq!(adopted, attempt);
    assert_eq!(
        world.ask_idly(&adopt("ann", &known)),
        Reply::Adopted(adopted.clone()),
        "once"
    );
    assert_eq!(
        recognize(&world.state, &agent("ann"), &attempt, &known.incarnation),
        Some(adopted.clone())
    );
    let granted = |incarnation: &str, points| AttemptFence {
        incarnation: incarnation.to_owned(),
        points,
    };
    assert_eq!(
        fence(&world.state, &adopted, &granted(&known.incarnation, 0)),
        Ok(())
    );
    assert!(matches!(
        fence(&world.state, &adopted, &granted("a1.1.ffff", 0)),
        Err(Refusal::UnknownAttempt { .. })
    ));
    let missing = fence(&world.state, &adopted, &granted("", 3));
    assert!(
        matches!(
            missing,
            Err(Refusal::MissingPoints {
                known: 0,
                last: 2,
                ..
            })
        ),
        "its result has to wait: {missing:?}"
    );
    world.ask(&start("ann", &adopted));
    world.succeed("ann", &adopted, 0.25);
    assert_eq!(
        (world.run(1).state, world.run(1).value),
        (RunState::Finished, Some(0.25))
    );
    world.assert_an_image_gives_the_state();
}

#[test]
fn a_number_that_was_given_again_leaves_the_held_run_another_one() {
    let mut before = running(&["ann"]);
    let attempt = before.begin("ann", 3);
    let known = held(&before, &attempt);
    let mut world = restored(&["ann", "bob"]);
    world.register("bob");
    world.ask(&Command::SettleEpoch);
    assert_eq!(world.begin("bob", 5).run, 1);
    world.register("ann");
    let Reply::Adopted(adopted) = world.ask(&adopt("ann", &known)) else {
        panic!("it is adopted")
    };
    assert_eq!((adopted.run, adopted.attempt), (2, 1));
    // The same point at another agent is not run twice.
    let mut world = restored(&["ann", "bob"]);
    world.register("bob");
    world.ask(&Command::SettleEpoch);
    world.begin("bob", 3);
    world.register("ann");
    let refused = world.refused(&adopt("ann", &known));
    assert!(
        refused.contains("its point is run 1, which is running"),
        "{refused}"
    );
}

#[test]
fn a_later_attempt_takes_the_place_of_one_that_the_backup_takes_for_alive() {
    let mut world = running(&["ann", "bob"]);
    let first = world.begin("ann", 3);
    let mut later = World::default();
    std::mem::swap(&mut world, &mut later);
    let mut world = running(&["ann", "bob"]);
    world.begin("ann", 3);
    later.finish("ann", &first, AttemptResult::Preempted);
    let second = later.acquire("bob", &[]);
    assert_eq!(second.attempt, 2);
    let known = held(&later, &second);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    world.register("bob");
    let Reply::Adopted(adopted) = world.ask(&adopt("bob", &known)) else {
        panic!("it is adopted")
    };
    assert_eq!(adopted, second);
    assert_eq!(world.attempt(&first).state, AttemptState::Preempted);
    assert_eq!(world.run(1).retries.counts.lost, 0);
}

#[test]
fn a_run_that_is_cancelled_after_the_restore_stays_cancelled() {
    let (_, known) = retried_later();
    let mut world = running(&["ann", "bob"]);
    world.begin("ann", 3);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    world.register("bob");
    world.ask(&Command::CancelRun {
        sweep: sweep(),
        run: 1,
    });
    let refused = world.refused(&adopt("bob", &known));
    assert!(refused.contains("its run is cancelled"), "{refused}");
}

#[test]
fn a_queued_run_that_is_cancelled_after_the_restore_stays_cancelled() {
    let (second, known) = retried_later();
    for epochs in [1, 2] {
        let mut world = running(&["ann", "bob"]);
        let first = world.begin("ann", 3);
        world.finish("ann", &first, AttemptResult::Preempted);
        if epochs == 1 {
            world.ask(&Command::CancelRun {
                sweep: sweep(),
                run: 1,
            });
        }
        world.ask(&Command::BeginEpoch {
            controller: String::new(),
            restored: true,
        });
        if epochs == 2 {
            world.ask(&Command::CancelRun {
                sweep: sweep(),
                run: 1,
            });
        }
        world.register("bob");
        if epochs == 2 {
            let refused = world.refused(&adopt("bob", &known));
            assert!(
                refused.contains("its run was cancelled after the restore"),
                "{refused}"
            );
        } else {
            // Cancelled in the backup, retried by the user after it.
            assert_eq!(
                world.ask(&adopt("bob", &known)),
                Reply::Adopted(second.clone())
            );
        }
    }
}

#[test]
fn a_later_attempt_of_a_run_that_an_edit_took_out_of_the_space_is_stale() {
    let (_, known) = retried_later();
    let mut world = running(&["ann", "bob"]);
    let first = world.begin("ann", 3);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    register_with(&mut world, "ann", &first);
    world.ask(&Command::EditSweep {
        sweep: sweep(),
        spec: Box::new(grid(2)),
        source: "new".to_owned(),
        base: None,
    });
    world.succeed("ann", &first, 0.5);
    world.register("bob");
    let refused = world.refused(&adopt("bob", &known));
    assert!(
        refused.contains("space does not hold its configuration"),
        "{refused}"
    );
    assert_eq!(
        (world.run(1).state, world.run(1).value),
        (RunState::Finished, Some(0.5))
    );
}

#[test]
fn a_database_that_was_replaced_by_hand_begins_an_epoch_with_the_first_agent_that_knows_more() {
    let mut before = running(&["ann"]);
    let attempt = before.begin("ann", 3);
    let known = held(&before, &attempt);
    let mut world = running(&["ann"]);
    let (events, reply) = world.tell(&adopt("ann", &known)).expect("it is adopted");
    assert_eq!(reply, Reply::Adopted(attempt));
    assert!(
        matches!(
            events[0],
            Event::EpochBegan {
                epoch: 2,
                restored: true,
                ..
            }
        ),
        "{events:?}"
    );
    assert!(world.state.identity.is_settling);
}

#[test]
fn what_the_restored_sweep_cannot_hold_is_stale() {
    let mut before = running(&["ann"]);
    let attempt = before.begin("ann", 3);
    let mut known = held(&before, &attempt);
    let mut world = restored(&["ann"]);
    world.register("ann");
    let nameless = HeldAttempt {
        record: None,
        ..known.clone()
    };
    assert!(
        world
            .refused(&adopt("ann", &nameless))
            .contains("does not say what it executes")
    );
    if let Some(record) = &mut known.record {
        record.config = offer(77).suggestion.config;
    }
    assert!(
        world
            .refused(&adopt("ann", &known))
            .contains("space does not hold its configuration")
    );
}

#[test]
fn a_sweep_that_is_over_ends_only_once_agents_had_time_to_report() {
    let mut world = World::default();
    world.ask(&Command::BeginEpoch {
        controller: "a1".to_owned(),
        restored: false,
    });
    world.create(grid(1));
    world.register("ann");
    let attempt = world.begin("ann", 1);
    world.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    register_with(&mut world, "ann", &attempt);
    world.succeed("ann", &attempt, 0.5);
    assert_eq!(world.sweep().state, SweepState::Running);
    world.ask(&Command::SettleEpoch);
    assert_eq!(world.sweep().state, SweepState::Finished);
    assert_eq!(sweep(), attempt.sweep);
}
