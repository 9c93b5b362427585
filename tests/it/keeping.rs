//! Backups are made while the controller works, put elsewhere, and checked.

use crate::harness::{Bench, trainer, wait_for};

#[test]
fn a_backup_of_a_running_controller_is_whole_and_goes_on_elsewhere() {
    let bench = Bench::new();
    let controller = bench.controller();
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, '${{args}}']\nparameters:\n  x: {{values: [0, 1, 2, 3, 4, 5]}}\n  y: {{values: [0, 1, 2, 3]}}\n  sleep: {{value: 0.1}}\n",
        trainer("quick.sh")
    );
    let file = bench.write("sweep.yaml", &text);
    let id = bench.create(&[&file]);
    let agent = bench.start(&["agent", &id]);
    wait_for("ten starts", || {
        (bench.lines("starts").len() >= 10).then_some(())
    });
    bench.back_up("backup.db", "controller");
    let verified = bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    assert!(verified.contains("All is well"), "{verified}");
    let again = bench.run(&[
        "controller",
        "backup",
        "backup.db",
        "--data-dir",
        "controller",
    ]);
    assert!(
        again.code != 0
            && again
                .stderr
                .contains("backup.db: it exists, and a backup replaces nothing"),
        "{again:?}"
    );
    let nowhere = bench.run(&[
        "controller",
        "backup",
        "nothing.db",
        "--data-dir",
        "nowhere",
    ]);
    assert!(
        nowhere.code == 1
            && nowhere
                .stderr
                .contains("hint: no controller keeps its data there"),
        "{nowhere:?}"
    );
    assert_eq!(agent.wait().0, 0);
    let restore =
        |file: &str, data: &str| bench.run(&["controller", "restore", file, "--data-dir", data]);
    let held = restore("backup.db", "controller");
    assert!(
        held.code != 0 && held.stderr.contains("is held by process"),
        "{held:?}"
    );
    controller.kill();
    let there = restore("backup.db", "controller");
    assert!(
        there.code != 0 && there.stderr.contains("there is a database already"),
        "{there:?}"
    );
    let none = restore("sweep.yaml", "elsewhere");
    assert!(
        none.code != 0 && none.stderr.contains("sweep.yaml: file is not a database"),
        "{none:?}"
    );

    bench.restore("backup.db", "elsewhere");
    bench.ok(&["controller", "verify", "--data-dir", "elsewhere"]);
    let _restored = bench.controller_at("elsewhere", "1s");
    // Agents of the time of the backup are not there any more; what they had is tried again.
    assert_eq!(bench.start(&["agent", &id]).wait().0, 0);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.len() == 24 && runs.iter().all(|run| run["state"] == "finished"),
        "{runs:#?}"
    );
    bench.ok(&["controller", "stop"]);
    bench.ok(&["controller", "verify", "--data-dir", "elsewhere"]);
}

#[test]
fn verify_names_what_does_not_fit() {
    let bench = Bench::new();
    let controller = bench.controller();
    let file = bench.write(
        "sweep.yaml",
        "method: random\nprogram: x\nparameters:\n  x: {min: 0.0, max: 1.0}\n",
    );
    bench.ok(&["create", &file]);
    controller.kill();
    let database = bench.path("controller/sweep.db");
    let bytes = std::fs::read(&database).expect("it is there");
    let wal = bench.path("controller/sweep.db-wal");
    let log = std::fs::read(&wal).unwrap_or_default();
    // A letter of the sweep's file, wherever it stands: in the log of events and in the row.
    let change = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("method: random");
    assert!(
        change(&bytes) || change(&log),
        "the database is not encrypted"
    );
    bench.back_up("copy.db", "controller");
    let mut copied = std::fs::read(bench.path("copy.db")).expect("it was written");
    let needle = b"method: random";
    let places: Vec<usize> = (0..copied.len() - needle.len())
        .filter(|at| &copied[*at..at + needle.len()] == needle)
        .collect();
    assert!(places.len() >= 2, "{places:?}");
    for place in places {
        copied[place + 8] = b'R';
    }
    std::fs::write(bench.path("copy.db"), copied).expect("it can be written");
    let refused = bench.run(&["controller", "restore", "copy.db", "--data-dir", "damaged"]);
    assert!(
        refused.code == 1
            && refused
                .stderr
                .contains("copy.db: event 2 of the log is damaged"),
        "{refused:?}"
    );
    std::fs::copy(bench.path("copy.db"), bench.path("damaged/sweep.db")).expect("it can be copied");
    let verified = bench.run(&["controller", "verify", "--data-dir", "damaged"]);
    assert!(
        verified.code == 1
            && verified
                .stdout
                .contains("event 2 of the log is damaged: its checksum does not fit"),
        "{verified:?}"
    );
    let none = bench.run(&["controller", "verify", "--data-dir", "nowhere"]);
    assert!(
        none.code != 0 && none.stderr.contains("No such file"),
        "{none:?}"
    );
}

#[test]
fn rows_that_do_not_fit_the_log_are_named_and_rebuilt() {
    let bench = Bench::new();
    let controller = bench.controller();
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, '${{args}}']\nparameters:\n  x: {{values: [1, 2, 3]}}\n",
        trainer("quick.sh")
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &text)]);
    assert_eq!(bench.start(&["agent", &id]).wait().0, 0);
    let before = bench.ok(&["runs", &id, "--json"]);
    let held = bench.run(&["controller", "rebuild", "--data-dir", "controller"]);
    assert!(
        held.code != 0 && held.stderr.contains("is held by process"),
        "{held:?}"
    );
    bench.ok(&["controller", "stop"]);
    controller.wait();
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);

    let damage = "UPDATE runs SET state = 'failed', body = replace(body, 'finished', 'failed') WHERE run = 1;
        DELETE FROM runs WHERE run = 2;
        INSERT INTO agents (id, sweep, alive, body) SELECT 'ghost', sweep, 1, replace(body, id, 'ghost') FROM agents;
        UPDATE sweeps SET body = 'no JSON';
        DELETE FROM metrics WHERE run = 3;";
    let database =
        rusqlite::Connection::open(bench.path("controller/sweep.db")).expect("it is there");
    database.execute_batch(damage).expect("it can be damaged");
    drop(database);
    let verified = bench.run(&["controller", "verify", "--data-dir", "controller"]);
    assert_eq!(verified.code, 1);
    for problem in [
        "a row of a query table",
        "/1: its row does not say what the log says",
        "/2: its row is missing",
        "agent ghost",
        "/3 attempt 1",
        "controller rebuild",
    ] {
        assert!(
            verified.stdout.contains(problem),
            "{problem}: {}",
            verified.stdout
        );
    }
    let rebuilt = bench.ok(&["controller", "rebuild", "--data-dir", "controller"]);
    assert!(
        rebuilt.contains("runs         3 rows, 2 changed, 0 removed"),
        "{rebuilt}"
    );
    assert!(
        rebuilt.contains("agents       1 rows, 0 changed, 1 removed"),
        "{rebuilt}"
    );
    let again = bench.json_lines(&[
        "controller",
        "rebuild",
        "--data-dir",
        "controller",
        "--json",
    ]);
    assert_eq!(
        again[0]["tables"]["runs"],
        serde_json::json!({"rows": 3, "changed": 0, "removed": 0})
    );
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    let _again = bench.controller();
    assert_eq!(bench.ok(&["runs", &id, "--json"]), before);
    assert!(bench.ok(&["show", &id]).contains("finished"));
}
