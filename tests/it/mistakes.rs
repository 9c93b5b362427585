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
    assert!(
        ended.stderr.contains("goal") || ended.stdout.contains("goal"),
        "{ended:?}"
    );
    assert!(
        (ended.stdout + &ended.stderr).contains("sweep.yaml:2:"),
        "the place"
    );
}

#[test]
fn check_tells_good_from_bad() {
    let bench = Bench::new();
    let good = bench.write(
        "good.yaml",
        "program: a.py\nmethod: random\nparameters: {lr: {min: 1e-4, max: 0.1}}\n",
    );
    let bad = bench.write(
        "bad.yaml",
        "program: a.py\nmethod: grid\nparameters: {lr: {min: 3, max: 1}}\n",
    );
    assert_eq!(bench.run(&["check", &good]).code, 0);
    assert_eq!(bench.run(&["check", &bad]).code, 2);
    assert_eq!(bench.run(&["check", &good, &bad]).code, 2);
    assert_eq!(bench.run(&["check", "missing.yaml"]).code, 2);
}

#[test]
fn what_the_repository_ships_is_right() {
    let bench = Bench::new();
    for file in [
        "wine/sweep.yaml",
        "wine/random.yaml",
        "digits/sweep.yaml",
        "optuna/sweep.yaml",
        "ray/sweep.yaml",
        "moons/sweep.yaml",
    ] {
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
    assert!(
        ended
            .stderr
            .contains(&format!("127.0.0.1:{}", bench.port())),
        "{ended:?}"
    );
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
fn a_space_of_very_many_points_is_not_given_a_wrong_number() {
    let bench = Bench::new();
    let ten: String = (0..48)
        .map(|number| format!("  p{number}: {{values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}\n"))
        .collect();
    let file = bench.write(
        "sweep.yaml",
        &format!("method: random\ncommand: ['true']\nmetric: {{name: loss}}\nparameters:\n{ten}"),
    );
    let checked = bench.ok(&["check", &file]);
    assert!(
        checked.contains("random over 48 parameters, more than 10^38 points"),
        "{checked}"
    );
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
        "man",
    ];
    let overview = bench.ok(&["--help"]);
    for command in commands {
        assert!(
            overview
                .lines()
                .any(|line| line.trim_start().starts_with(command)),
            "`sweep --help` names {command}"
        );
        let help = bench.ok(&[command, "--help"]);
        assert!(help.contains("Usage: sweep"), "{command}: {help}");
    }
}

/// Names of parameters that mean something to loaders, shells and interpreters, and values that mean something to shells and programs.
#[test]
fn parameters_reach_a_program_as_words_and_change_nothing_around_it() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let hurt = bench.path("hurt").display().to_string();
    let words = [
        format!("$(touch {hurt})"),
        format!("`touch {hurt}`"),
        format!("; touch {hurt}"),
        format!("a\ntouch {hurt}"),
        "--config=/etc/shadow".to_owned(),
        "-c".to_owned(),
        "@file".to_owned(),
        "*".to_owned(),
        "~".to_owned(),
        "cafe\u{301}".to_owned(),
        "caf\u{e9}".to_owned(),
        "\u{202e}fdp.exe".to_owned(),
    ];
    let program = bench.write(
        "train.sh",
        "printf '%s\\0' \"$@\" >> args\nenv | grep -E '^(LD_PRELOAD|PATH|BASH_ENV|PYTHONSTARTUP)=' >> environment\necho '{\"loss\": 1}'\n",
    );
    let names = ["LD_PRELOAD", "PATH", "BASH_ENV", "PYTHONSTARTUP"];
    let fixed: String = names
        .iter()
        .map(|name| format!("  {name}: {{value: {hurt}}}\n"))
        .collect();
    let file = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {program}, '${{args}}']\nparameters:\n{fixed}  word: {{values: {}}}\n",
        serde_json::to_string(&words).expect("texts are JSON")
    );
    let id = bench.create(&[&bench.write("sweep.yaml", &file)]);
    let (code, said) = bench.start(&["agent", &id]).wait();
    assert_eq!(code, 0, "{said}");
    let arguments = bench.read("args");
    for word in &words {
        assert_eq!(
            arguments
                .split('\0')
                .filter(|argument| *argument == format!("--word={word}"))
                .count(),
            1,
            "{word:?} in {arguments:?}"
        );
    }
    let environment = bench.lines("environment");
    assert!(
        !environment.is_empty()
            && environment
                .iter()
                .all(|line| line.starts_with("PATH=") && !line.contains(&hurt)),
        "{environment:?}"
    );
    assert!(!bench.path("hurt").exists(), "nothing was executed");
}
