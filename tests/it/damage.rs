//! Data that somebody removes, empties or damages: it is noticed, nothing is acknowledged that is not kept, and a message says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::disk::{Teller, random_sweep};
use crate::harness::{Bench, Running, trainer, wait_for};

/// Removing files has to be noticed within a second; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(20);

/// Tables of work to be done, empty where there is none.
const LISTS: [&str; 2] = ["purges", "stale_rows"];

/// SQLite's.
const PAGE: usize = 4096;

/// Waits until a controller that nobody has asked anything has ended by itself, and returns what it said.
fn ends_by_itself(mut controller: Running) -> String {
    let began = Instant::now();
    wait_for("the controller to notice", || {
        controller.has_ended().then_some(())
    });
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
    let (code, output) = controller.wait();
    assert_eq!(code, 1, "{output}");
    output
}

/// Runs the controller of a bench until it ends, which it does at once when it refuses to start.
fn refused(bench: &Bench) -> String {
    let listen = format!("127.0.0.1:{}", bench.port());
    let ended = bench.run(&[
        "controller",
        "--listen",
        &listen,
        "--data-dir",
        "controller",
    ]);
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.stderr
}

fn begun(bench: &Bench) -> (Running, Teller) {
    let controller = bench.controller();
    let id = random_sweep(bench);
    let mut teller = Teller::new(bench, &id);
    for _ in 0..5 {
        teller.ask_and_tell().expect("the controller is well");
    }
    (controller, teller)
}

#[test]
fn a_removed_write_ahead_log_is_noticed_and_nothing_is_lost() {
    for (name, is_replaced) in [
        ("sweep.db-wal", false),
        ("sweep.db-shm", false),
        ("sweep.db-wal", true),
    ] {
        let bench = Bench::new();
        let (controller, mut teller) = begun(&bench);
        let path = bench.path("controller").join(name);
        fs::remove_file(&path).expect("it is there");
        if is_replaced {
            fs::write(&path, "").expect("it can be written");
        }
        let told = teller.ask_and_tell();
        assert!(
            told.is_err(),
            "{name}: it was acknowledged after the file was gone"
        );
        let output = ends_by_itself(controller);
        let what = if is_replaced {
            "was replaced"
        } else {
            "was removed"
        };
        assert!(
            output.contains(&format!("{name} {what} while the controller was using it")),
            "{output}"
        );
        assert!(output.contains("start the controller again"), "{output}");
        let _again = bench.controller();
        teller.check(&bench);
        wait_for("it to go on", || teller.ask_and_tell().ok());
    }
}

#[test]
fn a_removed_database_is_noticed_and_a_copy_of_it_can_be_restored() {
    let bench = Bench::new();
    let (controller, mut teller) = begun(&bench);
    fs::remove_file(bench.path("controller/sweep.db")).expect("it is there");
    assert!(
        teller.ask_and_tell().is_err(),
        "it was acknowledged after the database was gone"
    );
    let output = ends_by_itself(controller);
    assert!(
        output.contains("sweep.db was removed while the controller was using it"),
        "{output}"
    );
    assert!(
        output.contains("sweep.db.rescued: restore that") && output.contains("hint: "),
        "{output}"
    );
    let mode = fs::metadata(bench.path("controller/sweep.db.rescued"))
        .expect("it was written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "others may read it: {mode:o}");
    let message = refused(&bench);
    assert!(
        message.contains("sweep.db is missing, and ")
            && message.contains("sweep.db.id says that there was one"),
        "{message}"
    );
    assert!(
        message.contains("sweep controller restore FILE"),
        "{message}"
    );
    bench.restore("controller/sweep.db.rescued", "controller");
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    let _again = bench.controller();
    teller.check(&bench);
}

#[test]
fn all_files_of_a_data_directory_removed_at_once_are_no_reason_to_start_empty() {
    let bench = Bench::new();
    let (controller, teller) = begun(&bench);
    for entry in fs::read_dir(bench.path("controller"))
        .expect("it is there")
        .flatten()
    {
        let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
    }
    ends_by_itself(controller);
    let message = refused(&bench);
    assert!(
        message.contains("sweep.db is missing, and ")
            && message.contains("sweep.db.rescued says that there was one"),
        "{message}"
    );
    bench.restore("controller/sweep.db.rescued", "controller");
    let _again = bench.controller();
    teller.check(&bench);
}

#[test]
fn a_removed_data_directory_is_noticed_and_a_copy_of_the_database_can_be_restored() {
    let bench = Bench::new();
    let (controller, mut teller) = begun(&bench);
    // Nobody asks anything: it is noticed all the same. Its files are watched in turn, and any of them may be missed first.
    sleep(Duration::from_millis(1500));
    fs::remove_file(bench.path("controller/lock")).expect("it is there");
    sleep(Duration::from_millis(300));
    fs::remove_dir_all(bench.path("controller")).expect("it is there");
    let output = ends_by_itself(controller);
    assert!(
        output.contains("sweep.db was removed while the controller was using it"),
        "{output}"
    );
    assert!(teller.ask_and_tell().is_err());
    let message = refused(&bench);
    assert!(
        message.contains("sweep.db is missing, and ")
            && message.contains("controller.rescued.db says that there was one"),
        "{message}"
    );
    bench.restore("controller.rescued.db", "controller");
    let _again = bench.controller();
    teller.check(&bench);
}

#[test]
fn a_database_that_is_cut_while_it_is_used_is_noticed() {
    let bench = Bench::new();
    let (controller, _teller) = begun(&bench);
    // What was in the log goes to the database: there is something to cut.
    let database = bench.path("controller/sweep.db");
    let other = rusqlite::Connection::open(&database).expect("it is there");
    other
        .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
        .expect("it can be copied");
    drop(other);
    fs::File::options()
        .write(true)
        .open(&database)
        .and_then(|file| file.set_len(0))
        .expect("it can be cut");
    let output = ends_by_itself(controller);
    assert!(
        output.contains("the database is damaged: ") && output.contains("sweep.db was cut"),
        "{output}"
    );
    assert!(output.contains("sweep controller verify"), "{output}");
    let message = refused(&bench);
    assert!(message.contains("sweep.db is empty, and "), "{message}");
}

#[test]
fn a_commit_that_somebody_changes_is_noticed_when_it_is_read_back() {
    let bench = Bench::new();
    let (controller, _teller) = begun(&bench);
    let other = rusqlite::Connection::open(bench.path("controller/sweep.db")).expect("it is there");
    let change = "UPDATE events SET body = replace(body, '\"', ' \"') WHERE seq = (SELECT max(seq) FROM events)";
    assert_eq!(other.execute(change, []).expect("it can be written"), 1);
    drop(other);
    let output = ends_by_itself(controller);
    assert!(
        output.contains("the last one that was written, cannot be read back: it is another one"),
        "{output}"
    );
    let message = refused(&bench);
    assert!(
        message.contains("its checksum does not fit")
            && message.contains("sweep controller verify"),
        "{message}"
    );
}

#[test]
fn a_removed_lock_ends_the_controller_since_a_second_one_could_start() {
    let bench = Bench::new();
    let (controller, teller) = begun(&bench);
    fs::remove_file(bench.path("controller/lock")).expect("it is there");
    let output = ends_by_itself(controller);
    assert!(
        output.contains("lock: was removed while the controller was using the data directory"),
        "{output}"
    );
    let _again = bench.controller();
    teller.check(&bench);
}

#[test]
fn an_empty_database_is_no_new_one_where_there_was_one() {
    let bench = Bench::new();
    let (controller, _) = begun(&bench);
    bench.back_up("backup.db", "controller");
    bench.ok(&["controller", "stop"]);
    assert_eq!(controller.wait().0, 0);
    let database = bench.path("controller/sweep.db");
    fs::write(&database, "").expect("it can be written");
    for command in ["verify", "rebuild"] {
        let ended = bench.run(&["controller", command, "--data-dir", "controller"]);
        assert!(
            ended.code == 1 && ended.stderr.contains("sweep.db is empty, and "),
            "{command}: {ended:?}"
        );
    }
    let message = refused(&bench);
    assert!(
        message.contains("sweep.db is empty, and ")
            && message.contains("move ")
            && message.contains("sweep.db.id away"),
        "{message}"
    );
    assert_eq!(
        fs::metadata(&database).expect("it is there").len(),
        0,
        "nothing was written into it"
    );
    bench.restore("backup.db", "controller");
    let restored = bench.controller();
    assert_eq!(bench.json_lines(&["ls", "--json"]).len(), 1);
    restored.kill();
    // A person may want a new one.
    for name in ["sweep.db", "sweep.db-wal", "sweep.db-shm", "sweep.db.id"] {
        let _ = fs::remove_file(bench.path("controller").join(name));
    }
    let _new = bench.controller();
    assert!(bench.json_lines(&["ls", "--json"]).is_empty());
}

#[test]
fn a_young_database_without_its_write_ahead_log_is_no_new_one() {
    for is_removed in [true, false] {
        let bench = Bench::new();
        let (controller, _) = begun(&bench);
        controller.kill();
        let log = bench.path("controller/sweep.db-wal");
        let _ = fs::remove_file(bench.path("controller/sweep.db-shm"));
        if is_removed {
            fs::remove_file(&log)
        } else {
            fs::write(&log, "")
        }
        .expect("it is there");
        let before = fs::read(bench.path("controller/sweep.db")).expect("it is there");
        let message = refused(&bench);
        assert!(
            message.contains("sweep.db holds nothing, and ")
                && message.contains("sweep.db.id says that there was one"),
            "{message}"
        );
        assert_eq!(
            fs::read(bench.path("controller/sweep.db")).expect("it is there"),
            before,
            "nothing was written into it"
        );
    }
}

#[test]
fn a_write_ahead_log_beside_an_empty_database_is_kept() {
    let bench = Bench::new();
    let (controller, _) = begun(&bench);
    controller.kill();
    let database = bench.path("controller/sweep.db");
    // As a directory of an earlier version, which has no marker.
    fs::remove_file(bench.path("controller/sweep.db.id")).expect("it is there");
    fs::write(&database, "").expect("it can be written");
    let message = refused(&bench);
    assert!(
        message.contains("sweep.db is empty, and ")
            && message.contains("sweep.db-wal says that there was one"),
        "{message}"
    );
    assert!(has_bytes(&bench.path("controller/sweep.db-wal")));
}

/// A controller that has all kinds of data and was stopped, so that all of it is in the database.
fn stopped(bench: &Bench) {
    let controller = bench.controller();
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, '${{args}}']\nparameters:\n  x: {{values: [1, 2]}}\n",
        trainer("quick.sh")
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &text)]);
    assert_eq!(bench.start(&["agent", &id]).wait().0, 0);
    bench.ok(&["controller", "stop"]);
    assert_eq!(controller.wait().0, 0);
}

#[test]
fn a_changed_value_in_any_column_of_any_table_is_found() {
    let bench = Bench::new();
    stopped(&bench);
    let database = bench.path("controller/sweep.db");
    let whole = fs::read(&database).expect("it is there");
    let columns: Vec<(String, String)> = {
        let connection = rusqlite::Connection::open(&database).expect("it is there");
        let sql = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1, 2";
        let mut statement = connection.prepare(sql).expect("it is SQL");
        let found = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("it can be read");
        found.collect::<Result<_, _>>().expect("it can be read")
    };
    assert!(columns.len() > 40, "{columns:?}");
    // The database itself keeps that at 1.
    for (table, column) in columns.into_iter().filter(|(table, column)| {
        (table.as_str(), column.as_str()) != ("image_head", "id")
            && !LISTS.contains(&table.as_str())
    }) {
        fs::write(&database, &whole).expect("it can be written");
        let connection = rusqlite::Connection::open(&database).expect("it is there");
        // Another value of the same type: a number that is one higher, text or bytes with another last byte.
        let other = format!(
            "UPDATE {table} SET {column} = CASE typeof({column})
                 WHEN 'integer' THEN {column} + 1
                 WHEN 'real' THEN {column} + 0.5
                 WHEN 'null' THEN 7
                 WHEN 'text' THEN substr({column}, 1, length({column}) - 1) || CASE substr({column}, -1) WHEN '7' THEN '8' ELSE '7' END
                 ELSE CAST(substr({column}, 1, length({column}) - 1) || CASE substr({column}, -1) WHEN x'07' THEN x'08' ELSE x'07' END AS BLOB)
             END
             WHERE ({column}) IN (SELECT max({column}) FROM {table}) OR typeof({column}) = 'null'"
        );
        let changed = connection
            .execute(&other, [])
            .unwrap_or_else(|error| panic!("{table}.{column}: {error}"));
        drop(connection);
        assert!(changed > 0, "{table}.{column}: there is nothing to change");
        let verified = bench.run(&["controller", "verify", "--data-dir", "controller"]);
        assert_eq!(verified.code, 1, "{table}.{column}: {verified:?}");
    }
}

#[test]
fn a_zeroed_page_is_found_by_verify_and_by_a_start() {
    let bench = Bench::new();
    stopped(&bench);
    let database = bench.path("controller/sweep.db");
    let whole = fs::read(&database).expect("it is there");
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    for page in 0..whole.len() / PAGE {
        let mut damaged = whole.clone();
        damaged[page * PAGE..][..PAGE].fill(0);
        fs::write(&database, &damaged).expect("it can be written");
        let verified = bench.run(&["controller", "verify", "--data-dir", "controller"]);
        assert_eq!(verified.code, 1, "page {page}: {verified:?}");
        // Whether the page holds log or tables, a start says that something is wrong, and what to do.
        let listen = format!("127.0.0.1:{}", bench.port());
        let mut started = bench.start(&[
            "controller",
            "--listen",
            &listen,
            "--data-dir",
            "controller",
        ]);
        wait_for("a word", || {
            (started.has_ended() || started.output().contains("Listening on")).then_some(())
        });
        let output = started.output();
        assert!(
            output.contains("sweep controller verify"),
            "page {page}: {output}"
        );
        let _ = fs::remove_file(bench.path("controller/sweep.db-wal"));
        let _ = fs::remove_file(bench.path("controller/sweep.db-shm"));
    }
}

#[test]
fn a_start_right_after_sigkill_always_works() {
    let bench = Bench::new();
    let mut controller = bench.controller();
    let id = random_sweep(&bench);
    let mut teller = Teller::new(&bench, &id);
    let listen = format!("127.0.0.1:{}", bench.port());
    for round in 0..30 {
        wait_for("an answer", || teller.ask_and_tell().ok());
        controller.signal(Signal::SIGKILL);
        // Not waited for: it may still be on its way out.
        let mut next = bench.start(&[
            "controller",
            "--listen",
            &listen,
            "--data-dir",
            "controller",
            "--lease",
            "3s",
        ]);
        wait_for("a controller that listens", || {
            assert!(!next.has_ended(), "round {round}: {}", next.output());
            next.output().contains("Listening on").then_some(())
        });
        teller.check(&bench);
        controller = next;
    }
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
}

fn has_bytes(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}
