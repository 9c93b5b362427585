//! Marks of code versions: aliases and exclusions.

use sweep_lifecycle::command::{Command, Push, Rerun, SweepAction};
use sweep_lifecycle::observe::{code_line, observations};
use sweep_lifecycle::state::{CodeAbout, CodeMark, SweepState};

use crate::code::*;
use crate::world::{World, agent, grid, sweep};

#[test]
fn versions_that_are_the_same_are_one_to_the_search() {
    let mut world = world(grid(9));
    execute(&mut world, 1, 0.3);
    world.ask(&push("b", Push::default()));
    execute(&mut world, 2, 0.2);
    world.ask(&push("c", Push::default()));
    execute(&mut world, 3, 0.1);
    let seen = |world: &World| {
        observations(world.sweep())
            .into_iter()
            .map(|seen| seen.code_version)
            .collect::<Vec<_>>()
    };
    let history = world.sweep().history;
    world.ask(&same_as("c", "a"));
    assert_eq!(
        (seen(&world), code_line(world.sweep())),
        (
            vec!["a".into(), "b".into(), "a".into()],
            vec!["b".to_owned(), "a".to_owned()]
        )
    );
    assert!(world.sweep().history > history);
    world.ask_idly(&same_as("c", "a"));
    world.ask(&same_as("a", "b"));
    assert_eq!(
        (seen(&world), code_line(world.sweep())),
        (vec!["b".to_owned(); 3], vec!["b".to_owned()])
    );
    for refused in [
        same_as("b", "c"),
        same_as("b", "b"),
        same_as("b", "x"),
        mark("x", None),
    ] {
        world.refused(&refused);
    }
    world.ask(&mark("a", None));
    world.ask(&mark("c", None));
    assert_eq!(code_line(world.sweep()), ["a", "b", "c"]);
    // What has run with the same code needs not run again.
    world.ask(&same_as("c", "a"));
    let (again, skipped) = tried_again(world.ask(&rerun(Rerun::All)));
    assert_eq!((again.len(), skipped.len()), (1, 0));
}

#[test]
fn what_came_of_an_unusable_version_is_kept_and_counts_for_nothing() {
    let mut spec = grid(3);
    spec.objective.as_mut().expect("it has one").target = Some(0.15);
    let mut world = world(spec);
    execute(&mut world, 1, 0.3);
    world.ask(&push("b", Push::default()));
    execute(&mut world, 2, 0.1);
    assert_eq!(
        (world.sweep().state, world.sweep().index.best),
        (SweepState::Finished, Some((2, 0.1)))
    );
    world.ask(&mark("b", Some(CodeMark::Unusable)));
    assert_eq!(
        (
            world.sweep().index.best,
            observations(world.sweep()).len(),
            world.sweep().runs.len()
        ),
        (Some((1, 0.3)), 1, 2)
    );
    assert_eq!(code_line(world.sweep()), ["a"]);
    world.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Resume,
    });
    assert_eq!(world.sweep().state, SweepState::Running);
    // Same as what is of no use is of no use.
    world.ask(&same_as("a", "b"));
    assert_eq!(
        (world.sweep().index.best, code_line(world.sweep()).len()),
        (None, 0)
    );
    world.ask(&mark("a", None));
    // It counts again, and then there is nothing left to do.
    world.ask(&mark("b", None));
    assert_eq!(
        (world.sweep().state, world.sweep().index.best),
        (SweepState::Finished, Some((2, 0.1)))
    );
    world.assert_an_image_gives_the_state();
}

#[test]
fn outputs_that_are_named_later_are_added_to_a_version() {
    let mut world = World::default();
    world.create(grid(3));
    world.register("ann");
    let describe = |outputs: &[&str]| {
        let outputs = outputs.iter().map(|output| (*output).to_owned()).collect();
        let about = CodeAbout {
            branch: "main".to_owned(),
            outputs,
            ..CodeAbout::default()
        };
        Command::DescribeCode {
            agent: agent("ann"),
            sweep: sweep(),
            version: "a".to_owned(),
            about,
        }
    };
    world.ask(&describe(&[]));
    world.ask(&describe(&["out/"]));
    world.ask(&describe(&["out/", "runs.csv"]));
    world.ask_idly(&describe(&["runs.csv"]));
    let codes = &world.sweep().code.versions;
    assert_eq!(
        (codes.len(), codes[0].about.outputs.as_slice()),
        (1, ["out/".to_owned(), "runs.csv".to_owned()].as_slice())
    );
}
