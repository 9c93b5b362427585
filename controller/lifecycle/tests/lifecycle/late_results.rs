//! Results and agents that come after all: adopted while no other agent has the run.

use sweep_lifecycle::command::{AttemptResult, Command, Directive, Reply};
use sweep_lifecycle::decide::directive;
use sweep_lifecycle::spec::{OnLeaseLost, SweepSpec};
use sweep_lifecycle::state::{AgentInfo, AttemptRef, AttemptState, RunState};

use crate::agents::running;
use crate::world::{World, agent, crash, finish, grid, remove, report, start, sweep};

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
