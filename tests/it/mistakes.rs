//! Mistakes are answered with what would be right.

use crate::harness::Bench;

#[test]
fn a_misspelt_command_gets_a_suggestion() {
    let bench = Bench::new();
    let ended = bench.run(&["crate", "sweep.yaml"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("'create'"), "{ended:?}");
}

#[test]
fn a_misspelt_key_gets_a_suggestion_and_its_place() {
    let bench = Bench::new();
    let file = bench.write("sweep.yaml", "method: random\nmetric: {name: loss, gaol: minimize}\nparameters:\n  x: {min: 0, max: 1}\n");
    let ended = bench.run(&["check", &file]);
    assert!(ended.stderr.contains("goal") || ended.stdout.contains("goal"), "{ended:?}");
    assert!((ended.stdout + &ended.stderr).contains("sweep.yaml:2:"), "the place");
}

#[test]
fn check_tells_good_from_bad() {
    let bench = Bench::new();
    let good = bench.write("good.yaml", "program: a.py\nmethod: random\nparameters: {lr: {min: 1e-4, max: 0.1}}\n");
    let bad = bench.write("bad.yaml", "program: a.py\nmethod: grid\nparameters: {lr: {min: 3, max: 1}}\n");
    assert_eq!(bench.run(&["check", &good]).code, 0);
    assert_eq!(bench.run(&["check", &bad]).code, 2);
    assert_eq!(bench.run(&["check", &good, &bad]).code, 2);
    assert_eq!(bench.run(&["check", "missing.yaml"]).code, 2);
}

#[test]
fn what_the_repository_ships_is_right() {
    let bench = Bench::new();
    for file in ["wine/sweep.yaml", "wine/random.yaml", "digits/sweep.yaml", "optuna/sweep.yaml", "ray/sweep.yaml"] {
        let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
        let ended = bench.run(&["check", &path]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(!ended.stderr.contains("warning"), "{ended:?}");
    }
}

#[test]
fn an_agent_without_a_controller_says_whom_it_asked() {
    let bench = Bench::new();
    let ended = bench.run(&["agent", "abcd1234"]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains(&format!("127.0.0.1:{}", bench.port())), "{ended:?}");
    assert!(ended.stderr.contains("--controller"), "{ended:?}");
    bench.nothing_left();
}

#[test]
fn a_sweep_that_does_not_exist_is_named() {
    let bench = Bench::new();
    let _controller = bench.controller();
    for command in ["show", "runs", "best", "cancel", "agent"] {
        let ended = bench.run(&[command, "nosuch00"]);
        assert_ne!(ended.code, 0, "{command}");
        assert!(ended.stderr.contains("nosuch00"), "{command}: {ended:?}");
    }
}

#[test]
fn every_command_has_help() {
    let bench = Bench::new();
    let commands = [
        "create",
        "run",
        "agent",
        "check",
        "schema",
        "ls",
        "show",
        "runs",
        "watch",
        "logs",
        "best",
        "stop",
        "pause",
        "resume",
        "cancel",
        "retry",
        "controller",
        "completions",
    ];
    let overview = bench.ok(&["--help"]);
    for command in commands {
        assert!(overview.lines().any(|line| line.trim_start().starts_with(command)), "`sweep --help` names {command}");
        let help = bench.ok(&[command, "--help"]);
        assert!(help.contains("Usage: sweep"), "{command}: {help}");
    }
}
