//! Agents that fail by themselves, and the effect on runs that failed on them.

use sweep_lifecycle::command::{AttemptResult, Command, Reply, SweepAction};
use sweep_lifecycle::event::Event;
use sweep_lifecycle::spec::{RetryPolicy, SweepSpec};
use sweep_lifecycle::state::{AttemptRef, Blame, FailureKind, Health, RunState, SweepState};

use crate::world::{World, acquire, agent, crash, failed, grid, offer, register, remove, sweep};

const GOOD: [&str; 5] = ["ann", "bob", "cat", "dan", "eve"];

fn world(names: &[&str]) -> World {
    let mut world = World::default();
    world.create(SweepSpec {
        retry: RetryPolicy {
            lost: 3,
            machine: 3,
            crashed: 0,
        },
        ..grid(500)
    });
    for name in names {
        world.register(name);
    }
    world
}

fn health(world: &World, name: &str) -> Health {
    world.state.agents[&agent(name)].health.clone()
}

fn fail_one(world: &mut World, name: &str, x: i64) -> Reply {
    let attempt = world.acquire(name, &[x]);
    world.finish(name, &attempt, crash())
}

/// Returns a world in which good agents execute a run each, and one more agent has come.
fn world_with_a_hole() -> (World, Vec<(&'static str, AttemptRef)>) {
    let mut world = world(&GOOD);
    world.register("hole");
    let begun = (1..=5)
        .zip(GOOD)
        .map(|(x, name)| (name, world.begin(name, x)))
        .collect();
    (world, begun)
}

fn probe(world: &mut World, name: &str) {
    world.ask(&Command::ProbeAgent { agent: agent(name) });
}

#[test]
fn a_black_hole_swallows_three_runs_and_they_get_another_chance() {
    let (mut world, begun) = world_with_a_hole();
    assert_eq!(
        fail_one(&mut world, "hole", 6),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        fail_one(&mut world, "hole", 7),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        fail_one(&mut world, "hole", 8),
        Reply::Run(RunState::Queued)
    );
    let Health::Quarantined { reason, probes: 0 } = health(&world, "hole") else {
        panic!("{:?}", health(&world, "hole"))
    };
    assert_eq!(
        reason,
        "3 runs in a row failed on it; elsewhere 5 of 5 did well; the last: exit status 1"
    );
    for run in [6, 7, 8] {
        assert_eq!(world.run(run).state, RunState::Queued, "{run}");
        assert!(!world.run(run).blamed);
    }
    let Reply::Wait { reason, .. } = world.ask_idly(&acquire("hole", &[9])) else {
        panic!("it gets nothing")
    };
    assert!(reason.contains("quarantine"), "{reason}");
    for (name, attempt) in &begun {
        world.succeed(name, attempt, 0.5);
    }
    assert_eq!(world.acquire("ann", &[]).run, 6);
}

#[test]
fn a_probe_that_fails_costs_nobody_anything_and_one_that_ends_well_lets_the_agent_back() {
    let (mut world, begun) = world_with_a_hole();
    for x in 6..=8 {
        fail_one(&mut world, "hole", x);
    }
    world.succeed("ann", &begun[0].1, 0.5);
    probe(&mut world, "hole");
    assert!(matches!(health(&world, "hole"), Health::Probing { .. }));
    let attempt = world.acquire("hole", &[9]);
    assert!(
        matches!(world.ask_idly(&acquire("hole", &[10])), Reply::Wait { .. }),
        "one at a time"
    );
    assert_eq!(
        world.finish("hole", &attempt, crash()),
        Reply::Run(RunState::Queued)
    );
    assert!(matches!(
        health(&world, "hole"),
        Health::Quarantined { probes: 1, .. }
    ));
    probe(&mut world, "hole");
    let attempt = world.acquire("hole", &[10]);
    world.succeed("hole", &attempt, 0.5);
    assert_eq!(health(&world, "hole"), Health::Ok);
    world.acquire("hole", &[11]);
}

#[test]
fn configurations_that_fail_everywhere_are_no_fault_of_agents() {
    let mut world = world(&["ann", "bob"]);
    // Every second point fails, wherever.
    for x in 1..=40 {
        let name = if x / 2 % 2 == 0 { "ann" } else { "bob" };
        let attempt = world.begin(name, x);
        if x % 2 == 0 {
            world.finish(name, &attempt, crash());
        } else {
            world.succeed(name, &attempt, 0.5);
        }
    }
    assert_eq!(
        (health(&world, "ann"), health(&world, "bob")),
        (Health::Ok, Health::Ok)
    );
    assert_eq!(world.run(2).state, RunState::Failed);
}

#[test]
fn one_broken_machine_is_no_excuse_for_the_next() {
    let mut world = world(&["broken"]);
    for x in 1..=3 {
        fail_one(&mut world, "broken", x);
    }
    for x in 4..=6 {
        probe(&mut world, "broken");
        fail_one(&mut world, "broken", x);
    }
    for name in GOOD {
        world.register(name);
    }
    world.register("hole");
    for (x, name) in (7..).zip(GOOD) {
        world.begin(name, x);
    }
    for x in 12..=14 {
        assert_eq!(health(&world, "hole"), Health::Ok);
        fail_one(&mut world, "hole", x);
    }
    let Health::Quarantined { reason, .. } = health(&world, "hole") else {
        panic!("{:?}", health(&world, "hole"))
    };
    assert_eq!(
        reason,
        "3 runs in a row failed on it; elsewhere 5 of 5 did well; the last: exit status 1"
    );
}

#[test]
fn two_broken_machines_do_not_bring_each_other_back() {
    let mut world = world(&GOOD);
    for name in ["one", "two"] {
        world.register(name);
    }
    for (x, name) in (1..).zip(GOOD) {
        world.begin(name, x);
    }
    let mut tried = 0;
    for (x, name) in (6..).zip(["one", "two"].into_iter().cycle().take(60)) {
        if let Ok((_, Reply::Assigned(attempt))) = world.tell(&acquire(name, &[x])) {
            world.finish(name, &attempt, crash());
            tried += 1;
        }
    }
    assert!(
        tried <= 10,
        "{tried}: beside each other they are found out later than one alone, and then for good"
    );
    for name in ["one", "two"] {
        assert!(
            matches!(health(&world, name), Health::Quarantined { .. }),
            "{name}: {:?}",
            health(&world, name)
        );
    }
}

#[test]
fn what_fails_elsewhere_too_exonerates_the_first() {
    let mut world = world(&GOOD);
    world.register("unlucky");
    for (x, name) in (1..=5).zip(GOOD) {
        world.begin(name, x);
    }
    for x in 6..=8 {
        fail_one(&mut world, "unlucky", x);
    }
    assert!(matches!(
        health(&world, "unlucky"),
        Health::Quarantined { .. }
    ));
    for (name, run) in GOOD.iter().zip([6, 7, 8]) {
        let attempt = world.acquire(name, &[]);
        assert_eq!(attempt.run, run);
        world.finish(name, &attempt, crash());
    }
    assert_eq!(health(&world, "unlucky"), Health::Ok);
}

#[test]
fn when_all_agents_fail_the_sweep_pauses_and_resuming_it_tries_again() {
    let mut world = world(&["ann"]);
    for x in 1..=3 {
        fail_one(&mut world, "ann", x);
    }
    assert!(matches!(health(&world, "ann"), Health::Quarantined { .. }));
    assert_eq!(world.run(1).state, RunState::Failed, "no agent does better");
    for x in 4..=7 {
        assert_eq!(world.sweep().state, SweepState::Running);
        probe(&mut world, "ann");
        fail_one(&mut world, "ann", x);
    }
    assert_eq!(
        (world.sweep().state, world.sweep().stalled),
        (SweepState::Paused, true)
    );
    let expected = "run after run fails on the only agent, 7 so far; the last: exit status 1; after a fix, `sweep resume k3x9q2ab` continues and \
                    tries those runs again";
    assert_eq!(world.sweep().reason, expected);
    world.set(SweepAction::Resume);
    assert_eq!(
        (
            world.sweep().state,
            world.sweep().stalled,
            health(&world, "ann")
        ),
        (SweepState::Running, false, Health::Ok)
    );
    assert_eq!(world.sweep().index.queued.len(), 7);
    let attempt = world.begin("ann", 8);
    assert_eq!(attempt.run, 1);
    world.succeed("ann", &attempt, 0.5);
}

#[test]
fn a_machine_that_breaks_after_a_good_record_is_noticed() {
    let mut world = world(&["ann"]);
    for x in 1..=50 {
        let attempt = world.begin("ann", x);
        world.succeed("ann", &attempt, 0.5);
    }
    for x in 51..=53 {
        assert_eq!(health(&world, "ann"), Health::Ok);
        fail_one(&mut world, "ann", x);
    }
    assert!(matches!(health(&world, "ann"), Health::Quarantined { .. }));
}

#[test]
fn lost_and_nan_runs_say_nothing_of_the_agent() {
    let mut world = world(&["ann", "bob"]);
    world.begin("bob", 1);
    for x in 2..=9 {
        let attempt = world.begin("ann", x);
        world.finish(
            "ann",
            &attempt,
            failed(FailureKind::NanObjective, Blame::Configuration, "NaN"),
        );
    }
    assert_eq!(health(&world, "ann"), Health::Ok);
}

#[test]
fn a_person_may_let_an_agent_back_and_only_one_that_is_there_and_set_aside() {
    let mut world = world(&["ann"]);
    let readmit = Command::ReadmitAgent {
        agent: agent("ann"),
    };
    assert_eq!(world.refused(&readmit), "agent ann is not in quarantine");
    for x in 1..=3 {
        fail_one(&mut world, "ann", x);
    }
    world.ask(&readmit);
    assert_eq!(
        (
            health(&world, "ann"),
            world.state.agents[&agent("ann")].streak.len()
        ),
        (Health::Ok, 0)
    );
    world.ask(&remove("ann", false));
    assert!(world.refused(&readmit).contains("has left"));
    // Its health stays with it.
    world.ask(&register("ann"));
    let events = world.tell(&acquire("ann", &[4])).expect("it gets a run").0;
    assert!(
        matches!(&events[0], Event::RunCreated { config, .. } if *config == offer(4).suggestion.config)
    );
    let attempt = AttemptRef {
        sweep: sweep(),
        run: 4,
        attempt: 1,
    };
    world.finish("ann", &attempt, AttemptResult::Returned);
}
