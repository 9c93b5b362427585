//! The page in a real browser, on a sweep that runs: with a region that crashes, a broken machine, two versions of the code and early termination.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::harness::{
    self, Bench, Running, by, finish_within, has_python, requires, trainer, wait_for,
};

/// How long the walk may take: three quarters of a minute where nothing else runs.
const WALK: Duration = Duration::from_secs(600);

/// The folder with the program, its sweep file and the walk through the page.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

fn can_run() -> bool {
    let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .iter()
        .any(|path| PathBuf::from(path).exists());
    has_python("playwright", "browser", "tests/browser/requirements.txt")
        && requires("browser", chromium, "no Chromium; apt-get install chromium")
}

/// Starts an agent that calls its machine by a name, where that can be had.
fn agent(bench: &Bench, host: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut command = bench.sweep(&[&["agent"], arguments].concat());
    if Command::new("unshare")
        .args(["--uts", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        let mut named = Command::new("unshare");
        named.args(["--uts", "sh", "-c", "hostname \"$0\" && exec \"$@\"", host]);
        command = by(named, &command);
    }
    command
        .current_dir(bench.path("project"))
        .envs(variables.iter().copied());
    bench.start_command(command)
}

fn git(bench: &Bench, arguments: &[&str]) {
    harness::git(&bench.path("project"), arguments);
}

#[test]
fn a_person_finds_what_they_look_for_on_the_page() {
    if !can_run() {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    std::fs::create_dir(bench.path("project")).expect("the folder is ours");
    for file in ["train.py", "sweep.yaml"] {
        std::fs::copy(folder().join(file), bench.path("project").join(file))
            .expect("it can be copied");
    }
    git(&bench, &["init", "-q"]);
    git(&bench, &["add", "."]);
    git(&bench, &["commit", "-qm", "Train"]);
    let id = bench.create(&["project/sweep.yaml"]);
    let _broken = agent(&bench, "gpu-box-7", &[&id], &[("BROKEN_MACHINE", "1")]);
    let (code, said) = agent(
        &bench,
        "gpu-box-1",
        &[&id, "--slots", "2", "--count", "30"],
        &[],
    )
    .wait();
    assert_eq!(code, 0, "{said}");
    let program = bench
        .read("project/train.py")
        .replace("SHIFT = 0.0", "SHIFT = 0.05  # a mended loss");
    bench.replace("project/train.py", &program);
    let (code, said) = agent(
        &bench,
        "gpu-box-2",
        &[&id, "--slots", "2", "--count", "24"],
        &[],
    )
    .wait();
    assert_eq!(code, 0, "{said}");
    // Somebody still works while it is looked at.
    bench.run(&["resume", &id]);
    let _working = agent(&bench, "gpu-box-3", &[&id], &[("TRAIN_PAUSE", "0.5")]);
    let hostile = hostile(&bench);

    let pictures = std::env::var_os("SWEEP_TEST_PICTURES")
        .map_or_else(|| bench.path("pictures"), PathBuf::from);
    let mut walk = Command::new("python");
    let status = bench.ok(&["controller", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
    walk.env("SWEEP_TOKEN", bench.token()).env(
        "SWEEP_PAGE",
        status["page"].as_str().expect("it has a link"),
    );
    walk.arg(folder().join("walk.py"))
        .arg(format!("http://127.0.0.1:{}", bench.port()))
        .args([&id, &hostile])
        .arg(&pictures);
    let ended = finish_within(WALK, walk);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.ends_with("all is well\n"), "{}", ended.stdout);
    eprintln!("{}pictures in {}", ended.stdout, pictures.display());
}

/// Makes a sweep all of whose words want to be something else.
fn hostile(bench: &Bench) -> String {
    let evil = "<img src=x onerror='window.hurt=1'>\\u202e\\u001b[31m</script><script>window.hurt=1</script>";
    let file = format!(
        "name: \"{evil}\"\nmethod: grid\nmetric: {{name: \"{evil}loss\"}}\ncommand: [sh, {}]\nparameters:\n  __proto__: {{values: [1, 2]}}\n  words: {{values: [\"{evil}\", \"b\"]}}\n",
        trainer("hostile.sh")
    );
    let id = bench.create(&[&bench.write("hostile.yaml", &file)]);
    let (code, said) = bench.start(&["agent", &id]).wait();
    assert!(code == 0 || code == 3, "{code}: {said}");
    wait_for("the hostile runs to end", || {
        (bench
            .json_lines(&["runs", &id, "--json"])
            .iter()
            .all(|run| !run["ended_ms"].is_null()))
        .then_some(())
    });
    id
}
