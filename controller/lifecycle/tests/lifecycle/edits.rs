//! A sweep's file becomes another one: what is kept, what counts, what is withdrawn, and the way back.

use sweep_lifecycle::command::{AttemptResult, Command, Offer, Reply};
use sweep_lifecycle::observe::observations;
use sweep_lifecycle::spec::{Bound, Constraint, Goal, Objective, Summary, SweepSpec};
use sweep_lifecycle::state::{RevisionEffect, SweepState};
use sweep_search::space::{Config, Distribution, Origins, Parameter, Path, Space, Value};
use sweep_search::suggest::Method;

use crate::world::{World, agent, grid, objective, offer, sweep};

pub(crate) fn one_of(values: &[i64]) -> Distribution {
    Distribution::Categorical {
        values: values.iter().copied().map(Value::Int).collect(),
        ordered: None,
    }
}

pub(crate) fn space(parameters: &[(&str, Distribution)]) -> Space {
    let parameter = |(name, distribution): &(&str, Distribution)| Parameter {
        path: Path::flat(*name),
        distribution: distribution.clone(),
        when: Vec::new(),
    };
    Space::new(parameters.iter().map(parameter).collect()).expect("no two have one name")
}

pub(crate) fn edit(
    world: &mut World,
    spec: SweepSpec,
) -> (Vec<String>, RevisionEffect, SweepState) {
    let command = Command::EditSweep {
        sweep: sweep(),
        spec: Box::new(spec),
        source: "new".to_owned(),
        base: None,
    };
    match world.ask(&command) {
        Reply::Edited {
            changes,
            effect,
            state,
            ..
        } => (changes, effect, state),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn undo(world: &mut World) -> RevisionEffect {
    match world.ask(&Command::UndoEdit {
        sweep: sweep(),
        base: None,
    }) {
        Reply::Edited { effect, .. } => effect,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn tries(world: &mut World, name: &str, values: &[(&str, i64)]) -> Reply {
    let config = Config(
        values
            .iter()
            .map(|(name, value)| (Path::flat(*name), Value::Int(*value)))
            .collect(),
    );
    let mut offer = offer(0);
    (offer.suggestion.config, offer.history) = (config, world.sweep().history);
    acquire(world, name, vec![offer])
}

pub(crate) fn acquire(world: &mut World, name: &str, offers: Vec<Offer>) -> Reply {
    world.ask(&Command::Acquire {
        agent: agent(name),
        sweep: sweep(),
        offers,
        code_version: String::new(),
    })
}

/// A grid of six points, of which the first four have ended with their own number as the loss and ten times that as the accuracy.
pub(crate) fn begun() -> World {
    let mut world = World::default();
    world.create(grid(6));
    world.register("ann");
    for x in 1..=4 {
        let attempt = world.begin("ann", x);
        let told = [("loss", x as f64), ("accuracy", 10.0 * x as f64)]
            .map(|(name, value)| crate::world::point(name, value));
        world.ask(&Command::ReportMetrics {
            agent: agent("ann"),
            attempt: attempt.clone(),
            first_seq: 0,
            points: told.to_vec(),
        });
        world.finish("ann", &attempt, AttemptResult::Succeeded);
    }
    world
}

#[test]
fn a_narrowed_grid_goes_on_with_what_is_left_of_it() {
    let mut world = begun();
    let Reply::Assigned(running) = acquire(&mut world, "ann", vec![offer(5)]) else {
        panic!("a run")
    };
    let spec = SweepSpec {
        space: space(&[("x", one_of(&[2, 3, 6, 7]))]),
        ..grid(6)
    };
    let (changes, effect, state) = edit(&mut world, spec);
    assert_eq!(changes, ["parameter `x`: 1, 4, 5 dropped; 7 added"]);
    assert_eq!(
        effect,
        RevisionEffect {
            inside: 2,
            outside: 3,
            running: 1,
            ..RevisionEffect::default()
        }
    );
    assert_eq!(
        (
            state,
            world.sweep().index.points.keys.len(),
            world.sweep().grid_size
        ),
        (SweepState::Running, 2, Some(4))
    );
    assert_eq!(
        world.sweep().index.best,
        Some((2, 2.0)),
        "the best of what is in the space"
    );
    let seen: Vec<_> = observations(world.sweep())
        .into_iter()
        .map(|seen| (seen.index, seen.outside))
        .collect();
    assert_eq!(seen, [(1, true), (2, false), (3, false), (4, true)]);
    world.succeed("ann", &running, 0.5);
    assert_eq!(
        world.sweep().index.best,
        Some((2, 2.0)),
        "what ran on ends, and is not the best"
    );
    assert!(
        matches!(
            acquire(&mut world, "ann", vec![offer(6)]),
            Reply::Wait { .. }
        ),
        "it was suggested for the space before"
    );
    for x in [6, 7] {
        let Reply::Assigned(attempt) = tries(&mut world, "ann", &[("x", x)]) else {
            panic!("a run")
        };
        world.succeed("ann", &attempt, x as f64);
    }
    assert_eq!(
        (world.sweep().state, world.sweep().reason.as_str()),
        (SweepState::Finished, "all 4 points of the grid tried")
    );
}

#[test]
fn a_rename_is_proposed_where_one_parameter_replaces_another_like_it() {
    let mut world = begun();
    let renamed = |names: &[&str]| SweepSpec {
        space: space(
            &names
                .iter()
                .map(|name| (*name, one_of(&[1, 2, 3, 4, 5, 6])))
                .collect::<Vec<_>>(),
        ),
        ..grid(6)
    };
    let (changes, ..) = edit(&mut world, renamed(&["lr"]));
    assert_eq!(
        changes,
        [
            "parameter `lr` is new: one of 1, 2, 3, 4, 5, 6; if that is another name of `x`, add `renamed_from: x`",
            "parameter `x` is removed; it was one of 1, 2, 3, 4, 5, 6"
        ]
    );
    undo(&mut world);
    let (changes, ..) = edit(&mut world, renamed(&["lr", "mu"]));
    assert!(
        changes
            .iter()
            .all(|change| !change.contains("renamed_from")),
        "it is unknown which: {changes:?}"
    );
}

#[test]
fn a_new_parameter_is_filled_in_with_what_the_code_used_before() {
    let mut world = begun();
    let with = |was: Option<i64>| SweepSpec {
        space: space(&[("x", one_of(&[1, 2, 3, 4])), ("y", one_of(&[0, 1]))]),
        origins: Origins {
            was: was
                .into_iter()
                .map(|was| (Path::flat("y"), Value::Int(was)))
                .collect(),
            ..Origins::default()
        },
        ..grid(6)
    };
    let (changes, effect, _) = edit(&mut world, with(Some(1)));
    assert_eq!(
        changes,
        [
            "parameter `x`: 5, 6 dropped",
            "parameter `y` is new: one of 0, 1; the code used 1 before"
        ]
    );
    assert_eq!(
        (
            effect.inside,
            world.sweep().index.points.keys.len(),
            world.sweep().index.best
        ),
        (4, 4, Some((1, 1.0)))
    );
    assert!(
        matches!(
            tries(&mut world, "ann", &[("x", 2), ("y", 1)]),
            Reply::Wait { .. }
        ),
        "that was tried, without a word of y"
    );
    let Reply::Assigned(new) = tries(&mut world, "ann", &[("x", 2), ("y", 0)]) else {
        panic!("a run")
    };
    assert_eq!(world.attempt(&new).revision, 2);
    world.succeed("ann", &new, 0.25);
    assert_eq!(world.sweep().index.best, Some((5, 0.25)));
    // Back again, the run with y = 0 is none of the program's any more.
    let effect = undo(&mut world);
    assert_eq!(
        (effect.inside, effect.nowhere, world.sweep().index.best),
        (4, 1, Some((1, 1.0)))
    );
    let (_, effect, _) = edit(&mut world, with(None));
    let seen = observations(world.sweep()).len();
    assert_eq!(
        (
            effect.inside,
            effect.nowhere,
            world.sweep().index.best,
            seen
        ),
        (1, 4, Some((5, 0.25)), 1),
        "what was tried with y is known"
    );
    undo(&mut world);
    let said = world.refused(&Command::UndoEdit {
        sweep: sweep(),
        base: None,
    });
    assert_eq!(
        said,
        "sweep k3x9q2ab is as it was created: there is no edit to undo"
    );
    assert_eq!(world.sweep().revisions.len(), 5, "history only grows");
}

#[test]
fn a_renamed_parameter_keeps_its_runs() {
    let mut world = begun();
    let renamed = |from: &str| SweepSpec {
        space: space(&[("z", one_of(&[1, 2, 3, 4, 5, 6]))]),
        origins: Origins {
            renamed: [(Path::flat("z"), Path::flat(from))].into(),
            ..Origins::default()
        },
        ..grid(6)
    };
    let wrong = Command::EditSweep {
        sweep: sweep(),
        spec: Box::new(renamed("w")),
        source: String::new(),
        base: None,
    };
    assert_eq!(
        world.refused(&wrong),
        "`z` is renamed from `w`, but there was no such parameter: there were `x`"
    );
    let (changes, effect, _) = edit(&mut world, renamed("x"));
    assert_eq!(
        (changes, effect.inside),
        (vec!["parameter `x` is called `z` now".to_owned()], 4)
    );
    let seen = observations(world.sweep());
    assert!(
        seen.iter()
            .all(|seen| seen.config.0.contains_key(&Path::flat("z"))),
        "{seen:?}"
    );
    // The file still says so when it is edited the next time.
    let (changes, effect, _) = edit(
        &mut world,
        SweepSpec {
            run_cap: Some(9),
            ..renamed("x")
        },
    );
    assert_eq!(
        (changes, effect.inside),
        (vec!["run_cap: none → 9".to_owned()], 4)
    );
}

#[test]
fn another_objective_is_answered_from_what_was_reported() {
    let mut world = begun();
    let metric = |metric: &str| {
        Some(Objective {
            metric: metric.to_owned(),
            goal: Goal::Maximize,
            ..objective()
        })
    };
    let (changes, effect, _) = edit(
        &mut world,
        SweepSpec {
            objective: metric("accuracy"),
            ..grid(6)
        },
    );
    assert_eq!(changes, ["metric: minimize loss → maximize accuracy"]);
    assert_eq!(
        (
            effect.unreported,
            world.sweep().index.best,
            world.run(3).value
        ),
        (0, Some((4, 40.0)), Some(30.0))
    );
    assert!(
        world.run(3).series().is_empty(),
        "there is no curve to compare others with"
    );
    let bounded = Constraint {
        metric: "loss".to_owned(),
        bound: Bound::Max(2.5),
        of: Summary::Last,
    };
    let (_, effect, _) = edit(
        &mut world,
        SweepSpec {
            objective: metric("accuracy"),
            constraints: vec![bounded],
            ..grid(6)
        },
    );
    assert_eq!(effect.violating, 2);
    assert_eq!(
        world.sweep().index.best,
        Some((2, 20.0)),
        "a constraint that is set after the fact"
    );
    let (_, effect, _) = edit(
        &mut world,
        SweepSpec {
            objective: metric("recall"),
            ..grid(6)
        },
    );
    assert_eq!(
        (
            effect.unreported,
            world.sweep().index.best,
            world.run(3).value
        ),
        (4, None, None)
    );
    undo(&mut world);
    undo(&mut world);
    undo(&mut world);
    assert_eq!(
        (world.sweep().index.best, world.run(3).value),
        (Some((1, 1.0)), Some(3.0))
    );
}

#[test]
fn a_finished_sweep_goes_on_where_an_edit_gives_it_something_to_do() {
    let mut world = begun();
    let (_, _, state) = edit(
        &mut world,
        SweepSpec {
            run_cap: Some(4),
            ..grid(6)
        },
    );
    assert_eq!(
        (state, world.sweep().reason.as_str()),
        (SweepState::Finished, "run cap of 4 reached")
    );
    let (_, _, state) = edit(
        &mut world,
        SweepSpec {
            run_cap: Some(5),
            ..grid(6)
        },
    );
    assert_eq!(state, SweepState::Running);
    let (changes, ..) = edit(
        &mut world,
        SweepSpec {
            run_cap: Some(5),
            ..grid(6)
        },
    );
    assert!(
        changes.is_empty() && world.sweep().revision() == 3,
        "nothing is no edit"
    );
    let (changes, ..) = edit(
        &mut world,
        SweepSpec {
            run_cap: Some(5),
            method: Method::Random,
            ..grid(6)
        },
    );
    assert_eq!(
        (changes, world.sweep().grid_size),
        (vec!["method: grid → random".to_owned()], None)
    );
}

#[test]
fn an_edit_of_what_was_edited_meanwhile_and_another_seed_are_refused() {
    let mut world = begun();
    edit(
        &mut world,
        SweepSpec {
            run_cap: Some(9),
            ..grid(6)
        },
    );
    let late = Command::EditSweep {
        sweep: sweep(),
        spec: Box::new(grid(6)),
        source: String::new(),
        base: Some(1),
    };
    assert_eq!(
        world.refused(&late),
        "sweep k3x9q2ab was edited meanwhile: it is at revision 2, not 1; look at it again"
    );
    let seed = Command::EditSweep {
        sweep: sweep(),
        spec: Box::new(SweepSpec {
            seed: Some(8),
            ..grid(6)
        }),
        source: String::new(),
        base: None,
    };
    assert_eq!(
        world.refused(&seed),
        "`seed: 8`: sweep k3x9q2ab keeps its seed, which is 7; leave the key out"
    );
    let gone = Command::ExhaustSpace {
        sweep: sweep(),
        history: 3,
    };
    assert_eq!(
        world.ask_idly(&gone),
        Reply::Sweep(SweepState::Running),
        "that was found out about the file before"
    );
}
