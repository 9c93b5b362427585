//! Agents come, ask for runs and leave.

use sweep_lifecycle::command::{
    AttemptResult, Command, Directive, Offer, Refusal, Reply, SweepAction,
};
use sweep_lifecycle::decide::directive;
use sweep_lifecycle::event::Event;
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::spec::{OnLeaseLost, SweepSpec};
use sweep_lifecycle::state::{AgentInfo, AttemptRef, AttemptState, Environment, RunState, SweepId};
use sweep_search::suggest::Method;

use crate::world::{
    World, acquire, agent, crash, finish, grid, offer, probe, register, remove, report, start,
    sweep,
};

fn running(names: &[&str]) -> World {
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
    let other = SweepId("other".to_owned());
    world.ask(&Command::CreateSweep {
        sweep: other.clone(),
        spec: Box::new(grid(2)),
        source: String::new(),
        seed: 1,
    });
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
    let other = SweepId("other".to_owned());
    world.ask(&Command::CreateSweep {
        sweep: other.clone(),
        spec: Box::new(grid(2)),
        source: String::new(),
        seed: 1,
    });
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
fn a_result_that_comes_after_all_is_adopted_while_nobody_has_the_run() {
    let mut world = running(&["ann", "bob"]);
    let late = world.begin("ann", 1);
    world.ask(&report("ann", &late, 0, &[0.5]));
    world.ask(&remove("ann", true));
    assert_eq!(
        world.ask_idly(&finish("ann", &late, AttemptResult::Returned)),
        Reply::Run(RunState::Queued)
    );
    assert_eq!(
        world.finish("ann", &late, AttemptResult::Succeeded),
        Reply::Run(RunState::Finished)
    );
    assert_eq!(
        (world.run(1).value, world.run(1).attempts.len()),
        (Some(0.5), 1)
    );
}

#[test]
fn a_lost_agent_registers_before_it_reports_so_that_no_metric_is_missing_from_its_result() {
    let mut world = running(&["ann", "bob"]);
    let (late, unstarted) = (world.begin("ann", 1), world.acquire("ann", &[2]));
    world.ask(&report("ann", &late, 0, &[0.5]));
    world.ask(&remove("ann", true));
    assert!(
        world
            .refused(&report("ann", &late, 1, &[0.25]))
            .contains("agent ann is not registered")
    );
    assert!(
        world
            .refused(&start("ann", &unstarted))
            .contains("agent ann is not registered")
    );
    world.ask(&come_back("", &[&late, &unstarted]));
    world.ask(&start("ann", &unstarted));
    world.ask(&report("ann", &late, 1, &[0.25]));
    world.finish("ann", &late, AttemptResult::Succeeded);
    assert_eq!(
        (world.run(1).value, world.run(2).state),
        (Some(0.25), RunState::Running)
    );
}

#[test]
fn an_attempt_that_was_given_up_goes_on_with_the_next_word_of_it() {
    let mut world = running(&["ann", "bob"]);
    let (first, second) = (world.begin("ann", 1), world.acquire("ann", &[2]));
    for late in [&first, &second] {
        world.ask(&Command::LoseAttempt {
            attempt: late.clone(),
        });
        assert_eq!(
            directive(&world.state, &agent("ann"), late),
            Directive::Continue,
            "its next report takes it up"
        );
    }
    world.ask(&report("ann", &first, 0, &[0.5]));
    world.ask(&start("ann", &second));
    assert_eq!(
        [1, 2].map(|run| (world.run(run).state, world.run(run).retries.counts.lost)),
        [(RunState::Running, 0); 2]
    );
    // Not where somebody else has begun it.
    world.ask(&Command::LoseAttempt {
        attempt: first.clone(),
    });
    world.acquire("bob", &[]);
    assert!(matches!(
        directive(&world.state, &agent("ann"), &first),
        Directive::Abandon { .. }
    ));
    assert!(matches!(
        world.ask(&report("ann", &first, 1, &[0.25])),
        Reply::Directive(Directive::Abandon { .. })
    ));
}

#[test]
fn a_result_that_comes_after_the_run_was_handed_on_is_refused() {
    let mut world = running(&["ann", "bob"]);
    let late = world.begin("ann", 1);
    world.ask(&remove("ann", true));
    let owner = world.acquire("bob", &[2]);
    assert!(
        world
            .refused(&finish("ann", &late, AttemptResult::Returned))
            .contains("agent bob executes attempt 2 now")
    );
    let reason = world.orphan("ann", &late, AttemptResult::Succeeded);
    assert_eq!(reason, "it is lost, and agent bob executes attempt 2 now");
    assert_eq!(world.attempt(&late).orphan, "ended well, too late to count");
    world.succeed("bob", &owner, 0.5);
    assert!(
        world
            .orphan("ann", &late, crash())
            .contains("attempt 1 is lost, the run is finished")
    );
    assert_eq!(
        world.attempt(&late).orphan,
        "ended well, too late to count",
        "the first word holds"
    );
}

fn come_back(process: &str, attempts: &[&AttemptRef]) -> Command {
    let info = AgentInfo {
        host: "ann-host".to_owned(),
        slots: 2,
        version: "0.1.0".to_owned(),
        process: process.to_owned(),
        asks: false,
    };
    Command::RegisterAgent {
        agent: agent("ann"),
        sweep: sweep(),
        info,
        attempts: attempts.iter().copied().cloned().collect(),
    }
}

#[test]
fn an_agent_that_comes_back_goes_on_with_what_nobody_has_begun_again() {
    let mut world = running(&["ann", "bob"]);
    let kept = world.begin("ann", 1);
    let taken = world.begin("ann", 2);
    world.ask(&remove("ann", true));
    assert_eq!(world.run(1).retries.counts.lost, 1);
    // The lower number goes first.
    let other = world.acquire("bob", &[]);
    world.ask(&come_back("", &[&kept, &taken]));
    assert_eq!(other.run, 1);
    assert_eq!(
        (world.attempt(&kept).state, world.attempt(&taken).state),
        (AttemptState::Lost, AttemptState::Running)
    );
    assert_eq!(
        (world.run(2).state, world.run(2).retries.counts.lost),
        (RunState::Running, 0)
    );
    assert_eq!(
        world.succeed("ann", &taken, 0.5),
        Reply::Run(RunState::Finished)
    );
}

#[test]
fn nothing_late_counts_where_the_sweep_says_stop() {
    let mut world = World::default();
    world.create(SweepSpec {
        on_lease_lost: OnLeaseLost::Stop,
        ..grid(9)
    });
    world.register("ann");
    let late = world.begin("ann", 1);
    world.report("ann", &late, 0, &[0.5]);
    world.ask(&remove("ann", true));
    world.ask(&come_back("", &[&late]));
    assert_eq!(world.attempt(&late).state, AttemptState::Lost);
    world.orphan("ann", &late, AttemptResult::Succeeded);
    assert_eq!(
        world.attempt(&late).orphan,
        "ended well with loss = 0.5, too late to count"
    );
}

#[test]
fn a_new_process_has_lost_what_it_does_not_name() {
    let mut world = World::default();
    world.create(grid(9));
    world.ask(&come_back("first", &[]));
    let kept = world.begin("ann", 1);
    let gone = world.begin("ann", 2);
    world.ask(&come_back("second", &[&kept]));
    assert_eq!(
        (world.attempt(&kept).state, world.attempt(&gone).state),
        (AttemptState::Running, AttemptState::Lost)
    );
    assert_eq!(world.run(2).state, RunState::Queued);
    world.ask_idly(&come_back("second", &[&kept]));
}

#[test]
fn what_was_never_started_goes_back_at_once_and_costs_nothing() {
    let mut world = World::default();
    world.create(grid(9));
    world.ask(&come_back("first", &[]));
    let given = world.acquire("ann", &[1]);
    world.ask(&come_back("second", &[]));
    assert_eq!(world.attempt(&given).state, AttemptState::Returned);
    assert_eq!(
        (world.run(1).state, world.run(1).retries.counts.lost),
        (RunState::Queued, 0)
    );
    // The agent that is told to go gives it back itself.
    let given = world.acquire("ann", &[]);
    assert_eq!((given.run, given.attempt), (1, 2));
    world.finish("ann", &given, AttemptResult::Returned);
    assert_eq!(
        (world.run(1).state, world.run(1).retries.counts.lost),
        (RunState::Queued, 0)
    );
}

#[test]
fn a_late_result_does_not_undo_what_was_settled() {
    let mut world = running(&["ann", "bob"]);
    // The user cancelled the run, and then retried it.
    let cancelled = world.begin("ann", 1);
    world.ask(&Command::CancelRun {
        sweep: sweep(),
        run: 1,
    });
    world.ask(&Command::LoseAttempt {
        attempt: cancelled.clone(),
    });
    assert_eq!(world.run(1).state, RunState::Cancelled);
    world.ask(&Command::RetryRuns {
        sweep: sweep(),
        runs: vec![1],
    });
    assert_eq!(
        world.orphan("ann", &cancelled, AttemptResult::Succeeded),
        "attempt 1 is lost, the run is queued"
    );
    world.acquire("bob", &[]);
    // The run was lost so often that it has failed.
    let mut last = world.begin("ann", 2);
    while world.ask(&Command::LoseAttempt {
        attempt: last.clone(),
    }) == Reply::Run(RunState::Queued)
    {
        last = world.begin("ann", 2);
    }
    assert_eq!(
        world.orphan("ann", &last, AttemptResult::Succeeded),
        "attempt 4 is lost, the run is failed"
    );
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
