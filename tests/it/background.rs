//! The controller in the background, started by hand and by `create`.

use std::process::Command;

use crate::harness::{Bench, CommandResult, wait_for};

const YAML: &str = "program: a.py\nmethod: random\nparameters: {x: {min: 0.0, max: 1.0}}\n";

fn is_id(text: &str) -> bool {
    text.len() == 9
        && text
            .trim_end()
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

#[test]
fn create_prints_the_id_alone() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let file = bench.write("sweep.yaml", YAML);
    let ended = bench.run(&["create", &file]);
    assert!(ended.code == 0 && is_id(&ended.stdout), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains(&format!("sweep agent {}", ended.stdout.trim())),
        "a hint what to do next: {ended:?}"
    );
    let sweeps = bench.ok(&["ls"]);
    assert!(sweeps.contains(ended.stdout.trim()), "{sweeps}");
}

#[test]
fn a_controller_is_started_looked_at_and_stopped() {
    let bench = Bench::new();
    assert_ne!(bench.run(&["controller", "status"]).code, 0);
    let listen = format!("127.0.0.1:{}", bench.port());
    let started = bench.run(&["controller", "start", "--listen", &listen]);
    assert!(
        started.code == 0 && started.stderr.contains("Started a controller"),
        "{started:?}"
    );
    let id = bench.ok(&["create", &bench.write("sweep.yaml", YAML)]);
    let status = bench.ok(&["controller", "status"]);
    assert!(
        status.contains(&listen) && status.contains("sweeps      1"),
        "{status}"
    );
    let again = bench.run(&["controller", "start", "--listen", &listen]);
    assert!(
        again.code == 0 && again.stderr.contains("already"),
        "{again:?}"
    );
    bench.ok(&["controller", "stop"]);
    bench.nothing_left();
    bench.ok(&["controller", "start", "--listen", &listen]);
    let sweeps = bench.ok(&["ls"]);
    assert!(
        sweeps.contains(id.trim()),
        "what it knew, it knows again: {sweeps}"
    );
    bench.ok(&["controller", "stop"]);
    bench.nothing_left();
}

#[test]
fn a_data_directory_is_where_it_was_said_and_free_once_its_controller_has_stopped() {
    let bench = Bench::new();
    let listen = format!("127.0.0.1:{}", bench.port());
    let started = bench.run(&[
        "controller",
        "start",
        "--listen",
        &listen,
        "--data-dir",
        "here/data",
    ]);
    assert!(started.code == 0, "{started:?}");
    assert!(bench.path("here/data/sweep.db").exists(), "{started:?}");
    bench.ok(&["controller", "stop"]);
    bench.ok(&["controller", "rotate-token", "--data-dir", "here/data"]);
    bench.nothing_left();
}

/// Runs a shell script in its own network, where the local port is free whatever runs on this machine. `None`: this machine allows none.
fn in_own_network(bench: &Bench, script: &str) -> Option<CommandResult> {
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--net", "sh", "-ec"])
            .arg(format!("ip link set lo up\n{script}"));
        command
    };
    if !isolated("true")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: no separate network is possible here (unshare --net)");
        return None;
    }
    Some(bench.finish_unconnected(isolated(script)))
}

#[test]
fn create_starts_a_controller_where_there_is_none() {
    let bench = Bench::new();
    let file = bench.write("sweep.yaml", YAML);
    let script = format!(
        "\"$SWEEP\" create '{file}'\n\"$SWEEP\" create '{file}'\n\"$SWEEP\" controller stop"
    );
    let Some(ended) = in_own_network(&bench, &script) else {
        return;
    };
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.lines().count() == 2 && ended.stdout.split_inclusive('\n').all(is_id),
        "{ended:?}"
    );
    assert_eq!(
        ended
            .stderr
            .matches("Started a controller at 127.0.0.1:7433")
            .count(),
        1,
        "it says so, once: {ended:?}"
    );
    assert!(
        bench.path("data/sweep").is_dir(),
        "its data is where it belongs"
    );
    bench.nothing_left();
}

#[test]
fn an_agent_starts_no_controller() {
    let bench = Bench::new();
    let Some(ended) = in_own_network(&bench, "\"$SWEEP\" agent abcd1234 || exit 7") else {
        return;
    };
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(
        ended.stderr.contains("127.0.0.1:7433") && ended.stderr.contains("--controller"),
        "{ended:?}"
    );
    wait_for("no process", || bench.processes().is_empty().then_some(()));
}

#[test]
fn sweeps_of_sweep_run_are_listed_while_they_run_and_afterwards() {
    let bench = Bench::new();
    let text = "method: grid\nmetric: {name: loss}\ncommand: [sh, -c, 'echo \"{\\\"loss\\\": 1}\"; touch begun; until test -e go; do sleep 0.05; done']\n\
                parameters:\n  x: {values: [1]}\n";
    let file = bench.write("sweep.yaml", text);
    let running = bench.start(&["run", &file]);
    wait_for("the start", || bench.path("begun").exists().then_some(()));
    let listed = bench.json_lines(&["ls", "--json"]);
    let address = listed[0]["controller"]
        .as_str()
        .expect("it says where")
        .to_owned();
    assert_eq!(
        (listed.len(), listed[0]["state"].as_str()),
        (1, Some("running")),
        "{listed:?}"
    );
    let id = listed[0]["sweep"]
        .as_str()
        .expect("it has an id")
        .to_owned();
    assert!(
        bench
            .ok(&["ls"])
            .contains(&format!("{id}: sweep show {id} --controller {address}"))
    );
    bench.write("go", "");
    assert_eq!(running.wait().0, 0);
    let listed = bench.json_lines(&["ls", "--json"]);
    assert_eq!(
        (listed[0]["sweep"].as_str(), listed[0]["state"].as_str()),
        (Some(&*id), Some("finished")),
        "{listed:?}"
    );
    let data_dir = listed[0]["data_dir"].as_str().expect("it says where");
    assert!(
        bench
            .ok(&["ls"])
            .contains(&format!("{id}: sweep controller --data-dir {data_dir}"))
    );
}
