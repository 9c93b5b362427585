//! The sweep's own rule ends a run early.

use sweep_lifecycle::command::{AttemptResult, Directive, Reply};
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::state::{AttemptRef, RunState, StopKind};
use sweep_search::early_stop::{Bands, Hyperband};
use sweep_search::observation::Outcome;

use crate::world::{World, grid, report};

/// Three runs have ended at band 3 with 0.1, 0.2 and 0.3; a fourth has come to 0.9 there.
fn with_hyperband() -> (World, AttemptRef, Reply) {
    let mut world = World::default();
    let mut spec = grid(9);
    spec.early_terminate = Some(Hyperband { bands: Bands::MinIter(3), eta: 3.0, strict: true });
    world.create(spec);
    world.register("ann");
    for (x, value) in [(1, 0.1), (2, 0.2), (3, 0.3)] {
        let attempt = world.begin("ann", x);
        world.ask(&report("ann", &attempt, 0, &[value, value]));
        world.succeed("ann", &attempt, value);
    }
    let bad = world.begin("ann", 4);
    assert_eq!(world.report("ann", &bad, 0, &[0.9, 0.9]), Reply::Directive(Directive::Continue));
    let reply = world.report("ann", &bad, 2, &[0.9]);
    (world, bad, reply)
}

#[test]
fn a_run_that_lags_behind_is_stopped_early_with_a_reason() {
    let (mut world, bad, reply) = with_hyperband();
    let Reply::Directive(Directive::Stop { kind: StopKind::Early, reason }) = reply else { panic!("{reply:?}") };
    assert!(!reason.is_empty());
    let (events, again) = world.tell(&report("ann", &bad, 3, &[0.9])).expect("it is recorded");
    assert_eq!(events.len(), 1, "it is asked once");
    assert!(matches!(again, Reply::Directive(Directive::Stop { kind: StopKind::Early, .. })));
    assert_eq!(world.finish("ann", &bad, AttemptResult::Stopped(StopKind::Early)), Reply::Run(RunState::Stopped));
    assert_eq!((world.run(4).value, world.run(4).reason.clone()), (Some(0.9), reason));
    assert_eq!(observations(world.sweep())[3].outcome, Outcome::Stopped(0.9));
}
