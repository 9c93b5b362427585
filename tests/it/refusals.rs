//! Programs that refuse their command line, and failures that are named by their cause.

use std::fs;

use serde_json::Value;

use crate::harness::{Bench, has_python};

fn sweep(run_cap: u32, command: &str) -> String {
    format!(
        "method: bayes\nseed: 1\nmetric: {{name: loss, goal: minimize}}\nprogram: train.py\ncommand: {command}\nrun_cap: {run_cap}\n\
         retry: {{crashed: 2}}\nparameters:\n  lr: {{min: 0.0, max: 1.0}}\n"
    )
}

fn attempts(run: &Value) -> usize {
    run["executions"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_refused_command_line_is_named_never_tried_again_and_pauses_the_sweep() {
    let bench = Bench::new();
    bench.write("train.py", "import argparse\np = argparse.ArgumentParser()\np.add_argument('--rate')\nprint(p.parse_args())\n");
    let file = bench.write(
        "sweep.yaml",
        &sweep(20, "['${interpreter}', '${program}', '${args}']"),
    );
    let ended = bench.run(&["run", &file]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let why = "the program refuses its command line: unrecognized arguments: --lr=";
    assert!(
        ended.stdout.contains("3 × usage: exit status 2, ") && ended.stdout.contains(why),
        "{ended:?}"
    );
    assert!(
        ended
            .stdout
            .contains("Paused: the program refuses its command line, 3 times so far"),
        "{ended:?}"
    );

    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let (code, output) = bench.start(&["agent", &id, "--count", "2"]).wait();
    assert_eq!(code, 3, "no run succeeded: {output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.len() == 2
            && runs
                .iter()
                .all(|run| run["state"] == "failed" && attempts(run) == 1),
        "{runs:#?}"
    );
    let failure = &runs[0]["executions"][0]["failure"];
    assert_eq!(
        (&failure["kind"], &failure["blame"]),
        (&"usage".into(), &"command_line".into()),
        "{failure}"
    );
    let shown = bench.ok(&["show", &id]);
    assert!(
        shown.contains("2 × usage (attribution: command line)"),
        "{shown}"
    );
}

#[test]
fn count_counts_runs_and_the_reason_of_a_failure_is_on_the_screen() {
    let bench = Bench::new();
    bench.write("train.py", "raise ValueError('lr is too large')\n");
    let file = bench.write(
        "sweep.yaml",
        &sweep(20, "['${interpreter}', '${program}', '${args}']"),
    );
    let ended = bench.run(&["run", &file, "--count", "1", "--json"]);
    let outcome: Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    let runs = outcome["runs"].as_array().expect("a list");
    assert!(
        runs.len() == 1 && runs[0]["state"] == "failed" && attempts(&runs[0]) == 3,
        "a run is tried to its end: {outcome}"
    );
    let ended = bench.run(&["run", &file, "--count", "1"]);
    assert!(
        ended
            .stdout
            .contains("1 × crashed: exit status 1: ValueError: lr is too large"),
        "{ended:?}"
    );
}

#[test]
fn closing_lines_escape_codes_and_boxes_name_no_failure() {
    let bench = Bench::new();
    let program = "import sys\nprint('\\x1b[31mno such layer\\x1b[0m')\nprint('╭─────╮')\nprint('│     │')\nprint('╰─────╯')\n\
                   print('wandb: Run history:')\nprint('wandb: 🚀 View run at x')\nsys.exit(3)\n";
    bench.write("train.py", program);
    let file = bench.write(
        "sweep.yaml",
        &sweep(1, "['${interpreter}', '${program}', '${args}']")
            .replace("crashed: 2", "crashed: 0"),
    );
    let ended = bench.run(&["run", &file]);
    assert!(
        ended
            .stdout
            .contains("1 × crashed: exit status 3: no such layer\n"),
        "{ended:?}"
    );
}

#[test]
fn unlike_errors_of_hydra_are_unlike_causes_and_blame_the_command_line() {
    if !has_python("hydra", "hydra", "hydra-core") {
        return;
    }
    let bench = Bench::new();
    fs::create_dir(bench.path("conf")).expect("the temporary folder can be written");
    bench.write("conf/config.yaml", "lr: 0.1\n");
    bench.write(
        "train.py",
        "import hydra, json\n@hydra.main(version_base=None, config_path='conf', config_name='config')\ndef main(cfg):\n    \
         if cfg.lr == 3:\n        raise ValueError('lr is too large')\n    print(json.dumps({'loss': 1.0}))\nmain()\n",
    );
    // One value is fine, and each of the others is refused in its own way.
    let values = "['lr=0.5', 'nosuch=1', 'lr=a:b{', 'model=foo', 'lr=3']";
    let text = "method: grid\nmetric: {name: loss, goal: minimize}\nprogram: train.py\nretry: {crashed: 0}\n\
                command: ['${interpreter}', '${program}', '${override}']\nparameters:\n  override: {values: VALUES}\n";
    bench.write(
        "wrap.py",
        "import json, os, sys\nos.execv(sys.executable, [sys.executable, 'train.py', os.environ['SWEEP_PARAM_OVERRIDE']])\n",
    );
    let text = text
        .replace("VALUES", values)
        .replace("'${program}', '${override}'", "wrap.py");
    let file = bench.write("sweep.yaml", &text);
    let ended = bench.run(&["run", &file, "--json"]);
    let outcome: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let failures: Vec<_> = outcome["runs"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|run| {
            Some((
                run["executions"][0]["failure"]["blame"]
                    .as_str()?
                    .to_owned(),
                run["executions"][0]["failure"]["message"]
                    .as_str()?
                    .to_owned(),
            ))
        })
        .collect();
    let has = |blame: &str, words: &str| {
        failures
            .iter()
            .any(|(blamed, message)| blamed == blame && message.contains(words))
    };
    assert!(
        has(
            "command_line",
            "Could not override 'nosuch'; To append to your config use +nosuch=1"
        ),
        "{failures:#?}"
    );
    assert!(
        has(
            "command_line",
            "Error parsing override 'lr=a:b{'; extraneous input '{'"
        ),
        "{failures:#?}"
    );
    assert!(
        has("configuration", "ValueError: lr is too large"),
        "{failures:#?}"
    );
    assert_eq!(failures.len(), 4, "{failures:#?}");
    assert!(
        failures
            .iter()
            .all(|(_, message)| !message.contains("HYDRA_FULL_ERROR")),
        "{failures:#?}"
    );
}

#[test]
fn a_helper_that_is_refused_is_no_reason_to_blame_the_command_line() {
    let bench = Bench::new();
    bench.write(
        "ap.py",
        "import argparse\nargparse.ArgumentParser().parse_args()\n",
    );
    bench.write(
        "train.py",
        "import json, subprocess, sys\nfor step in range(3):\n    print(json.dumps({'loss': 1.0, 'step': step}), flush=True)\n\
         subprocess.run([sys.executable, 'ap.py', '--unknown'])\nraise ValueError('shapes do not fit')\n",
    );
    let file = bench.write(
        "sweep.yaml",
        &sweep(1, "['${interpreter}', '${program}', '${args}']")
            .replace("crashed: 2", "crashed: 0"),
    );
    let ended = bench.run(&["run", &file]);
    assert!(
        ended
            .stdout
            .contains("1 × crashed: exit status 1: ValueError: shapes do not fit"),
        "{ended:?}"
    );
}
