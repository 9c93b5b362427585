//! A shim whose agent has ended.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output};

/// Starts one that has been told its attempt's folder, by an agent that lives or does not by then,
/// and waits for its end.
fn told(order: &[u8], agent_lives: bool) -> Output {
    let (orders, mut agent) = io::pipe().expect("pipes can be had");
    agent.write_all(order).expect("it holds that much");
    let agent = agent_lives.then_some(agent);
    let mut shim = Command::new(env!("CARGO_BIN_EXE_shim"));
    let ended = shim
        .arg("__shim")
        .stdin(orders)
        .output()
        .expect("it was built");
    drop(agent);
    ended
}

/// Writes down an order: a program that leaves a file.
fn launch(folder: &Path) {
    let launch = serde_json::json!({
        "command": {"executable": "/bin/sh", "argv": ["sh", "-c", "touch begun"]},
        "preflight": null,
        "variables": {},
        "marker": "a:s/1/1",
        "workdir": folder,
        "output": folder.join("output.log"),
        "grace": {"secs": 1, "nanos": 0},
        "alone": "Continue",
    });
    fs::write(folder.join("launch.json"), launch.to_string()).unwrap();
}

#[test]
fn a_shim_without_an_attempt_ends_with_its_agent() {
    let ended = told(b"/half/of/an/or", false);
    assert!(
        ended.status.success() && ended.stdout.is_empty(),
        "{ended:?}"
    );
}

#[test]
fn a_shim_starts_nothing_for_an_agent_that_has_ended() {
    for agent_lives in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        launch(folder.path());
        told(
            &[folder.path().as_os_str().as_encoded_bytes(), &[0]].concat(),
            agent_lives,
        );
        assert_eq!(folder.path().join("begun").exists(), agent_lives);
        let end = fs::read_to_string(folder.path().join("ended.json")).unwrap();
        assert_eq!(
            end.contains("the agent ended before the program was started"),
            !agent_lives,
            "{end}"
        );
    }
}
