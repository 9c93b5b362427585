//! A controller that is restored from a backup while its agents live: what they hold goes on, once, and with the values that programs reported.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Bench, Running, wait_for};

/// Takes --x=N: notes N, then reports N + 10, N + 9, … N, a value each fifth of a second.
const PROGRAM: &str = r#"x="${1#--x=}"
echo "$x" >>"$SWEEP_TEST_STARTS"
step=10
while [ "$step" -ge 0 ]; do
  echo "{\"loss\": $((x * 100 + step))}"
  sleep 0.2
  step=$((step - 1))
done
"#;

fn controller(bench: &Bench, data: &str) -> Running {
    bench.controller_at(data, "5s")
}

fn create(bench: &Bench, head: &str, space: &str) -> String {
    bench.write("train.sh", PROGRAM);
    let yaml = format!(
        "{head}\nmetric: {{name: loss, goal: minimize}}\ncommand: [sh, train.sh, '${{args}}']\nparameters:\n  x: {space}\n"
    );
    bench.create(&[&bench.write("sweep.yaml", &yaml)])
}

/// Puts a backup in the place of a controller that is killed, as after the loss of its machine.
fn restore(bench: &Bench, controller: Running, data: &str) {
    controller.kill();
    bench.restore("backup.db", data);
}

fn count(bench: &Bench, x: &str) -> usize {
    bench
        .lines("starts")
        .iter()
        .filter(|started| *started == x)
        .count()
}

#[test]
fn three_agents_go_on_with_what_a_restored_controller_does_not_know() {
    let bench = Bench::new();
    let first = controller(&bench, "controller");
    let id = create(
        &bench,
        "method: grid",
        "{values: [1, 2, 3, 4, 5, 6, 7, 8, 9]}",
    );
    let agents: Vec<_> = (0..3).map(|_| bench.start(&["agent", &id])).collect();
    wait_for("three starts", || {
        (bench.lines("starts").len() == 3).then_some(())
    });
    // Points of the first three runs come after it, their results, and three new runs.
    sleep(Duration::from_millis(700));
    bench.back_up("backup.db", "controller");
    wait_for("six starts", || {
        (bench.lines("starts").len() == 6).then_some(())
    });
    sleep(Duration::from_millis(700));
    restore(&bench, first, "restored");
    let restored = controller(&bench, "restored");
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.len() == 9 && runs.iter().all(|run| run["state"] == "finished"),
        "{runs:#?}"
    );
    for run in &runs {
        let x = run["params"]["x"].as_f64().expect("it is a number");
        assert_eq!(
            run["value"].as_f64(),
            Some(x * 100.0),
            "the value that its program reported: {run}"
        );
    }
    for x in ["4", "5", "6"] {
        assert_eq!(
            count(&bench, x),
            1,
            "what an agent held was not started again: {:?}",
            bench.lines("starts")
        );
    }
    // Their results were acknowledged after the backup, and nobody holds them any more.
    for x in ["1", "2", "3"] {
        assert_eq!(count(&bench, x), 2, "{:?}", bench.lines("starts"));
    }
    let status: Value =
        serde_json::from_str(&bench.ok(&["controller", "status", "--json"])).expect("it is JSON");
    assert_eq!(status["epoch"], 2, "{status}");
    bench.ok(&["controller", "stop"]);
    drop(restored);
    let verified = bench.ok(&["controller", "verify", "--data-dir", "restored"]);
    assert!(verified.contains("All is well"), "{verified}");
    bench.nothing_left();
}

#[test]
fn points_since_the_backup_are_reported_again_before_the_result() {
    let bench = Bench::new();
    let first = controller(&bench, "controller");
    let id = create(&bench, "method: grid", "{values: [1]}");
    let agent = bench.start(&["agent", &id]);
    wait_for("a start", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
    wait_for("points", || {
        (bench.steps_reported(&id, 1) >= 2).then_some(())
    });
    bench.back_up("backup.db", "controller");
    wait_for("more points", || {
        (bench.steps_reported(&id, 1) >= 6).then_some(())
    });
    // The database is replaced without a word to the controller, as a copy of the files does.
    first.signal(Signal::SIGTERM);
    first.wait();
    let data = bench.path("controller");
    for file in ["sweep.db", "sweep.db-wal", "sweep.db-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    std::fs::copy(bench.path("backup.db"), data.join("sweep.db")).expect("it can be copied");
    let again = controller(&bench, "controller");
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(
        (&runs[0]["state"], &runs[0]["value"], &runs[0]["attempts"]),
        (&"finished".into(), &100.0.into(), &1.into()),
        "{runs:#?}"
    );
    assert_eq!(bench.steps_reported(&id, 1), 11, "each point once");
    again.signal(Signal::SIGTERM);
    again.wait();
    bench.nothing_left();
}

#[test]
fn a_run_number_that_is_given_again_gets_a_folder_of_its_own() {
    let bench = Bench::new();
    let first = controller(&bench, "controller");
    let id = create(&bench, "method: external", "{min: 0, max: 9}");
    bench.back_up("backup.db", "controller");
    let finish = |x: u32| {
        bench.ok(&["offer", &id, "--params", &format!("{{\"x\": {x}}}")]);
        let (code, output) = bench
            .start(&["agent", &id, "--count", "1", "--runs-dir", "runs"])
            .wait();
        assert_eq!(code, 0, "{output}");
        let runs = bench.json_lines(&["runs", &id, "--json"]);
        assert_eq!(
            (&runs[0]["run"], &runs[0]["params"]["x"], &runs[0]["value"]),
            (&1.into(), &x.into(), &f64::from(x * 100).into())
        );
    };
    finish(7);
    restore(&bench, first, "restored");
    let restored = controller(&bench, "restored");
    // Nobody holds anything; runs are handed out after one lease.
    finish(8);
    let output =
        |folder: String| std::fs::read_to_string(bench.path(&folder)).expect("it is there");
    let folders: Vec<_> = std::fs::read_dir(bench.path(&format!("runs/{id}")))
        .expect("it is there")
        .filter_map(Result::ok)
        .collect();
    let folders = folders.iter().filter(|entry| entry.path().is_dir());
    let names: Vec<_> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        names.len() == 2 && names.contains(&"1".to_owned()),
        "{names:?}"
    );
    assert_eq!(
        output(format!("runs/{id}/1/1/output.log")).lines().count(),
        11,
        "nothing was appended to another run's output"
    );
    let aside = names
        .iter()
        .find(|name| *name != "1")
        .expect("there are two");
    assert!(
        output(format!("runs/{id}/{aside}/1/output.log")).contains("700"),
        "{names:?}"
    );
    restored.signal(Signal::SIGTERM);
    restored.wait();
    bench.nothing_left();
}
