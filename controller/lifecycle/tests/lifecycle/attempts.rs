//! Attempts report, end, and are tried again.

use sweep_lifecycle::command::{AttemptResult, Command, Directive, Reply, SweepAction};
use sweep_lifecycle::decide::directive;
use sweep_lifecycle::event::{Event, MetricPoint};
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::spec::{OverInits, Reduce};
use sweep_lifecycle::state::{AttemptRef, Blame, FailureKind, RunState, SweepState};
use sweep_search::observation::Outcome;

use crate::world::{World, agent, crash, failed, grid, report, start, sweep};

pub(crate) fn running() -> World {
    let mut world = World::default();
    world.create(grid(9));
    for name in ["ann", "bob"] {
        world.register(name);
    }
    world
}

#[test]
fn only_the_owner_starts_an_attempt_and_may_say_so_twice() {
    let mut world = running();
    let attempt = world.acquire("ann", &[1]);
    let refusal = world.refused(&start("bob", &attempt));
    assert_eq!(
        refusal,
        "attempt 1 of run 1 no longer owns it: it belongs to agent ann, not to agent bob"
    );
    assert_eq!(
        world.ask(&start("ann", &attempt)),
        Reply::Directive(Directive::Continue)
    );
    assert_eq!(world.run(1).state, RunState::Running);
    assert_eq!(
        world.ask_idly(&start("ann", &attempt)),
        Reply::Directive(Directive::Continue)
    );
    let unknown = AttemptRef {
        attempt: 2,
        ..attempt.clone()
    };
    let refused = |run, attempt| {
        format!(
            "this controller does not know attempt {attempt} of run {run} as the agent has it: the agent has to register again"
        )
    };
    assert_eq!(world.refused(&start("ann", &unknown)), refused(1, 2));
    assert_eq!(
        world.refused(&start("ann", &AttemptRef { run: 4, ..attempt })),
        refused(4, 1)
    );
}

#[test]
fn known_points_are_passed_over() {
    let mut world = running();
    let attempt = world.begin("ann", 1);
    world.ask(&report("ann", &attempt, 0, &[3.0, 2.0]));
    world.ask_idly(&report("ann", &attempt, 0, &[3.0, 2.0]));
    world.ask_idly(&report("ann", &attempt, 2, &[]));
    world.ask(&report("ann", &attempt, 1, &[2.0, 1.0]));
    world.ask(&report("ann", &attempt, 3, &[0.5]));
    assert_eq!(world.attempt(&attempt).series, [3.0, 2.0, 1.0, 0.5]);
    assert_eq!(world.attempt(&attempt).points, 4);
}

#[test]
fn a_report_with_a_gap_before_it_is_refused() {
    let mut world = running();
    let attempt = world.begin("ann", 1);
    world.ask(&report("ann", &attempt, 0, &[3.0]));
    let reason = world.refused(&report("ann", &attempt, 3, &[0.5]));
    assert_eq!(
        reason,
        "points 1 to 2 of run 1 attempt 1 have not been reported: a report has to begin with point 1"
    );
    world.refused(&report("ann", &attempt, u64::MAX, &[0.5]));
    assert_eq!(world.attempt(&attempt).points, 1);
}

#[test]
fn a_stale_report_is_kept_and_changes_nothing_else() {
    let mut world = running();
    let stale = world.begin("ann", 1);
    world.ask(&Command::LoseAttempt {
        attempt: stale.clone(),
    });
    let owner = world.acquire("bob", &[]);
    let (events, reply) = world
        .tell(&report("ann", &stale, 0, &[0.1]))
        .expect("it is kept");
    assert!(matches!(
        &events[..],
        [Event::MetricsReported { stale: true, .. }]
    ));
    let reason = "it is lost, and agent bob executes attempt 2 now".to_owned();
    assert_eq!(
        reply,
        Reply::Directive(Directive::Abandon {
            reason: reason.clone()
        })
    );
    assert_eq!(
        directive(&world.state, &agent("ann"), &stale),
        Directive::Abandon { reason }
    );
    assert_eq!(
        directive(&world.state, &agent("bob"), &owner),
        Directive::Continue
    );
    assert!(matches!(
        directive(&world.state, &agent("ann"), &owner),
        Directive::Abandon { .. }
    ));
    world.ask(&start("bob", &owner));
    world.succeed("bob", &owner, 0.5);
    assert_eq!(world.run(1).value, Some(0.5));
    assert_eq!(world.attempt(&stale).series, [0.1]);
}

#[test]
fn the_value_of_a_run_is_its_series_reduced() {
    for (reduce, value) in [
        (Reduce::Best, 0.1),
        (Reduce::Last, 0.4),
        (Reduce::MeanLast(2), 0.25),
        (Reduce::MeanLast(9), 0.5),
    ] {
        let mut world = World::default();
        let mut spec = grid(1);
        spec.objective.as_mut().expect("it has one").reduce = reduce;
        world.create(spec);
        world.register("ann");
        let attempt = world.begin("ann", 1);
        world.ask(&report(
            "ann",
            &attempt,
            0,
            &[1.0, f64::NAN, 0.1, 0.4, f64::INFINITY],
        ));
        world.finish("ann", &attempt, AttemptResult::Succeeded);
        let got = world.run(1).value.expect("it has one");
        assert!((got - value).abs() < 1e-12, "{reduce:?} {got}");
    }
}

#[test]
fn several_runs_of_wandb_and_a_value_in_the_summary_come_to_one_value() {
    let points = |named: &[(&str, f64)]| -> Vec<MetricPoint> {
        named
            .iter()
            .map(|(name, value)| MetricPoint {
                name: (*name).to_owned(),
                step: None,
                ..crate::world::points(&[*value]).remove(0)
            })
            .collect()
    };
    let folds = [
        ("loss", 0.5),
        ("loss", 0.75),
        ("init-2/loss", 0.25),
        ("init-2/loss", 0.5),
        ("init-10/loss", 1.5),
        ("init-10/loss", 1.75),
    ];
    let over = [
        (OverInits::Mean, 0.75),
        (OverInits::Last, 1.5),
        (OverInits::First, 0.5),
    ];
    let mut cases: Vec<_> = over
        .map(|(over_inits, value)| (over_inits, Reduce::Best, folds.to_vec(), value))
        .to_vec();
    cases.push((OverInits::Mean, Reduce::Last, folds.to_vec(), 1.0));
    // W&B's search uses the best of history and summary.
    for (set, best, last) in [
        (0.25, 0.25, 0.25),
        (0.625, 0.5, 0.625),
        (f64::NAN, 0.5, 0.75),
    ] {
        let named = vec![
            ("loss", 0.5),
            ("loss", 0.75),
            ("loss.summary", set),
            ("acc.summary", 0.0),
        ];
        cases.extend([
            (OverInits::Mean, Reduce::Best, named.clone(), best),
            (OverInits::Mean, Reduce::Last, named, last),
        ]);
    }
    for (over_inits, reduce, named, value) in cases {
        let mut world = World::default();
        let mut spec = grid(1);
        let objective = spec.objective.as_mut().expect("it has one");
        (objective.over_inits, objective.reduce) = (over_inits, reduce);
        world.create(spec);
        world.register("ann");
        let attempt = world.begin("ann", 1);
        world.ask(&Command::ReportMetrics {
            agent: agent("ann"),
            attempt: attempt.clone(),
            first_seq: 0,
            points: points(&named),
        });
        world.finish("ann", &attempt, AttemptResult::Succeeded);
        let got = world.run(1).value.expect("it has one");
        assert!(
            (got - value).abs() < 1e-12,
            "{got} {over_inits:?} {reduce:?} {named:?}"
        );
        let curve = named.iter().filter(|(name, _)| *name == "loss").count();
        assert_eq!(
            world.run(1).series().len(),
            curve,
            "what is judged early is the curve"
        );
    }
}

#[test]
fn ending_well_without_the_objective_is_a_failure_of_its_own() {
    let mut world = running();
    let silent = world.begin("ann", 1);
    assert_eq!(
        world.finish("ann", &silent, AttemptResult::Succeeded),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        world.run(1).reason,
        "the program ended well without reporting `loss`; it reported no metric at all"
    );
    let other = world.begin("ann", 2);
    let mut points = crate::world::points(&[0.5]);
    points[0].name = "accuracy".to_owned();
    world.ask(&Command::ReportMetrics {
        agent: agent("ann"),
        attempt: other.clone(),
        first_seq: 0,
        points,
    });
    world.finish("ann", &other, AttemptResult::Succeeded);
    assert_eq!(
        world.run(2).reason,
        "the program ended well without reporting `loss`; it reported only `accuracy`"
    );
    assert_eq!(
        world
            .attempt(&other)
            .failure
            .as_ref()
            .map(|failure| failure.kind),
        Some(FailureKind::NoMetric)
    );
    world.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Resume,
    });
    let nan = world.begin("ann", 3);
    world.ask(&report("ann", &nan, 0, &[f64::NAN, f64::INFINITY]));
    assert_eq!(
        world.finish("ann", &nan, AttemptResult::Succeeded),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        world
            .attempt(&nan)
            .failure
            .as_ref()
            .map(|failure| failure.kind),
        Some(FailureKind::NanObjective)
    );
    let outcomes: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|observation| observation.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Outcome::Failed, Outcome::Failed, Outcome::Failed]
    );
}

#[test]
fn a_crash_is_tried_once_more() {
    let mut world = running();
    let first = world.begin("ann", 1);
    world.finish("ann", &first, crash());
    let second = world.acquire("bob", &[]);
    assert_eq!(
        world.finish("bob", &second, crash()),
        Reply::Run(RunState::Failed)
    );
    assert!(world.run(1).blamed);
    assert_eq!(world.run(1).reason, "exit status 1");
}

#[test]
fn what_would_happen_again_is_not_tried_again() {
    for kind in [
        FailureKind::CudaOutOfMemory,
        FailureKind::NanObjective,
        FailureKind::NoMetric,
    ] {
        let mut world = running();
        let attempt = world.begin("ann", 1);
        let result = failed(kind, Blame::Configuration, "again");
        assert_eq!(
            world.finish("ann", &attempt, result),
            Reply::Run(RunState::Failed),
            "{kind:?}"
        );
    }
}

#[test]
fn a_refused_command_line_is_never_tried_again_teaches_nothing_and_pauses_the_sweep_at_the_third() {
    let mut world = World::default();
    world.create(grid(9));
    world.register("ann");
    let refused = || {
        failed(
            FailureKind::Usage,
            Blame::CommandLine,
            "unrecognized arguments: --x=1",
        )
    };
    for x in 1..=3 {
        assert_eq!(world.sweep().state, SweepState::Running, "before {x}");
        let attempt = world.begin("ann", x);
        assert_eq!(
            world.finish("ann", &attempt, refused()),
            Reply::Run(RunState::Failed)
        );
        assert!(!world.run(attempt.run).blamed);
    }
    assert_eq!(observations(world.sweep()), []);
    assert!(
        world.sweep().stalled
            && world
                .sweep()
                .reason
                .contains("refuses its command line, 3 times"),
        "{}",
        world.sweep().reason
    );
    // Where some runs end well, others are no reason to pause.
    let mut world = World::default();
    world.create(grid(9));
    world.register("ann");
    let attempt = world.begin("ann", 8);
    world.succeed("ann", &attempt, 0.5);
    for x in 1..=4 {
        let attempt = world.begin("ann", x);
        world.finish("ann", &attempt, refused());
    }
    assert_eq!(world.sweep().state, SweepState::Running);
}

#[test]
fn machines_and_bad_luck_do_not_count_against_the_configuration() {
    let mut world = running();
    for _ in 0..3 {
        let attempt = world.begin("ann", 1);
        world.finish("ann", &attempt, AttemptResult::Preempted);
        let attempt = world.begin("ann", 1);
        assert_eq!(
            world.ask(&Command::LoseAttempt { attempt }),
            Reply::Run(RunState::Queued)
        );
    }
    let attempt = world.begin("ann", 1);
    assert_eq!(
        world.ask(&Command::LoseAttempt {
            attempt: attempt.clone()
        }),
        Reply::Run(RunState::Failed)
    );
    assert_eq!(
        world.run(1).reason,
        "lost 4 times: agent ann said nothing of it for longer than its lease"
    );
    assert!(!world.run(1).blamed);
    assert_eq!(observations(world.sweep()), []);
    world.ask_idly(&Command::LoseAttempt { attempt });
}

#[test]
fn a_program_that_cannot_start_is_tried_elsewhere() {
    let mut world = running();
    let attempt = world.acquire("ann", &[1]);
    let result = || {
        failed(
            FailureKind::CouldNotStart,
            Blame::Machine,
            "no such file: train",
        )
    };
    assert_eq!(
        world.finish("ann", &attempt, result()),
        Reply::Run(RunState::Queued)
    );
    assert_eq!(
        (
            world.run(1).retries.counts.machine,
            world.run(1).retries.counts.crashed
        ),
        (1, 0)
    );
    let mut next = world.acquire("bob", &[]);
    assert_eq!(next.run, 1);
    for _ in 0..2 {
        assert_eq!(
            world.finish("bob", &next, result()),
            Reply::Run(RunState::Queued)
        );
        next = world.acquire("bob", &[]);
    }
    assert_eq!(
        world.finish("bob", &next, result()),
        Reply::Run(RunState::Failed)
    );
    assert!(!world.run(1).blamed);
}
