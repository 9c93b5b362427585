//! Sweeps are archived, deleted and pruned: what goes, what stays, and what the disk has to say.

use rusqlite::Connection;
use std::fs;

use serde_json::Value;

use crate::harness::{Bench, trainer, wait_for};

fn file(bench: &Bench, name: &str) -> String {
    let text = format!(
        "name: {name}\nmethod: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, '${{args}}']\nparameters:\n  x: {{values: [0, 1, 2]}}\n  y: {{value: 1}}\n  sleep: {{value: 0}}\n",
        trainer("quick.sh")
    );
    bench.write(&format!("{name}.yaml"), &text)
}

/// Creates a sweep of three runs and executes it.
fn executed(bench: &Bench, name: &str) -> String {
    let id = bench.create(&[&file(bench, name)]);
    assert_eq!(bench.start(&["agent", &id]).wait().0, 0);
    id
}

fn disk(bench: &Bench) -> Value {
    bench.json_lines(&["disk", "--json"]).remove(0)
}

/// Waits until all that was deleted has left the database.
fn purged(bench: &Bench) {
    wait_for("the end of the deletion", || {
        (disk(bench)["is_purging"] == false).then_some(())
    });
}

fn count(bench: &Bench, table: &str, id: &str) -> i64 {
    let database = Connection::open(bench.path("controller/sweep.db")).expect("it is there");
    database
        .query_row(
            &format!("SELECT count(*) FROM {table} WHERE sweep = ?1"),
            [id],
            |row| row.get(0),
        )
        .expect("it is SQL")
}

fn ids(bench: &Bench, arguments: &[&str]) -> Vec<String> {
    bench
        .json_lines(arguments)
        .iter()
        .map(|sweep| sweep["sweep"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_slip_deletes_nothing() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let ids = [executed(&bench, "twice"), executed(&bench, "twice")];
    let named = bench.run(&["delete", "--yes", "twice"]);
    assert!(
        named.code == 1
            && named.stderr.contains(&format!(
                "2 sweeps are called `twice`: {}, {}; give",
                ids[1], ids[0]
            )),
        "{named:?}"
    );
    bench.ok(&["delete", "--yes", &ids[1]]);
    let letter = bench.run(&["delete", "--yes", &ids[0][..1]]);
    let reason = format!(
        "`{}` is too little of the id {} to delete it",
        &ids[0][..1],
        ids[0]
    );
    assert!(
        letter.code == 2 && letter.stderr.contains(&reason),
        "{letter:?}"
    );
    bench.ok(&["delete", "--yes", "twice"]);
    assert!(self::ids(&bench, &["ls", "--json"]).is_empty());
}

#[test]
fn a_deleted_sweep_is_gone_from_the_disk_and_a_backup_still_has_it() {
    let bench = Bench::new();
    let controller = bench.controller();
    let gone = executed(&bench, "gone");
    let stays = executed(&bench, "stays");
    let open = bench.create(&[&file(&bench, "open")]);
    bench.back_up("backup.db", "controller");

    let unended = bench.run(&["delete", "--yes", &gone, &open]);
    let reason = format!(
        "sweep {open} is running: a sweep is deleted only after its end; `sweep cancel {open}` ends it"
    );
    assert!(
        unended.code == 1 && unended.stderr.contains(&reason),
        "{unended:?}"
    );
    assert_eq!(
        ids(&bench, &["ls", "--json"]).len(),
        3,
        "none of them was deleted"
    );
    let unasked = bench.run(&["delete", "gone"]);
    assert!(
        unasked.code == 2 && unasked.stderr.contains("--yes does it without asking"),
        "{unasked:?}"
    );
    assert!(
        unasked.stderr.contains(&format!("{gone} (gone): 3 runs")),
        "{unasked:?}"
    );

    assert!(count(&bench, "metrics", &gone) > 0 && count(&bench, "logs", &gone) > 0);
    assert_eq!(
        bench.ok(&["delete", "--yes", "gone"]),
        format!("sweep {gone} is deleted\n")
    );
    assert_eq!(
        ids(&bench, &["ls", "--json"]),
        [open.clone(), stays.clone()]
    );
    let unknown = bench.run(&["show", &gone]);
    assert!(
        unknown.code == 2 && unknown.stderr.contains(&format!("no sweep `{gone}`")),
        "{unknown:?}"
    );
    purged(&bench);
    for table in [
        "runs",
        "metrics",
        "logs",
        "agents",
        "environments",
        "run_counts",
    ] {
        assert_eq!(count(&bench, table, &gone), 0, "{table}");
    }
    assert_eq!(count(&bench, "events", &gone), 1, "that it was deleted");
    assert!(count(&bench, "events", &stays) > 10);
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);

    // A start from the log alone, and one from the image.
    controller.kill();
    let again = bench.controller();
    assert_eq!(ids(&bench, &["ls", "--json"]), [open, stays]);
    bench.ok(&["controller", "stop"]);
    again.wait();
    bench.ok(&["controller", "rebuild", "--data-dir", "controller"]);
    let verified = bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    assert!(verified.contains("All is well"), "{verified}");

    bench.restore("backup.db", "elsewhere");
    let _restored = bench.controller_at("elsewhere", "1s");
    assert_eq!(bench.json_lines(&["runs", &gone, "--json"]).len(), 3);
    assert!(!bench.ok(&["logs", &format!("{gone}/1")]).is_empty());
}

#[test]
fn archived_sweeps_are_hidden_and_shown_again() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let old = executed(&bench, "old");
    let new = bench.create(&[&file(&bench, "new")]);
    let early = bench.run(&["archive", &new]);
    assert!(
        early.code == 1
            && early
                .stderr
                .contains("only a sweep that has ended can be archived"),
        "{early:?}"
    );
    bench.ok(&["archive", "old"]);
    assert_eq!(ids(&bench, &["ls", "--json"]), std::slice::from_ref(&new));
    assert_eq!(
        ids(&bench, &["ls", "--archived", "--json"]),
        [new.clone(), old.clone()]
    );
    assert_eq!(
        bench.json_lines(&["runs", &old, "--json"]).len(),
        3,
        "all else knows it"
    );
    let page = |path: &str| get(&bench, path);
    let (listed, archived) = (page("/"), page("/?archived=1"));
    assert!(
        listed.contains(&new) && !listed.contains(&old) && listed.contains("1 archived"),
        "{listed}"
    );
    assert!(
        archived.contains(&old) && !archived.contains(&new),
        "{archived}"
    );
    bench.ok(&["archive", "--undo", &old]);
    assert_eq!(ids(&bench, &["ls", "--json"]), [new, old]);
}

/// Reads a page of the controller.
fn get(bench: &Bench, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", bench.port())).expect("it listens");
    let headers = format!(
        "Host: localhost\r\nAuthorization: Bearer {}\r\nConnection: close",
        bench.token()
    );
    write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n\r\n").expect("it takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn pruned_runs_keep_their_results_and_lose_curves_output_and_folders() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = executed(&bench, "old");
    let other = executed(&bench, "deleted");
    let open = bench.create(&[&file(&bench, "open")]);
    let before = disk(&bench);
    assert!(before["run_folder_bytes"].as_u64() > Some(0), "{before}");
    let usage = |disk: &Value| {
        disk["sweeps"]
            .as_array()
            .expect("it is a list")
            .iter()
            .find(|sweep| sweep["sweep"] == *id)
            .cloned()
            .expect("it is there")
    };
    assert!(
        usage(&before)["output_bytes"].as_u64() > Some(0) && usage(&before)["run_folders"] == 3,
        "{before}"
    );
    let best = bench
        .json_lines(&["best", &id, "--by", "value", "--json"])
        .remove(0)["run"]
        .as_u64()
        .expect("it has one");

    let young = bench.ok(&["prune", "--older-than", "1d", "--yes"]);
    assert!(young.contains("Nothing is that old"), "{young}");
    let plan = bench.ok(&["prune", "--older-than", "0d", "--dry-run", &id]);
    assert!(
        plan.contains(&format!("sweep {id}: curves and output of 2 runs")),
        "{plan}"
    );
    assert_eq!(usage(&disk(&bench)), usage(&before), "nothing is done");
    let unasked = bench.run(&["prune", "--older-than", "0d", &id]);
    assert!(
        unasked.code == 2 && unasked.stderr.contains("--yes does it without asking"),
        "{unasked:?}"
    );

    bench.ok(&["prune", "--older-than", "0d", "--yes", &id]);
    purged(&bench);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.len() == 3
            && runs
                .iter()
                .all(|run| run["state"] == "finished" && run["value"].is_number()),
        "{runs:?}"
    );
    for run in 1..=3 {
        let keeps = run == best;
        assert_eq!(
            !bench.ok(&["logs", &format!("{id}/{run}")]).is_empty(),
            keeps,
            "run {run}"
        );
        assert_eq!(
            bench.path(&format!("state/sweep/{id}/{run}")).exists(),
            keeps,
            "run {run}"
        );
    }
    assert_eq!(usage(&disk(&bench))["run_folders"], 1);

    // Folders of a deleted sweep go too; those of one that goes on, and of other controllers, stay.
    bench.ok(&["delete", "--yes", &other]);
    bench.ok(&["prune", "--older-than", "0d", "--keep", "none", "--yes"]);
    purged(&bench);
    assert!(
        !bench.path(&format!("state/sweep/{other}")).exists()
            && !bench.path(&format!("state/sweep/{id}")).exists()
    );
    assert_eq!(ids(&bench, &["ls", "--json"]), [open, id.clone()]);
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    controller.kill();
    let again = bench.controller();
    assert_eq!(bench.json_lines(&["runs", &id, "--json"]), runs);
    bench.ok(&["controller", "stop"]);
    again.wait();
    bench.ok(&["controller", "rebuild", "--data-dir", "controller"]);
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
}

#[test]
fn of_a_long_output_the_end_is_kept_too_and_logs_say_what_is_missing() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let command = "yes 'a line of fifty characters, with nothing to say' | head -c 14000000; echo; echo 'Traceback (most recent call last)'; exit 3";
    let text = format!(
        "method: grid\ncommand: [sh, -c, \"{command}\"]\nparameters: {{x: {{values: [1]}}}}\nretry: {{crashed: 0}}\n"
    );
    let id = bench.create(&[&bench.write("loud.yaml", &text)]);
    bench.start(&["agent", &id]).wait();
    let logs = bench.run(&["logs", &format!("{id}/1")]);
    assert_eq!(logs.code, 0);
    assert!(
        logs.stdout.ends_with("Traceback (most recent call last)\n"),
        "{}",
        &logs.stdout[logs.stdout.len() - 200..]
    );
    let kept = logs.stdout.len();
    assert!((11 << 20..14_000_000).contains(&kept), "{kept}");
    assert!(
        logs.stderr.contains(
            "MiB of output are missing here: the controller keeps the beginning and the end"
        ),
        "{}",
        logs.stderr
    );
}

#[test]
fn many_waiting_runs_are_withdrawn_together_and_a_crash_leaves_no_row_behind() {
    let bench = Bench::new();
    let controller = bench.controller();
    let space = |max: u32| {
        format!(
            "method: external\nprogram: train\nmetric: {{name: loss}}\nparameters: {{x: {{min: 1, max: {max}}}}}\n"
        )
    };
    let id = bench.create(&[&bench.write("sweep.yaml", &space(100_000))]);
    let lines: String = (1..=3000)
        .map(|x| format!("{{\"params\": {{\"x\": {x}}}}}\n"))
        .collect();
    bench.ok(&["offer", &id, &bench.write("runs.jsonl", &lines)]);
    bench.ok(&[
        "edit",
        &id,
        &bench.write("narrow.yaml", &space(10)),
        "--yes",
    ]);
    // Most rows are not written yet.
    controller.kill();
    let controller = bench.controller();
    let withdrawn = || bench.json_lines(&["runs", &id, "--state", "cancelled", "--json"]);
    let runs = wait_for("all rows", || {
        Some(withdrawn()).filter(|runs| runs.len() == 2990)
    });
    assert!(
        runs.iter()
            .all(|run| run["reason"] == "withdrawn: it is not in space version 2"),
        "{:?}",
        runs[0]
    );
    let sweep = bench.json_lines(&["ls", "--json"]).remove(0);
    assert_eq!(
        (&sweep["queued"], &sweep["cancelled"]),
        (&Value::from(10), &Value::from(2990))
    );
    bench.ok(&["controller", "verify", "--data-dir", "controller"]);
    controller.kill();
}

#[test]
fn runs_are_streamed_as_json_in_the_order_of_their_numbers() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = executed(&bench, "sweep");
    bench.ok(&["note", &format!("{id}/2"), "--pin", "--tag", "paper"]);
    let numbers = |arguments: &[&str]| {
        bench
            .json_lines(arguments)
            .iter()
            .map(|run| run["run"].as_u64().expect("it has one"))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["runs", &id, "--json"]), [1, 2, 3]);
    assert_eq!(numbers(&["runs", &id, "--json", "--tag", "paper"]), [2]);
}

#[test]
fn what_sweep_run_has_left_is_listed_and_pruned() {
    let bench = Bench::new();
    let controller = bench.controller();
    let kept = executed(&bench, "kept");
    bench.ok(&["run", &file(&bench, "left")]);
    let left = || -> Vec<_> {
        let entries = fs::read_dir(bench.path("state/sweep"))
            .expect("it is there")
            .flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("run-"))
            .collect()
    };
    assert_eq!(left().len(), 1);
    let before = disk(&bench);
    assert!(
        before["sweep_run_bytes"].as_u64() > Some(0)
            && before["sweep_runs"].as_array().map(Vec::len) == Some(1),
        "{before}"
    );
    let foreign: Vec<_> = before["unknown_sweeps"]
        .as_array()
        .expect("it is a list")
        .clone();
    assert_eq!(
        foreign.len(),
        1,
        "its run folders are not of the controller: {before}"
    );

    bench.ok(&["prune", "--older-than", "1d", "--yes"]);
    let plan = bench.ok(&["prune", "--older-than", "0d", "--dry-run"]);
    assert!(
        plan.contains(&format!(
            "{}, of `sweep run`",
            bench.path("state/sweep").join(&left()[0]).display()
        )),
        "{plan}"
    );
    bench.ok(&["prune", "--older-than", "0d", "--keep", "best", "--yes"]);
    assert_eq!(left(), [""; 0]);
    let after = disk(&bench);
    assert!(
        after["unknown_sweeps"]
            .as_array()
            .is_some_and(Vec::is_empty)
            && after["sweep_runs"].as_array().is_some_and(Vec::is_empty),
        "{after}"
    );
    assert!(
        bench.path(&format!("state/sweep/{kept}")).exists(),
        "its best run stays"
    );
    bench.ok(&["controller", "stop"]);
    controller.wait();
}
