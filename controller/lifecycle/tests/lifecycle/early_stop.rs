//! The sweep's own rule ends a run early.

use sweep_lifecycle::command::{AttemptResult, Command, Directive, Reply};
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::spec::Reduce;
use sweep_lifecycle::state::{AttemptRef, RunState, StopKind, StopRequest};
use sweep_search::early_stop::{Bands, EarlyStop, Hyperband, Predictive};
use sweep_search::observation::Outcome;

use crate::world::{World, agent, grid, report};

/// A sweep with the rule Hyperband, strict from band 3 on.
fn world_with_bands() -> World {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.early_terminate = Some(EarlyStop::Hyperband(Hyperband {
        bands: Bands::MinIter(3),
        eta: 3.0,
        strict: true,
    }));
    world.create(spec);
    world
}

/// Three runs have ended at band 3 with 0.1, 0.2 and 0.3; a fourth has come to 0.9 there.
fn with_hyperband() -> (World, AttemptRef, Reply) {
    let mut world = world_with_bands();
    world.register("ann");
    for (x, value) in [(1, 0.1), (2, 0.2), (3, 0.3)] {
        let attempt = world.begin("ann", x);
        world.ask(&report("ann", &attempt, 0, &[value, value]));
        world.succeed("ann", &attempt, value);
    }
    let bad = world.begin("ann", 4);
    assert_eq!(
        world.report("ann", &bad, 0, &[0.9, 0.9]),
        Reply::Directive(Directive::Continue)
    );
    let reply = world.report("ann", &bad, 2, &[0.9]);
    (world, bad, reply)
}

#[test]
fn a_run_that_lags_behind_is_stopped_early_with_a_reason() {
    let (mut world, bad, reply) = with_hyperband();
    let Reply::Directive(Directive::Stop {
        kind: StopKind::Early,
        reason,
    }) = reply
    else {
        panic!("{reply:?}")
    };
    assert!(!reason.is_empty());
    let (events, again) = world
        .tell(&report("ann", &bad, 3, &[0.9]))
        .expect("it is recorded");
    assert_eq!(events.len(), 1, "it is asked once");
    assert!(matches!(
        again,
        Reply::Directive(Directive::Stop {
            kind: StopKind::Early,
            ..
        })
    ));
    assert_eq!(
        world.finish("ann", &bad, AttemptResult::Stopped(StopKind::Early)),
        Reply::Run(RunState::Stopped)
    );
    assert_eq!(
        (world.run(4).value, world.run(4).reason.clone()),
        (Some(0.9), reason)
    );
    let Outcome::Stopped(ending) = observations(world.sweep())[3].outcome else {
        panic!("it was stopped")
    };
    assert!(
        ending.mean == 0.9 && ending.deviation > 0.05,
        "the finished curves are no longer, so it is weak evidence: {ending:?}"
    );
}

/// Six runs have ended after 20 iterations with 0.2, 0.3, …, and a seventh has come to its sixth, far above them.
fn with_prediction(reduce: Reduce) -> (World, AttemptRef, Reply) {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.early_terminate = Some(EarlyStop::Predictive(Predictive {
        min_probability: 0.2,
        min_iter: None,
        max_iter: None,
        min_runs: 5,
    }));
    spec.objective.as_mut().expect("a grid has one here").reduce = reduce;
    world.create(spec);
    world.register("ann");
    let curve = |end: f64| {
        (1..=20)
            .map(move |iteration| end + 0.5 / f64::from(iteration))
            .collect::<Vec<_>>()
    };
    for x in 1..=6 {
        let attempt = world.begin("ann", x);
        let series = curve(0.1 + 0.1 * x as f64);
        assert_eq!(
            world.report("ann", &attempt, 0, &series),
            Reply::Directive(Directive::Continue)
        );
        world.finish("ann", &attempt, AttemptResult::Succeeded);
    }
    let bad = world.begin("ann", 7);
    assert_eq!(
        world.report("ann", &bad, 0, &curve(0.75)[..3]),
        Reply::Directive(Directive::Continue)
    );
    let reply = world.report("ann", &bad, 3, &curve(0.75)[3..6]);
    (world, bad, reply)
}

#[test]
fn what_was_predicted_to_lose_is_stopped_and_its_ending_teaches_the_search() {
    for reduce in [Reduce::Best, Reduce::Last, Reduce::MeanLast(2)] {
        let (mut world, bad, reply) = with_prediction(reduce);
        let Reply::Directive(Directive::Stop {
            kind: StopKind::Early,
            reason,
        }) = reply
        else {
            panic!("{reduce:?}: {reply:?}")
        };
        assert!(reason.contains(" at step 20, best 0.2"), "{reason}");
        assert_eq!(
            world.finish("ann", &bad, AttemptResult::Stopped(StopKind::Early)),
            Reply::Run(RunState::Stopped)
        );
        let reached = world.run(7).value.expect("it had reached something");
        let Outcome::Stopped(ending) = observations(world.sweep())[6].outcome else {
            panic!("it was stopped")
        };
        assert!(
            (ending.mean - 0.775).abs() < 0.05 && reached > 0.83,
            "{reduce:?}: {ending:?}, {reached}"
        );
        assert!(ending.deviation < 0.1, "{ending:?}");
    }
}

#[test]
fn an_ending_is_predicted_from_the_curves_of_the_moment() {
    let mut world = world_with_bands();
    world.register("ann");
    let curve = |end: f64| {
        (0..20)
            .map(move |epoch| end + (-f64::from(epoch) / 4.0).exp())
            .collect::<Vec<_>>()
    };
    let good = world.begin("ann", 1);
    world.report("ann", &good, 0, &curve(0.2)[..3]);
    let bad = world.begin("ann", 2);
    world.report("ann", &bad, 0, &curve(0.5)[..3]);
    world.finish("ann", &bad, AttemptResult::Stopped(StopKind::Early));
    let ending = |world: &World| match &observations(world.sweep())[..] {
        [.., last] => match last.outcome {
            Outcome::Stopped(ending) => ending,
            ref other => panic!("{other:?}"),
        },
        [] => panic!("it was stopped"),
    };
    let early = ending(&world);
    assert!(
        early.mean > 1.1 && early.deviation > 0.2,
        "nothing has ended that was longer: {early:?}"
    );
    world.report("ann", &good, 3, &curve(0.2)[3..]);
    world.finish("ann", &good, AttemptResult::Succeeded);
    let seen = observations(world.sweep());
    let Outcome::Stopped(late) = seen[1].outcome else {
        panic!("{seen:?}")
    };
    assert!((late.mean - 0.5).abs() < 0.05, "{late:?}");
    assert_eq!(
        world.run(2).value,
        Some(curve(0.5)[2]),
        "what was observed stays as it was"
    );
}

#[test]
fn a_stop_that_was_logged_without_a_prediction_can_be_read() {
    let request: StopRequest =
        serde_json::from_str(r#"{"kind": "early", "reason": "band 3"}"#).expect("it can be read");
    assert_eq!(request.predicted, None);
}

#[test]
fn runs_of_other_code_are_no_measure() {
    let mut world = world_with_bands();
    world.register("ann");
    let begin = |world: &mut World, x: i64, version: &str| {
        let attempt = world.acquire("ann", &[x]);
        let command = vec!["train".to_owned()];
        world.ask(&Command::StartAttempt {
            agent: agent("ann"),
            attempt: attempt.clone(),
            command,
            code_version: version.to_owned(),
        });
        attempt
    };
    for (x, value) in [(1, 0.1), (2, 0.2), (3, 0.3)] {
        let attempt = begin(&mut world, x, "old");
        world.report("ann", &attempt, 0, &[value; 3]);
        world.succeed("ann", &attempt, value);
    }
    // The new code moves every loss by five.
    let directive = |world: &mut World, x: i64, value: f64| {
        let attempt = begin(world, x, "new");
        let reply = world.report("ann", &attempt, 0, &[value; 3]);
        world.finish("ann", &attempt, AttemptResult::Succeeded);
        reply
    };
    assert_eq!(
        directive(&mut world, 4, 5.1),
        Reply::Directive(Directive::Continue)
    );
    directive(&mut world, 5, 5.2);
    directive(&mut world, 6, 5.3);
    let worst = directive(&mut world, 7, 5.9);
    assert!(
        matches!(
            worst,
            Reply::Directive(Directive::Stop {
                kind: StopKind::Early,
                ..
            })
        ),
        "{worst:?}"
    );
}
