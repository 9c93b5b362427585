//! Bounds on metrics beside the objective.

use std::collections::BTreeMap;

use sweep_lifecycle::command::{Command, TellOutcome};
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::spec::{Bound, Constraint, Summary, SweepSpec};

use crate::world::{World, agent, grid, sweep};

fn register_asking(world: &mut World) {
    let info = sweep_lifecycle::state::AgentInfo {
        asks: true,
        ..Default::default()
    };
    world.ask(&Command::RegisterAgent {
        agent: agent("ann"),
        sweep: sweep(),
        info,
        attempts: Vec::new(),
    });
}

fn world(constraints: Vec<Constraint>) -> World {
    let mut world = World::default();
    world.create(SweepSpec {
        constraints,
        ..grid(4)
    });
    register_asking(&mut world);
    world
}

fn memory() -> Constraint {
    Constraint {
        metric: "mem".to_owned(),
        bound: Bound::Max(40.0),
        of: Summary::Last,
    }
}

/// Has a run told with a loss and what it used of memory.
fn tell(world: &mut World, x: i64, loss: f64, memory: Option<f64>) {
    let attempt = world.acquire("ann", &[x]);
    let metrics: BTreeMap<_, _> = memory
        .map(|memory| ("mem".to_owned(), memory))
        .into_iter()
        .collect();
    world.ask(&Command::Tell {
        attempt,
        told: TellOutcome::Value(loss),
        metrics,
    });
}

#[test]
fn the_best_run_is_the_best_that_keeps_to_the_constraints() {
    let mut world = world(vec![memory()]);
    tell(&mut world, 1, 0.1, Some(41.5));
    assert_eq!(world.sweep().index.best, None, "it takes too much");
    tell(&mut world, 2, 0.2, None);
    assert_eq!(
        world.sweep().index.best,
        None,
        "a run without a value may take too much"
    );
    tell(&mut world, 3, 0.4, Some(40.0));
    assert_eq!(
        world.sweep().index.best,
        Some((3, 0.4)),
        "the bound itself is allowed"
    );
    tell(&mut world, 4, 0.3, Some(f64::NAN));
    assert_eq!(world.sweep().index.best, Some((3, 0.4)));
    let violations: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|seen| seen.violations)
        .collect();
    assert_eq!(
        violations,
        [
            vec![Some(1.5)],
            vec![None],
            vec![Some(0.0)],
            vec![Some(f64::INFINITY)]
        ]
    );
}

#[test]
fn a_target_is_reached_by_a_run_that_keeps_to_the_constraints() {
    let mut world = World::default();
    let mut spec = SweepSpec {
        constraints: vec![memory()],
        ..grid(4)
    };
    spec.objective.as_mut().expect("it has one").target = Some(0.5);
    world.create(spec);
    register_asking(&mut world);
    tell(&mut world, 1, 0.1, Some(80.0));
    assert!(
        !world.sweep().state.is_terminal(),
        "{}",
        world.sweep().reason
    );
    tell(&mut world, 2, 0.2, Some(8.0));
    assert_eq!(world.sweep().reason, "target reached by run 2: 0.2");
}

#[test]
fn the_largest_value_counts_where_the_file_says_so() {
    let peak = Constraint {
        of: Summary::Max,
        metric: "loss".to_owned(),
        bound: Bound::Max(0.8),
    };
    let mut world = World::default();
    world.create(SweepSpec {
        constraints: vec![peak],
        ..grid(2)
    });
    world.register("ann");
    let first = world.begin("ann", 1);
    world.report("ann", &first, 0, &[0.9, 0.1]);
    world.succeed("ann", &first, 0.1);
    assert_eq!(world.sweep().index.best, None);
    let second = world.begin("ann", 2);
    world.report("ann", &second, 0, &[0.7, f64::INFINITY]);
    world.succeed("ann", &second, 0.3);
    assert_eq!(world.sweep().index.best, Some((2, 0.3)));
}
