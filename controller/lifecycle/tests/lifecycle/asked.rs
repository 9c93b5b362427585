//! Programs that ask for runs and report their outcomes.

use std::collections::BTreeMap;

use sweep_lifecycle::command::{Command, Import, Refusal, Reply, TellOutcome};
use sweep_lifecycle::observe::{observations, wants_suggestions};
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{AgentInfo, AttemptRef, RunState, SweepState};
use sweep_search::observation::Outcome;

use crate::world::{World, acquire, agent, grid, offer, register, sweep};

fn asker(name: &str) -> Command {
    let info = AgentInfo {
        host: name.to_owned(),
        slots: 0,
        version: "0.1.0".to_owned(),
        process: String::new(),
        asks: true,
    };
    Command::RegisterAgent {
        agent: agent(name),
        sweep: sweep(),
        info,
        attempts: Vec::new(),
    }
}

fn with(spec: SweepSpec) -> World {
    let mut world = World::default();
    world.create(spec);
    world
}

fn world(points: i64) -> World {
    let mut world = with(grid(points));
    world.ask(&asker("ann"));
    world
}

fn asked(world: &mut World, x: i64) -> AttemptRef {
    let Reply::Assigned(attempt) = world.ask(&acquire("ann", &[x])) else {
        panic!("no run")
    };
    attempt
}

fn tell(attempt: &AttemptRef, told: TellOutcome) -> Command {
    Command::Tell {
        attempt: attempt.clone(),
        told,
        metrics: BTreeMap::from([("accuracy".to_owned(), 0.9)]),
    }
}

fn import(entries: &[(i64, TellOutcome)]) -> Command {
    let import = |(place, (x, told)): (u64, &(i64, TellOutcome))| Import {
        place,
        config: offer(*x).suggestion.config,
        told: told.clone(),
        code_version: "v1".to_owned(),
    };
    Command::ImportRuns {
        sweep: sweep(),
        runs: (1..).zip(entries).map(import).collect(),
    }
}

#[test]
fn an_asked_run_runs_at_once_and_is_finished_by_what_is_told() {
    let mut world = world(3);
    let attempts: Vec<_> = (1..=3).map(|x| asked(&mut world, x)).collect();
    assert_eq!(
        world.run(3).state,
        RunState::Running,
        "a worker that asks has no slots to run out of"
    );
    assert_eq!(
        world.ask(&tell(&attempts[0], TellOutcome::Value(0.25))),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(
        (
            world.run(1).value,
            world.run(1).attempts[0].metrics["accuracy"]
        ),
        (Some(0.25), 0.9)
    );
    assert_eq!(
        world.ask(&tell(&attempts[1], TellOutcome::Failed("burst".to_owned()))),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        world.ask(&tell(&attempts[2], TellOutcome::Value(f64::NAN))),
        Reply::Run(RunState::Failed)
    );
    let outcomes: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|seen| seen.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Outcome::Value(0.25), Outcome::Failed, Outcome::Failed]
    );
    assert_eq!(world.sweep().state, SweepState::Finished);
}

#[test]
fn what_was_told_stands_and_what_others_execute_is_theirs_to_report() {
    let mut world = world(3);
    let first = asked(&mut world, 1);
    world.ask(&tell(&first, TellOutcome::Value(0.25)));
    let again = world.tell(&tell(&first, TellOutcome::Value(0.5)));
    assert!(
        matches!(&again, Err(Refusal::StaleAttempt { reason, .. }) if reason.contains("finished with the value 0.25")),
        "{again:?}"
    );
    world.ask(&register("bob"));
    let Reply::Assigned(other) = world.ask(&acquire("bob", &[2])) else {
        panic!("no run")
    };
    let meddled = world.tell(&tell(&other, TellOutcome::Value(0.5)));
    assert!(
        matches!(&meddled, Err(Refusal::WrongState(reason)) if reason.contains("executed by agent bob")),
        "{meddled:?}"
    );
}

#[test]
fn a_lost_run_is_asked_for_again_and_a_late_word_is_adopted_until_then() {
    let mut world = world(3);
    let first = asked(&mut world, 1);
    world.ask(&Command::LoseAttempt {
        attempt: first.clone(),
    });
    assert_eq!(
        world.ask(&tell(&first, TellOutcome::Value(0.5))),
        Reply::Run(RunState::Finished)
    );
    let second = asked(&mut world, 2);
    world.ask(&Command::LoseAttempt {
        attempt: second.clone(),
    });
    let again = asked(&mut world, 3);
    assert_eq!((again.run, again.attempt), (2, 2));
    assert!(matches!(
        world.ask(&tell(&second, TellOutcome::Value(0.5))),
        Reply::Orphaned { .. }
    ));
    assert_eq!(
        world.attempt(&second).orphan,
        "was told to have come to 0.5, too late to count"
    );
}

#[test]
fn who_asks_is_told_that_all_is_being_tried() {
    let mut world = world(1);
    asked(&mut world, 1);
    let nothing = world.ask(&acquire("ann", &[]));
    assert!(
        matches!(
            &nothing,
            Reply::Ended {
                state: SweepState::Running,
                ..
            }
        ),
        "{nothing:?}"
    );
}

#[test]
fn imported_runs_are_observations_that_no_cap_counts() {
    let mut spec = grid(4);
    spec.run_cap = Some(1);
    let mut world = with(spec);
    let reply = world.ask(&import(&[
        (1, TellOutcome::Value(0.5)),
        (1, TellOutcome::Value(0.7)),
        (2, TellOutcome::Failed(String::new())),
    ]));
    let Reply::Imported {
        imported: 2,
        skipped,
    } = reply
    else {
        panic!("{reply:?}")
    };
    assert_eq!(skipped, ["entry 2: the same parameters as entry 1"]);
    let seen: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|seen| (seen.outcome, seen.code_version))
        .collect();
    assert_eq!(
        seen,
        [
            (Outcome::Value(0.5), "v1".to_owned()),
            (Outcome::Failed, "v1".to_owned())
        ]
    );
    assert_eq!(
        (world.sweep().index.best, wants_suggestions(world.sweep())),
        (Some((1, 0.5)), Some(1))
    );
    let reply = world.ask(&import(&[(1, TellOutcome::Value(0.1))]));
    assert!(
        matches!(&reply, Reply::Imported { imported: 0, skipped } if skipped[0].contains("has a run with these parameters")),
        "{reply:?}"
    );
}
