//! Agents come, ask for runs and leave.

use sweep_lifecycle::command::{AttemptResult, Command, Offer, Refusal, Reply, SweepAction};
use sweep_lifecycle::event::Event;
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::spec::SweepSpec;
use sweep_lifecycle::state::{AgentInfo, AttemptRef, AttemptState, Environment, RunState, SweepId};
use sweep_search::suggest::Method;

use crate::world::{
    World, acquire, agent, crash, grid, offer, probe, register, remove, report, start, sweep,
};

/// Creates another sweep.
fn create_other(world: &mut World) -> SweepId {
    let other = SweepId("other".to_owned());
    world.ask(&Command::CreateSweep {
        sweep: other.clone(),
        spec: Box::new(grid(2)),
        source: String::new(),
        seed: 1,
    });
    other
}

pub(crate) fn running(names: &[&str]) -> World {
    let mut world = World::default();
    world.create(grid(9));
    for name in names {
        world.register(name);
    }
    world
}

#[test]
fn an_agent_may_register_again() {
    let mut world = running(&["ann"]);
    assert_eq!(world.ask_idly(&register("ann")), Reply::Done);
    world.ask(&remove("ann", true));
    assert!(!world.state.agents[&agent("ann")].alive);
    world.ask_idly(&remove("ann", false));
    world.register("ann");
    assert!(world.state.agents[&agent("ann")].alive);
    let fewer = AgentInfo {
        host: "ann-host".to_owned(),
        slots: 1,
        version: "0.1.0".to_owned(),
        process: String::new(),
        asks: false,
    };
    world.ask(&Command::RegisterAgent {
        agent: agent("ann"),
        sweep: sweep(),
        info: fewer,
        attempts: Vec::new(),
    });
    assert_eq!(world.state.agents[&agent("ann")].slots(), 1);
}

#[test]
fn an_agent_cannot_join_what_is_not_there_or_has_ended() {
    let mut world = running(&["ann"]);
    let elsewhere = Command::RegisterAgent {
        agent: agent("bob"),
        sweep: SweepId("nosuch".to_owned()),
        info: AgentInfo::default(),
        attempts: Vec::new(),
    };
    assert_eq!(world.refused(&elsewhere), "no sweep `nosuch`");
    world.set(SweepAction::Stop);
    let expected = "sweep k3x9q2ab is stopped (stopped by user): it hands out no runs; `sweep resume k3x9q2ab` makes it run again";
    assert_eq!(world.refused(&register("bob")), expected);
    assert_eq!(world.ask_idly(&register("ann")), Reply::Done);
}

#[test]
fn an_agent_works_for_one_sweep() {
    let mut world = running(&["ann"]);
    let other = create_other(&mut world);
    let join = Command::RegisterAgent {
        agent: agent("ann"),
        sweep: other.clone(),
        info: AgentInfo::default(),
        attempts: Vec::new(),
    };
    assert_eq!(
        world.refused(&join),
        "agent ann works for sweep k3x9q2ab: start another agent for sweep other"
    );
    let ask = Command::Acquire {
        agent: agent("ann"),
        sweep: other,
        offers: vec![offer(1)],
        code_version: String::new(),
    };
    assert_eq!(
        world.tell(&ask),
        Err(Refusal::UnknownAgent("ann".to_owned()))
    );
}

#[test]
fn strangers_and_the_departed_get_nothing() {
    let mut world = running(&["ann"]);
    assert_eq!(
        world.tell(&acquire("bob", &[1])),
        Err(Refusal::UnknownAgent("bob".to_owned()))
    );
    assert_eq!(
        world.tell(&remove("bob", true)),
        Err(Refusal::UnknownAgent("bob".to_owned()))
    );
    world.ask(&remove("ann", false));
    assert_eq!(
        world.tell(&acquire("ann", &[1])),
        Err(Refusal::UnknownAgent("ann".to_owned()))
    );
}

#[test]
fn two_agents_never_get_one_point() {
    let mut world = running(&["ann", "bob"]);
    let first = world.acquire("ann", &[1, 2]);
    let second = world.acquire("bob", &[1, 2]);
    assert_eq!((first.run, second.run), (1, 2));
    let wanted = Reply::Wait {
        reason: "the search is computing the next point".to_owned(),
        wants_suggestion: true,
    };
    assert_eq!(world.ask_idly(&acquire("bob", &[1, 2])), wanted);
    assert_eq!(
        (world.run(2).why.reason.as_str(), world.run(2).history),
        ("grid point 2", 0)
    );
}

#[test]
fn a_run_says_how_many_results_its_suggestion_had_not_seen() {
    let mut world = World::default();
    world.create(SweepSpec {
        method: Method::Bayes,
        ..grid(9)
    });
    world.register("ann");
    for (x, reason) in [
        (1, "grid point 1"),
        (2, "grid point 2; computed before the last result"),
        (3, "grid point 3; computed before the last 2 results"),
    ] {
        let attempt = world.begin("ann", x);
        assert_eq!(world.run(attempt.run).why.reason, reason);
        world.succeed("ann", &attempt, 0.5);
    }
    let mut seen_all = offer(4);
    seen_all.suggestion.why.observations = 3;
    let ask = Command::Acquire {
        agent: agent("ann"),
        sweep: sweep(),
        offers: vec![seen_all],
        code_version: String::new(),
    };
    world.ask(&ask);
    assert_eq!(world.run(4).why.reason, "grid point 4");
}

#[test]
fn a_point_is_tried_again_with_new_code_once_and_only_as_a_probe() {
    let mut world = World::default();
    world.create(SweepSpec {
        method: Method::Bayes,
        ..grid(9)
    });
    world.register("ann");
    let ask = |offers: Vec<Offer>, code: &str| Command::Acquire {
        agent: agent("ann"),
        sweep: sweep(),
        offers,
        code_version: code.to_owned(),
    };
    let end = |world: &mut World, run: u64| {
        let attempt = AttemptRef {
            sweep: sweep(),
            run,
            attempt: 1,
        };
        world.ask(&start("ann", &attempt));
        world.succeed("ann", &attempt, 0.5);
    };
    world.ask(&ask(vec![offer(1)], "old"));
    end(&mut world, 1);
    // What was suggested without knowing of the new code is not taken.
    let Reply::Wait {
        wants_suggestion: true,
        ..
    } = world.ask(&ask(vec![offer(2)], "new"))
    else {
        panic!("it waits")
    };
    assert_eq!(world.sweep().code.versions.len(), 2);
    let Reply::Wait { .. } = world.ask_idly(&ask(vec![offer(1)], "new")) else {
        panic!("it was tried")
    };
    world.ask(&ask(vec![probe(1)], "new"));
    assert_eq!(
        (
            world.run(2).config.clone(),
            world.run(2).point.again.as_str()
        ),
        (world.run(1).config.clone(), "new")
    );
    end(&mut world, 2);
    let Reply::Wait { .. } = world.ask_idly(&ask(vec![probe(1)], "new")) else {
        panic!("it was tried again")
    };
    world.ask(&ask(vec![offer(2)], "new"));
    end(&mut world, 3);
    let known: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|seen| seen.code_version)
        .collect();
    assert_eq!(known, ["old", "new", "new"]);
}

#[test]
fn an_agent_gets_as_many_runs_as_it_has_slots() {
    let mut world = running(&["ann"]);
    world.acquire("ann", &[1]);
    world.acquire("ann", &[2]);
    let Reply::Wait {
        reason,
        wants_suggestion: false,
    } = world.ask_idly(&acquire("ann", &[3]))
    else {
        panic!("it waits")
    };
    assert_eq!(
        reason,
        "agent ann holds 2 of the 2 attempts that it has slots for"
    );
}

#[test]
fn queued_runs_go_before_new_ones_lowest_first() {
    let mut world = running(&["ann", "bob"]);
    let first = world.begin("ann", 1);
    let second = world.begin("ann", 2);
    world.finish("ann", &second, AttemptResult::Preempted);
    world.finish("ann", &first, AttemptResult::Returned);
    let next = world.acquire("bob", &[3]);
    assert_eq!((next.run, next.attempt), (1, 2));
    assert_eq!(world.acquire("bob", &[3]).run, 2);
    assert_eq!(world.acquire("ann", &[3]).run, 3);
}

#[test]
fn a_crashed_run_goes_to_another_agent_if_there_is_one() {
    let mut world = running(&["ann", "bob"]);
    let crashing = world.begin("ann", 1);
    assert_eq!(
        world.finish("ann", &crashing, crash()),
        Reply::Run(RunState::Queued)
    );
    assert_eq!(
        world.run(1).reason,
        "tried again after attempt 1: exit status 1"
    );
    let other = world.acquire("ann", &[2]);
    assert_eq!(other.run, 2, "ann leaves the run to bob");
    let again = world.acquire("bob", &[3]);
    assert_eq!((again.run, again.attempt), (1, 2));
}

#[test]
fn a_crashed_run_comes_back_to_the_only_agent() {
    let mut world = running(&["ann", "bob"]);
    let crashing = world.begin("ann", 1);
    world.finish("ann", &crashing, crash());
    world.ask(&remove("bob", false));
    // An agent of another sweep is of no help.
    let other = create_other(&mut world);
    world.ask(&Command::RegisterAgent {
        agent: agent("cat"),
        sweep: other,
        info: AgentInfo::default(),
        attempts: Vec::new(),
    });
    assert_eq!(world.acquire("ann", &[2]).run, 1);
}

#[test]
fn an_agent_that_vanishes_loses_its_attempts() {
    let mut world = running(&["ann", "bob"]);
    let running = world.begin("ann", 1);
    let assigned = world.acquire("ann", &[2]);
    world.ask(&remove("ann", true));
    assert_eq!(world.attempt(&running).state, AttemptState::Lost);
    assert_eq!(world.attempt(&assigned).state, AttemptState::Lost);
    assert_eq!(world.run(1).retries.counts.lost, 1);
    assert_eq!(world.acquire("bob", &[3]).run, 1);
}

#[test]
fn an_agent_that_leaves_gives_its_attempts_back_for_nothing() {
    let mut world = running(&["ann", "bob"]);
    let running = world.begin("ann", 1);
    let (events, _) = world.tell(&remove("ann", false)).expect("it leaves");
    assert!(
        matches!(events.last(), Some(Event::AgentRemoved { reason, .. }) if reason == "agent ann is gone")
    );
    assert_eq!(world.attempt(&running).state, AttemptState::Preempted);
    assert_eq!(world.run(1).retries.counts.lost, 0);
    assert_eq!(world.acquire("bob", &[3]).run, 1);
}

#[test]
fn what_an_agent_holds_that_said_it_would_leave_was_preempted_when_it_falls_silent() {
    let leaving = Command::AnnounceLeaving {
        agent: agent("ann"),
        reason: "the machine was taken away".to_owned(),
    };
    let mut world = running(&["ann", "bob"]);
    let (first, second) = (world.begin("ann", 1), world.begin("ann", 2));
    world.ask(&leaving);
    assert_eq!(world.ask_idly(&leaving), Reply::Done, "once is enough");
    world.ask(&report("ann", &first, 0, &[0.5]));
    world.ask(&Command::LoseAttempt {
        attempt: second.clone(),
    });
    assert_eq!(
        (
            world.attempt(&second).state,
            world.run(2).retries.counts.lost
        ),
        (AttemptState::Preempted, 0)
    );
    let Reply::Wait { reason, .. } = world.ask_idly(&acquire("ann", &[3])) else {
        panic!("it gets nothing more")
    };
    assert_eq!(reason, "agent ann is leaving: the machine was taken away");
    world.ask(&remove("ann", true));
    assert_eq!(
        (
            world.attempt(&first).state,
            world.run(1).retries.counts.lost
        ),
        (AttemptState::Preempted, 0)
    );
    assert_eq!(world.acquire("bob", &[3]).run, 1);
}

#[test]
fn an_agent_that_registers_again_stays() {
    let mut world = running(&["ann"]);
    world.ask(&Command::AnnounceLeaving {
        agent: agent("ann"),
        reason: "SIGTERM".to_owned(),
    });
    world.register("ann");
    let attempt = world.begin("ann", 1);
    world.ask(&remove("ann", true));
    assert_eq!(world.attempt(&attempt).state, AttemptState::Lost);
}

#[test]
fn an_agent_that_comes_after_the_end_is_told_so() {
    let mut world = running(&["ann"]);
    world.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Stop,
    });
    let late = Command::RegisterAgent {
        agent: agent("bob"),
        sweep: sweep(),
        info: AgentInfo::default(),
        attempts: Vec::new(),
    };
    assert!(matches!(world.tell(&late), Err(Refusal::SweepEnded(_))));
}

#[test]
fn an_environment_is_recorded_once_and_named_by_each_attempt_that_begins_in_it() {
    let mut world = running(&["ann", "bob"]);
    let described = |name: &str, digest: &str| {
        let environment = Box::new(Environment {
            digest: digest.to_owned(),
            packages: vec!["a==1".to_owned()],
            ..Environment::default()
        });
        Command::DescribeEnvironment {
            agent: agent(name),
            sweep: sweep(),
            environment,
        }
    };
    let begin = |world: &mut World, name: &str, x: i64| {
        let attempt = world.acquire(name, &[x]);
        world.ask(&start(name, &attempt));
        world.run(attempt.run).attempts[0].environment
    };
    assert_eq!(begin(&mut world, "ann", 1), 0, "nothing was said of it");
    world.ask(&described("ann", "one"));
    world.ask(&described("bob", "one"));
    world.ask_idly(&described("bob", "one"));
    assert_eq!(
        (begin(&mut world, "ann", 2), begin(&mut world, "bob", 3)),
        (1, 1)
    );
    world.ask(&described("bob", "other"));
    assert_eq!(begin(&mut world, "bob", 4), 2);
    assert_eq!(world.sweep().environments.len(), 2);
}
