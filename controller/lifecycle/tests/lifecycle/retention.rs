//! Sweeps are archived and deleted, and runs lose their curves: what is left, and that the log needs nothing of what was deleted.

use sweep_lifecycle::command::{AttemptResult, Command, Reply, SweepAction};
use sweep_lifecycle::event::{Event, Recorded};
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::spec::{Goal, Objective, Reduce, SweepSpec};
use sweep_lifecycle::state::{
    AgentInfo, Blame, FailureKind, RunState, State, SweepId, SweepState, Timestamp,
};

use crate::world::{World, agent, grid, objective, sweep};

/// A world with its log.
#[derive(Default)]
struct Logged {
    world: World,
    log: Vec<Event>,
}

impl Logged {
    fn ask(&mut self, command: &Command) -> Reply {
        let (events, reply) = self
            .world
            .tell(command)
            .unwrap_or_else(|refusal| panic!("{command:?} is refused: {refusal}"));
        self.log.extend(events);
        reply
    }

    fn create(&mut self, id: &str, spec: SweepSpec) {
        let sweep = SweepId(id.to_owned());
        self.ask(&Command::CreateSweep {
            sweep,
            spec: Box::new(spec),
            source: "program: train".to_owned(),
            seed: 7,
        });
    }

    fn register(&mut self, name: &str, id: &str) {
        let info = AgentInfo {
            host: "box".to_owned(),
            slots: 1,
            ..AgentInfo::default()
        };
        self.ask(&Command::RegisterAgent {
            agent: agent(name),
            sweep: SweepId(id.to_owned()),
            info,
            attempts: Vec::new(),
        });
    }

    /// Executes the point `x`, which reports some values of two metrics.
    fn execute(&mut self, name: &str, id: &str, x: i64, values: &[f64], result: AttemptResult) {
        let offers = vec![crate::world::offer(x)];
        let acquire = Command::Acquire {
            agent: agent(name),
            sweep: SweepId(id.to_owned()),
            offers,
            code_version: String::new(),
        };
        let Reply::Assigned(attempt) = self.ask(&acquire) else {
            panic!("a run")
        };
        let agent = agent(name);
        let (command, code_version) = (vec!["train".to_owned()], String::new());
        self.ask(&Command::StartAttempt {
            agent: agent.clone(),
            attempt: attempt.clone(),
            command,
            code_version,
        });
        let points = values
            .iter()
            .flat_map(|value| [("loss", *value), ("accuracy", -value)]);
        let points = points
            .map(|(name, value)| crate::world::point(name, value))
            .collect();
        self.ask(&Command::ReportMetrics {
            agent: agent.clone(),
            attempt: attempt.clone(),
            first_seq: 0,
            points,
        });
        self.ask(&Command::FinishAttempt {
            agent,
            attempt,
            result,
        });
    }

    /// Folds those events of the log that `stays` names.
    fn folded(&self, stays: impl Fn(&Event) -> bool) -> String {
        let mut state = State::default();
        for event in self.log.iter().filter(|event| stays(event)) {
            evolve(
                &mut state,
                &Recorded {
                    at: Timestamp(1),
                    event: event.clone(),
                },
            );
        }
        format!("{state:?}")
    }
}

const OTHER: &str = "otherone";

fn delete(id: &SweepId) -> Command {
    Command::DeleteSweep { sweep: id.clone() }
}

#[test]
fn only_a_sweep_that_has_ended_is_deleted_or_archived() {
    let mut world = World::default();
    world.create(grid(3));
    world.register("ann");
    let running = world.begin("ann", 1);
    let archive = Command::ArchiveSweep {
        sweep: sweep(),
        archived: true,
    };
    let prune = Command::PruneRuns {
        sweep: sweep(),
        runs: vec![1],
        keeps_best: false,
    };
    for _ in 0..2 {
        let id = sweep();
        assert!(world.refused(&delete(&id)).ends_with(&format!(
            "a sweep is deleted only after its end; `sweep cancel {id}` ends it"
        )));
        assert!(
            world
                .refused(&prune)
                .contains("a sweep is pruned only after its end")
        );
        assert!(
            world
                .refused(&archive)
                .contains("only a sweep that has ended can be archived")
        );
        world.set(SweepAction::Pause);
    }
    world.set(SweepAction::Cancel);
    assert!(
        world
            .refused(&delete(&sweep()))
            .starts_with("1 run is still being executed")
    );
    world.ask(&archive);
    assert!(world.sweep().archived);
    world.ask_idly(&archive);
    world.finish(
        "ann",
        &running,
        AttemptResult::Stopped(sweep_lifecycle::state::StopKind::Cancel),
    );
    world.set(SweepAction::Resume);
    assert!(!world.sweep().archived, "a sweep in progress is no archive");
    world.set(SweepAction::Cancel);
    world.ask(&delete(&sweep()));
    assert!(world.state.sweeps.is_empty() && world.state.agents.is_empty());
    assert_eq!(
        world.refused(&delete(&sweep())),
        format!("no sweep `{}`", sweep())
    );
}

#[test]
fn the_log_needs_no_event_of_a_deleted_sweep() {
    let mut logged = Logged::default();
    let gone = sweep();
    for id in [&gone.0, OTHER] {
        logged.create(id, grid(3));
        logged.register(&format!("{id}-agent"), id);
    }
    let failed = || crate::world::failed(FailureKind::Crashed, Blame::Machine, "");
    logged.register("wanderer", &gone.0);
    logged.execute("wanderer", &gone.0, 1, &[0.5], failed());
    logged.ask(&Command::RemoveAgent {
        agent: agent("wanderer"),
        lost: false,
        reason: "it left".to_owned(),
    });
    // It comes back for the other sweep: nothing that it did for this one counts there.
    logged.register("wanderer", OTHER);
    let wanderer = &logged.world.state.agents[&agent("wanderer")];
    assert_eq!((wanderer.failed, wanderer.streak.len()), (0, 0));
    logged.execute("wanderer", OTHER, 1, &[0.25], AttemptResult::Succeeded);
    logged.ask(&Command::SetSweep {
        sweep: gone.clone(),
        action: SweepAction::Cancel,
    });
    logged.ask(&delete(&gone));
    logged.execute("wanderer", OTHER, 2, &[0.125], AttemptResult::Succeeded);
    let whole = logged.folded(|_| true);
    let is_gone = |event: &Event| {
        event.sweep() == Some(&gone) && !matches!(event, Event::SweepDeleted { .. })
    };
    assert_eq!(logged.folded(|event| !is_gone(event)), whole);
    assert_eq!(
        logged.folded(|event| !is_gone(event) || event.kind() == "attempt_assigned"),
        whole,
        "nor while it is being deleted"
    );
    logged.world.assert_an_image_gives_the_state();
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn the_log_needs_no_reports_of_pruned_runs() {
    let mut logged = Logged::default();
    logged.create(
        &sweep().0,
        SweepSpec {
            objective: Some(objective()),
            ..grid(4)
        },
    );
    logged.register("ann", &sweep().0);
    let long: Vec<f64> = (1..=40).map(|step| 1.0 / f64::from(step)).collect();
    logged.execute("ann", &sweep().0, 1, &long, AttemptResult::Succeeded);
    logged.execute(
        "ann",
        &sweep().0,
        2,
        &[0.9, 0.01, 0.5],
        AttemptResult::Succeeded,
    );
    // The runs get another value from what they have reported.
    let other = Objective {
        metric: "accuracy".to_owned(),
        goal: Goal::Maximize,
        reduce: Reduce::Last,
        ..objective()
    };
    let spec = Box::new(SweepSpec {
        objective: Some(other),
        ..grid(4)
    });
    logged.ask(&Command::EditSweep {
        sweep: sweep(),
        spec,
        source: "new".to_owned(),
        base: None,
    });
    logged.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Stop,
    });
    let best = logged.world.sweep().index.best;
    assert_eq!(best, Some((1, -1.0 / 40.0)));

    let prune = |keeps_best| Command::PruneRuns {
        sweep: sweep(),
        runs: vec![2, 1, 1, 99],
        keeps_best,
    };
    assert_eq!(logged.ask(&prune(true)), Reply::Pruned { runs: 1 });
    assert_eq!(
        (logged.world.run(1).pruned, logged.world.run(2).pruned),
        (false, true)
    );
    assert_eq!(logged.ask(&prune(false)), Reply::Pruned { runs: 1 });
    assert_eq!(logged.ask(&prune(false)), Reply::Pruned { runs: 0 });
    let run = logged.world.run(1);
    assert!(
        run.attempts[0].series.len() < 5 && run.attempts[0].points == 80,
        "{:?}",
        run.attempts[0]
    );
    assert_eq!(
        (logged.world.sweep().index.best, run.state, run.value),
        (best, RunState::Finished, best.map(|(_, value)| value))
    );
    drop(run);

    let whole = logged.folded(|_| true);
    let is_report = |event: &Event| matches!(event, Event::MetricsReported { .. });
    assert_eq!(logged.folded(|event| !is_report(event)), whole);
    logged.world.assert_an_image_gives_the_state();

    // What is tried again has curves again.
    logged.ask(&Command::SetSweep {
        sweep: sweep(),
        action: SweepAction::Resume,
    });
    logged.ask(&Command::RetryRuns {
        sweep: sweep(),
        runs: vec![1],
    });
    assert!(!logged.world.run(1).pruned);
    assert_eq!(logged.world.sweep().state, SweepState::Running);
}

#[test]
fn many_waiting_runs_are_cancelled_by_one_event() {
    let mut world = World::default();
    world.create(SweepSpec {
        method: sweep_search::suggest::Method::External,
        ..grid(100)
    });
    let offered = |x: i64| sweep_lifecycle::command::Offered {
        config: crate::world::offer(x).suggestion.config,
        reason: "chosen".to_owned(),
    };
    world.ask(&Command::OfferRuns {
        sweep: sweep(),
        runs: (1..=100).map(offered).collect(),
        end: false,
    });
    let narrow = SweepSpec {
        method: sweep_search::suggest::Method::External,
        ..grid(40)
    };
    let edit = Command::EditSweep {
        sweep: sweep(),
        spec: Box::new(narrow),
        source: "new".to_owned(),
        base: None,
    };
    let (events, _) = world.tell(&edit).unwrap();
    let kinds: Vec<_> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["queued_runs_cancelled", "sweep_edited"]);
    assert_eq!(
        (
            world.sweep().index.queued.len(),
            world.sweep().index.points.keys.len()
        ),
        (40, 40)
    );
    assert!(world.run(41).point.withdrawn && world.run(41).reason.starts_with("withdrawn: "));
    world.assert_an_image_gives_the_state();
    let (events, _) = world
        .tell(&Command::SetSweep {
            sweep: sweep(),
            action: SweepAction::Stop,
        })
        .unwrap();
    assert_eq!(
        events.iter().map(Event::kind).collect::<Vec<_>>(),
        ["sweep_state_changed", "queued_runs_cancelled"]
    );
    assert_eq!(
        (
            world.sweep().index.queued.len(),
            world.sweep().index.points.keys.len()
        ),
        (0, 40),
        "cancelled by user: tried"
    );
}
