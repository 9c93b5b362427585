//! Writes the fixture of the current format: a database in which every kind of event occurs, as SQL.
//!
//! `cargo test -p sweep-controller --test it fixture -- --ignored` writes `tests/fixtures/format-<FORMAT>.sql`. A new kind of event
//! needs one more step in `training`, `health` or `restore` that causes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sweep_controller::engine::{metric_rows, rows};
use sweep_controller::store::{Batch, FORMAT, LogChunk, SqliteStore, Store, StoredReply};
use sweep_lifecycle::command::{
    AnnotationPatch, AttemptResult, Command, Import, Offer, Offered, Pin, Push, Reply, Rerun,
    SweepAction, TellOutcome,
};
use sweep_lifecycle::decide::decide;
use sweep_lifecycle::event::{EVENT_KINDS, Event, MetricPoint, Recorded};
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::spec::{self, SweepSpec};
use sweep_lifecycle::state::{
    AgentId, AgentInfo, AttemptRef, Blame, CodeAbout, CodeMark, DataSet, Environment, Failure,
    FailureKind, State, SweepId, Timestamp,
};
use sweep_search::space::{Config, Path as ParameterPath, Value};
use sweep_search::suggest::Suggestion;
use sweep_search::why::{Kind, Why};

/// Returns where the fixture of a format is.
pub(crate) fn path(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}.sql"))
}

/// Returns the kinds of events in a database, with the number of each.
pub(crate) fn kinds(database: &Connection) -> BTreeMap<String, u32> {
    let mut statement = database
        .prepare("SELECT json_extract(body, '$.type'), count(*) FROM events GROUP BY 1")
        .expect("it is SQL");
    let found = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("it can be read");
    found.collect::<Result<_, _>>().expect("it can be read")
}

#[test]
#[ignore = "writes the fixture of the current format"]
fn write_the_fixture() {
    let dir = tempfile::tempdir().expect("the temporary folder can be written");
    let file = dir.path().join("sweep.db");
    let mut scenario = Scenario {
        state: State::default(),
        store: SqliteStore::open(&file).expect("it can be made"),
        now_ms: 1_795_500_000_000,
    };
    scenario.ask(&Command::BeginEpoch {
        controller: "0123456789ab".to_owned(),
        restored: false,
    });
    training(&mut scenario);
    health(&mut scenario);
    restore(&mut scenario);
    retention(&mut scenario);
    drop(scenario);
    let database = Connection::open(&file).expect("it is there");
    let found = kinds(&database);
    for kind in EVENT_KINDS {
        assert!(
            found.contains_key(kind.name),
            "no step of this file causes `{}`",
            kind.name
        );
    }
    let sql = dump(&database).expect("it can be read");
    std::fs::write(path(FORMAT), sql).expect("the fixture can be written");
}

/// A store that is driven without a clock, so that the same program writes the same fixture.
struct Scenario {
    state: State,
    store: SqliteStore,
    now_ms: i64,
}

impl Scenario {
    /// Decides a command and commits its events with all rows, as the engine does.
    fn ask(&mut self, command: &Command) -> Reply {
        let decision = decide(&self.state, command)
            .unwrap_or_else(|refusal| panic!("{command:?} is refused: {refusal}"));
        self.record(decision.events);
        decision.reply
    }

    /// Commits events that no command causes.
    fn record(&mut self, events: Vec<Event>) {
        self.now_ms += 250;
        let events: Vec<_> = events
            .into_iter()
            .map(|event| Recorded {
                at: Timestamp(self.now_ms),
                event,
            })
            .collect();
        for recorded in &events {
            evolve(&mut self.state, recorded);
        }
        let (mut deleted, mut pruned) = (Vec::new(), Vec::new());
        for recorded in &events {
            match &recorded.event {
                Event::SweepDeleted { sweep } => deleted.push(sweep.clone()),
                Event::RunsPruned { attempts, .. } => {
                    pruned.extend(attempts.iter().map(|pruned| pruned.attempt.clone()));
                }
                _ => {}
            }
        }
        let metrics = events
            .iter()
            .flat_map(|recorded| metric_rows(&recorded.event))
            .collect();
        self.store
            .append(&Batch {
                events,
                metrics,
                deleted,
                pruned,
                ..rows(&self.state)
            })
            .expect("the disk has room");
    }

    fn register(&mut self, sweep: &SweepId, name: &str) {
        let info = AgentInfo {
            host: format!("{name}-box"),
            slots: 2,
            version: "0.1.0".to_owned(),
            process: format!("{name}-1"),
            asks: false,
        };
        self.ask(&Command::RegisterAgent {
            agent: agent(name),
            sweep: sweep.clone(),
            info,
            attempts: Vec::new(),
        });
    }

    fn acquire(
        &mut self,
        sweep: &SweepId,
        name: &str,
        offers: Vec<Offer>,
        code_version: &str,
    ) -> AttemptRef {
        let code_version = code_version.to_owned();
        match self.ask(&Command::Acquire {
            agent: agent(name),
            sweep: sweep.clone(),
            offers,
            code_version,
        }) {
            Reply::Assigned(attempt) => attempt,
            other => panic!("{name} gets no run: {other:?}"),
        }
    }

    fn start(&mut self, name: &str, attempt: &AttemptRef) {
        let command = ["python", "train.py", "--lr=0.1"]
            .map(str::to_owned)
            .to_vec();
        self.ask(&Command::StartAttempt {
            agent: agent(name),
            attempt: attempt.clone(),
            command,
            code_version: String::new(),
        });
    }

    /// Reports values of `loss`, one a step.
    fn report(&mut self, name: &str, attempt: &AttemptRef, first_seq: u64, values: &[f64]) {
        let wall = Timestamp(self.now_ms);
        let point = |(step, value): (i64, &f64)| MetricPoint {
            name: "loss".to_owned(),
            step: Some(step),
            wall,
            value: *value,
        };
        let points = (first_seq.cast_signed()..).zip(values).map(point).collect();
        self.ask(&Command::ReportMetrics {
            agent: agent(name),
            attempt: attempt.clone(),
            first_seq,
            points,
        });
    }

    fn finish(&mut self, name: &str, attempt: &AttemptRef, result: AttemptResult) {
        self.ask(&Command::FinishAttempt {
            agent: agent(name),
            attempt: attempt.clone(),
            result,
        });
    }

    /// Executes a run that finishes.
    fn succeed(&mut self, sweep: &SweepId, name: &str, lr: f64, values: &[f64]) -> AttemptRef {
        let attempt = self.acquire(sweep, name, vec![offer(lr)], "");
        self.start(name, &attempt);
        self.report(name, &attempt, 0, values);
        self.finish(name, &attempt, AttemptResult::Succeeded);
        attempt
    }

    /// Executes a run that crashes.
    fn crash(&mut self, sweep: &SweepId, name: &str, lr: f64) -> AttemptRef {
        let attempt = self.acquire(sweep, name, vec![offer(lr)], "");
        self.start(name, &attempt);
        self.finish(
            name,
            &attempt,
            AttemptResult::Failed(failure(FailureKind::Crashed, Blame::Configuration)),
        );
        attempt
    }
}

/// A sweep whose agents are lost and come back, and whose file and code are changed.
fn training(scenario: &mut Scenario) {
    let sweep = SweepId("trainfix".to_owned());
    let (spec, source) = sweep_file(TRAINING);
    scenario.ask(&Command::CreateSweep {
        sweep: sweep.clone(),
        spec,
        source,
        seed: 7,
    });
    scenario.register(&sweep, "ann");
    scenario.register(&sweep, "bob");
    let environment = Environment {
        digest: "e".repeat(16),
        facts: BTreeMap::from([
            ("os".to_owned(), "Linux 6.1".to_owned()),
            ("python".to_owned(), "3.13.1".to_owned()),
        ]),
        packages: vec!["numpy==2.3.0".to_owned()],
        variables: vec!["OMP_NUM_THREADS=4".to_owned(), "WANDB_API_KEY".to_owned()],
        data: vec![DataSet {
            name: "images".to_owned(),
            location: "/data/images".to_owned(),
            files: 3,
            bytes: 4096,
            ..DataSet::default()
        }],
    };
    scenario.ask(&Command::DescribeEnvironment {
        agent: agent("ann"),
        sweep: sweep.clone(),
        environment: Box::new(environment),
    });
    let (first, second) = ("1".repeat(40), "2".repeat(40));
    let about = CodeAbout {
        branch: "main".to_owned(),
        subject: "Train longer".to_owned(),
        ..CodeAbout::default()
    };
    let described = Command::DescribeCode {
        agent: agent("ann"),
        sweep: sweep.clone(),
        version: first.clone(),
        about: about.clone(),
    };
    scenario.ask(&described);

    let best = scenario.succeed(&sweep, "ann", 0.1, &[0.9, 0.5, f64::NAN, 0.4]);
    let said = AnnotationPatch {
        note: Some("the baseline".to_owned()),
        add: ["keep".to_owned()].into(),
        pinned: Some(true),
        ..AnnotationPatch::default()
    };
    scenario.ask(&Command::AnnotateRun {
        sweep: sweep.clone(),
        run: best.run,
        said,
    });

    // Its agent falls silent and goes on; then it falls silent again, and another agent takes the run.
    let lost = scenario.acquire(&sweep, "ann", vec![offer(0.2)], &first);
    scenario.start("ann", &lost);
    scenario.ask(&Command::LoseAttempt {
        attempt: lost.clone(),
    });
    scenario.report("ann", &lost, 0, &[0.8]);
    scenario.ask(&Command::LoseAttempt {
        attempt: lost.clone(),
    });
    let again = scenario.acquire(&sweep, "bob", Vec::new(), &first);
    scenario.start("bob", &again);
    scenario.report("ann", &lost, 1, &[0.7]);
    scenario.finish("ann", &lost, AttemptResult::Succeeded);
    scenario.report("bob", &again, 0, &[0.6]);
    scenario.finish("bob", &again, AttemptResult::Succeeded);

    let cancelled = scenario.acquire(&sweep, "bob", vec![offer(0.3)], &first);
    scenario.start("bob", &cancelled);
    scenario.ask(&Command::CancelRun {
        sweep: sweep.clone(),
        run: cancelled.run,
    });
    scenario.finish(
        "bob",
        &cancelled,
        AttemptResult::Stopped(sweep_lifecycle::state::StopKind::Cancel),
    );

    let import = |lr, told| Import {
        config: config(lr),
        told,
        code_version: first.clone(),
    };
    let runs = vec![
        import(0.4, TellOutcome::Value(0.45)),
        import(0.5, TellOutcome::Failed("out of memory".to_owned())),
    ];
    scenario.ask(&Command::ImportRuns {
        sweep: sweep.clone(),
        runs,
    });
    let offered = Offered {
        config: config(0.6),
        reason: "chosen by hand".to_owned(),
    };
    scenario.ask(&Command::OfferRuns {
        sweep: sweep.clone(),
        runs: vec![offered],
        end: false,
    });

    let (spec, source) = sweep_file(&TRAINING.replace("max: 1.0", "max: 0.5"));
    scenario.ask(&Command::EditSweep {
        sweep: sweep.clone(),
        spec,
        source,
        base: None,
    });
    scenario.ask(&Command::UndoEdit {
        sweep: sweep.clone(),
        base: None,
    });
    let pin = Pin {
        version: second.clone(),
        about,
    };
    scenario.ask(&Command::PinCode {
        sweep: sweep.clone(),
        code: pin,
        push: Push {
            pin: true,
            stop_running: false,
            rerun: Rerun::None,
        },
    });
    scenario.ask(&Command::MarkCode {
        sweep: sweep.clone(),
        version: second,
        mark: Some(CodeMark::SameAs(first)),
    });
    scenario.ask(&Command::RemoveAgent {
        agent: agent("bob"),
        lost: false,
        reason: "interrupted by Ctrl-C".to_owned(),
    });
    scenario.ask(&Command::SetSweep {
        sweep: sweep.clone(),
        action: SweepAction::Pause,
    });

    let log = LogChunk {
        attempt: best,
        offset: 0,
        data: b"epoch 1\nepoch 2\n".to_vec(),
    };
    let reply = StoredReply {
        request_id: "5".repeat(32),
        digest: [5; 32],
        body: r#"{"Ok":"done"}"#.to_owned(),
    };
    scenario
        .store
        .append(&Batch {
            logs: vec![log],
            replies: vec![reply],
            ..Batch::default()
        })
        .expect("the disk has room");
}

/// Sweeps with an agent that fails by itself, with agents that all fail, and with nothing left to try.
fn health(scenario: &mut Scenario) {
    let sweep = SweepId("sickness".to_owned());
    let (spec, source) = sweep_file(&HEALTH.replace("crashed: 0", "crashed: 1"));
    scenario.ask(&Command::CreateSweep {
        sweep: sweep.clone(),
        spec,
        source,
        seed: 8,
    });
    scenario.register(&sweep, "hole");
    for (number, name) in (1..).zip(["cat", "dan", "eve", "fay", "gus"]) {
        scenario.register(&sweep, name);
        scenario.succeed(&sweep, name, f64::from(number) / 100.0, &[0.5]);
    }
    for number in 6..=8 {
        scenario.crash(&sweep, "hole", f64::from(number) / 100.0);
    }
    scenario.ask(&Command::ProbeAgent {
        agent: agent("hole"),
    });
    scenario.ask(&Command::ReadmitAgent {
        agent: agent("hole"),
    });
    scenario.ask(&Command::SetSweep {
        sweep,
        action: SweepAction::Cancel,
    });

    let sweep = SweepId("stalling".to_owned());
    let (spec, source) = sweep_file(HEALTH);
    scenario.ask(&Command::CreateSweep {
        sweep: sweep.clone(),
        spec,
        source,
        seed: 9,
    });
    scenario.register(&sweep, "only");
    for number in 1..=7 {
        if number > 3 {
            scenario.ask(&Command::ProbeAgent {
                agent: agent("only"),
            });
        }
        scenario.crash(&sweep, "only", f64::from(number) / 100.0);
    }

    let sweep = SweepId("finished".to_owned());
    let (spec, source) = sweep_file(HEALTH);
    scenario.ask(&Command::CreateSweep {
        sweep: sweep.clone(),
        spec,
        source,
        seed: 10,
    });
    scenario.ask(&Command::ExhaustSpace { sweep, history: 0 });
}

/// A restore, and an agent that leaves after it.
fn restore(scenario: &mut Scenario) {
    scenario.ask(&Command::BeginEpoch {
        controller: String::new(),
        restored: true,
    });
    scenario.ask(&Command::SettleEpoch);
    scenario.ask(&Command::AnnounceLeaving {
        agent: agent("gus"),
        reason: "the machine was taken away".to_owned(),
    });
}

/// A sweep that is archived with a pruned run, and one that is deleted.
fn retention(scenario: &mut Scenario) {
    let sweep = SweepId("archived".to_owned());
    let (spec, source) = sweep_file(HEALTH);
    scenario.ask(&Command::CreateSweep {
        sweep: sweep.clone(),
        spec,
        source,
        seed: 11,
    });
    scenario.register(&sweep, "hal");
    let first = scenario.succeed(&sweep, "hal", 0.1, &[0.9, 0.8]);
    let offered = |lr| Offered {
        config: config(lr),
        reason: "chosen by hand".to_owned(),
    };
    scenario.ask(&Command::OfferRuns {
        sweep: sweep.clone(),
        runs: vec![offered(0.2), offered(0.3), offered(0.4)],
        end: false,
    });
    scenario.ask(&Command::SetSweep {
        sweep: sweep.clone(),
        action: SweepAction::Stop,
    });
    scenario.ask(&Command::ArchiveSweep {
        sweep: sweep.clone(),
        archived: true,
    });
    scenario.ask(&Command::PruneRuns {
        sweep,
        runs: vec![first.run],
        keeps_best: false,
    });

    let sweep = SweepId("deleted1".to_owned());
    let (spec, source) = sweep_file(HEALTH);
    scenario.ask(&Command::CreateSweep {
        sweep: sweep.clone(),
        spec,
        source,
        seed: 12,
    });
    scenario.register(&sweep, "ivy");
    scenario.succeed(&sweep, "ivy", 0.1, &[0.7]);
    scenario.ask(&Command::SetSweep {
        sweep: sweep.clone(),
        action: SweepAction::Cancel,
    });
    scenario.ask(&Command::DeleteSweep { sweep });
    while scenario.store.purge(1000).expect("the disk has room") {}
}

const TRAINING: &str = "name: training
method: random
program: train.py
metric: {name: loss, goal: minimize}
parameters:
  lr: {min: 0.0, max: 1.0}
";

const HEALTH: &str = "method: random
program: train.py
metric: {name: loss, goal: minimize}
parameters:
  lr: {min: 0.0, max: 1.0}
retry: {lost: 3, crashed: 0}
";

fn sweep_file(text: &str) -> (Box<SweepSpec>, String) {
    let (spec, diagnostics) = spec::parse(text);
    (
        Box::new(spec.unwrap_or_else(|| panic!("{diagnostics:?}"))),
        text.to_owned(),
    )
}

fn agent(name: &str) -> AgentId {
    AgentId(name.to_owned())
}

fn config(lr: f64) -> Config {
    Config([(ParameterPath::flat("lr"), Value::Float(lr))].into())
}

fn offer(lr: f64) -> Offer {
    Offer {
        suggestion: Suggestion {
            config: config(lr),
            why: Why::new(Kind::Random, "random draw"),
        },
        history: 0,
    }
}

fn failure(kind: FailureKind, blame: Blame) -> Failure {
    Failure {
        kind,
        blame,
        message: "exit status 1: Killed".to_owned(),
        exit_code: Some(1),
        signal: None,
        output_tail: "Traceback\nKilled".to_owned(),
        evidence: "exit status 1".to_owned(),
    }
}

/// Returns a database as SQL that makes it again. Images of the state are left out: only the program that wrote one reads it.
fn dump(database: &Connection) -> rusqlite::Result<String> {
    let format: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut sql = format!("PRAGMA user_version = {format};\nBEGIN TRANSACTION;\n");
    let mut schema = database.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'image%'
             ORDER BY type = 'trigger', type DESC, name",
    )?;
    let entries = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for entry in entries {
        let (kind, name, text): (String, String, String) = entry?;
        writeln!(sql, "{text};").expect("a string takes everything");
        if kind == "table" {
            dump_rows(database, &name, &mut sql)?;
        }
    }
    sql += "COMMIT;\n";
    Ok(sql)
}

fn dump_rows(database: &Connection, table: &str, sql: &mut String) -> rusqlite::Result<()> {
    let columns = database
        .prepare(&format!("SELECT * FROM {table}"))?
        .column_count();
    let order: Vec<_> = (1..=columns).map(|column| column.to_string()).collect();
    let names: Vec<String> = database
        .prepare(&format!("SELECT * FROM {table}"))?
        .column_names()
        .map(|name| format!("quote({name})"))
        .collect();
    let mut statement = database.prepare(&format!(
        "SELECT {} FROM {table} ORDER BY {}",
        names.join(", "),
        order.join(", ")
    ))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let values = (0..columns)
            .map(|column| row.get::<_, String>(column))
            .collect::<Result<Vec<_>, _>>()?;
        writeln!(sql, "INSERT INTO {table} VALUES({});", values.join(","))
            .expect("a string takes everything");
    }
    Ok(())
}
