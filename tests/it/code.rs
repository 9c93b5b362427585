//! Which code a run has executed: whatever lies there when it begins, committed or not.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, wait_for};

/// The folder of the code; what the bench itself keeps lies beside it.
const PROJECT: &str = "project";

/// Ten runs, half a second each.
const SWEEP: &str = "method: random
seed: 1
metric: {name: loss, goal: minimize}
program: train.sh
command: [sh, '${program}', '${args_no_hyphens}']
run_cap: 10
parameters:
  x: {min: 0.0, max: 1.0}
";

fn program(loss: &str) -> String {
    format!("sleep 0.4\necho '{{\"loss\": {loss}}}'\n")
}

fn git(bench: &Bench, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(bench.path(PROJECT)).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments);
    let done = git.output().expect("git is there");
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("it is text").trim().to_owned()
}

#[test]
fn code_that_changes_half_way_is_another_version() {
    let bench = Bench::new();
    fs::create_dir(bench.path(PROJECT)).expect("the temporary folder can be written");
    bench.write("project/train.sh", &program("0.5"));
    let file = bench.write("project/sweep.yaml", SWEEP);
    git(&bench, &["init", "--quiet", "--initial-branch", "main"]);
    git(&bench, &["add", "train.sh", "sweep.yaml"]);
    git(&bench, &["commit", "--quiet", "--message", "Begin"]);
    let (head, index) = (git(&bench, &["rev-parse", "HEAD"]), fs::read(bench.path("project/.git/index")).expect("it is there"));
    let _controller = bench.controller();
    let id = bench.ok(&["create", &file]).trim().to_owned();
    assert!(bench.ok(&["code", &id]).contains("No run of"));
    let agent = bench.start(&["agent", &id, "--workdir", PROJECT]);
    let finished = || bench.json_lines(&["runs", &id, "--json"]).iter().filter(|run| run["state"] == "finished").count();
    wait_for("three runs", || (finished() >= 3).then_some(()));
    bench.write("project/train.sh", &program("0.25"));
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("the code has changed: version "), "{output}");
    assert!(output.contains("main at ") && output.contains("1 uncommitted file (+1 -1)"), "{output}");

    let versions = bench.json_lines(&["code", &id, "--json"]);
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!((versions.len(), runs.len()), (2, 10), "{versions:#?}");
    assert_eq!(versions[0]["uncommitted"]["files"], 0);
    assert_eq!(versions[1]["uncommitted"]["files"], 1);
    assert_eq!(versions[0]["commit"], head.as_str());
    assert!(versions[0]["runs"].as_u64() >= Some(3) && versions[1]["runs"].as_u64() >= Some(3), "{versions:#?}");
    assert_eq!((&versions[0]["best_value"], &versions[1]["best_value"]), (&0.5.into(), &0.25.into()));
    // What a run has given tells which program it was.
    for run in &runs {
        let version = if run["value"] == 0.5 { &versions[0] } else { &versions[1] };
        assert_eq!(run["code_version"], version["version"], "{run}");
    }
    let text = bench.ok(&["code", &id]);
    assert!(text.contains("main at ") && text.contains("\"Begin\", 1 file uncommitted (+1 -1)"), "{text}");
    let shown = bench.ok(&["show", &format!("{id}/10")]);
    assert!(shown.contains("code: version "), "{shown}");

    assert_eq!(fs::read(bench.path("project/.git/index")).expect("it is there"), index, "the user's index is as it was");
    assert_eq!(git(&bench, &["rev-parse", "HEAD"]), head);
}
